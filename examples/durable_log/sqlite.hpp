// Database, Statement and Transaction: as much of SQLite's C API as a log needs, closed and checked by itself.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <sqlite3.h>

/// Carries the database's path and SQLite's message; for a failing disk the system's reason, too.
class DatabaseError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// One connection, to be used by one thread at a time.
class Database {
 public:
  enum class Mode { create, read_only };

  Database(const std::filesystem::path& path, Mode mode);

  void execute(const char* sql);
  [[nodiscard]] std::int64_t last_row_id() const noexcept { return sqlite3_last_insert_rowid(handle_.get()); }
  [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
  };
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A compiled statement; parameters count from 1, columns from 0.
class Statement {
 public:
  Statement(Database& database, std::string_view sql);

  void bind(int parameter, std::int64_t value);
  /// The text must live until the statement is reset.
  void bind(int parameter, std::string_view text);
  /// True if there is a row to be read.
  bool step();
  void reset() noexcept { sqlite3_reset(handle_.get()); }

  [[nodiscard]] std::int64_t integer(int column) const noexcept;
  /// Valid until the next step.
  [[nodiscard]] std::string_view text(int column) const noexcept;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// Everything until `commit`, or nothing.
class Transaction {
 public:
  explicit Transaction(Database& database) : database_(database) { database_.execute("BEGIN IMMEDIATE"); }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  void commit() { database_.execute("COMMIT"); }

 private:
  Database& database_;
};
