// BatchState: a batch with its inputs, and all ways to answer it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace batching::detail {

template <class In, class Out>
class BatchState;

/// The user's batch function behind one of the adapters of `batch_function.hpp`.
template <class In, class Out>
class BatchFunction {
 public:
  BatchFunction() = default;
  BatchFunction(const BatchFunction&) = delete;
  BatchFunction& operator=(const BatchFunction&) = delete;
  virtual ~BatchFunction() = default;

  /// Runs the batch on its partition's instance. What it throws fails those who have no answer yet.
  virtual void run(BatchState<In, Out>& batch) = 0;
  /// Holds the instance of the inline calls, built at its first use, against other inline calls.
  [[nodiscard]] virtual std::shared_ptr<void> lock_inline() { return nullptr; }
};

/// A batch with its inputs, and all ways to answer it.
template <class In, class Out>
class BatchState final : public Running {
 public:
  using Value = Stored<Out>;

  explicit BatchState(BatchFunction<In, Out>& function) : function_(function) {}

  void run() noexcept override {
    owned_ = true;
    shared_ = false;
    try {
      function_.run(*this);
    } catch (...) {
      if (owned_) fail_rest(std::current_exception());
    }
    if (!shared_) forget_items();  // else it is the handle's to do
  }

  /// The inputs, moved into an array of this batch; or, where the whole batch is of one call, that call's own.
  [[nodiscard]] std::span<In> gather(bool may_borrow) {
    if (may_borrow && slices.size() == 1) {
      const Slice& slice = slices.front();
      return inputs_ = {static_cast<In*>(call(slice).inputs()) + slice.first, slice.count};
    }
    gathered_.clear();
    gather_into(gathered_);
    return inputs_ = {gathered_.data(), gathered_.size()};
  }
  template <class Container>
  void gather_into(Container& container) {
    container.reserve(info.size);
    for (const Slice& slice : slices) {
      In* input = static_cast<In*>(call(slice).inputs()) + slice.first;
      for (In* const end = input + slice.count; input != end; ++input) container.push_back(std::move(*input));
    }
  }
  [[nodiscard]] std::span<In> inputs() const noexcept { return inputs_; }
  /// Room for one output per input.
  [[nodiscard]] std::span<Value> outputs() {
    outputs_.clear();
    outputs_.resize(info.size);
    return {outputs_.data(), outputs_.size()};
  }

  // --- While nobody but the adapter knows of the batch: answers go in order, and are handed over by the runner. ---

  /// All items in order; `outputs` has one for each.
  void complete(Value* outputs) {
    owned_ = false;
    delivery().reserve(slices.size());
    for (const Slice& slice : slices) {
      call(slice).values(slice.first, outputs, slice.count, delivery());
      outputs += slice.count;
    }
    commit(delivery());
    settle(info.size);
  }
  /// All items with the same error.
  void fail_rest(const std::exception_ptr& error) {
    owned_ = false;
    fail_as_a_whole();
    for (const Slice& slice : slices) fail(call(slice), error, slice.count, delivery());
    commit(delivery());
    settle(info.size);
  }
  /// Item by item: `outcome(i)` is `Result<Out>`-like.
  template <class Outcome>
  void complete_each(Outcome outcome) {
    owned_ = false;
    for (const Slice& slice : slices) {
      for (std::uint32_t i = 0; i < slice.count; ++i) outcome(call(slice), slice.first + i, delivery());
    }
    commit(delivery());
    settle(info.size);
  }

  /// While a function that takes a handle runs on this thread. If it lets go of the handle meanwhile, whoever called it
  /// answers the rest: perhaps with the exception that is on its way.
  class InFunction {
   public:
    explicit InFunction(BatchState& batch) noexcept : batch_(&batch), outer_(innermost_) { innermost_ = this; }
    InFunction(const InFunction&) = delete;
    InFunction& operator=(const InFunction&) = delete;
    ~InFunction() { innermost_ = outer_; }

    [[nodiscard]] bool dropped() const noexcept { return dropped_; }
    /// True if it is this thread's innermost function that lets go.
    static bool drop(const BatchState& batch) noexcept {
      return innermost_ != nullptr && innermost_->batch_ == &batch && !std::exchange(innermost_->dropped_, true);
    }

   private:
    const BatchState* batch_;
    InFunction* outer_;
    bool dropped_ = false;
    static inline constinit thread_local InFunction* innermost_ = nullptr;
  };

  // --- Once a handle exists: any thread, any order. ---

  /// Prepares for answers by index.
  void share() {
    owned_ = false;
    ends_.clear();
    std::size_t end = 0;
    for (const Slice& slice : slices) ends_.push_back(end += slice.count);
    if (answered_.size() < info.size) answered_ = std::vector<std::atomic<bool>>(info.size);
    for (std::size_t i = 0; i < info.size; ++i) answered_[i].store(false, std::memory_order_relaxed);
    shared_ = true;
    handle_core_ = core().shared_from_this();
    add_reference();
  }
  /// The handle is gone.
  void unshare() noexcept {
    const std::shared_ptr<Core> core = std::move(handle_core_);
    forget_items();
    if (release()) delete this;
  }
  [[nodiscard]] bool all_answered() const noexcept {
    std::size_t item = 0;
    while (item < info.size && answered_[item].load()) ++item;
    return item == info.size;
  }
  /// Answers one item, unless it has been answered: `answer(call, index in the call, delivery)`.
  template <class F>
  bool answer(std::size_t item, Delivery& delivery, F f) {
    if (answered_[item].exchange(true)) return false;
    const std::size_t index = slice_of(item);
    const Slice& slice = slices[index];
    f(call(slice), slice.first + slice.count - (ends_[index] - item), delivery);
    return true;
  }
  /// Sends out what `answer` has collected for so many items. `here`: on a thread of the executor, outside user code.
  void deliver(Delivery& delivery, std::size_t items, bool here) {
    if (items == 0) return;
    commit(delivery);
    add_sleepers(delivery.sleepers());
    delivery.hand_over(core(), here);
    settle(items);
  }

 private:
  /// What users put in does not outlive the batch, although this object is used again.
  void forget_items() noexcept {
    give_back(gathered_);
    give_back(outputs_);
  }
  static Call& call(const Slice& slice) noexcept { return static_cast<Call&>(*slice.call); }
  /// The index of the slice that has the item: the first that ends behind it.
  [[nodiscard]] std::size_t slice_of(std::size_t item) const noexcept {
    std::size_t first = 0;
    for (std::size_t count = ends_.size(); count > 0;) {
      const std::size_t half = count / 2;
      if (ends_[first + half] > item) {
        count = half;
      } else {
        first += half + 1;
        count -= half + 1;
      }
    }
    return first;
  }

  BatchFunction<In, Out>& function_;
  bool owned_ = true;    // no handle, no answer yet
  bool shared_ = false;  // there was a handle
  std::span<In> inputs_;
  RecycledArray<In> gathered_;
  RecycledArray<Value> outputs_;
  std::vector<std::size_t> ends_;            // of the slices
  std::vector<std::atomic<bool>> answered_;  // at least so many
  std::shared_ptr<Core> handle_core_;        // a handle may be asked after the batch is over
};

/// Both numbers, for whoever counts them.
template <class Count>
[[nodiscard]] std::exception_ptr wrong_output_count(Count inputs, Count outputs) {
  return std::make_exception_ptr(
      Error(errc::wrong_output_count, std::to_string(outputs) + " outputs for " + std::to_string(inputs) + " inputs"));
}

}  // namespace batching::detail
