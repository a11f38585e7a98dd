// Batch and BatchContext: what a batch function holds in its hands.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_info.hpp>
#include <batching/detail/batch_state.hpp>
#include <batching/detail/emits.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/error.hpp>
#include <batching/result.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

namespace batching {

/// The last, optional parameter of every batch function that does not take a `Batch`.
class BatchContext : public detail::Emits<BatchContext> {
 public:
  explicit BatchContext(detail::Running& running) noexcept : running_(running) {}
  BatchContext(const BatchContext&) = delete;
  BatchContext& operator=(const BatchContext&) = delete;

  [[nodiscard]] const BatchInfo& info() const noexcept { return running_.info; }
  /// Would the batcher rather have this over soon? True once it was stopped, and when the batch has run for longer than
  /// `Options::batch_deadline`. Any thread, at any time.
  [[nodiscard]] bool stop_requested() const noexcept { return running_.stop_requested(); }

 private:
  friend detail::Emits<BatchContext>;
  [[nodiscard]] detail::Running& running() const noexcept { return running_; }

  detail::Running& running_;
};

/// A batch to be answered: the one primitive under every shape of batch function. Move-only; may be kept after the
/// batch function has returned, moved to another thread, and answered item by item, in any order, by several threads
/// (each item by one; the handle itself is moved and destroyed by one). The partition is taken until every item has its
/// answer and the function has returned.
///
/// Whoever has no answer when the handle is destroyed hears `errc::dropped`. Answering an item twice is ignored. A
/// handle stays answerable when its batcher is gone, and no destructor waits for one. Callers who are futures hear at
/// once; completion handlers are posted, never run inside these functions.
template <class In, class Out>
class Batch : public detail::Emits<Batch<In, Out>> {
 public:
  /// For the library: the first handle to a batch that has just started.
  explicit Batch(detail::BatchState<In, Out>& state) : state_(&state) { state.share(); }
  /// For the library: the function has returned, or thrown `error`. `adopt`: it has dropped its handle; otherwise there
  /// may be one elsewhere, which stays what it is.
  static void fail_rest(detail::BatchState<In, Out>& state, bool adopt, std::exception_ptr error) {
    Batch batch;
    batch.state_ = &state;
    batch.fail(std::move(error));
    if (!adopt) batch.state_ = nullptr;
  }
  Batch(Batch&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  Batch& operator=(Batch&& other) noexcept {
    if (this != &other) {
      reset();
      state_ = std::exchange(other.state_, nullptr);
    }
    return *this;
  }
  ~Batch() { reset(); }

  /// The inputs; may be moved from. Valid as long as this handle.
  [[nodiscard]] std::span<In> inputs() const noexcept { return state_->inputs(); }
  [[nodiscard]] const BatchInfo& info() const noexcept { return state_->info; }
  /// Would the batcher rather have this over soon? True once it was stopped, and when the batch has run for longer than
  /// `Options::batch_deadline`.
  [[nodiscard]] bool stop_requested() const noexcept { return state_->stop_requested(); }

  /// Item `index` has this output. Throws `std::out_of_range`.
  template <class Value = detail::Stored<Out>>
  requires(!std::is_void_v<Out> &&
           std::constructible_from<detail::Stored<Out>, Value&&>) void set_value(std::size_t index, Value&& value) {
    answer_one("set_value", index, [&](detail::Call& call, std::size_t at, detail::Delivery& delivery) {
      put(call, at, delivery, std::forward<Value>(value));
    });
  }
  /// Item `index` is done.
  void set_value(std::size_t index) requires std::is_void_v<Out> {
    answer_one("set_value", index, [this](detail::Call& call, std::size_t at, detail::Delivery& delivery) {
      put(call, at, delivery, detail::Nothing());
    });
  }
  /// Item `index` has failed. A null `error` counts as `errc::dropped`. Throws `std::out_of_range`.
  void set_error(std::size_t index, std::exception_ptr error) {
    error = never_null(std::move(error));
    answer_one("set_error", index, [&](detail::Call& call, std::size_t, detail::Delivery& delivery) {
      state_->fail(call, error, 1, delivery);
    });
  }

  /// All items, in order; what was answered before stays so. With another number of outputs than inputs, all who have
  /// no answer yet hear `errc::wrong_output_count`. An rvalue range that owns its elements is moved from.
  template <detail::InputRange Range>
  requires(!std::is_void_v<Out>) void complete(Range&& range) {
    auto outputs = detail::to_array<detail::Stored<Out>>(std::forward<Range>(range));
    if (outputs.size() != info().size) return fail(detail::wrong_output_count(info().size, outputs.size()));
    answer_rest([&](std::size_t item, detail::Call& call, std::size_t at, detail::Delivery& delivery) {
      put(call, at, delivery, std::move(outputs.data()[item]));
    });
  }
  /// All items are done.
  void complete() requires std::is_void_v<Out> {
    answer_rest([this](std::size_t, detail::Call& call, std::size_t at, detail::Delivery& delivery) {
      put(call, at, delivery, detail::Nothing());
    });
  }
  /// All who have no answer yet hear this error; null counts as `errc::dropped`.
  void fail(std::exception_ptr error) {
    error = never_null(std::move(error));
    state_->fail_as_a_whole();
    answer_rest([&](std::size_t, detail::Call& call, std::size_t, detail::Delivery& delivery) {
      state_->fail(call, error, 1, delivery);
    });
  }

 private:
  template <class Value>
  void put(detail::Call& call, std::size_t at, detail::Delivery& delivery, Value&& value) const {
    try {
      detail::Stored<Out> output(std::forward<Value>(value));
      call.values(at, &output, 1, delivery);
    } catch (...) {
      state_->fail(call, std::current_exception(), 1, delivery);
    }
  }
  std::exception_ptr never_null(std::exception_ptr error) const {
    return error ? std::move(error) : std::make_exception_ptr(Error(state_->core().dropped()));
  }

  template <class F>
  void answer_one(const char* name, std::size_t index, F f) {
    if (index >= info().size) {
      throw std::out_of_range(std::string("batching::Batch::") + name + ": index is " + std::to_string(index) +
                              ", but the batch has " + std::to_string(info().size) + " items");
    }
    detail::Delivery delivery;
    if (state_->answer(index, delivery, f)) state_->deliver(delivery, 1, false);
  }
  template <class F>
  void answer_rest(F f) {
    detail::Delivery delivery;
    std::size_t answered = 0;
    for (std::size_t item = 0; item < info().size; ++item) {
      const bool mine = state_->answer(
          item, delivery, [&](detail::Call& call, std::size_t at, detail::Delivery& into) { f(item, call, at, into); });
      answered += mine ? 1 : 0;
    }
    state_->deliver(delivery, answered, false);
  }
  friend detail::Emits<Batch>;
  [[nodiscard]] detail::Running& running() const noexcept { return *state_; }

  Batch() = default;
  void reset() noexcept {
    if (state_ == nullptr || detail::BatchState<In, Out>::InFunction::drop(*state_)) return;
    if (!state_->all_answered()) fail(nullptr);
    std::exchange(state_, nullptr)->unshare();
  }

  detail::BatchState<In, Out>* state_ = nullptr;
};

}  // namespace batching
