// Dispatcher: what the strand owns of calls and batches: those who wait, those who run, and by when.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/admission.hpp>
#include <batching/detail/boarding.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/deadlines.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/door.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/tuner.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/detail/window.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>
#include <batching/stats.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

/// The bookkeeping around the window: calls come in, leave in batches, time out, are withdrawn, fail. Knows neither
/// threads nor timers; what it answers it puts into a delivery.
template <class Used>
class BasicDispatcher {
 public:
  BasicDispatcher(Core& core, std::shared_ptr<Workshop> workshop, const Options& options)
      : core_(core),
        workshop_(std::move(workshop)),
        admission_(options, core.counters().left),
        door_(core.counters(), admission_),
        window_(options),
        batch_deadline_(options.batch_deadline),
        plain_(!window_.in_parts() && !options.adaptive && options.overflow != Overflow::drop_oldest),
        boarding_(core, *workshop_, options) {
    if (!options.adaptive) return;
    tuner_ =
        make_owned<Tuner>(*options.adaptive, options.partitions, Setting{options.batch_size, options.batch_timeout});
    tune();
  }

  [[nodiscard]] Admission& admission() noexcept { return admission_; }
  [[nodiscard]] const Admission& admission() const noexcept { return admission_; }
  [[nodiscard]] Window& window() noexcept { return window_; }
  [[nodiscard]] const Window& window() const noexcept { return window_; }
  [[nodiscard]] Time next_deadline() const noexcept { return smaller(deadlines_.next(), batch_deadlines_.next()); }
  /// Does it matter what time it is? Somebody waits, or will in a moment, or has a deadline.
  [[nodiscard]] bool looks_at_clock() const noexcept {
    return window_.waiting() > 0 || !door_.empty() || next_deadline() != never;
  }
  [[nodiscard]] const Boarding& boarding() const noexcept { return boarding_; }

  [[gnu::always_inline]] void accept(Call& call, Delivery& delivery) {
    Counters::add(core_.counters().accepted, call.size);
    if (plain_ && call.wishes == nullptr) [[likely]]
      return window_.submit_whole(call);
    accept_with_care(call, delivery);
  }
  /// A call for which there was no room waits at the door.
  void apply(Applicant& applicant) {
    expect(applicant.call);
    door_.push(applicant);
  }
  /// Lets in those for whom there is room now.
  void admit(Delivery& delivery);
  /// Everybody at the door hears that the batcher is closed.
  void close_door(Delivery& delivery);
  /// Who waits now, at the door as well, leaves without whoever comes later.
  void flush() {
    window_.flush();
    door_.flush();
  }
  /// The letter says that a call has been answered by its own caller; it ends here.
  void withdraw(Withdrawal& letter, Delivery& delivery);
  /// Answers those whose time is up.
  void expire(Time now, Delivery& delivery);
  /// Everybody who waits, but at the door, hears this error.
  void fail_waiting(const std::exception_ptr& error, Delivery& delivery);

  /// The batch that leaves now, if one can; its partition is taken.
  [[nodiscard]] Running* start(Time now);
  /// The batch's function has returned, but its answers will come through a handle.
  void keep(const Running& running) noexcept {
    ++kept_;
    if (running.by_user()) ++kept_by_users_;
  }
  void finish(Running& running, Delivery& delivery);
  /// What the strand alone knows of.
  void measure(Time now, Stats& stats) {
    boarding_.timings().count(now, window_.running());
    boarding_.timings().write(stats);
    stats.partitions = window_.partitions();
    stats.batch_size = window_.rules().batch_size;
    stats.batch_timeout = window_.rules().batch_timeout;
  }
  /// The delivery has been committed.
  void committed(Delivery& delivery) noexcept { letters_ += delivery.take_withdrawn(); }

  /// Nobody waits, nothing runs, no letter is on its way.
  [[nodiscard]] bool at_rest() const noexcept {
    return window_.waiting() == 0 && window_.running() == 0 && letters_ == 0;
  }
  /// Batches that are answered through handles of the users' own.
  [[nodiscard]] std::size_t kept_by_users() const noexcept { return kept_by_users_; }
  /// Is there a call that no thread and no operation stands for? Then something else must keep all this alive.
  [[nodiscard]] bool expects() const noexcept { return window_.waiting() > 0 || letters_ > 0 || kept_ > 0; }

 private:
  /// Whatever the call and the options ask for.
  void accept_with_care(Call& call, Delivery& delivery);
  void join_row(Call& call);
  [[gnu::cold]] std::uint32_t join_rows(Call& call);
  void leave_row(Call& call, Delivery& delivery);
  std::uint32_t withdraw_all(Call& call);
  void tune() { window_.set(tuner_->setting().batch_size, tuner_->setting().batch_timeout); }
  void expect(Call& call);
  void turn_away(Call& call, Delivery& delivery);
  void drop_oldest(Delivery& delivery);
  void fail_left(Call& call, std::uint32_t items, const std::exception_ptr& error, Delivery& delivery);
  void forget_deadline(Call& call) noexcept;

  Core& core_;
  std::shared_ptr<Workshop> workshop_;
  Late<Admission, Used> admission_;
  Late<Door, Used> door_;
  Late<Window, Used> window_;
  Late<Deadlines, Used> deadlines_;
  const std::optional<std::chrono::nanoseconds> batch_deadline_;
  Late<Deadlines, Used> batch_deadlines_;
  const bool plain_;  // is there nothing to see to when a call comes that wishes nothing?
  Late<Boarding, Used> boarding_;
  Late<Owned<Tuner>, Used> tuner_;
  Late<std::vector<Owned<Running>>, Used> idle_;  // to be used again
  std::int64_t letters_ = 0;  // withdrawn calls that had their turn, less the letters about them that were read
  std::size_t kept_ = 0;
  std::size_t kept_by_users_ = 0;
  std::uint64_t batches_ = 0;
};
using Dispatcher = BasicDispatcher<WhenUsed>;

/// The call that waits, whole or in parts.
inline Call& call_of(Waiting& waiting, bool in_parts) noexcept {
  return static_cast<Call&>(in_parts ? *static_cast<Part&>(waiting).whole : waiting);
}

template <class L>
void BasicDispatcher<L>::accept_with_care(Call& call, Delivery& delivery) {
  if (admission_.overflow() == Overflow::drop_oldest) {
    while (window_.waiting() > 0 && window_.waiting() + call.size > admission_.most()) drop_oldest(delivery);
  }
  expect(call);
  join_row(call);
}

/// The one way in, from the door as well.
template <class L>
void BasicDispatcher<L>::join_row(Call& call) {
  if (call.listener() != nullptr) boarding_.listened();
  const Time arrived = call.arrived;
  std::uint32_t run = call.size;  // that will; twins do not
  if (window_.in_parts()) [[unlikely]] {
    run = join_rows(call);
  } else {
    window_.submit(call);
  }
  if (tuner_ && run > 0) [[unlikely]]
    tuner_->arrived(arrived, run);
}

/// How many of its items will run. It may be gone then: what it has joined may have been answered.
template <class L>
std::uint32_t BasicDispatcher<L>::join_rows(Call& call) {
  Part* parts = Part::of(call);
  const bool may_join = boarding_.joins_running();
  std::uint32_t run = 0;
  if (may_join) call.add_reference();
  for (std::uint32_t i = 0; i < parts->parts; ++i) {
    parts[i].arrived = call.arrived;
    parts[i].priority = call.priority;
    if (may_join && boarding_.join_running(call, parts[i])) continue;
    window_.submit(parts[i]);
    if (parts[i].leads) run += parts[i].size;
  }
  if (!may_join) return run;
  if (call.left() == 0) Parts::destroy(call);  // all have joined
  call.release();
  return run;
}

/// What waits of the call leaves the row; returns how many items that were.
template <class L>
std::uint32_t BasicDispatcher<L>::withdraw_all(Call& call) {
  if (!window_.in_parts()) return window_.withdraw(call);
  const std::uint32_t items = call.left();
  if (items == 0) return 0;
  Part* parts = Part::of(call);
  for (std::uint32_t i = 0; i < parts->parts; ++i) (void)window_.withdraw(parts[i]);
  Parts::destroy(call);
  call.taken = call.size;
  return items;
}

/// Its deadline, if it has one, is looked after from now on.
template <class L>
void BasicDispatcher<L>::expect(Call& call) {
  if (call.wishes == nullptr || call.wishes->deadline == never) return;
  call.add_reference();
  deadlines_.add(*call.wishes);
}

/// So many items of the call have left the row without a turn.
template <class L>
void BasicDispatcher<L>::fail_left(Call& call, std::uint32_t items, const std::exception_ptr& error,
                                   Delivery& delivery) {
  Counters::add(core_.counters().left, items);
  forget_deadline(call);
  call.fail(error, items, Answered::failed, delivery);
}

template <class L>
void BasicDispatcher<L>::drop_oldest(Delivery& delivery) {
  Call& call = call_of(window_.oldest(), window_.in_parts());
  fail_left(call, withdraw_all(call), std::make_exception_ptr(Error(errc::queue_full)), delivery);
}

template <class L>
void BasicDispatcher<L>::admit(Delivery& delivery) {
  bool flushed = false;
  while (door_.has_room()) {
    const bool before = std::exchange(flushed, door_.is_flushed());
    if (before && !flushed) window_.flush();
    join_row(door_.let_in(delivery));  // may be its end
  }
  if (flushed) window_.flush();
}

template <class L>
void BasicDispatcher<L>::close_door(Delivery& delivery) {
  while (!door_.empty()) {
    Call& call = door_.front();
    turn_away(call, delivery);
    forget_deadline(call);
    call.fail(std::make_exception_ptr(Error(errc::closed)), call.size, Answered::failed, delivery);
  }
}

template <class L>
void BasicDispatcher<L>::turn_away(Call& call, Delivery& delivery) {
  door_.turn_away(call, delivery);
  if (window_.in_parts()) Parts::destroy(call);
}

template <class L>
void BasicDispatcher<L>::withdraw(Withdrawal& letter, Delivery& delivery) {
  Call& call = letter.call;
  detail::destroy(&letter, RecyclingAllocator<void>());
  --letters_;
  forget_deadline(call);
  leave_row(call, delivery);
  call.release();
}

/// What still waits of a call that has been answered never runs.
template <class L>
void BasicDispatcher<L>::leave_row(Call& call, Delivery& delivery) {
  if (call.at_door) {
    turn_away(call, delivery);
    return call.forget(call.size, delivery);
  }
  const std::uint32_t items = withdraw_all(call);
  if (items == 0) return;
  Counters::add(core_.counters().left, items);
  call.forget(items, delivery);
}

template <class L>
void BasicDispatcher<L>::forget_deadline(Call& call) noexcept {
  if (!call.is_expected()) return;
  deadlines_.remove(*call.wishes);
  call.release();
}

template <class L>
void BasicDispatcher<L>::expire(Time now, Delivery& delivery) {
  while (deadlines_.next() <= now) {
    Call& call = static_cast<Wishes&>(*deadlines_.first()).call;
    deadlines_.remove(*call.wishes);
    call.answer_early(std::make_exception_ptr(Error(errc::timed_out)), Answered::timed_out, delivery);
    leave_row(call, delivery);
    call.release();
  }
  while (batch_deadlines_.next() <= now) {
    Running& running = static_cast<Running&>(*batch_deadlines_.first());
    batch_deadlines_.remove(running);
    for (Call* call : running.watched) {
      call->answer_early(std::make_exception_ptr(Error(errc::timed_out)), Answered::timed_out, delivery);
      if (call->is_claimed()) leave_row(*call, delivery);
    }
    boarding_.forget(running);
    running.set_overdue();  // only now: a function that ends when it is told would have been in time
  }
}

template <class L>
void BasicDispatcher<L>::fail_waiting(const std::exception_ptr& error, Delivery& delivery) {
  while (window_.waiting() > 0) {
    Call& call = call_of(window_.oldest(), window_.in_parts());
    fail_left(call, withdraw_all(call), error, delivery);
  }
}

template <class L>
Running* BasicDispatcher<L>::start(Time now) {
  if (!window_.ready(now)) return nullptr;
  if (idle_.empty()) idle_.push_back(workshop_->make());
  Running& running = *idle_.back().release();
  idle_.pop_back();
  boarding_.timings().count(now, window_.running());
  const auto departure = *window_.next(now, running.slices);
  running.started = running.oldest = now;
  running.info = {++batches_, departure.partition, departure.items, departure.reason, std::nullopt};
  running.start(core_);
  if (batch_deadline_) {
    running.deadline = later(now, *batch_deadline_);
    running.info.deadline = std::chrono::steady_clock::time_point(running.deadline);
    batch_deadlines_.add(running);
  }
  boarding_.board(running, departure, deadlines_.first() != nullptr, window_.waiting());
  Counters& counts = core_.counters();
  Counters::add(counts.left, departure.items + departure.twins);
  Counters::add(counts.deduplicated, departure.twins);
  Counters::add(counts.batches, 1);
  Counters::add(counts.batched, departure.items);
  Counters::add(counts.running, 1);
  Counters::add(counts.closed_by[static_cast<std::size_t>(departure.reason)], 1);
  return &running;
}

template <class L>
void BasicDispatcher<L>::finish(Running& running, Delivery& delivery) {
  boarding_.forget(running);
  if (tuner_ && tuner_->finished(running.info.size, running.started, running.ended, running.oldest)) tune();
  boarding_.timings().ran(running.started, running.ended, window_.running());
  window_.release(running.info.partition);
  batch_deadlines_.remove(running);
  core_.counters().running.fetch_sub(1);
  core_.woken(running.sleepers());
  letters_ += running.withdrawn();
  if (running.kept()) {
    --kept_;
    if (running.by_user()) --kept_by_users_;
  }
  for (Call* call : running.watched) {
    if (call->is_claimed()) {
      forget_deadline(*call);
      leave_row(*call, delivery);
    }
    call->release();
  }
  running.watched.clear();
  // A handle that is still held will delete it.
  if (!running.release()) return;
  running.audience.clear();
  idle_.emplace_back(&running);
}

}  // namespace batching::detail
