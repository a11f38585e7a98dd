// W1b, bulk: one producer of calls of 1024 items.
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <numeric>
#include <thread>
#include <utility>
#include <vector>

#include "gate.hpp"
#include "meter.hpp"
#include "pipelined.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>

namespace {

constexpr std::size_t per_call = 1024;

Sample library(std::size_t items, std::size_t calls_in_flight) {
  Squaring batcher(Square(), usual);
  std::vector<batching::Future<std::vector<Number>>> ring(calls_in_flight);
  std::vector<Number> inputs(per_call);
  std::iota(inputs.begin(), inputs.end(), Number(0));
  const std::size_t calls = items / per_call;
  Meter meter;
  for (std::size_t sent = 0; sent < calls + calls_in_flight; ++sent) {
    if (sent == calls / 4) meter.steady(sent * per_call);
    auto& place = ring[sent % calls_in_flight];
    if (sent >= calls_in_flight) benchmark::DoNotOptimize(place.get().data());
    if (sent < calls) place = batcher.dispatch_many(inputs);
  }
  return meter.per_item(calls * per_call);
}

/// What no batcher across threads can do without when nothing else is in flight: a thread that sleeps is woken, and
/// wakes the one that has gone to sleep meanwhile. Nothing else is done for the items of a call.
Sample two_wake_ups(std::size_t items) {
  Gate there;
  Gate back;
  const std::size_t calls = items / per_call;
  const auto arrive = [](Gate& gate) {
    for (std::size_t i = 0; i < Gate::stride; ++i) gate.arrive();
  };
  std::thread peer([&] {
    for (std::size_t call = 1; call <= calls; ++call) {
      there.wait_for(call * Gate::stride);
      arrive(back);
    }
  });
  const Meter meter;
  for (std::size_t call = 1; call <= calls; ++call) {
    arrive(there);
    back.wait_for(call * Gate::stride);
  }
  Sample sample = meter.per_item(calls * per_call);
  peer.join();
  return sample;
}

void run(Suite& suite) {
  const std::size_t items = suite.items(1'000'000);
  const Table& table = suite.compare("W1b bulk: one producer, calls of 1024 items, against single items",
                                     {{"floor, single items", [=] { return floor_futures(items); }, true},
                                      {"two wake-ups for each call", [=] { return two_wake_ups(items); }},
                                      {"one call at a time", [=] { return library(items, 1); }},
                                      {"two calls in flight", [=] { return library(items, 2); }},
                                      {"eight calls in flight", [=] { return library(items, 8); }}});
  suite.add({"W1b bulk, one call at a time", Bar::Kind::at_most, 0.2,
             table.ratio("one call at a time", "floor, single items"), "x floor"});
  suite.add({"W1b bulk, eight calls in flight", Bar::Kind::at_most, 0.2,
             table.ratio("eight calls in flight", "floor, single items"), "x floor"});
}

const Workload workload("W1b", "bulk: calls of 1024 items", run);

}  // namespace
