// WindowRules: when a window may leave and how large; Departure: the batch that does.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>
#include <batching/detail/fingerprint.hpp>
#include <batching/detail/time.hpp>
#include <batching/options.hpp>

#include <chrono>
#include <cstddef>

namespace batching::detail {

/// When a window may leave, and how large.
struct WindowRules {
  explicit WindowRules(const Options& options) noexcept
      : batch_size(options.batch_size),
        min_batch_size(options.min_batch_size),
        batch_timeout(options.batch_timeout),
        max_wait(options.max_wait.value_or(never)),
        most_batch_size(options.adaptive ? options.adaptive->max_batch_size : options.batch_size),
        weighted(options.weight.given),
        dedup(options.dedup) {}

  /// When a window leaves that need not wait any more.
  static constexpr Time at_once = Time::min();

  /// Do calls wait in parts?
  [[nodiscard]] static bool in_parts(const Options& options) noexcept {
    return options.key.given || options.weight.given || static_cast<bool>(options.dedup);
  }
  /// Does leaving depend on the time at all? If not, `arrived` may stay unset, and any `now` will do.
  [[nodiscard]] static bool timed(const Options& options) noexcept {
    if (options.adaptive) return true;
    const auto by_time = [](std::chrono::nanoseconds limit) { return limit.count() > 0 && limit != never; };
    const bool waits = options.batch_size > 1 || options.weight.given;  // an item may weigh nothing
    return waits && (by_time(options.batch_timeout) ||
                     (options.min_batch_size > 1 && by_time(options.max_wait.value_or(never))));
  }

  std::size_t batch_size;
  std::size_t min_batch_size;
  std::chrono::nanoseconds batch_timeout;
  std::chrono::nanoseconds max_wait;
  std::size_t most_batch_size;  // that it may ever be
  bool weighted;                // then all that waits are `Part`s of one item
  DedupRules dedup;
};

/// A batch that leaves.
struct Departure {
  std::size_t partition = 0;
  std::size_t items = 0;
  CloseReason reason = CloseReason::size;
  std::size_t weight = 0;  // as many as the items where they have none
  bool split = false;      // somebody of whom items still wait
  std::size_t twins = 0;   // further items, which share the answers of some
};

}  // namespace batching::detail
