// Admission: how many items may wait, counted exactly by those who bring them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/counters.hpp>
#include <batching/options.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace batching::detail {

/// Counts who comes in; who leaves is counted by the strand. Any thread.
class Admission {
 public:
  /// `left`: items that wait no more, of those that came in.
  Admission(const Options& options, const Counters::Count& left) noexcept
      : most_(options.max_queued), overflow_(options.overflow), left_(left) {}

  [[nodiscard]] bool bounded() const noexcept { return is_bound(most_); }
  [[nodiscard]] static bool bounded(const Options& options) noexcept { return is_bound(options.max_queued); }
  [[nodiscard]] std::size_t most() const noexcept { return most_; }
  [[nodiscard]] Overflow overflow() const noexcept { return overflow_; }
  [[nodiscard]] bool never_fits(std::uint64_t items) const noexcept { return items > most_; }

  /// Takes places for all of the items if there are so many, and nobody is at the door.
  [[nodiscard]] bool try_enter(std::uint64_t items) noexcept { return at_door_.load() == 0 && take_places(items); }
  /// Takes places although there may be none: the oldest will be dropped for it.
  void force_entry(std::uint64_t items) noexcept { entered_.fetch_add(items); }
  /// The batcher was closed meanwhile.
  void give_back(std::uint64_t items) noexcept { entered_.fetch_sub(items); }

  /// From now on nobody overtakes: a call is on its way to the door.
  void come_to_door() noexcept { at_door_.fetch_add(1); }

  // --- On the strand. ---

  /// The first at the door takes its places if there are so many.
  [[nodiscard]] bool try_enter_from_door(std::uint64_t items) noexcept {
    if (!take_places(items)) return false;
    at_door_.fetch_sub(1);
    return true;
  }
  /// One at the door has given up: counted as if it had come in, for it will be counted as having left.
  void turn_away(std::uint64_t items) noexcept {
    force_entry(items);
    at_door_.fetch_sub(1);
  }

 private:
  static bool is_bound(std::size_t most) noexcept { return most != std::numeric_limits<std::size_t>::max(); }
  bool take_places(std::uint64_t items) noexcept {
    std::uint64_t entered = entered_.load();
    do {
      // Signed: of two numbers that are not read at once, the second may be ahead; then the exchange fails.
      const auto waiting = static_cast<std::int64_t>(entered - left_.load());
      if (waiting >= 0 &&
          (static_cast<std::uint64_t>(waiting) > most_ || items > most_ - static_cast<std::uint64_t>(waiting))) {
        return false;
      }
    } while (!entered_.compare_exchange_weak(entered, entered + items));
    return true;
  }

  const std::size_t most_;
  const Overflow overflow_;
  const Counters::Count& left_;
  std::atomic<std::uint64_t> entered_ = 0;
  std::atomic<std::uint64_t> at_door_ = 0;
};

}  // namespace batching::detail
