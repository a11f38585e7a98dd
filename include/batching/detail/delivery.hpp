// Delivery: answers on their way out: written, then counted, then visible, then somebody is woken or called.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/completion.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/counters.hpp>
#include <batching/detail/parking.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batching::detail {

class Call;

/// Collects the calls that one thread has answered. `commit` makes the answers visible, all counted before the first;
/// what that has to wake or call waits for `hand_over`, so that no user code runs and nobody is woken in between.
template <class Used>
class BasicDelivery {
 public:
  BasicDelivery() = default;
  BasicDelivery(const BasicDelivery&) = delete;
  BasicDelivery& operator=(const BasicDelivery&) = delete;

  /// So many calls will be answered.
  void reserve(std::size_t calls) { answered_.reserve(calls); }
  /// The answer of `call` has been written, by whoever claimed it.
  void add(Call& call, Answered how);

  /// A future's owner sleeps on its word.
  [[gnu::noinline]] void wake(const Word& word) { parked_.push_back(&word); }
  /// So many of those that are to be handed over.
  [[nodiscard]] std::size_t sleepers() const noexcept { return parked_.size(); }
  /// A handler is to be called, `at_home` on the batcher's own executor.
  void call(Completion& completion, bool at_home) noexcept { (at_home ? home_ : away_).push(completion); }
  void count(Answered how, std::uint64_t items) noexcept { counts_[static_cast<std::size_t>(how)] += items; }

  /// The batcher let go of a call that its caller has withdrawn; the letter about it may still be on its way.
  void withdrawn() noexcept { ++withdrawn_; }
  [[nodiscard]] std::int64_t take_withdrawn() noexcept { return std::exchange(withdrawn_, 0); }

  /// Counts, then shows every answer to its caller.
  void commit(Core& core);

  /// Wakes and calls. `here`: this thread may run handlers of the batcher's executor and of whatever else it runs.
  void hand_over(Core& core, bool here) {
    if (!parked_.empty()) unpark_all();
    submit(core, here);
    home_.clear();  // what a homeless batcher could not submit
    away_.clear();
  }
  /// A part of that: the strand posts handlers before it lets go, and wakes sleepers after.
  void submit(Core& core, bool here) {
    if (!home_.empty() || !away_.empty()) submit_all(core, here);
  }

 private:
  void unpark_all() noexcept;
  void submit_all(Core& core, bool here);

  Late<std::vector<Call*, RecyclingAllocator<Call*>>, Used> answered_;
  std::uint64_t counts_[5] = {};
  Late<std::vector<const void*>, Used> parked_;
  CompletionList home_;
  CompletionList away_;
  std::int64_t withdrawn_ = 0;
};
using Delivery = BasicDelivery<WhenUsed>;

}  // namespace batching::detail
