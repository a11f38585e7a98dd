// Stats: a snapshot of what a batcher has done.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/histogram.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace batching {

/// Counts are of items, except `batches`, `reruns`, `running` and `closed_by`. A call of many items counts them all the
/// way its caller was answered. Every count moves before the delivery that it counts is visible, and at rest
/// `accepted == completed + failed + cancelled + timed_out`. Times are on the batcher's clock.
struct Stats {
  std::uint64_t accepted = 0;   ///< taken in
  std::uint64_t completed = 0;  ///< answered with their own output
  std::uint64_t failed = 0;     ///< answered with any error but the two below
  std::uint64_t rejected = 0;   ///< refused at the door; never `accepted`
  std::uint64_t cancelled = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t deduplicated = 0;  ///< did not run, but shared the answer of an item that did (`Options::dedup`)
  std::uint64_t batches = 0;       ///< batches started
  std::uint64_t reruns = 0;  ///< further calls of the batch function for batches that had failed (`OnFailure::isolate`)
  std::uint64_t queued = 0;  ///< items waiting now
  std::uint64_t running = 0;  ///< batches running now

  /// Batches by what closed their window.
  struct ClosedBy {
    std::uint64_t size = 0;
    std::uint64_t weight = 0;
    std::uint64_t timeout = 0;
    std::uint64_t idle = 0;
    std::uint64_t flush = 0;
    std::uint64_t close = 0;
  } closed_by{};

  std::uint64_t batched = 0;                 ///< items that a batch function saw
  std::size_t partitions = 1;                ///< `Options::partitions`
  std::size_t batch_size = 0;                ///< as it is now: `Options::adaptive` moves it
  std::chrono::nanoseconds batch_timeout{};  ///< likewise
  std::chrono::nanoseconds elapsed{};        ///< since the batcher was made
  std::chrono::nanoseconds busy{};           ///< how long batches have been running, summed over the partitions
  /// How long each item that left in a batch had waited. Items that come in a burst share one reading of the clock, so
  /// one may be counted with the wait of an older one in its window; not so with an observer or `Options::adaptive`.
  Histogram queue_wait{};
  Histogram run_time{};  ///< of each batch that is over: from the call of its function to its last answer

  /// What has happened since `earlier`, an older snapshot of the same batcher: counts, times and histograms are
  /// differences, so that the functions below are of that time alone; `queued`, `running` and the settings stay.
  [[nodiscard]] Stats since(const Stats& earlier) const noexcept {
    Stats change = *this;
    for (const auto count :
         {&Stats::accepted, &Stats::completed, &Stats::failed, &Stats::rejected, &Stats::cancelled, &Stats::timed_out,
          &Stats::deduplicated, &Stats::batches, &Stats::reruns, &Stats::batched}) {
      change.*count -= detail::smaller(change.*count, earlier.*count);
    }
    for (const auto count : {&ClosedBy::size, &ClosedBy::weight, &ClosedBy::timeout, &ClosedBy::idle, &ClosedBy::flush,
                             &ClosedBy::close}) {
      change.closed_by.*count -= detail::smaller(change.closed_by.*count, earlier.closed_by.*count);
    }
    change.elapsed -= earlier.elapsed;
    change.busy -= earlier.busy;
    change.queue_wait -= earlier.queue_wait;
    change.run_time -= earlier.run_time;
    return change;
  }

  /// Items per batch; 0 before the first.
  [[nodiscard]] double mean_batch_size() const noexcept { return ratio(batched, batches); }
  /// How busy the partitions were, from 0 to 1.
  [[nodiscard]] double utilization() const noexcept {
    return ratio(busy.count(), elapsed.count()) / static_cast<double>(detail::larger<std::size_t>(partitions, 1));
  }
  /// The share of the items that did not have to run, from 0 to 1.
  [[nodiscard]] double dedup_rate() const noexcept { return ratio(deduplicated, batched + deduplicated); }
  /// Items answered with their output, per second.
  [[nodiscard]] double items_per_second() const noexcept { return 1e9 * ratio(completed, elapsed.count()); }
  /// How many calls of the batch function there would have been more with one for each item.
  [[nodiscard]] std::uint64_t saved_runs() const noexcept {
    const std::uint64_t items = batched + deduplicated;
    return items - detail::smaller(items, batches + reruns);
  }
  /// What they would have cost, in the unit of `cost_per_run`: a number (a price), or a duration.
  template <class Cost>
  [[nodiscard]] auto saved(Cost cost_per_run) const {
    return static_cast<double>(saved_runs()) * cost_per_run;
  }

 private:
  template <class Part, class Whole>
  [[nodiscard]] static double ratio(Part part, Whole whole) noexcept {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  }
};

}  // namespace batching
