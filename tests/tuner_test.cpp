// The tuner: its rules as stories, and how it does against the best fixed setting in a simulated batcher.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/tuner.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>

#include "catch.hpp"
#include "scenarios.hpp"

namespace {

using namespace std::chrono_literals;
using batching::Adaptive;
using batching::detail::Setting;
using batching::detail::Time;
using batching::detail::Tuner;

/// So many batches of four, each item of which takes this long.
bool batches(Tuner& tuner, int count, std::chrono::nanoseconds latency) {
  bool changed = false;
  for (int i = 0; i < count; ++i) changed = tuner.finished(4, 0ns, latency, 0ns) || changed;
  return changed;
}

Adaptive additive() {
  Adaptive adaptive;
  adaptive.policy = Adaptive::Policy::additive;
  adaptive.target_latency = 100ms;
  adaptive.min_batch_size = 6;
  adaptive.max_batch_size = 15;
  return adaptive;
}

std::string complaint(const std::function<void(Adaptive&)>& spoil) {
  Adaptive adaptive;
  spoil(adaptive);
  try {
    batching::detail::check(adaptive);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

/// Not worse than the best of 12 fixed settings by more than `tolerance`, in mean latency and in throughput, without a
/// p99 beyond both the target and that of the fixed one; all of it from a third of the items on. It comes to rest,
/// and nobody waits longer than four times as long as under the fixed setting.
void check_scenario(const simulator::Scenario& scenario, double tolerance) {
  INFO(scenario.pattern.name << ", " << scenario.cost.name << ", partitions: " << scenario.partitions);
  const auto arrivals = scenario.arrivals();
  const auto best = scenario.best_fixed(arrivals);
  const auto tuned = scenario.tuned(arrivals);
  INFO("best fixed: " << best.setting.batch_size << ", " << best.setting.batch_timeout.count() << " ns");
  const double target = static_cast<double>(scenario.adaptive.target_latency.count()) * 1e-9;
  CHECK(tuned.mean <= best.result.mean * (1 + tolerance));
  CHECK(tuned.throughput >= best.result.throughput * 0.9);
  CHECK(tuned.p99 <= std::max(target, best.result.p99 * 1.1));
  CHECK(tuned.longest <= best.result.longest * 4);

  constexpr std::size_t converged = 400;  // batches
  std::size_t late = 0;
  std::size_t back_and_forth = 0;
  for (std::size_t i = 0; i < tuned.changes.size(); ++i) {
    if (tuned.changes[i].first <= converged) continue;
    ++late;
    if (i >= 2 && tuned.changes[i].second == tuned.changes[i - 2].second) ++back_and_forth;
  }
  CHECK(late <= 10);
  CHECK(back_and_forth <= 2);
}

}  // namespace

TEST_CASE(
    "additive: below 0.9 of the target the batch size grows by 4, within the band it rests, above 1.1 it shrinks") {
  Tuner tuner(additive(), 1, {10, 1ms});
  CHECK_FALSE(batches(tuner, 63, 80ms));
  CHECK(batches(tuner, 1, 80ms));
  CHECK(tuner.setting() == Setting{14, 1ms});
  CHECK_FALSE(batches(tuner, 64, 95ms));
  CHECK_FALSE(batches(tuner, 64, 106ms));
  CHECK(batches(tuner, 64, 120ms));
  CHECK(tuner.setting() == Setting{10, 1ms});
}

TEST_CASE("additive: the batch size stays within its bounds") {
  Tuner tuner(additive(), 1, {10, 1ms});
  batches(tuner, 640, 1ms);
  CHECK(tuner.setting().batch_size == 15);
  CHECK_FALSE(batches(tuner, 640, 1ms));
  batches(tuner, 640, 1s);
  CHECK(tuner.setting().batch_size == 6);
  CHECK_FALSE(batches(tuner, 640, 1s));
}

TEST_CASE("a tuner begins within the bounds") {
  Adaptive adaptive;
  adaptive.min_batch_size = 8;
  adaptive.max_batch_size = 16;
  adaptive.min_batch_timeout = 2ms;
  adaptive.max_batch_timeout = 3ms;
  CHECK(Tuner(adaptive, 1, {1, 0ms}).setting() == Setting{8, 2ms});
  CHECK(Tuner(adaptive, 1, {99, 1s}).setting() == Setting{16, 3ms});
}

TEST_CASE("a tuner that has no choice changes nothing, and never leaves its bounds") {
  Adaptive adaptive;
  adaptive.min_batch_size = adaptive.max_batch_size = 5;
  adaptive.min_batch_timeout = adaptive.max_batch_timeout = 1ms;
  simulator::Scenario scenario{simulator::patterns()[0], simulator::costs()[1], 1, 3000, 1000, adaptive};
  CHECK(scenario.tuned(scenario.arrivals()).changes.empty());

  adaptive.max_batch_size = 24;
  adaptive.max_batch_timeout = 2ms;
  for (const auto& pattern : simulator::patterns()) {
    scenario = {pattern, simulator::costs()[3], 2, 6000, 1000, adaptive};
    for (const auto& change : scenario.tuned(scenario.arrivals()).changes) {
      CHECK(change.second.batch_size >= 5);
      CHECK(change.second.batch_size <= 24);
      CHECK(change.second.batch_timeout >= 1ms);
      CHECK(change.second.batch_timeout <= 2ms);
    }
  }
}

TEST_CASE("odd input does no harm: nothing, no time at all, time that goes back, very long batches, many items") {
  Adaptive adaptive;
  adaptive.max_batch_size = std::numeric_limits<std::size_t>::max();
  adaptive.max_batch_timeout = std::chrono::nanoseconds::max();
  Tuner tuner(adaptive, 3, {32, 1ms});
  tuner.arrived(0ns, 0);
  CHECK_FALSE(tuner.finished(0, 0ns, 0ns, 0ns));
  for (int i = 0; i < 2000; ++i) {
    tuner.arrived(0ns, 1);
    tuner.finished(1, 0ns, 0ns, 0ns);
  }
  for (int i = 0; i < 2000; ++i) {
    tuner.arrived(Time(i % 7) * 1000000, i % 5 == 0 ? std::numeric_limits<std::uint32_t>::max() : 1);
    tuner.finished(static_cast<std::size_t>(i), Time(i) * 1000000, Time(i) * 1000000 + 24h * (i % 3), 0ns);
  }
  CHECK(tuner.setting().batch_size >= 1);
  CHECK(tuner.setting().batch_timeout >= 0ns);
}

TEST_CASE("arrivals and costs that do not change let the settings come to rest") {
  for (const auto& cost : simulator::costs()) {
    if (cost.noise > 0) continue;
    simulator::Pattern regular{"regular", [](std::size_t count, double, double full, std::uint64_t) {
                                 simulator::Arrivals list;
                                 for (std::size_t i = 1; i <= count; ++i) {
                                   list.push_back(simulator::seconds(static_cast<double>(i) / (0.6 * full)));
                                 }
                                 return list;
                               }};
    const simulator::Scenario scenario{regular, cost};
    const auto tuned = scenario.tuned(scenario.arrivals());
    INFO(cost.name);
    CHECK(tuned.changes.size() <= 4);
    CHECK((tuned.changes.empty() || tuned.changes.back().first <= tuned.batches / 2));
  }
}

TEST_CASE("one partition: within a tenth of the best fixed setting, whatever the pattern and the cost") {
  for (const auto& cost : simulator::costs()) {
    for (const auto& pattern : simulator::patterns()) check_scenario({pattern, cost}, 0.1);
  }
}

// The best fixed setting is chosen in hindsight. With other seeds some two scenarios in a hundred are beyond the tenth,
// by up to a quarter of the mean: mostly noisy costs under a load that passes through its whole range within 4000
// batches.
TEST_CASE("four partitions: within a tenth of the best fixed setting, whatever the pattern and the cost") {
  for (const auto& cost : simulator::costs()) {
    for (const auto& pattern : simulator::patterns()) check_scenario({pattern, cost, 4}, 0.1);
  }
}

TEST_CASE("impossible bounds are refused with the field and the value") {
  CHECK(complaint([](Adaptive&) {}).empty());
  CHECK(complaint([](Adaptive& a) { a.target_latency = -5ns; }) ==
        "batching::Options::adaptive.target_latency must be more than 0 nanoseconds, but is -5");
  CHECK(complaint([](Adaptive& a) { a.min_batch_size = 0; }) ==
        "batching::Options::adaptive.min_batch_size must be at least 1, but is 0");
  CHECK(complaint([](Adaptive& a) { a.min_batch_size = 200; }) ==
        "batching::Options::adaptive.max_batch_size must be at least min_batch_size, which is 200, but is 128");
  CHECK(complaint([](Adaptive& a) { a.min_batch_timeout = -1ns; }) ==
        "batching::Options::adaptive.min_batch_timeout must be 0 or more nanoseconds, but is -1");
  CHECK(complaint([](Adaptive& a) { a.max_batch_timeout = -1ns; }) ==
        "batching::Options::adaptive.max_batch_timeout must be at least min_batch_timeout, which is 0 ns, but is -1");
  CHECK(complaint([](Adaptive& a) { a.quantile = 1; }) ==
        "batching::Options::adaptive.quantile must be between 0 and 1, but is 1.000000");
}
