// ManualClock: a clock that moves only when a test says so.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>

namespace batching::testing {

/// For `Batcher<In, Out, ManualClock>` on an `io_context` of the test's: after `advance`, `poll()` of the context fires
/// exactly what is due. One time for the whole process, safe from any thread, never reset. While a timer on it is
/// armed, `run()` of the context does not sleep: prefer `poll()`.
struct ManualClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<ManualClock>;
  static constexpr bool is_steady = true;

  [[nodiscard]] static time_point now() noexcept { return time_point(duration(ticks_.load())); }
  static void advance(duration by) noexcept { ticks_.fetch_add(by.count()); }

  /// Asio asks this how long it may sleep before it looks at the clock again: not at all, time moves without warning.
  [[nodiscard]] static duration to_wait_duration(duration) noexcept { return duration::zero(); }
  [[nodiscard]] static duration to_wait_duration(time_point) noexcept { return duration::zero(); }

 private:
  // Not at the epoch, so that a time of zero stands out as never set.
  static inline std::atomic<rep> ticks_ = duration(std::chrono::hours(1)).count();
};

}  // namespace batching::testing
