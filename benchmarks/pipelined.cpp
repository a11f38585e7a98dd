// W1, pipelined: one producer of single items with 1024 in flight, as futures and as callbacks, across threads and on
// one.
// SPDX-License-Identifier: BSL-1.0
#include "pipelined.hpp"

#include <asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <future>
#include <utility>
#include <vector>

#include "chains.hpp"
#include "gate.hpp"
#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>

namespace {

using namespace std::chrono_literals;

constexpr std::size_t in_flight = 1024;

/// `send(i)` uses place i of `in_flight`, `receive(i)` waits for what was sent from there.
template <class Send, class Receive>
Sample run_futures(std::size_t items, Send send, Receive receive) {
  Meter meter;
  for (std::size_t sent = 0; sent < items; ++sent) {
    if (sent == items / 4) meter.steady(sent);
    if (sent >= in_flight) receive(sent % in_flight);
    send(sent % in_flight, sent);
  }
  for (std::size_t received = items; received < items + in_flight; ++received) receive(received % in_flight);
  return meter.per_item(items);
}

template <class Batcher>
Sample futures_across_threads(Batcher& batcher, std::size_t items) {
  std::vector<decltype(batcher.dispatch(Number()))> ring(in_flight);
  return run_futures(
      items, [&](std::size_t place, Number n) { ring[place] = batcher.dispatch(n); },
      [&](std::size_t place) { benchmark::DoNotOptimize(ring[place].get()); });
}

Sample textbook_futures(std::size_t items) {
  SquaringTextbook batcher(Squares(), usual);
  return futures_across_threads(batcher, items);
}
Sample library_futures(std::size_t items) {
  Squaring batcher(Square(), usual);
  return futures_across_threads(batcher, items);
}

/// The thread that waits for an answer is the one that has to run the batches.
Sample library_futures_on_one_thread(std::size_t items) {
  asio::io_context io(1);
  Squaring batcher(io, Square(), usual);
  std::vector<batching::Future<Number>> ring(in_flight);
  return run_futures(
      items, [&](std::size_t place, Number n) { ring[place] = batcher.dispatch(n); },
      [&](std::size_t place) {
        while (ring[place].wait_for(0s) != std::future_status::ready) {
          io.restart();
          io.poll();
        }
        benchmark::DoNotOptimize(ring[place].get());
      });
}

template <class Send>
Sample run_callbacks(std::size_t items, Gate& gate, Send send) {
  items -= items % Gate::stride;
  Meter meter;
  for (std::size_t sent = 0; sent < items; sent += Gate::stride) {
    if (sent / Gate::stride == items / Gate::stride / 4) meter.steady(sent);
    if (sent >= in_flight) gate.wait_for(sent - in_flight + Gate::stride);
    for (std::size_t i = 0; i < Gate::stride; ++i) send(sent + i);
  }
  gate.wait_for(items);
  return meter.per_item(items);
}

Sample floor_callbacks(std::size_t items) {
  Gate gate;
  CallbackFloor batcher(Square(), usual);
  const auto arrive = [](void* context, Number n) {
    benchmark::DoNotOptimize(n);
    static_cast<Gate*>(context)->arrive();
  };
  return run_callbacks(items, gate, [&](Number n) { batcher.dispatch(n, {arrive, &gate}); });
}
Sample library_callbacks(std::size_t items) {
  Gate gate;
  Squaring batcher(Square(), usual);
  return run_callbacks(items, gate, [&](Number n) {
    batcher.async_dispatch(n, [&gate](const std::exception_ptr&, Number square) {
      benchmark::DoNotOptimize(square);
      gate.arrive();
    });
  });
}

Sample posts_on_one_thread(std::size_t items) {
  asio::io_context io(1);
  return bare_posts(io, in_flight, items);
}
Sample library_callbacks_on_one_thread(std::size_t items) { return callbacks_on_one_thread(in_flight, items, usual); }

void run(Suite& suite) {
  const std::size_t items = suite.items(1'000'000) / 1024 * 1024;
  const auto with = [items](Sample (*function)(std::size_t)) { return [=] { return function(items); }; };
  const Table& table = suite.compare("W1 pipelined: one producer, 1024 in flight",
                                     {{"floor", with(floor_futures), true},
                                      {"textbook", with(textbook_futures), true},
                                      {"futures", with(library_futures)},
                                      {"floor, callbacks", with(floor_callbacks), true},
                                      {"callbacks", with(library_callbacks)},
                                      {"bare Asio, a post for each", with(posts_on_one_thread), true},
                                      {"futures, one thread", with(library_futures_on_one_thread)},
                                      {"callbacks, one thread", with(library_callbacks_on_one_thread)}});
  suite.add({"W1 futures, across threads", Bar::Kind::at_most, 1.0, table.ratio("futures", "floor"), "x floor"});
  suite.add({"W1 futures, across threads", Bar::Kind::at_most, 0.2, table.ratio("futures", "textbook"), "x textbook"});
  suite.add({"W1 callbacks, across threads", Bar::Kind::at_most, 1.0, table.ratio("callbacks", "floor, callbacks"),
             "x floor"});
  suite.add(
      {"W1 callbacks, one thread", Bar::Kind::at_most, 0.45, table.ratio("callbacks, one thread", "floor"), "x floor"});
  suite.add({"W1 callbacks, one thread", Bar::Kind::at_most, 1.0,
             table.ratio("callbacks, one thread", "bare Asio, a post for each"), "x a bare post"});
  for (const char* way : {"futures", "callbacks", "futures, one thread", "callbacks, one thread"}) {
    suite.add(
        {std::string("W1 ") + way, Bar::Kind::at_least, 4, table.ratio("textbook", way), "x as fast as textbook"});
  }
  for (const char* way : {"futures", "callbacks"}) {
    suite.add({std::string("W1 futex calls, ") + way, Bar::Kind::at_most, 0.05, table.row(way).median("futex calls"),
               "per item", true});
  }
  suite.add({"W1 allocations for a future", Bar::Kind::at_most, 0.05, table.row("futures").median("allocations"),
             "per item", true});
  suite.add({"W1 allocations for a callback", Bar::Kind::at_most, 0.01, table.row("callbacks").median("allocations"),
             "per item", true});
  Chart chart{"pipelined.svg",
              "One producer, 1024 items in flight, x*x, windows of 64",
              "",
              "ns per item",
              Chart::Kind::bars,
              {}};
  for (const Row& row : table.rows) {
    chart.series.push_back({row.is_baseline ? row.name : "batching: " + row.name, {{0, row.median()}}});
  }
  suite.add(std::move(chart));
}

const Workload workload("W1", "pipelined: one producer, 1024 items in flight", run);

}  // namespace

Sample floor_futures(std::size_t items) {
  SlotFloor batcher(Square(), usual);
  std::vector<baselines::Slot<Number>> ring(in_flight);
  return run_futures(
      items, [&](std::size_t place, Number n) { batcher.dispatch(n, &ring[place]); },
      [&](std::size_t place) { benchmark::DoNotOptimize(ring[place].get()); });
}
