// Latency against load: callers arrive at random, at a given rate, whether or not the earlier ones have their answers.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "meter.hpp"
#include "sleeping.hpp"
#include "suite.hpp"

namespace {

using Clock = std::chrono::steady_clock;

/// Poisson arrivals for `seconds`; a few threads collect the answers in the order of the calls.
template <class Batcher>
Sample latency(Batcher batcher, double rate, double seconds) {
  std::mt19937_64 random(1);
  std::exponential_distribution<double> gap(rate);
  const auto count = static_cast<std::size_t>(rate * seconds);
  std::vector<decltype(batcher->dispatch(0))> futures(count);
  std::vector<Clock::time_point> due(count);
  std::vector<double> latencies(count);
  std::atomic<std::size_t> sent = 0;
  std::thread collector([&] {
    for (std::size_t i = 0; i < count; ++i) {
      sent.wait(i);
      (void)futures[i].get();
      latencies[i] = std::chrono::duration<double, std::milli>(Clock::now() - due[i]).count();
    }
  });
  auto next = Clock::now();
  for (std::size_t i = 0; i < count; ++i) {
    next += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(gap(random)));
    std::this_thread::sleep_until(next);
    due[i] = next;
    futures[i] = batcher->dispatch(i);
    sent.store(i + 1);
    sent.notify_one();
  }
  collector.join();
  std::ranges::sort(latencies);
  return {{"p50 in ms", latencies[count / 2]}, {"p99 in ms", latencies[count * 99 / 100]}};
}

void run(Suite& suite) {
  const double seconds = suite.is_quick() ? 0.1 : 1;
  const std::vector<double> rates{50, 100, 150, 500, 1000, 2000, 4000};
  const Sweep& sweep = suite.sweep(
      "Latency against load: 5 ms + 0.1 ms for each item, one partition", "calls per second",
      suite.is_quick() ? std::vector<double>{1000} : rates, [=](double rate) -> std::vector<Contestant> {
        const auto with = [=](std::size_t size, std::chrono::milliseconds timeout) {
          const batching::Options options{.batch_size = size, .batch_timeout = timeout};
          return [=] { return latency(std::make_unique<SleepingBatcher>(Sleeping(), options), rate, seconds); };
        };
        std::vector<Contestant> list{{"timeout 0", with(64, std::chrono::milliseconds(0))},
                                     {"timeout 5 ms", with(64, std::chrono::milliseconds(5))},
                                     {"timeout 20 ms", with(64, std::chrono::milliseconds(20))}};
        // Beyond what it can serve its queue only grows.
        if (rate * 5.1e-3 < 0.9)
          list.insert(list.begin(), {"one at a time", with(1, std::chrono::milliseconds(0)), true});
        return list;
      });
  if (suite.is_quick()) return;
  suite.add(Chart{"latency.svg",
                  "A function of 5 ms + 0.1 ms per item under load (one at a time: 196 per second at most)",
                  "calls per second", "latency in ms, median", Chart::Kind::lines, sweep.series()});
  suite.add(Chart{"latency_p99.svg", "The same, the slowest hundredth", "calls per second", "latency in ms, p99",
                  Chart::Kind::lines, sweep.series("p99 in ms")});
}

const Workload workload("load", "latency against load", run);

}  // namespace
