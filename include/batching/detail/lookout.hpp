// Lookout: a thread that has nothing to do waits a moment for more before it goes to sleep.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// To put a thread to sleep and to wake it costs it and the one that wakes it some microseconds, and whoever waits for
/// both far more. So it may look out for about as long first: that never costs more than twice what the better of the
/// two would have (Karlin, Li, Manasse and Owicki, "Empirical Studies of Competitive Spinning for a Shared-Memory
/// Multiprocessor", SOSP 1991). Not where many items share a wake-up: they had better come in one batch. And where it
/// was in vain it is tried again after twice as many occasions, up to 1024: on one processor, or when items come
/// seldom, next to nothing is spent. Belongs to the strand, but for `wait`.
class Lookout {
 public:
  static constexpr auto moment = std::chrono::microseconds(10);
  static constexpr std::size_t few = 8;

  /// A batch of so many items leaves.
  void began(std::size_t items) noexcept { many_ = items > few; }
  /// Nothing to do: is it worth while to look out? To be asked once, by whoever then does.
  [[nodiscard]] bool is_promising() noexcept {
    if (many_) return false;
    if (skip_ > 0) {
      --skip_;
      return false;
    }
    in_vain_ = std::min(in_vain_ + 1, most);
    skip_ = (1U << in_vain_) - 1;
    return true;
  }
  /// It was.
  void found() noexcept { skip_ = in_vain_ = 0; }

  /// Until `over()`, or the moment is over. Asks seldom: what is asked about is on its way to and fro between others.
  template <class Over>
  static void wait(Over over) noexcept {
    using Clock = std::chrono::steady_clock;
    constexpr auto between = std::chrono::nanoseconds(200);
    Clock::time_point now = Clock::now();
    const Clock::time_point end = now + moment;
    while (now < end && !over()) {
      for (const Clock::time_point next = now + between; now < next;) now = Clock::now();
    }
  }

 private:
  static constexpr std::uint32_t most = 10;

  bool many_ = true;           // items in the latest batch
  std::uint32_t in_vain_ = 0;  // in a row
  std::uint32_t skip_ = 0;     // occasions
};

}  // namespace batching::detail
