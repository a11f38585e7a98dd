// W2, fan-in: 256 callers that submit one item and wait for its answer, again and again: threads, then coroutines.
// SPDX-License-Identifier: BSL-1.0
#include <batching/detail/asio.hpp>

#ifdef BATCHING_HAS_COROUTINES
#include <asio/detached.hpp>
#include <asio/use_awaitable.hpp>
#endif

#include <cstddef>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>

namespace {

constexpr std::size_t callers = 256;

/// `ask(caller, number)` returns with the answer.
template <class Ask>
Sample run_threads(std::size_t items, Ask ask) {
  std::latch ready(callers + 1);
  std::vector<std::thread> threads;
  for (std::size_t caller = 0; caller < callers; ++caller) {
    threads.emplace_back([&, caller] {
      ready.arrive_and_wait();
      for (std::size_t i = 0; i < items / callers; ++i) benchmark::DoNotOptimize(ask(caller, i));
    });
  }
  ready.arrive_and_wait();
  const Meter meter;
  for (auto& thread : threads) thread.join();
  return meter.per_item(items);
}

Sample floor(std::size_t items) {
  SlotFloor batcher(Square(), usual);
  std::vector<baselines::Slot<Number>> slots(callers);
  return run_threads(items, [&](std::size_t caller, Number n) {
    batcher.dispatch(n, &slots[caller]);
    return slots[caller].get();
  });
}
Sample textbook(std::size_t items) {
  SquaringTextbook batcher(Squares(), usual);
  return run_threads(items, [&](std::size_t, Number n) { return batcher.dispatch(n).get(); });
}
Sample threads(std::size_t items) {
  Squaring batcher(Square(), usual);
  return run_threads(items, [&](std::size_t, Number n) { return batcher.dispatch(n).get(); });
}

#ifdef BATCHING_HAS_COROUTINES

template <class Ask>
asio::awaitable<void> call(std::size_t items, Ask& ask) {
  for (std::size_t i = 0; i < items; ++i) co_await ask(i);
}

/// `ask(number)` is awaited.
template <class Ask>
Sample run_coroutines(asio::io_context& io, std::size_t threads, std::size_t items, Ask ask) {
  for (std::size_t caller = 0; caller < callers; ++caller) {
    asio::co_spawn(io, call(items / callers, ask), asio::detached);
  }
  const Meter meter;
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < threads; ++i) others.emplace_back([&] { io.run(); });
  io.run();
  for (auto& thread : others) thread.join();
  return meter.per_item(items);
}

Sample bare_asio(std::size_t threads, std::size_t items) {
  asio::io_context io(static_cast<int>(threads));
  return run_coroutines(io, threads, items, [&](Number n) -> asio::awaitable<Number> {
    co_await asio::post(io, asio::use_awaitable);
    co_return n* n;
  });
}
Sample coroutines(std::size_t threads, std::size_t items) {
  asio::io_context io(static_cast<int>(threads));
  Squaring batcher(io, Square(), usual);
  return run_coroutines(io, threads, items, [&](Number n) { return batcher.async_dispatch(n, asio::use_awaitable); });
}

void run_coroutines(Suite& suite) {
  const std::size_t items = suite.items(1 << 19);
  const auto& table =
      suite.compare("W2 fan-in: 256 coroutines", {{"bare Asio, one thread", [=] { return bare_asio(1, items); }, true},
                                                  {"bare Asio, two threads", [=] { return bare_asio(2, items); }, true},
                                                  {"coroutines, one thread", [=] { return coroutines(1, items); }},
                                                  {"coroutines, two threads", [=] { return coroutines(2, items); }}});
  suite.add({"W2 256 coroutines, one thread", Bar::Kind::at_most, 1.0,
             table.ratio("coroutines, one thread", "bare Asio, one thread"), "x bare Asio"});
  suite.add({"W2 256 coroutines, two threads", Bar::Kind::at_least, 0.8,
             table.ratio("coroutines, one thread", "coroutines, two threads"), "x its one-thread rate"});
  suite.add({"W2 allocations for a coroutine's item", Bar::Kind::at_most, 0.05,
             table.row("coroutines, one thread").median("allocations"), "per item", true});
}

#else

void run_coroutines(Suite& suite) { suite.print("\nThis compiler and this Asio have no coroutines.\n"); }

#endif

void run(Suite& suite) {
  const std::size_t items = suite.items(100'000) / callers * callers;
  const Table& table = suite.compare("W2 fan-in: 256 threads", {{"floor", [=] { return floor(items); }, true},
                                                                {"textbook", [=] { return textbook(items); }, true},
                                                                {"futures", [=] { return threads(items); }}});
  suite.add({"W2 256 threads", Bar::Kind::at_least, 1.0, table.ratio("floor", "futures"), "x floor's items/s"});
  run_coroutines(suite);
}

const Workload workload("W2", "fan-in: 256 callers, one item each, and wait", run);

}  // namespace
