// Boarding: who is in a batch when it leaves, and what has to be known of them until it is over.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/deadlines.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/joinables.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/report.hpp>
#include <batching/detail/row.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/shared_call.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/timings.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/detail/window.hpp>
#include <batching/options.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batching::detail {

/// Makes the batches that run; nobody here knows their types or the batch function.
class Workshop {
 public:
  Workshop() = default;
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  virtual ~Workshop() = default;
  [[nodiscard]] virtual Owned<Running> make() = 0;
  /// A call that stands for this item of a call, and others like it.
  [[nodiscard]] virtual SharedCall& share(Call& call, std::uint32_t item, bool joinable) = 0;
};

/// From the slices that the window has cut to those that run: parts become items of whole calls, twins one call that
/// stands for all; who waited how long, who listens, whose deadline has to be looked after. On the strand.
template <class Used>
class BasicBoarding {
 public:
  BasicBoarding(Core& core, Workshop& workshop, const Options& options) noexcept
      : core_(core),
        workshop_(workshop),
        in_parts_(WindowRules::in_parts(options)),
        joins_running_(options.dedup.join_running),
        limits_batches_(options.batch_deadline.has_value()),
        observed_(options.observer != nullptr) {}

  /// May the strand look at a call whose batch runs, although it is of one item and has no deadline?
  [[nodiscard]] static bool looks_after(const Options& options) noexcept {
    return options.batch_deadline || options.dedup.join_running;
  }
  [[nodiscard]] bool joins_running() const noexcept { return joins_running_; }
  /// Somebody listens to hooks.
  void listened() noexcept { listened_ = true; }
  [[nodiscard]] Timings& timings() noexcept { return timings_; }

  /// `any_deadlines`: among all calls; `waiting`: items that are left.
  void board(Running& running, const Departure& departure, bool any_deadlines, std::size_t waiting) {
    if (observed_) {
      if (!running.report) running.report = make_owned<Report>();
      running.report->begin(running.started);
    }
    if (in_parts_) {
      unpack(running);
    } else {
      note(running, limits_batches_ || any_deadlines || departure.split);
    }
    if (observed_) running.report->end(running.info, departure.weight, waiting);
  }
  [[nodiscard]] bool join_running(Call& call, Part& part);
  /// Nobody joins that batch any more.
  void forget(Running& running) noexcept { joinables_.forget(running); }

 private:
  void note(Running& running, bool watch_some);
  void unpack(Running& running);
  void leave(Running& running, Part& part, std::uint32_t items);
  [[nodiscard]] Call& share(Running& running, Part& part, std::size_t item);
  static void seat(Running& running, const Call& call, std::size_t item, std::size_t first, std::size_t count);
  void watch(Running& running, Call& call) const;

  Core& core_;
  Workshop& workshop_;
  const bool in_parts_;
  const bool joins_running_;
  const bool limits_batches_;
  const bool observed_;
  bool listened_ = false;  // has there ever been a call whose caller listens?
  Late<Joinables, Used> joinables_;
  Late<Timings, Used> timings_;
};
using Boarding = BasicBoarding<WhenUsed>;

/// How long those have waited who leave, and who of them has to be seen to in the end. Neighbours often came together.
template <class L>
void BasicBoarding<L>::note(Running& running, bool watch_some) {
  const Time now = running.started;
  Time arrived = running.oldest = running.slices.front().call->arrived;
  std::uint32_t items = 0;
  std::size_t item = 0;
  const bool plain = !listened_ && !observed_ && !watch_some;
  for (const Slice& slice : running.slices) {
    if (slice.call->arrived != arrived) {
      timings_.waited(now - arrived, std::exchange(items, 0));
      arrived = slice.call->arrived;
      running.oldest = smaller(running.oldest, arrived);
    }
    items += slice.count;
    if (plain) [[likely]]
      continue;
    if (listened_) seat(running, static_cast<const Call&>(*slice.call), item, slice.first, slice.count);
    item += slice.count;
    if (observed_) running.report->add(*slice.call, slice.count);
    if (watch_some) watch(running, static_cast<Call&>(*slice.call));
  }
  timings_.waited(now - arrived, items);
}

/// The batch's items from `item` on are the call's from `first` on.
template <class L>
void BasicBoarding<L>::seat(Running& running, const Call& call, std::size_t item, std::size_t first,
                            std::size_t count) {
  if (const auto* listener = call.listener()) running.audience.add(*listener, item, count, first, call.size > 1);
}

template <class L>
void BasicBoarding<L>::watch(Running& running, Call& call) const {
  if (!limits_batches_ && !call.is_expected() && call.left() == 0) return;
  if (!running.watched.empty() && running.watched.back() == &call) return;
  call.add_reference();
  running.watched.push_back(&call);
}

/// From parts to slices of whole calls; twins become one call that stands for all.
template <class L>
void BasicBoarding<L>::unpack(Running& running) {
  auto& slices = running.slices;
  std::size_t count = 0;
  std::size_t item = 0;
  for (const Slice& slice : slices) {
    const std::size_t at = std::exchange(item, item + slice.count);
    Part& part = static_cast<Part&>(*slice.call);
    if (part.has_twins() || joins_running_) {
      slices[count++] = {&share(running, part, at), 0, 1};
      continue;
    }
    Call& call = static_cast<Call&>(*part.whole);
    const std::uint32_t first = part.first + slice.first;
    if (listened_) seat(running, call, at, first, slice.count);
    leave(running, part, slice.count);
    Slice& before = slices[count - (count > 0 ? 1 : 0)];
    if (count > 0 && before.call == &call && before.first + before.count == first) {
      before.count += slice.count;
    } else {
      slices[count++] = {&call, first, slice.count};
    }
  }
  slices.resize(count);
}

/// So many items of the part are in the batch.
template <class L>
void BasicBoarding<L>::leave(Running& running, Part& part, std::uint32_t items) {
  Call& call = static_cast<Call&>(*part.whole);
  timings_.waited(running.started - call.arrived, items);
  running.oldest = smaller(running.oldest, call.arrived);
  if (observed_) running.report->add(call, items);
  call.taken += items;
  if (call.left() == 0) Parts::destroy(call);
  watch(running, call);
}

template <class L>
Call& BasicBoarding<L>::share(Running& running, Part& part, std::size_t item) {
  const bool joinable = joins_running_;
  SharedCall& shared = workshop_.share(static_cast<Call&>(*part.whole), part.first, joinable);
  if (joinable) joinables_.add(running, shared, std::move(part.fingerprint));
  std::size_t twins = 0;
  for (Part* twin = &part; twin != nullptr; ++twins) {
    Part* next = twin->next_twin != &part ? twin->next_twin : nullptr;
    (void)shared.join({twin->whole, twin->first, 1});
    twin->taken = 1;
    if (listened_) seat(running, static_cast<const Call&>(*twin->whole), item, twin->first, 1);
    leave(running, *twin, 1);  // may be its end
    twin = next;
  }
  if (observed_) running.report->deduplicated(twins - 1);
  return shared;
}

/// Shares the answer of an equal item that runs, if there is one.
template <class L>
bool BasicBoarding<L>::join_running(Call& call, Part& part) {
  SharedCall* shared = joinables_.find(*part.fingerprint);
  if (shared == nullptr || !shared->join({&call, part.first, 1})) return false;
  part.taken = 1;
  ++call.taken;
  if (call.is_expected() || limits_batches_ || call.size > 1) {
    call.add_reference();
    shared->running->watched.push_back(&call);
  }
  Counters::add(core_.counters().left, 1);
  Counters::add(core_.counters().deduplicated, 1);
  return true;
}

}  // namespace batching::detail
