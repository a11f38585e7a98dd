// BatcherCore: builds the calls behind Batcher's functions and hands them to the engine.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_function.hpp>
#include <batching/call_options.hpp>
#include <batching/detail/answer.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/batch_workshop.hpp>
#include <batching/detail/closing.hpp>
#include <batching/detail/engine.hpp>
#include <batching/detail/inline_run.hpp>
#include <batching/detail/isolation.hpp>
#include <batching/detail/launch.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/pool.hpp>
#include <batching/detail/sorting.hpp>
#include <batching/detail/tokens.hpp>
#include <batching/future.hpp>
#include <batching/options.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {
template <class Out>
class Stream;
}

namespace batching::detail {

template <class In, class Out, class Clock, class Range>
class StreamSource;

[[nodiscard]] inline std::chrono::steady_clock::time_point steady_after(std::chrono::nanoseconds limit) noexcept {
  const auto now = std::chrono::steady_clock::now();
  return limit >= no_limit - now ? no_limit : now + limit;
}

/// What is behind a `Batcher`: the parts that have to be moved and taken down together.
template <class In, class Out, class Clock>
struct BatcherCore {
  using Outs = Many<Out>;

  std::shared_ptr<Pool> pool;  // null on an executor of the user's
  std::shared_ptr<BatchWorkshop<In, Out>> workshop;
  std::shared_ptr<Engine<Clock>> engine;  // null after a move

  BatcherCore(BatcherCore&&) noexcept = default;
  BatcherCore& operator=(BatcherCore&&) noexcept = default;

  template <class F>
  BatcherCore(F&& batch_function, const BasicOptions<In>& with)
      : workshop(make_workshop(std::forward<F>(batch_function), with)) {
    pool = std::make_shared<Late<Pool, In>>(with.partitions);
    make_engine(pool->get_executor());
    try {
      pool->start(with.partitions, engine.get());
    } catch (...) {
      pool->leave(true);
      throw;
    }
  }
  template <class F>
  BatcherCore(const net::any_io_executor& executor, F&& batch_function, const BasicOptions<In>& with)
      : workshop(make_workshop(std::forward<F>(batch_function), with)) {
    make_engine(executor);
  }
  ~BatcherCore() {
    if (!engine) return;
    engine->stop();
    if (!pool) return;
    // Its threads end by themselves when the last call is answered and the last handler has run. That is waited for
    // unless this is one of them, or a batch is in the hands of somebody who may keep it for ever.
    bool wait = !Inside::any(engine.get());
    if (wait) {
      const auto returned = BlockedClosing::make(Closing::Until::returned);
      engine->when_closed(*returned);
      (void)returned->wait(no_limit);
      wait = returned->kept() == 0;
    }
    pool->leave(wait);
  }

  template <class With>
  Future<Out> submit_one(In&& input, const With& with) {
    using CallOf = OneCall<In, Out, FutureAnswer<Out>>;
    auto* call = create<CallOf>(RecyclingAllocator<void>(), std::move(input), std::size_t{1});
    Future<Out> future(*call, *engine);
    launch(*call, *engine, options(), with, true);
    return future;
  }
  Future<Outs> submit_many(Array<In>&& inputs, const CallOptions& call_options) {
    using CallOf = ManyCall<In, Out, FutureAnswer<Outs>>;
    const std::size_t size = checked_size(inputs);
    auto* call = create<CallOf>(RecyclingAllocator<void>(), std::move(inputs), size);
    Future<Outs> future(*call, *engine);
    launch(*call, *engine, options(), call_options, true);
    return future;
  }

  template <class Range>
  Stream<Out> submit_stream(Range&& range, const CallOptions& call_options) {
    using Source = StreamSource<In, Out, Clock, std::decay_t<Range>>;
    auto source =
        std::make_shared<Source>(engine, workshop, std::decay_t<Range>(std::forward<Range>(range)), call_options);
    source->pull();
    return Stream<Out>(std::move(source));
  }

  template <class With, class Token>
  auto async_one(In&& input, const With& call_options, Token&& token) {
    static_assert(std::is_void_v<Out> || std::default_initializable<Stored<Out>>,
                  "batching: async_dispatch completes with void(std::exception_ptr, Out) and needs a default "
                  "constructible Out for the error case; use dispatch instead");
    return net::async_initiate<Token, Signature<Out>>(
        []<class Handler>(Handler&& handler, Engine<Clock>* to, const BasicOptions<In>* options, In item,
                          const With& with) {
          using CallOf = OneCall<In, Out, HandlerAnswer<Out, std::decay_t<Handler>>>;
          launch_async<CallOf>(std::decay_t<Handler>(std::forward<Handler>(handler)), std::move(item), 1, *to, *options,
                               with);
        },
        token, engine.get(), &options(), std::move(input), call_options);
  }
  template <class With, class Token>
  auto async_many(Array<In>&& inputs, const With& call_options, Token&& token) {
    (void)checked_size(inputs);
    return net::async_initiate<Token, Signature<Outs>>(
        []<class Handler>(Handler&& handler, Engine<Clock>* to, const BasicOptions<In>* options, Array<In> items,
                          const With& with) {
          using CallOf = ManyCall<In, Out, HandlerAnswer<Outs, std::decay_t<Handler>>>;
          const std::size_t size = items.size();
          launch_async<CallOf>(std::decay_t<Handler>(std::forward<Handler>(handler)), std::move(items), size, *to,
                               *options, with);
        },
        token, engine.get(), &options(), std::move(inputs), call_options);
  }

  Outs run_inline(Array<In>&& inputs) {
    return detail::run_inline(*engine, *workshop->function, std::move(inputs), options().partitions);
  }
  Outs run_inline_one(In&& input) {
    (void)weigh(options(), input);
    Array<In> inputs;
    inputs.push_back(std::move(input));
    return run_inline(std::move(inputs));
  }
  Outs run_inline_in_batches(Array<In>&& inputs) {
    const std::size_t size = checked_size(inputs);
    auto outputs = std::conditional_t<std::is_void_v<Out>, Nothing, std::vector<Stored<Out>>>();
    for (std::size_t first = 0, end = 0; first < size; first = end) {
      end = end_of_batch(options(), inputs.data(), first, size);
      Array<In> batch;
      for (std::size_t i = first; i < end; ++i) batch.push_back(std::move(inputs.data()[i]));
      if constexpr (std::is_void_v<Out>) {
        run_inline(std::move(batch));
      } else {
        for (auto&& output : run_inline(std::move(batch))) outputs.push_back(std::move(output));
      }
    }
    if constexpr (!std::is_void_v<Out>) return outputs;
  }

  void set_dedup_threshold(double threshold) {
    check_threshold(threshold);
    if (options().dedup.rules().search == DedupRules::Search::none) {
      throw std::logic_error(
          "batching::Batcher::set_dedup_threshold: Options::dedup has no threshold, it is not similar, embedding or "
          "hybrid");
    }
    engine->set_dedup_threshold(threshold);
  }
  bool close(std::chrono::steady_clock::time_point limit) {
    if (Inside::any(engine.get())) {
      throw Error(errc::would_deadlock,
                  "batching::Batcher: close inside its own batch function, completion handler or pool");
    }
    const auto closing = BlockedClosing::make(Closing::Until::delivered);
    engine->close();
    engine->when_closed(*closing);
    if (closing->wait(limit)) return true;
    engine->stop();
    return closing->wait(std::chrono::steady_clock::time_point::min());
  }
  template <class Token>
  auto async_close(Token&& token) {
    return net::async_initiate<Token, void()>(
        []<class Handler>(Handler&& handler, Engine<Clock>* of) {
          using ClosingOf = HandlerClosing<std::decay_t<Handler>>;
          auto kept = std::decay_t<Handler>(std::forward<Handler>(handler));
          const auto allocator = net::get_associated_allocator(kept, RecyclingAllocator<void>());
          auto* closing = create<ClosingOf>(allocator, std::move(kept), of->executor());
          of->close();
          of->when_closed(*closing);
        },
        token, engine.get());
  }

 private:
  [[nodiscard]] const BasicOptions<In>& options() const noexcept { return workshop->options; }
  template <class F>
  static auto make_workshop(F&& batch_function, const BasicOptions<In>& options) {
    check(rules(options));
    if (options.dedup && !std::copy_constructible<Stored<Out>>) {
      throw std::invalid_argument("batching::Options::dedup must be empty where Out cannot be copied");
    }
    auto function = make_batch_function<In, Out>(std::forward<F>(batch_function), options.partitions);
    if constexpr (std::copy_constructible<In>) {
      if (options.on_failure.isolates()) {
        function = std::make_unique<IsolatingFunction<In, Out>>(std::move(function), options.max_runs);
      }
    } else if (options.on_failure.isolates()) {
      throw std::invalid_argument(
          "batching::Options::on_failure must be fail_batch where In cannot be copied, but is isolate");
    }
    return std::make_shared<BatchWorkshop<In, Out>>(std::move(function), options);
  }
  void make_engine(net::any_io_executor executor) {
    engine = std::make_shared<Engine<Clock>>(std::move(executor), pool, workshop, rules(options()));
    engine->watch_context();
  }
  static std::size_t checked_size(Array<In>& inputs) {
    constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
    if (inputs.size() > most) {
      throw std::length_error("batching::Batcher: inputs must be at most " + std::to_string(most) + " items, but are " +
                              std::to_string(inputs.size()));
    }
    return inputs.size();
  }
};

}  // namespace batching::detail
