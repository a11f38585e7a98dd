// Replay: the latest arrivals once more, in virtual time, under a setting that was not theirs.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/arrivals.hpp>
#include <batching/detail/batch_costs.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/latencies.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batching::detail {

/// What a tuner moves.
struct Setting {
  std::size_t batch_size = 1;
  std::chrono::nanoseconds batch_timeout{0};
  bool operator==(const Setting&) const = default;
};

/// A copy of the arrivals, so that all settings are tried on the same ones. 20 KiB.
template <class Used>
class BasicReplay {
 public:
  /// What would have come out, in nanoseconds.
  struct Outcome {
    double mean = 0;
    double quantile = 0;
  };

  explicit BasicReplay(std::size_t partitions) : free_(partitions) {}

  /// Remembers what came, and that `standing` items were waiting already.
  void record(const Late<Arrivals, Used>& arrivals, std::uint64_t standing) noexcept {
    size_ = 0;
    if (arrivals.size() == 0) return;
    const Time begin = arrivals[0].at;
    if (standing > 0) add(0, standing);
    for (std::size_t i = 0; i < arrivals.size(); ++i) {
      add(static_cast<double>((arrivals[i].at - begin).count()), arrivals.items(i));
    }
  }

  /// The rules are the window's: a batch leaves when it is full, or `batch_timeout` after its first item, but not
  /// before a partition is free. They come `pace` times as fast as they did. Time in the number of groups and batches
  /// (a few microseconds).
  [[nodiscard]] Outcome run(const Setting& setting, const Late<BatchCosts, Used>& costs, double quantile, double pace) {
    const double stretch = 1 / pace;
    const auto at = [&](std::size_t group) { return groups_[group].at * stretch; };
    const auto patience = static_cast<double>(setting.batch_timeout.count());
    const std::size_t room = larger<std::size_t>(setting.batch_size, 1);
    free_.assign(free_.size(), 0.0);
    latencies_.clear();
    std::uint64_t taken = 0;  // of the first group that waits
    std::size_t batch = 0;
    for (std::size_t first = 0; first < size_; ++batch) {
      const double partition = free_.front();
      double leaves = larger(partition, at(first) + patience);
      std::uint64_t items = 0;
      std::size_t end = first;
      std::uint64_t left_in_last = 0;
      std::uint64_t from_last = 0;
      while (end < size_ && items < room && at(end) <= leaves) {
        left_in_last = groups_[end].items - (end == first ? taken : 0);
        from_last = smaller<std::uint64_t>(left_in_last, room - items);
        items += from_last;
        ++end;
      }
      if (items == room) leaves = larger(partition, at(end - 1));
      const double over = leaves + costs.of(static_cast<std::size_t>(items)) * costs.unevenness(batch);
      for (std::size_t i = first; i + 1 < end; ++i) {
        latencies_.add(over - at(i), groups_[i].items - (i == first ? taken : 0));
      }
      latencies_.add(over - at(end - 1), from_last);
      if (from_last == left_in_last) {
        first = end;
        taken = 0;
      } else {
        taken = from_last + (end - 1 == first ? taken : 0);
        first = end - 1;
      }
      occupy_first(over);
    }
    return {latencies_.mean(), latencies_.quantile(quantile)};
  }

 private:
  struct Group {
    double at = 0;
    std::uint64_t items = 0;
  };

  /// The partition that is free first is so no sooner than then: it sinks to its place in the heap.
  void occupy_first(double until) noexcept {
    std::size_t place = 0;
    for (std::size_t child = 1; child < free_.size(); child = 2 * place + 1) {
      if (child + 1 < free_.size() && free_[child + 1] < free_[child]) ++child;
      if (free_[child] >= until) break;
      free_[std::exchange(place, child)] = free_[child];
    }
    free_[place] = until;
  }
  void add(double at, std::uint64_t items) noexcept { groups_[size_++] = {at, items}; }

  std::array<Group, Late<Arrivals, Used>::groups + 1> groups_{};
  std::size_t size_ = 0;
  Late<std::vector<double>, Used> free_;  // when each partition is, as a heap: the first one first
  Late<Latencies, Used> latencies_;
};
using Replay = BasicReplay<WhenUsed>;

}  // namespace batching::detail
