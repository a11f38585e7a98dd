// BatchInfo: what is known of a batch when it starts.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace batching {

struct BatchInfo {
  std::uint64_t id = 0;       ///< 1, 2, ... in the order in which the batches of one batcher start; 0 for inline calls
  std::size_t partition = 0;  ///< where it runs, below `partitions`; inline calls have one more place, behind the last
  std::size_t size = 0;       ///< items
  CloseReason closed_by = CloseReason::size;
  /// When its callers hear `errc::timed_out`, on the batcher's clock; with `Options::batch_deadline` only.
  std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt;
};

}  // namespace batching
