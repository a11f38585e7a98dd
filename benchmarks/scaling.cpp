// Producers and partitions, 1 to 8 of them.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include "meter.hpp"
#include "sleeping.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>

namespace {

constexpr std::size_t in_flight = 1024;  // all producers together

/// `make_producer(places)` is what one thread sends with: `send(place, number)`, `receive(place)`.
template <class MakeProducer>
Sample run_producers(std::size_t producers, std::size_t items, MakeProducer make_producer) {
  const std::size_t places = in_flight / producers;
  const std::size_t share = items / producers;
  std::latch ready(static_cast<std::ptrdiff_t>(producers + 1));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < producers; ++i) {
    threads.emplace_back([&] {
      auto producer = make_producer(places);
      ready.arrive_and_wait();
      for (std::size_t sent = 0; sent < share + places; ++sent) {
        if (sent >= places) producer.receive(sent % places);
        if (sent < share) producer.send(sent % places, sent);
      }
    });
  }
  ready.arrive_and_wait();
  const Meter meter;
  for (auto& thread : threads) thread.join();
  return meter.per_item(share * producers);
}

struct FloorProducer {
  SlotFloor& batcher;
  std::vector<baselines::Slot<Number>> ring;
  void send(std::size_t place, Number n) { batcher.dispatch(n, &ring[place]); }
  void receive(std::size_t place) { benchmark::DoNotOptimize(ring[place].get()); }
};
template <class Batcher>
struct FutureProducer {
  Batcher& batcher;
  std::vector<decltype(std::declval<Batcher&>().dispatch(0))> ring;
  void send(std::size_t place, Number n) { ring[place] = batcher.dispatch(n); }
  void receive(std::size_t place) { benchmark::DoNotOptimize(ring[place].get()); }
};

Sample floor(std::size_t producers, std::size_t items) {
  SlotFloor batcher(Square(), usual);
  return run_producers(producers, items, [&](std::size_t places) {
    return FloorProducer{batcher, std::vector<baselines::Slot<Number>>(places)};
  });
}
template <class Batcher, class Function>
Sample futures(std::size_t producers, std::size_t items) {
  Batcher batcher(Function(), usual);
  return run_producers(producers, items, [&](std::size_t places) {
    FutureProducer<Batcher> producer{batcher, {}};
    producer.ring.resize(places);
    return producer;
  });
}

void producers(Suite& suite) {
  const std::size_t items = suite.items(1 << 18);
  const Sweep& sweep =
      suite.sweep("Producers, 1024 items in flight in all", "producers",
                  suite.is_quick() ? std::vector<double>{2} : std::vector<double>{1, 2, 4, 8},
                  [=](double value) -> std::vector<Contestant> {
                    const auto count = static_cast<std::size_t>(value);
                    return {{"floor", [=] { return floor(count, items); }, true},
                            {"textbook", [=] { return futures<SquaringTextbook, Squares>(count, items); }, true},
                            {"batching: futures", [=] { return futures<Squaring, Square>(count, items); }}};
                  });
  suite.add(Chart{"producers.svg", "Producers that share one batcher, 1024 items in flight in all", "producers",
                  "ns per item", Chart::Kind::lines, sweep.series()});
}

/// As long as it takes to multiply: no other processor's business.
struct Computing {
  std::vector<Number> operator()(std::span<Number> inputs) const {
    std::vector<Number> outputs(inputs.begin(), inputs.end());
    for (Number& output : outputs) {
      for (int i = 0; i < 20'000; ++i) benchmark::DoNotOptimize(output = output * 6364136223846793005U + 1);
    }
    return outputs;
  }
};

template <class Function>
Sample partitions(std::size_t count, std::size_t batches) {
  constexpr std::size_t size = 16;
  Squaring batcher(Function(),
                   {.batch_size = size, .batch_timeout = std::chrono::milliseconds(1), .partitions = count});
  std::vector<Number> inputs(size * batches);
  const Meter meter;
  (void)batcher.dispatch_many(inputs).get();
  return meter.milliseconds();
}

void partitions(Suite& suite) {
  const auto values = suite.is_quick() ? std::vector<double>{1, 2} : std::vector<double>{1, 2, 4, 8};
  suite.sweep("Partitions: 64 batches of a function that sleeps 6.6 ms", "partitions", values,
              [&](double value) -> std::vector<Contestant> {
                const auto count = static_cast<std::size_t>(value);
                return {{"sleeping", [=] { return partitions<Sleeping>(count, 64); }}};
              });
  const std::size_t batches = suite.items(1000);
  const auto with = [=](std::size_t count) { return [=] { return partitions<Computing>(count, batches); }; };
  const auto two_threads = [=] {
    const auto work = [=] {
      std::vector<Number> inputs(16);
      for (std::size_t i = 0; i < batches / 2; ++i) benchmark::DoNotOptimize(Computing()(inputs).data());
    };
    const Meter meter;
    std::thread other(work);
    work();
    other.join();
    return meter.milliseconds();
  };
  const Table& table = suite.compare("Partitions: a function that computes", {{"two bare threads", two_threads, true},
                                                                              {"1 partition", with(1), true},
                                                                              {"2 partitions", with(2)},
                                                                              {"4 partitions", with(4)},
                                                                              {"8 partitions", with(8)}});
  suite.add({"two processor-bound partitions, two cores", Bar::Kind::at_least, 1.8,
             table.ratio("1 partition", "2 partitions"), "x one"});
}

const Workload workload_producers("producers", "1 to 8 threads share one batcher", producers);
const Workload workload_partitions("partitions", "1 to 8 partitions", partitions);

}  // namespace
