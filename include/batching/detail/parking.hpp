// Parking: a thread sleeps on a 32-bit word until somebody who changed it says so.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#if defined(__linux__) && !defined(BATCHING_NO_FUTEX)
#define BATCHING_HAS_FUTEX 1
#include <climits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#else
#include <array>
#include <condition_variable>
#include <mutex>
#endif

namespace batching::detail {

/// What a waiter sleeps on. `std::atomic::wait` knows no time limit, and a mutex with a condition variable in every
/// future costs more than the future.
using Word = std::atomic<std::uint32_t>;

static_assert(sizeof(Word) == sizeof(std::uint32_t) && Word::is_always_lock_free);

/// Never: the time limit of a wait without one.
inline constexpr std::chrono::steady_clock::time_point no_limit = std::chrono::steady_clock::time_point::max();

#ifdef BATCHING_HAS_FUTEX

/// Sleeps while `word` holds `value`, until `unpark` or the limit; may return early: look again.
inline void park(const Word& word, std::uint32_t value, std::chrono::steady_clock::time_point limit) noexcept {
  timespec until{};
  if (limit != no_limit) {
    const std::chrono::nanoseconds since_epoch = limit.time_since_epoch();
    if (since_epoch.count() < 0) return;
    until.tv_sec = static_cast<time_t>(since_epoch.count() / 1'000'000'000);
    until.tv_nsec = static_cast<long>(since_epoch.count() % 1'000'000'000);
  }
  ::syscall(SYS_futex, reinterpret_cast<const std::uint32_t*>(&word), FUTEX_WAIT_BITSET_PRIVATE, value,
            limit == no_limit ? nullptr : &until, nullptr, FUTEX_BITSET_MATCH_ANY);
}

/// Wakes all who are parked on the word at this address. The word itself is not read: it may be gone already.
inline void unpark(const void* word) noexcept {
  ::syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

#else

/// A few shared places to sleep at, by address; two words may share one, so every return is only a hint.
struct ParkingLot {
  std::mutex mutex;
  std::condition_variable changed;

  static ParkingLot& of(const void* word) noexcept {
    static std::array<ParkingLot, 64> lots;
    return lots[(reinterpret_cast<std::uintptr_t>(word) >> 4U) % lots.size()];
  }
};

inline void park(const Word& word, std::uint32_t value, std::chrono::steady_clock::time_point limit) noexcept {
  ParkingLot& lot = ParkingLot::of(&word);
  std::unique_lock lock(lot.mutex);
  if (word.load() != value) return;
  if (limit == no_limit) {
    lot.changed.wait(lock);
  } else {
    lot.changed.wait_until(lock, limit);
  }
}

inline void unpark(const void* word) noexcept {
  ParkingLot& lot = ParkingLot::of(word);
  { const std::lock_guard lock(lot.mutex); }  // whoever saw the old value is asleep by now
  lot.changed.notify_all();
}

#endif

}  // namespace batching::detail
