// The statements behind the durable log.
// SPDX-License-Identifier: BSL-1.0
#include "log.hpp"

#include <string>

namespace {

/// A database in which a commit returns when the record is on the disk.
Database open_durable(const std::filesystem::path& path) {
  Database database(path, Database::Mode::create);
  Statement journal(database, "PRAGMA journal_mode=WAL");
  if (!journal.step() || journal.text(0) != "wal") {
    throw DatabaseError(path.string() + ": this place cannot have a write-ahead log (it needs shared memory)");
  }
  database.execute("PRAGMA synchronous=FULL");
  database.execute(
      "CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, caller INTEGER NOT NULL, "
      "sequence INTEGER NOT NULL, text TEXT NOT NULL)");
  return database;
}

}  // namespace

LogWriter::LogWriter(const std::filesystem::path& path)
    : database_(open_durable(path)),
      insert_(database_, "INSERT INTO log (run, caller, sequence, text) VALUES (?, ?, ?, ?)") {}

RowId LogWriter::append(const Record& record) {
  Transaction transaction(database_);
  const RowId row = insert(record);
  transaction.commit();
  return row;
}

std::vector<RowId> LogWriter::operator()(std::span<Record> records) {
  std::vector<RowId> rows;
  rows.reserve(records.size());
  Transaction transaction(database_);
  for (const Record& record : records) rows.push_back(insert(record));
  transaction.commit();
  return rows;
}

std::int64_t LogWriter::next_run() {
  Statement newest(database_, "SELECT coalesce(max(run), 0) FROM log");
  newest.step();
  return newest.integer(0) + 1;
}

RowId LogWriter::insert(const Record& record) {
  insert_.reset();  // also after a failure
  insert_.bind(1, record.run);
  insert_.bind(2, record.caller);
  insert_.bind(3, record.sequence);
  insert_.bind(4, record.text);
  insert_.step();
  const RowId row = database_.last_row_id();
  insert_.reset();  // a statement under way would keep the transaction open
  return row;
}
