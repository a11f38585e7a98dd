// W4, the headline: a batch function that takes 5 ms and 0.1 ms for each item, and n calls at once.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <vector>

#include "meter.hpp"
#include "sleeping.hpp"
#include "suite.hpp"

namespace {

using std::chrono::milliseconds;

Sample one_at_a_time(std::size_t calls) {
  const Sleeping function;
  const Meter meter;
  for (Number i = 0; i < calls; ++i) (void)function(std::span(&i, 1));
  return meter.milliseconds();
}

template <class Batcher>
Sample all_at_once(Batcher batcher, std::size_t calls) {
  std::vector<decltype(batcher->dispatch(0))> futures;
  futures.reserve(calls);
  const Meter meter;
  for (Number i = 0; i < calls; ++i) futures.push_back(batcher->dispatch(i));
  for (auto& future : futures) (void)future.get();
  return meter.milliseconds();
}

template <class Batcher>
Contestant contestant(const char* name, std::size_t calls, milliseconds timeout, std::size_t partitions,
                      bool is_baseline = false) {
  const batching::Options options{.batch_size = 64, .batch_timeout = timeout, .partitions = partitions};
  return {name, [=] { return all_at_once(std::make_unique<Batcher>(Sleeping(), options), calls); }, is_baseline};
}

void run(Suite& suite) {
  using Ours = SleepingBatcher;
  const char* best = "8 partitions, timeout 0";
  const std::vector<double> most{1, 10, 25, 50, 100, 200, 500};
  const Sweep& sweep = suite.sweep(
      "W4 n calls at once, 5 ms + 0.1 ms for each item", "n", suite.is_quick() ? std::vector<double>{1, 50} : most,
      [&](double n) -> std::vector<Contestant> {
        const auto calls = static_cast<std::size_t>(n);
        return {{"one at a time", [=] { return one_at_a_time(calls); }, true},
                contestant<SleepingTextbook>("textbook, 8 workers, timeout 0", calls, milliseconds(0), 8, true),
                contestant<SleepingTextbook>("textbook, 8 workers, timeout 5 ms", calls, milliseconds(5), 8, true),
                contestant<Ours>("1 partition, timeout 0", calls, milliseconds(0), 1),
                contestant<Ours>("1 partition, timeout 5 ms", calls, milliseconds(5), 1),
                contestant<Ours>(best, calls, milliseconds(0), 8),
                contestant<Ours>("8 partitions, timeout 5 ms", calls, milliseconds(5), 8)};
      });
  if (suite.is_quick()) return;
  suite.add({"W4 n = 1, timeout 0", Bar::Kind::at_least, 0.95,
             sweep.at(1).ratio("one at a time", "1 partition, timeout 0"), "x one at a time"});
  suite.add({"W4 n = 500, 8 partitions, timeout 5 ms", Bar::Kind::at_least, 1.0,
             sweep.at(500).ratio("textbook, 8 workers, timeout 5 ms", "8 partitions, timeout 5 ms"), "x textbook"});
  suite.add({"W4 n = 500, 8 partitions, timeout 0", Bar::Kind::at_least, 1.0,
             sweep.at(500).ratio("textbook, 8 workers, timeout 0", best), "x textbook"});
  std::vector<Series> lines;
  for (const Series& line : sweep.speed_up("one at a time")) {
    const bool ours = line.name.starts_with("1 ") || line.name == best;
    if (ours || line.name == "textbook, 8 workers, timeout 0") {
      lines.push_back({(ours ? "batching: " : "") + line.name, line.points});
    }
  }
  suite.add(Chart{"speed_up.svg", "A function of 5 ms + 0.1 ms per item: n calls at once, against one at a time",
                  "calls at once", "times faster", Chart::Kind::lines, lines});
}

const Workload workload("W4", "the headline: n calls at once to a function that sleeps", run);

}  // namespace
