// Admission: how many items may wait, counted exactly by those who bring them, and the door at which the others wait.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/parking.hpp>
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

/// A call that waits for room, and the thread that waits with it, if one does.
struct Applicant final : Mail {
  Applicant(Call& of, Word* blocked) noexcept : Mail(Kind::application), call(of), through(blocked) {}

  /// The call is in, or needs no place any more.
  template <class L>
  void let_go(BasicDelivery<L>& delivery) noexcept {
    if (through != nullptr) {
      Word& word = *through;
      word.store(1);
      delivery.wake(word);  // by its address: it may be gone by now
    }
    detail::destroy(this, RecyclingAllocator<void>());
  }

  Call& call;
  Word* const through;
};

/// Those who wait for room, first come, first served. On the strand.
class Door {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Applicant& front() const noexcept { return static_cast<Applicant&>(*first_); }
  void push(Applicant& applicant) noexcept {
    applicant.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &applicant;
    last_ = &applicant;
    ++size_;
  }
  Applicant& pop() noexcept { return remove(front().call); }
  /// Those who are here now are to leave without whoever comes later.
  void flush() noexcept { flushed_ = size_; }
  /// Is the first of those?
  [[nodiscard]] bool is_flushed() const noexcept { return flushed_ > 0; }
  /// The call is here. Who gives up is most likely one of the first.
  Applicant& remove(const Call& call) noexcept {
    Mail* before = nullptr;
    Mail* at = first_;
    std::size_t place = 0;
    for (; &static_cast<Applicant&>(*at).call != &call; ++place) {
      before = at;
      at = at->next;
    }
    if (place < flushed_) --flushed_;
    --size_;
    (before == nullptr ? first_ : before->next) = at->next;
    if (at == last_) last_ = before;
    return static_cast<Applicant&>(*at);
  }

 private:
  Mail* first_ = nullptr;
  Mail* last_ = nullptr;
  std::size_t size_ = 0;
  std::size_t flushed_ = 0;
};

}  // namespace batching::detail
