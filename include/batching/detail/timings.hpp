// Timings: how long items wait and batches run, and how busy the partitions are, as the strand sees it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/histogram.hpp>
#include <batching/stats.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace batching::detail {

/// Writes a `Histogram`, in little memory: an idle batcher is to be small. It has only the buckets between the shortest
/// and the longest duration so far, in half the width.
template <class Used>
class BasicRecorder {
 public:
  void record(Time duration, std::uint32_t times) {
    if (count_ > std::numeric_limits<std::uint32_t>::max() - times) {
      older_ = make_owned<Histogram>(histogram());
      counts_.assign(counts_.size(), 0);
      count_ = 0;
    }
    const std::size_t bucket = Histogram::bucket_of(duration);
    if (bucket - first_ >= counts_.size()) [[unlikely]]
      make_room(bucket);
    counts_[bucket - first_] += times;
    count_ += times;
  }
  [[nodiscard]] Histogram histogram() const noexcept {
    Histogram all = older_ ? *older_ : Histogram();
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] > 0) all.record(Histogram::lower_bound(first_ + i), counts_[i]);
    }
    return all;
  }

 private:
  void make_room(std::size_t bucket) {
    constexpr std::size_t step = 16;  // buckets: so that it grows a few times only, however long it lives
    const std::size_t start = bucket - bucket % step;
    const std::size_t first = counts_.empty() ? start : smaller<std::size_t>(first_, start);
    const std::size_t end = larger(first_ + counts_.size(), start + step);
    std::vector<std::uint32_t> counts(end - first);
    for (std::size_t i = 0; i < counts_.size(); ++i) counts[first_ - first + i] = counts_[i];
    counts_ = std::move(counts);
    first_ = static_cast<std::uint32_t>(first);
  }

  Late<std::vector<std::uint32_t>, Used> counts_;  // of the buckets from `first_` on
  std::uint32_t first_ = 0;
  std::uint32_t count_ = 0;
  Late<Owned<Histogram>, Used> older_;
};
using Recorder = BasicRecorder<WhenUsed>;

/// Belongs to the strand.
template <class Used>
class BasicTimings {
 public:
  void waited(Time duration, std::uint32_t items) { recorders().queue_wait.record(duration, items); }
  /// A batch is over that began then; `running`: batches up to now.
  void ran(Time started, Time ended, std::size_t running) {
    recorders().run_time.record(ended - started, 1);
    count(ended, running);
  }
  /// So many batches were running up to now.
  void count(Time now, std::size_t running) noexcept {
    if (now <= last_) return;
    busy_ += (now - last_) * static_cast<Time::rep>(running);
    last_ = now;
  }

  void write(Stats& stats) const {
    stats.busy = busy_;
    if (!recorders_) return;
    stats.queue_wait = recorders_->queue_wait.histogram();
    stats.run_time = recorders_->run_time.histogram();
  }

 private:
  struct Recorders {
    Late<Recorder, Used> queue_wait;
    Late<Recorder, Used> run_time;
  };
  /// Made when they are needed: a batcher that has never run is smaller without.
  Recorders& recorders() {
    if (!recorders_) recorders_ = make_owned<Recorders>();
    return *recorders_;
  }

  Late<Owned<Recorders>, Used> recorders_;
  Time last_{};
  Time busy_{};
};
using Timings = BasicTimings<WhenUsed>;

}  // namespace batching::detail
