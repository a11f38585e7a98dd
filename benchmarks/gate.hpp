// Gate: where a producer of callbacks waits when its limit of items is in flight.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/parking.hpp>

#include <atomic>
#include <cstddef>

/// Counts arrivals. One thread waits, one at a time arrives; the waiting one is woken once per `stride` arrivals, not
/// for each, and not at all unless it sleeps.
class Gate {
 public:
  static constexpr std::size_t stride = 64;

  void arrive() noexcept {
    const std::size_t count = arrived_.load(std::memory_order_relaxed) + 1;
    arrived_.store(count, std::memory_order_release);
    if (count % stride != 0) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (parked_.load(std::memory_order_relaxed) == 0) return;
    parked_.store(0);
    batching::detail::unpark(&parked_);
  }

  /// Returns when `count` have arrived, a multiple of `stride`.
  void wait_for(std::size_t count) noexcept {
    while (arrived_.load(std::memory_order_acquire) < count) {
      parked_.store(1);
      std::atomic_thread_fence(std::memory_order_seq_cst);
      if (arrived_.load(std::memory_order_acquire) < count) {
        batching::detail::park(parked_, 1, batching::detail::no_limit);
      }
      parked_.store(0);
    }
  }

 private:
  alignas(64) std::atomic<std::size_t> arrived_ = 0;
  alignas(64) batching::detail::Word parked_ = 0;
};
