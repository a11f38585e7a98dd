// The check: what is in the database against what the callers were told.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <vector>

#include "workload.hpp"

struct Findings {
  std::size_t told = 0;      // records that were reported durable
  std::size_t missing = 0;   // of them: not there
  std::size_t repeated = 0;  // rows beyond the first of the same record
  std::size_t altered = 0;   // another text than was written, or another row than its caller was told of
  std::size_t unknown = 0;   // rows that nobody has written
  std::size_t in_doubt = 0;  // there, although its caller was told of a failure: allowed

  [[nodiscard]] bool good() const noexcept { return missing + repeated + altered + unknown == 0; }
};

/// Reads all runs back through a connection of its own.
[[nodiscard]] Findings read_back(const std::filesystem::path& database, const std::vector<Told>& told);
