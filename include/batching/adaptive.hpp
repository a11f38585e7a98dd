// Adaptive: a target for the latency, and the bounds within which a batcher may move its window towards it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

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

namespace detail {

/// Throws `std::invalid_argument` where the bounds leave no room, naming the field and the value.
template <std::same_as<Adaptive> A>
void check(const A& adaptive) {
  const auto refuse = [](const char* field, const std::string& rule, auto value) {
    throw std::invalid_argument(std::string("batching::Options::adaptive.") + field + " must be " + rule + ", but is " +
                                std::to_string(value));
  };
  if (adaptive.target_latency.count() <= 0) {
    refuse("target_latency", "more than 0 nanoseconds", adaptive.target_latency.count());
  }
  if (adaptive.min_batch_size == 0) refuse("min_batch_size", "at least 1", adaptive.min_batch_size);
  if (adaptive.max_batch_size < adaptive.min_batch_size) {
    refuse("max_batch_size", "at least min_batch_size, which is " + std::to_string(adaptive.min_batch_size),
           adaptive.max_batch_size);
  }
  if (adaptive.min_batch_timeout.count() < 0) {
    refuse("min_batch_timeout", "0 or more nanoseconds", adaptive.min_batch_timeout.count());
  }
  if (adaptive.max_batch_timeout < adaptive.min_batch_timeout) {
    refuse("max_batch_timeout",
           "at least min_batch_timeout, which is " + std::to_string(adaptive.min_batch_timeout.count()) + " ns",
           adaptive.max_batch_timeout.count());
  }
  if (!(adaptive.quantile > 0 && adaptive.quantile < 1)) {
    refuse("quantile", "between 0 and 1", adaptive.quantile);
  }
}

}  // namespace detail

}  // namespace batching
