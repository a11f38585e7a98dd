// Lookout: a thread that has nothing to do looks out for a moment before it goes to sleep.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// To put a thread to sleep and to wake it costs it and the one that wakes it some microseconds, and whoever waits for
/// both far more, on virtual machines 20 to 40. So it may look out for about as long first: that never costs more than
/// twice what the better of the two would have (Karlin, Li, Manasse and Owicki, "Empirical Studies of Competitive
/// Spinning for a Shared-Memory Multiprocessor", SOSP 1991). Where that was in vain it is tried again after twice as
/// many occasions, up to 1024: on one processor, or when there is something to do only seldom, next to nothing is
/// spent. One thread at a time.
///
/// Not where many have to be woken for a batch: they want the processors for themselves.
class Lookout {
 public:
  static constexpr std::chrono::nanoseconds moment{30'000};
  static constexpr std::size_t few = 8;

  /// Nothing to do: is it worth while to look out? To be asked once, by whoever then does.
  [[nodiscard]] bool is_promising() noexcept {
    if (skip_ > 0) {
      --skip_;
      return false;
    }
    in_vain_ = smaller(in_vain_ + 1, most);
    skip_ = (1U << in_vain_) - 1;
    return true;
  }
  /// It was.
  void found() noexcept { skip_ = in_vain_ = 0; }

  /// Until `over()`, the limit, or the moment is over; returns which: true for the first. Asks seldom: what is asked
  /// about is on its way to and fro between others.
  template <class Clock = std::chrono::steady_clock, class Over>
  static bool wait(Over over, typename Clock::time_point limit = Clock::time_point::max()) noexcept {
    constexpr auto between = std::chrono::nanoseconds(200);
    auto now = Clock::now();
    const auto end = smaller(now + moment, limit);
    while (!over()) {
      if (now >= end) return false;
      for (const auto next = now + between; now < next;) now = Clock::now();
    }
    return true;
  }

 private:
  static constexpr std::uint32_t most = 10;

  std::uint32_t in_vain_ = 0;  // in a row
  std::uint32_t skip_ = 0;     // occasions
};

}  // namespace batching::detail
