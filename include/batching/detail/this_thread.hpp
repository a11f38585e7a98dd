// What this thread is in the middle of: the batchers whose user code it runs, and the pool it belongs to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace batching::detail {

/// While one lives, its thread runs user code of the batcher `of` (a batch function or a completion handler), or is a
/// thread of the pool which that batcher owns. A blocking wait for the same batcher could then never end.
class Inside {
 public:
  explicit Inside(const void* of) noexcept : of_(of), outer_(innermost_) { innermost_ = this; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { innermost_ = outer_; }

  [[nodiscard]] static bool any(const void* of) noexcept {
    const Inside* inside = innermost_;
    while (inside != nullptr && inside->of_ != of) inside = inside->outer_;
    return inside != nullptr;
  }

  /// From here on until the end, for whoever submits on this thread, it is one moment: handlers of one batch that
  /// submit again need not read the clock each.
  void stop_clock() noexcept { clock_stopped_ = true; }

  /// The time of a submission: `read()`, once for each stopped clock.
  template <class Read>
  [[nodiscard]] static std::chrono::nanoseconds time(const void* of, Read read) noexcept {
    Inside* inside = innermost_;
    if (inside == nullptr || inside->of_ != of || !inside->clock_stopped_) return read();
    if (inside->time_ == unread) inside->time_ = read();
    return inside->time_;
  }

 private:
  static constexpr auto unread = std::chrono::nanoseconds::min();

  const void* of_;
  Inside* outer_;
  bool clock_stopped_ = false;
  std::chrono::nanoseconds time_ = unread;
  static inline constinit thread_local Inside* innermost_ = nullptr;
};

}  // namespace batching::detail
