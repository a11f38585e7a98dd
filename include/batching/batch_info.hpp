// BatchInfo: what is known of a batch when it starts.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/options.hpp>

#include <cstddef>
#include <cstdint>

namespace batching {

struct BatchInfo {
  std::uint64_t id = 0;       ///< 1, 2, ... in the order in which the batches of one batcher start; 0 for inline calls
  std::size_t partition = 0;  ///< where it runs, below `partitions`; inline calls have one more place, behind the last
  std::size_t size = 0;       ///< items
  CloseReason closed_by = CloseReason::size;
};

}  // namespace batching
