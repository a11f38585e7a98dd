// Place: where the database lives, and that nothing of it is left behind.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>

#include "settings.hpp"

class Place {
 public:
  /// The database that was asked for, or a fresh directory for one. Throws a sentence if it cannot be made.
  explicit Place(const Settings& settings);
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  /// Removes what was made, unless it is to be kept.
  ~Place();

  [[nodiscard]] const std::filesystem::path& database() const noexcept { return database_; }
  [[nodiscard]] bool is_kept() const noexcept { return to_remove_.empty(); }
  /// A durable write costs nothing there, and means nothing.
  [[nodiscard]] bool is_in_memory() const;

 private:
  std::filesystem::path database_;
  std::filesystem::path to_remove_;
};
