// Batcher: many callers with one item each, one call of the batch function for all of them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_function.hpp>
#include <batching/call_options.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/batcher_core.hpp>
#include <batching/detail/launch.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/detail/stream_source.hpp>
#include <batching/detail/tokens.hpp>
#include <batching/future.hpp>
#include <batching/options.hpp>
#include <batching/stats.hpp>
#include <batching/stream.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

/// Collects items into a *window*, calls the batch function once for the window, and gives every caller exactly its own
/// slice of the outputs. A window closes when it holds `batch_size` items, or `batch_timeout` after its first item as
/// soon as a partition is free, or on `flush` and `close`.
///
/// Any thread may call anything. Every accepted submission is answered exactly once: with its own output, or with one
/// error. A refusal (`errc::closed`) comes as the answer as well, never as an exception of the call.
///
/// `Out` may be `void`; `In` and `Out` may be move-only; only the `async_` functions need `Out` to be default
/// constructible. `Clock` is what `batch_timeout` and `CallOptions::timeout` are measured on.
template <class In, class Out, class Clock = std::chrono::steady_clock>
class Batcher {
  static_assert(std::is_object_v<In> && std::move_constructible<In>,
                "batching: In must be a type of values that can be moved");
  static_assert(std::is_void_v<Out> || (std::is_object_v<Out> && std::move_constructible<detail::Stored<Out>>),
                "batching: Out must be void, or a type of values that can be moved");

 public:
  using input_type = In;
  using output_type = Out;
  using clock_type = Clock;
  using executor_type = net::any_io_executor;
  using Options = BasicOptions<In>;

  /// Runs on a pool of its own. Throws `std::invalid_argument` for impossible options, and what `per_partition`'s
  /// factory throws.
  template <class F>
  requires(!detail::ExecutorOrContext<F>) explicit Batcher(F batch_function, Options options = {})
      : core_(std::move(batch_function), std::move(options)) {}

  /// Runs on yours: an `io_context`, a `thread_pool`, or any executor of theirs, a strand included. Everything runs
  /// there, partitions as well; it may go away before the batcher.
  template <detail::ExecutorOrContext E, class F>
  Batcher(E&& executor_or_context, F batch_function, Options options = {})
      : core_(detail::to_executor(executor_or_context), std::move(batch_function), std::move(options)) {}

  Batcher(Batcher&&) noexcept = default;
  Batcher& operator=(Batcher&& other) noexcept {
    if (this != &other) {
      const Batcher old(std::move(*this));
      core_ = std::move(other.core_);
    }
    return *this;
  }
  /// `stop()`, then joins the batches that run if it owns the pool; on a thread of that pool it does not wait.
  ~Batcher() = default;

  /// Submits one item. Never blocks.
  Future<Out> dispatch(In input) { return core_.submit_one(std::move(input), detail::NoCallOptions()); }
  Future<Out> dispatch(In input, const CallOptions& options) { return core_.submit_one(std::move(input), options); }

  /// Submits many items at once; they fill what is left of the open window and go on in the next ones. The future has
  /// their outputs in the order of the items, or the first error of any. Elements of an rvalue container are moved.
  /// A call of four batches or more leaves half of each to those who come after it.
  template <detail::InputRange Range>
  requires std::constructible_from<In, detail::ReferenceOf<Range>> ||
      std::constructible_from<In, detail::RvalueReferenceOf<Range>>
          Future<detail::Many<Out>> dispatch_many(Range&& inputs, const CallOptions& options = {}) {
    return core_.submit_many(detail::to_array<In>(std::forward<Range>(inputs)), options);
  }
  Future<detail::Many<Out>> dispatch_many(std::initializer_list<In> inputs, const CallOptions& options = {}) {
    return core_.submit_many(detail::to_array<In>(inputs), options);
  }

  /// Submits one item; any completion token.
  ///
  /// Completes with `void(std::exception_ptr, Out)`, for `Out = void` with `void(std::exception_ptr)`: the output and a
  /// null pointer, or an error and `Out()`. Never inside this call; on the handler's associated executor, by default
  /// the batcher's. A handler that runs on the batcher's executor holds its partition: keep it short.
  ///
  /// Cancellation: any type, through the handler's slot; completes with `errc::cancelled`.
  template <detail::TokenFor<Out> Token>
  auto async_dispatch(In input, const CallOptions& options, Token&& token) {
    return core_.async_one(std::move(input), options, std::forward<Token>(token));
  }
  template <detail::TokenFor<Out> Token>
  auto async_dispatch(In input, Token&& token) {
    return core_.async_one(std::move(input), detail::NoCallOptions(), std::forward<Token>(token));
  }

  /// Submits many items; any completion token. Completes once, with `void(std::exception_ptr, std::vector<Out>)`, for
  /// `Out = void` with `void(std::exception_ptr)`; otherwise like `async_dispatch` and `dispatch_many`.
  template <detail::InputRange Range, detail::TokenFor<detail::Many<Out>> Token>
  auto async_dispatch_many(Range&& inputs, const CallOptions& options, Token&& token) {
    return core_.async_many(detail::to_array<In>(std::forward<Range>(inputs)), options, std::forward<Token>(token));
  }
  template <detail::InputRange Range, detail::TokenFor<detail::Many<Out>> Token>
  auto async_dispatch_many(Range&& inputs, Token&& token) {
    return core_.async_many(detail::to_array<In>(std::forward<Range>(inputs)), detail::NoCallOptions(),
                            std::forward<Token>(token));
  }

  /// Submits the items of a range, which may be lazy: it is taken (copied, if it is an lvalue), and read as batches
  /// have room, at first on this thread, later on the batcher's executor, never all at once. Outputs and hooks come as
  /// events, in the order of the items. What reading the range throws ends the stream, after what came before.
  /// `options.timeout` bounds it as a whole.
  template <detail::InputRange Range>
  requires std::constructible_from<In, detail::ReferenceOf<Range>> ||
      std::constructible_from<In, detail::RvalueReferenceOf<Range>>
          Stream<Out> dispatch_stream(Range&& inputs, const CallOptions& options = {}) {
    if constexpr (std::is_array_v<std::remove_reference_t<Range>>) {
      return core_.submit_stream(std::to_array(std::forward<Range>(inputs)), options);
    } else {
      return core_.submit_stream(std::forward<Range>(inputs), options);
    }
  }
  Stream<Out> dispatch_stream(std::initializer_list<In> inputs, const CallOptions& options = {}) {
    return core_.submit_stream(std::vector<In>(inputs), options);
  }

  /// Runs the batch function at once, on the calling thread, with a batch of this item; returns its output or throws
  /// its error. Works at any time, also after `close`; is not counted in `stats`. Blocks if the function answers later.
  Out inline_one(In input) {
    if constexpr (std::is_void_v<Out>) {
      core_.run_inline_one(std::move(input));
    } else {
      auto outputs = core_.run_inline_one(std::move(input));
      return std::move(outputs.front());
    }
  }
  /// Likewise for many, in batches of at most `batch_size`, one after the other.
  template <detail::InputRange Range>
  detail::Many<Out> inline_many(Range&& inputs) {
    return core_.run_inline_in_batches(detail::to_array<In>(std::forward<Range>(inputs)));
  }
  detail::Many<Out> inline_many(std::initializer_list<In> inputs) {
    return core_.run_inline_in_batches(detail::to_array<In>(inputs));
  }

  /// Closes the open window: everything dispatched before leaves as soon as partitions are free, without whoever comes
  /// later.
  void flush() { core_.engine->flush(); }

  /// Refuses new work, runs what was accepted, and returns when every future is ready and every handler has been
  /// posted. Throws `errc::would_deadlock` where that could never be.
  void close() { (void)core_.close(detail::no_limit); }

  /// The same, but past the limit (of real time) what has not started fails with `errc::closed`, and this returns false
  /// without waiting for what runs.
  bool close_for(std::chrono::nanoseconds limit) { return core_.close(detail::steady_after(limit)); }

  /// The same as `close` without a waiting thread; completes with `void()`.
  template <detail::ClosingToken Token>
  auto async_close(Token&& token) {
    return core_.async_close(std::forward<Token>(token));
  }

  /// Refuses new work and fails what has not started with `errc::closed`, at once. What runs is delivered when it is
  /// done; its function is told by `stop_requested`.
  void stop() { core_.engine->stop(); }

  /// From now on, how alike two items have to be to share an answer, above 0 and at most 1. Throws
  /// `std::invalid_argument`, or `std::logic_error` where `Options::dedup` has no threshold.
  void set_dedup_threshold(double threshold) { core_.set_dedup_threshold(threshold); }

  [[nodiscard]] Stats stats() const { return core_.engine->stats(); }
  [[nodiscard]] executor_type get_executor() const { return core_.engine->executor(); }

 private:
  detail::BatcherCore<In, Out, Clock> core_;
};

}  // namespace batching
