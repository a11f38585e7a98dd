// Door: where calls wait for room, what the books say of them meanwhile, and how they come in or are turned away.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/admission.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/counters.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/parking.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// A call that waits for room, and the thread that waits with it, if one does.
struct Applicant final : Mail {
  Applicant(Call& of, Word* blocked) noexcept : Mail(Kind::application), call(of), through(blocked) {}

  Call& call;
  Word* const through;
};

/// Those who wait for room, first come, first served. On the strand.
template <class Used>
class BasicDoor {
 public:
  BasicDoor(Counters& counters, Admission& admission) noexcept : counters_(counters), admission_(admission) {}

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] Call& front() const noexcept { return first()->call; }
  void push(Applicant& applicant) noexcept {
    applicant.next = nullptr;
    (first_ == nullptr ? first_ : last_->next) = &applicant;
    last_ = &applicant;
    ++size_;
    applicant.call.at_door = true;
    Counters::add(counters_.accepted, applicant.call.size);
    Counters::add(counters_.at_door, applicant.call.size);
  }
  /// Those who are here now are to leave without whoever comes later.
  void flush() noexcept { flushed_ = size_; }
  /// Is the first of those?
  [[nodiscard]] bool is_flushed() const noexcept { return flushed_ > 0; }

  /// Is there somebody, and now room for the first? Then that has been taken.
  [[nodiscard]] bool has_room() noexcept { return !empty() && admission_.try_enter_from_door(front().size); }
  /// The first goes in, and its thread goes on.
  template <class L>
  [[nodiscard]] Call& let_in(BasicDelivery<L>& delivery) {
    Call& call = front();
    remove(call, delivery);
    return call;
  }
  /// The call, which is here, never came in; the books have it that it came and left.
  template <class L>
  void turn_away(Call& call, BasicDelivery<L>& delivery) {
    admission_.turn_away(call.size);
    Counters::add(counters_.left, call.size);
    call.taken = call.size;
    remove(call, delivery);
  }

 private:
  [[nodiscard]] Applicant* first() const noexcept { return static_cast<Applicant*>(first_); }

  /// Who gives up is most likely one of the first.
  template <class L>
  void remove(Call& call, BasicDelivery<L>& delivery) {
    Mail* before = nullptr;
    Applicant* at = first();
    std::size_t place = 0;
    for (; &at->call != &call; ++place) {
      before = at;
      at = static_cast<Applicant*>(at->next);
    }
    if (place < flushed_) --flushed_;
    --size_;
    (before == nullptr ? first_ : before->next) = at->next;
    if (at == last_) last_ = before;
    call.at_door = false;
    Counters::subtract(counters_.at_door, call.size);
    if (at->through != nullptr) {
      Word& word = *at->through;
      word.store(1);
      delivery.wake(word);  // by its address: it may be gone by now
    }
    detail::destroy(at, RecyclingAllocator<void>());
  }

  Counters& counters_;
  Admission& admission_;
  Mail* first_ = nullptr;
  Mail* last_ = nullptr;
  std::size_t size_ = 0;
  std::size_t flushed_ = 0;
};
using Door = BasicDoor<WhenUsed>;

}  // namespace batching::detail
