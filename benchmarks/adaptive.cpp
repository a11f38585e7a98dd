// Adaptive: the tuner against the best fixed setting, in virtual time: the same on every machine.
// SPDX-License-Identifier: BSL-1.0
#include <batching/detail/tuner.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "../tests/scenarios.hpp"
#include "suite.hpp"
#include <fmt/core.h>

namespace {

using simulator::Scenario;

std::string text_of(const simulator::Setting& setting) {
  return fmt::format("{}, {:.2f} ms", setting.batch_size, static_cast<double>(setting.batch_timeout.count()) * 1e-6);
}

/// Latency over time, a point for so many batches.
Series latency_over_time(const std::string& name, const std::function<void(decltype(simulator::Batcher::watch))>& run) {
  Series line{name, {}};
  double sum = 0;
  double items = 0;
  std::size_t batches = 0;
  run([&](simulator::Time now, std::size_t size, double mean, const simulator::Setting&) {
    sum += mean * static_cast<double>(size);
    items += static_cast<double>(size);
    if (++batches % 64 != 0) return;
    line.points.emplace_back(static_cast<double>(now.count()) * 1e-9, sum / items * 1e3);
    sum = items = 0;
  });
  return line;
}

void run(Suite& suite) {
  std::vector<std::vector<std::string>> cells{
      {"arrivals", "cost", "partitions", "best fixed", "mean in ms", "adaptive", "mean", "p99", "items/s", "changes"}};
  double worst = 0;
  for (const std::size_t partitions : {1U, 4U}) {
    for (const auto& cost : simulator::costs()) {
      for (const auto& pattern : simulator::patterns()) {
        if (suite.is_quick() && pattern.name != "bursts") continue;
        const Scenario scenario{pattern, cost, partitions};
        const auto arrivals = scenario.arrivals();
        const auto best = scenario.best_fixed(arrivals, !suite.is_quick());
        const auto tuned = scenario.tuned(arrivals);
        if (partitions == 1) worst = std::max(worst, tuned.mean / best.result.mean);
        cells.push_back({pattern.name, cost.name, std::to_string(partitions), text_of(best.setting),
                         fmt::format("{:.2f}", best.result.mean * 1e3), fmt::format("{:.2f}", tuned.mean * 1e3),
                         fmt::format("{:.2f} x", tuned.mean / best.result.mean),
                         fmt::format("{:.2f} x", tuned.p99 / best.result.p99),
                         fmt::format("{:.2f} x", tuned.throughput / best.result.throughput),
                         std::to_string(tuned.changes.size())});
      }
    }
  }
  suite.print(fmt::format("\n**Mean latency, p99 and throughput against the best fixed setting, virtual time**\n\n{}",
                          markdown(cells)));
  suite.add({"adaptive, one partition, the worst pattern", Bar::Kind::at_most, 1.1, worst,
             "x the best fixed setting's mean latency", true});
  if (suite.is_quick()) return;
  const Scenario day{simulator::patterns().back(), simulator::costs()[2]};
  const auto arrivals = day.arrivals();
  const auto fixed = [&](simulator::Setting setting) {
    return [&, setting](auto watch) {
      (void)simulator::run({day.partitions, setting, nullptr, watch}, arrivals, day.cost, day.from);
    };
  };
  suite.add(Chart{"adaptive.svg",
                  "A day's load on a function of 2 ms for each 16 items begun",
                  "seconds",
                  "latency in ms, mean of 64 batches",
                  Chart::Kind::course,
                  {latency_over_time("batching: adaptive", [&](auto watch) { (void)day.tuned(arrivals, watch); }),
                   latency_over_time("at most 16, timeout 0", fixed({16, simulator::seconds(0)})),
                   latency_over_time("at most 32, timeout 1 ms", fixed({32, simulator::seconds(1e-3)})),
                   latency_over_time("at most 128, timeout 0", fixed({128, simulator::seconds(0)}))}});
}

const Workload workload("adaptive", "adaptive against the best fixed setting", run);

}  // namespace
