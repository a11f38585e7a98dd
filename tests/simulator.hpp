// Simulator: a batcher in virtual time. Arrivals and costs come from generators that are the same everywhere.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/row.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/tuner.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace simulator {

using batching::detail::Setting;
using batching::detail::Time;

/// splitmix64 (Steele, Lea and Flood, 2014), and distributions of our own: those of the standard library differ from
/// one to the next.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  /// In (0, 1].
  double uniform() noexcept { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }
  /// Of mean 1.
  double exponential() noexcept { return -std::log(uniform()); }

 private:
  std::uint64_t state_;
};

inline Time seconds(double count) { return Time(static_cast<Time::rep>(count * 1e9)); }

/// Each item by itself, in order.
using Arrivals = std::vector<Time>;

/// Poisson arrivals of a rate, per second, that changes with time; by thinning.
inline Arrivals arrivals(std::size_t count, double highest_rate, const std::function<double(double)>& rate_at,
                         std::uint64_t seed) {
  Random random(seed);
  Arrivals result;
  result.reserve(count);
  for (double now = 0; result.size() < count;) {
    now += random.exponential() / highest_rate;
    if (random.uniform() * highest_rate <= rate_at(now)) result.push_back(seconds(now));
  }
  return result;
}

/// What a batch of so many items takes, in seconds.
struct Cost {
  std::string name;
  std::function<double(std::size_t)> of;
  double noise = 0;  // up to so much more or less, as a fraction; uniform
};

struct Result {
  double mean = 0;        // latency in seconds, of the items that are counted
  double p99 = 0;         // likewise
  double longest = 0;     // likewise
  double throughput = 0;  // items per second until the last was answered
  std::size_t batches = 0;
  std::vector<std::pair<std::size_t, Setting>> changes;  // after so many batches
};

struct Batcher {
  std::size_t partitions = 1;
  Setting setting{32, std::chrono::milliseconds(1)};
  batching::detail::Tuner* tuner = nullptr;
  /// Told of each batch: when it was over, its items, their mean latency and the setting.
  std::function<void(Time, std::size_t, double, const Setting&)> watch = nullptr;
};

/// Runs the arrivals through; the latencies of those from index `from` on are counted.
inline Result run(const Batcher& batcher, const Arrivals& arrivals, const Cost& cost, std::size_t from,
                  std::uint64_t seed = 7) {
  struct Batch {
    Time ended;
    Time started;
    std::size_t first;  // of the arrivals
    std::size_t size;
  };
  batching::Options options;
  options.batch_size = batcher.setting.batch_size;
  options.batch_timeout = batcher.setting.batch_timeout;
  batching::detail::WindowRules rules(options);
  batching::detail::Row row(rules);
  const auto follow = [&](const Setting& setting) {
    rules.batch_size = setting.batch_size;
    rules.batch_timeout = setting.batch_timeout;
  };
  if (batcher.tuner != nullptr) follow(batcher.tuner->setting());

  std::deque<batching::detail::Waiting> waiting;
  std::vector<batching::detail::Slice> slices;
  std::vector<Batch> running;
  const auto is_later = [](const Batch& one, const Batch& other) { return one.ended > other.ended; };
  std::vector<double> latencies;
  latencies.reserve(arrivals.size() - from);
  Random random(seed);
  Result result;
  std::size_t came = 0;
  std::size_t left = 0;
  Time now{0};
  double sum = 0;
  while (came < arrivals.size() || row.items() > 0 || !running.empty()) {
    now = batching::detail::never;
    if (came < arrivals.size()) now = arrivals[came];
    if (!running.empty()) now = std::min(now, running.front().ended);
    const bool is_free = running.size() < batcher.partitions;
    if (is_free) now = std::min(now, row.due());

    for (; came < arrivals.size() && arrivals[came] <= now; ++came) {
      auto& item = waiting.emplace_back();
      item.arrived = arrivals[came];
      row.submit(item);
      if (batcher.tuner != nullptr) batcher.tuner->arrived(arrivals[came], 1);
    }
    while (!running.empty() && running.front().ended <= now) {
      std::pop_heap(running.begin(), running.end(), is_later);
      const Batch batch = running.back();
      running.pop_back();
      ++result.batches;
      double sum_of_batch = 0;
      for (std::size_t i = batch.first; i < batch.first + batch.size; ++i) {
        const double latency = static_cast<double>((batch.ended - arrivals[i]).count()) * 1e-9;
        sum_of_batch += latency;
        if (i < from) continue;
        latencies.push_back(latency);
        sum += latency;
      }
      if (batcher.tuner != nullptr &&
          batcher.tuner->finished(batch.size, batch.started, batch.ended, arrivals[batch.first])) {
        follow(batcher.tuner->setting());
        result.changes.emplace_back(result.batches, batcher.tuner->setting());
      }
      if (batcher.watch) {
        batcher.watch(now, batch.size, sum_of_batch / static_cast<double>(batch.size),
                      {rules.batch_size, rules.batch_timeout});
      }
    }
    while (running.size() < batcher.partitions && row.due() <= now) {
      slices.clear();
      const std::size_t size = row.take(slices).items;
      for (std::size_t i = 0; i < size; ++i) waiting.pop_front();
      const double takes = cost.of(size) * (1 + cost.noise * (2 * random.uniform() - 1));
      running.push_back({now + seconds(takes), now, left, size});
      std::push_heap(running.begin(), running.end(), is_later);
      left += size;
    }
  }
  const std::size_t rank = latencies.size() * 99 / 100;
  std::nth_element(latencies.begin(), latencies.begin() + static_cast<std::ptrdiff_t>(rank), latencies.end());
  result.mean = sum / static_cast<double>(latencies.size());
  result.p99 = latencies[rank];
  result.longest = *std::max_element(latencies.begin(), latencies.end());
  result.throughput = static_cast<double>(arrivals.size()) * 1e9 / static_cast<double>(now.count());
  return result;
}

}  // namespace simulator
