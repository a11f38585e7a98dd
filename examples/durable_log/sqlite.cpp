// How calls of SQLite's C API become objects, and its error codes one exception.
// SPDX-License-Identifier: BSL-1.0
#include "sqlite.hpp"

#include <string>
#include <system_error>

#include <fmt/core.h>

namespace {

[[noreturn]] void fail(sqlite3* handle, const std::string& path) {
  const int code = sqlite3_errcode(handle);
  const int system = sqlite3_system_errno(handle);
  const bool has_reason = system != 0 && (code == SQLITE_IOERR || code == SQLITE_CANTOPEN);
  throw DatabaseError(fmt::format("{}: {}{}", path, sqlite3_errmsg(handle),
                                  has_reason ? " (" + std::generic_category().message(system) + ")" : ""));
}
[[noreturn]] void fail(sqlite3* handle) {
  const char* path = sqlite3_db_filename(handle, "main");
  fail(handle, path == nullptr ? "database" : path);
}
void check(sqlite3* handle, int code) {
  if (code != SQLITE_OK) fail(handle);
}

}  // namespace

Database::Database(const std::filesystem::path& path, Mode mode) {
  sqlite3* handle = nullptr;
  const int flags = mode == Mode::create ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (handle == nullptr) throw DatabaseError(path.string() + ": not enough memory to open it");
  if (code != SQLITE_OK) fail(handle, path.string());
  sqlite3_busy_timeout(handle, 5000);  // somebody else may have a --database open
}

void Database::execute(const char* sql) {
  check(handle_.get(), sqlite3_exec(handle_.get(), sql, nullptr, nullptr, nullptr));
}

Statement::Statement(Database& database, std::string_view sql) {
  sqlite3_stmt* handle = nullptr;
  check(database.handle(),
        sqlite3_prepare_v2(database.handle(), sql.data(), static_cast<int>(sql.size()), &handle, nullptr));
  handle_.reset(handle);
}

void Statement::bind(int parameter, std::int64_t value) {
  check(sqlite3_db_handle(handle_.get()), sqlite3_bind_int64(handle_.get(), parameter, value));
}
void Statement::bind(int parameter, std::string_view text) {
  // A null pointer would be bound as NULL.
  const char* data = text.empty() ? "" : text.data();
  check(sqlite3_db_handle(handle_.get()),
        sqlite3_bind_text64(handle_.get(), parameter, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

bool Statement::step() {
  const int code = sqlite3_step(handle_.get());
  if (code != SQLITE_ROW && code != SQLITE_DONE) fail(sqlite3_db_handle(handle_.get()));
  return code == SQLITE_ROW;
}

std::int64_t Statement::integer(int column) const noexcept { return sqlite3_column_int64(handle_.get(), column); }

std::string_view Statement::text(int column) const noexcept {
  const auto* data = sqlite3_column_text(handle_.get(), column);
  if (data == nullptr) return {};
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}

Transaction::~Transaction() {
  // Still open: something failed. SQLite itself may have rolled back already, and what this says of it helps nobody.
  if (sqlite3_get_autocommit(database_.handle()) == 0) {
    sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
}
