// Workload: who appends what in one run, and Told: what the callers of a run have been told.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "log.hpp"

/// `records` records, shared out evenly among `callers` callers, their texts taken from `lines` again and again.
struct Workload {
  std::int64_t run = 0;
  std::size_t callers = 1;
  std::size_t records = 1;
  const std::vector<std::string>* lines = nullptr;

  [[nodiscard]] std::size_t share(std::size_t caller) const noexcept {
    return records / callers + (caller < records % callers ? 1 : 0);
  }
  [[nodiscard]] Record record(std::size_t caller, std::size_t sequence) const {
    return {run, static_cast<std::int64_t>(caller), static_cast<std::int64_t>(sequence),
            (*lines)[(caller + sequence * callers) % lines->size()]};
  }
};

/// The row of each record that was reported durable: `rows[caller][sequence]`.
struct Told {
  Workload workload;
  std::vector<std::vector<RowId>> rows;
};
