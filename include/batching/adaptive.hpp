// Adaptive: a target for the latency, and the bounds within which a batcher may move its window towards it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace batching {

/// With `Options::adaptive` a batcher moves `batch_size` and `batch_timeout`, which it begins with (brought within
/// these bounds), as it learns what its batches cost and how its items arrive.
struct Adaptive {
  enum class Policy : std::uint8_t {
    replay,    ///< replays the latest arrivals against other settings, with what batches were seen to cost
    additive,  ///< below 0.9 of the target `batch_size` grows by 4, above 1.1 of it shrinks by 4
  };

  /// What `quantile` of the items should not take longer than, from submission to answer; more than 0.
  std::chrono::nanoseconds target_latency = std::chrono::milliseconds(50);
  std::size_t min_batch_size = 1;
  std::size_t max_batch_size = 128;
  std::chrono::nanoseconds min_batch_timeout{0};
  std::chrono::nanoseconds max_batch_timeout = std::chrono::milliseconds(20);
  double quantile = 0.99;
  Policy policy = Policy::replay;
};

}  // namespace batching
