// The accepted shapes of a batch function: each adapted to the one primitive.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/inside_executor.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/detail/shapes.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/result.hpp>

#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

/// One function object per partition, so that each model or connection is entered by one thread at a time.
template <class Factory>
struct PerPartition {
  Factory factory;
};

/// `factory(partition_index)` makes the batch function of one partition. It is called exactly once for each, in the
/// batcher's constructor, and what it throws leaves there. `inline_one` and `inline_many` use one more instance,
/// `factory(partitions)`, built at their first use; they wait for each other.
template <class Factory>
[[nodiscard]] PerPartition<std::decay_t<Factory>> per_partition(Factory&& factory) {
  return {std::forward<Factory>(factory)};
}

namespace detail {

/// Hands a returned range to the callers of the batch.
template <class In, class Out, class R>
void complete_with(BatchState<In, Out>& batch, R&& range) {
  using Value = Stored<Out>;
  using Element = ValueOf<R>;
  const std::size_t size = batch.info.size;
  if (const auto count = static_cast<std::size_t>(std::ranges::size(range)); count != size) {
    batch.fail_rest(wrong_output_count(size, count));
  } else if constexpr (is_result<Element>) {
    auto at = std::ranges::begin(range);
    bool began = false;
    std::exception_ptr lost;  // the range's own error: of those behind it nobody knows whose outcome is where
    batch.complete_each([&](Call& call, std::size_t index, Delivery& delivery) {
      try {
        if (std::exchange(began, true) && !lost) ++at;  // before the outcome, whose move may throw
      } catch (...) {
        lost = std::current_exception();
      }
      if (lost) return batch.fail(call, lost, 1, delivery);
      try {
        Element result = std::ranges::iter_move(at);
        if (result.has_value()) {
          if constexpr (std::is_void_v<Out>) {
            Nothing done;
            return call.values(index, &done, 1, delivery);
          } else {
            return call.values(index, &*result, 1, delivery);
          }
        }
        auto error = result.error();
        if (!error) error = std::make_exception_ptr(Error(errc::dropped));
        batch.fail(call, error, 1, delivery);
      } catch (...) {
        batch.fail(call, std::current_exception(), 1, delivery);
      }
    });
  } else if constexpr (ContiguousRange<R> && std::same_as<Element, Value> &&
                       !std::is_const_v<std::remove_reference_t<ReferenceOf<R>>> &&
                       !BorrowedRange<std::remove_cvref_t<R>>) {
    batch.complete(std::ranges::data(range));  // it owns its elements: they are moved from
  } else {
    Array<Value> outputs;
    outputs.reserve(size);
    for (auto at = std::ranges::begin(range); at != std::ranges::end(range); ++at) {
      outputs.push_back(static_cast<Value>(element<std::remove_cvref_t<R>>(at)));
    }
    batch.complete(outputs.data());
  }
}

#ifdef BATCHING_HAS_COROUTINES
/// Like `complete_with`, for a batch that a coroutine has held by its handle.
template <class In, class Out, class R>
void complete_handle(Batch<In, Out>& batch, R&& range) {
  if constexpr (is_result<ValueOf<R>>) {
    const auto count = static_cast<std::size_t>(std::ranges::size(range));
    if (count != batch.info().size) return batch.fail(wrong_output_count(batch.info().size, count));
    std::size_t index = 0;
    for (auto&& result : range) {
      if (!result.has_value()) {
        batch.set_error(index, result.error());
      } else if constexpr (std::is_void_v<Out>) {
        batch.set_value(index);
      } else {
        batch.set_value(index, *std::move(result));
      }
      ++index;
    }
  } else {
    batch.complete(std::forward<R>(range));
  }
}

/// One run of a coroutine batch function. What it throws reaches everybody who has no answer yet. (The function object
/// is no parameter: a frame with a lambda's type in it makes GCC warn in the user's file.)
template <class R, class In, class Out>
net::awaitable<void> drive(net::awaitable<R> work, Batch<In, Out> batch,
                           std::unique_ptr<Late<BatchContext, In>> /*outlives it*/) {
  try {
    if constexpr (std::is_void_v<R>) {
      co_await std::move(work);
      batch.complete();
    } else {
      complete_handle(batch, co_await std::move(work));
    }
  } catch (...) {
    batch.fail(std::current_exception());
  }
}
/// The end of a driven coroutine, which lets nothing out.
struct AllHandled {
  void operator()(const std::exception_ptr&) const noexcept {}
};
#endif

/// Calls a user's function object of whatever shape for one batch.
template <class In, class Out, class F>
void run_batch_function(F& function, BatchState<In, Out>& batch) {
  constexpr Shape shape = shape_of<F, In, Out>();
  if constexpr (shape == Shape::batch) {
    (void)batch.gather(false);
    std::exception_ptr error;
    bool dropped = false;
    {
      const typename BatchState<In, Out>::InFunction in_function(batch);
      try {
        std::invoke(function, Batch<In, Out>(batch));
      } catch (...) {
        error = std::current_exception();
      }
      dropped = in_function.dropped();
    }
    // A handle that went down with an exception leaves the others to hear of that, not of its end.
    if (error || dropped) Batch<In, Out>::fail_rest(batch, dropped, std::move(error));
  } else if constexpr (shape == Shape::in_place || shape == Shape::in_place_context) {
    const auto inputs = batch.gather(true);
    const auto outputs = batch.outputs();
    if constexpr (shape == Shape::in_place) {
      std::invoke(function, inputs, outputs);
    } else {
      BatchContext context(batch);
      std::invoke(function, inputs, outputs, context);
    }
    batch.complete(outputs.data());
  } else {
    using Returned = typename decltype(result_of<F, In, Out, shape>())::type;
    auto context = std::make_unique<Late<BatchContext, F>>(batch);
    const auto call = [&]() -> Returned {
      if constexpr (shape == Shape::span || shape == Shape::span_context) {
        const auto inputs = batch.gather(true);
        if constexpr (shape == Shape::span)
          return std::invoke(function, inputs);
        else
          return std::invoke(function, inputs, *context);
      } else {
        std::vector<In> inputs;
        batch.gather_into(inputs);
        if constexpr (shape == Shape::vector)
          return std::invoke(function, std::move(inputs));
        else
          return std::invoke(function, std::move(inputs), *context);
      }
    };
    if constexpr (Awaited<Returned>::is_awaitable) {
#ifdef BATCHING_HAS_COROUTINES
      Returned work = call();
      batch.drive();
      net::co_spawn(net::any_io_executor(InsideExecutor(batch.core().executor(), batch.core().inside())),
                    drive(std::move(work), Batch<In, Out>(batch), std::move(context)), AllHandled());
#endif
    } else if constexpr (std::is_void_v<Returned>) {
      call();
      Array<Nothing> done(batch.info.size);
      batch.complete(done.data());
    } else {
      auto&& range = call();
      complete_with(batch, std::forward<decltype(range)>(range));
    }
  }
}

/// One function object for everybody.
template <class In, class Out, class F>
class SharedFunction final : public BatchFunction<In, Out> {
 public:
  explicit SharedFunction(F&& function) : function_(std::move(function)) {}
  void run(BatchState<In, Out>& batch) override { run_batch_function(function_, batch); }

 private:
  F function_;
};

/// One for each partition, and one for inline calls.
template <class In, class Out, class Factory>
class PartitionedFunction final : public BatchFunction<In, Out> {
 public:
  using F = std::decay_t<std::invoke_result_t<Factory&, std::size_t>>;

  PartitionedFunction(Factory&& factory, std::size_t partitions) : factory_(std::move(factory)) {
    for (std::size_t partition = 0; partition < partitions; ++partition) {
      instances_.push_back(std::make_unique<F>(std::invoke(factory_, partition)));
    }
  }
  void run(BatchState<In, Out>& batch) override {
    const std::size_t partition = batch.info.partition;
    run_batch_function(partition < instances_.size() ? *instances_[partition] : *inline_instance_, batch);
  }
  std::shared_ptr<void> lock_inline() override {
    auto lock = std::make_shared<std::unique_lock<Mutex>>(inline_mutex_);
    if (!inline_instance_) inline_instance_ = std::make_unique<F>(std::invoke(factory_, instances_.size()));
    return lock;
  }

 private:
  using Mutex = Late<std::recursive_mutex, Factory>;
  Factory factory_;
  std::vector<std::unique_ptr<F>> instances_;
  Mutex inline_mutex_;  // an inline call may come from within an inline call
  std::unique_ptr<F> inline_instance_;
};

template <class T>
inline constexpr bool is_per_partition = false;
template <class Factory>
inline constexpr bool is_per_partition<PerPartition<Factory>> = true;

/// The adapter for whatever the user has given, or a sentence at compile time.
template <class In, class Out, class F>
[[nodiscard]] std::unique_ptr<BatchFunction<In, Out>> make_batch_function(F function, std::size_t partitions) {
  if constexpr (is_per_partition<F>) {
    using Factory = decltype(function.factory);
    static_assert(std::invocable<Factory&, std::size_t>,
                  "batching: the factory given to per_partition must be callable with a partition index");
    if constexpr (std::invocable<Factory&, std::size_t>) {
      using Made = std::decay_t<std::invoke_result_t<Factory&, std::size_t>>;
      if constexpr (check_batch_function<Made, In, Out>()) {
        return std::make_unique<PartitionedFunction<In, Out, Factory>>(std::move(function.factory), partitions);
      }
    }
  } else if constexpr (check_batch_function<F, In, Out>()) {
    return std::make_unique<SharedFunction<In, Out, F>>(std::move(function));
  }
  return nullptr;
}

}  // namespace detail
}  // namespace batching
