// Timings: how long items wait and batches run, and how busy the partitions are, as the strand sees it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/time.hpp>
#include <batching/histogram.hpp>
#include <batching/stats.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>

namespace batching::detail {

/// Writes a `Histogram`, in half the memory: an idle batcher is to be small.
class Recorder {
 public:
  void record(Time duration, std::uint32_t times) {
    if (count_ > std::numeric_limits<std::uint32_t>::max() - times) {
      older_ = std::make_unique<Histogram>(histogram());
      counts_ = {};
      count_ = 0;
    }
    counts_[Histogram::bucket_of(duration)] += times;
    count_ += times;
  }
  [[nodiscard]] Histogram histogram() const noexcept {
    Histogram all = older_ ? *older_ : Histogram();
    for (std::size_t bucket = 0; bucket < Histogram::buckets; ++bucket) {
      if (counts_[bucket] > 0) all.record(Histogram::lower_bound(bucket), counts_[bucket]);
    }
    return all;
  }

 private:
  std::array<std::uint32_t, Histogram::buckets> counts_{};
  std::uint32_t count_ = 0;
  std::unique_ptr<Histogram> older_;
};

/// Belongs to the strand.
class Timings {
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
    Recorder queue_wait;
    Recorder run_time;
  };
  /// Made when they are needed: a batcher that has never run is smaller without.
  Recorders& recorders() {
    if (!recorders_) recorders_ = std::make_unique<Recorders>();
    return *recorders_;
  }

  std::unique_ptr<Recorders> recorders_;
  Time last_{};
  Time busy_{};
};

}  // namespace batching::detail
