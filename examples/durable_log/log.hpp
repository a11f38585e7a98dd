// Record and LogWriter: the durable log, a table in an SQLite database, and a connection that appends to it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "sqlite.hpp"

/// What one caller appends: the `sequence`-th of its records in this run.
struct Record {
  std::int64_t run = 0;
  std::int64_t caller = 0;
  std::int64_t sequence = 0;
  std::string_view text;
};

using RowId = std::int64_t;

/// A connection that appends. What a call of it has returned for is on the disk: a power failure cannot take it back.
class LogWriter {
 public:
  /// Creates the database and the table if they are not there.
  explicit LogWriter(const std::filesystem::path& path);

  /// One record in a transaction of its own.
  RowId append(const Record& record);
  /// All records in one transaction: all of them are durable, or none. The shape of a batch function.
  std::vector<RowId> operator()(std::span<Record> records);

  /// A number that no run in this log has yet.
  [[nodiscard]] std::int64_t next_run();

 private:
  RowId insert(const Record& record);

  Database database_;
  Statement insert_;
};
