// LiveStatistics: what a batcher is doing just now, and the lines of text that show it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>
#include <batching/observer.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include <fmt/core.h>

/// What is shown.
struct LiveSnapshot {
  double items_per_second = 0;  // answered in the last second
  std::uint64_t items = 0;      // answered so far; they were in as many batches as:
  std::uint64_t batches = 0;
  std::uint64_t failed = 0;
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  std::array<std::uint64_t, 14> sizes{};  // batches of 1, 2 to 3, 4 to 7, ... items; the last: of all that are larger
  std::array<std::uint64_t, batching::close_reason_names.size()> closed_by{};
  std::chrono::nanoseconds p50{};  // of the run times of the last thousand batches
  std::chrono::nanoseconds p99{};
};

/// Counts. Any thread may call anything; one mutex is held for less than a microsecond for each batch.
class LiveStatistics final : public batching::Observer {
 public:
  using Time = std::chrono::steady_clock::time_point;

  void window_closed(const batching::WindowClosed& window) override {
    const auto bits = static_cast<std::size_t>(std::bit_width(window.size));
    const std::lock_guard lock(mutex_);
    ++counts_.running;
    ++counts_.closed_by[static_cast<std::size_t>(window.reason)];
    ++counts_.sizes[std::clamp<std::size_t>(bits, 1, counts_.sizes.size()) - 1];
    counts_.queued = window.queued;
  }
  void batch_finished(const batching::BatchFinished& batch) override {
    const std::size_t items = batch.size + batch.deduplicated;
    const std::int64_t tenth = tenth_of(batch.started + batch.run_time);
    const std::lock_guard lock(mutex_);
    --counts_.running;
    run_times_[counts_.batches++ % run_times_.size()] = batch.run_time;
    counts_.items += items;
    counts_.failed += batch.failed;
    if (counts_.batches == 1) first_ = tenth;
    Tenth& counted = tenths_[static_cast<std::size_t>(tenth) % tenths_.size()];
    if (counted.number < tenth) counted = {tenth, 0};
    if (counted.number == tenth) counted.items += items;
  }

  /// `now`: on the batcher's clock.
  [[nodiscard]] LiveSnapshot snapshot(Time now) const {
    const std::int64_t tenth = tenth_of(now);
    std::vector<std::chrono::nanoseconds> run_times;
    LiveSnapshot snapshot;
    {
      const std::lock_guard lock(mutex_);
      snapshot = counts_;
      const auto kept = std::min<std::uint64_t>(counts_.batches, run_times_.size());
      run_times.assign(run_times_.begin(), run_times_.begin() + static_cast<std::ptrdiff_t>(kept));
      // Whole tenths only, and not those before the first batch.
      const std::int64_t span = std::min<std::int64_t>(10, tenth - first_);
      for (const Tenth& counted : tenths_) {
        if (counted.number < tenth && counted.number >= tenth - span) {
          snapshot.items_per_second += static_cast<double>(counted.items) * 10 / static_cast<double>(span);
        }
      }
    }
    snapshot.p50 = quantile(run_times, 0.5);
    snapshot.p99 = quantile(run_times, 0.99);
    return snapshot;
  }

 private:
  /// What was answered in a tenth of a second.
  struct Tenth {
    std::int64_t number = 0;
    std::uint64_t items = 0;
  };

  static std::int64_t tenth_of(Time time) { return time.time_since_epoch() / std::chrono::milliseconds(100); }
  static std::chrono::nanoseconds quantile(std::vector<std::chrono::nanoseconds>& times, double q) {
    if (times.empty()) return {};
    const auto at = times.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(times.size() - 1));
    std::nth_element(times.begin(), at, times.end());
    return *at;
  }

  mutable std::mutex mutex_;
  LiveSnapshot counts_;
  std::array<Tenth, 16> tenths_{};
  std::int64_t first_ = 0;
  std::array<std::chrono::nanoseconds, 1000> run_times_{};
};

namespace live {

inline std::string milliseconds(std::chrono::nanoseconds time) {
  const double value = std::chrono::duration<double, std::milli>(time).count();
  return fmt::format("{:.{}f} ms", value, value < 1 ? 3 : value < 10 ? 2 : value < 100 ? 1 : 0);
}
inline double mean_batch_size(const LiveSnapshot& snapshot) {
  return snapshot.batches == 0 ? 0 : static_cast<double>(snapshot.items) / static_cast<double>(snapshot.batches);
}
inline std::string closed_by(const LiveSnapshot& snapshot) {
  std::string text;
  for (std::size_t reason = 0; reason < snapshot.closed_by.size(); ++reason) {
    if (snapshot.closed_by[reason] == 0) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", batching::close_reason_names[reason],
                        snapshot.closed_by[reason]);
  }
  return text.empty() ? "-" : text;
}

/// A bar for each size up to the largest there was.
inline std::vector<std::string> histogram(std::span<const std::uint64_t> sizes) {
  constexpr std::uint64_t width = 40;
  std::vector<std::string> lines;
  const std::uint64_t most = std::max<std::uint64_t>(1, *std::max_element(sizes.begin(), sizes.end()));
  const auto used = std::find_if(sizes.rbegin(), sizes.rend(), [](std::uint64_t count) { return count > 0; });
  const auto largest = static_cast<std::size_t>(sizes.rend() - used);
  for (std::size_t bucket = 0; bucket < largest; ++bucket) {
    const std::uint64_t least = std::uint64_t{1} << bucket;
    const std::string size = bucket == 0                  ? "1"
                             : bucket + 1 == sizes.size() ? fmt::format("{}-", least)
                                                          : fmt::format("{}-{}", least, 2 * least - 1);
    // Even one batch is to be seen.
    const std::uint64_t bar = (sizes[bucket] * width + most - 1) / most;
    lines.push_back(fmt::format("{:>11} |{:#<{}}{:{}} {}", size, "", bar, "", width - bar, sizes[bucket]));
  }
  return lines;
}

/// For a terminal. No line is longer than `columns`.
inline std::vector<std::string> lines(const LiveSnapshot& snapshot, std::size_t columns) {
  std::vector<std::string> lines = {
      fmt::format(" throughput {:>9.0f} items/s   queued {:>7}   running {:>3}   failed {}", snapshot.items_per_second,
                  snapshot.queued, snapshot.running, snapshot.failed),
      fmt::format("   run time p50 {}, p99 {}", milliseconds(snapshot.p50), milliseconds(snapshot.p99)),
      fmt::format("  closed by {}", closed_by(snapshot)),
      fmt::format(" batch size {:.1f} on average, {} batches:", mean_batch_size(snapshot), snapshot.batches)};
  for (std::string& bar : histogram(snapshot.sizes)) lines.push_back(std::move(bar));
  for (std::string& line : lines) line.resize(std::min(line.size(), columns));
  return lines;
}

/// The same in one line, for where there is no terminal; without the throughput, which means nothing at the end.
inline std::string summary(const LiveSnapshot& snapshot) {
  return fmt::format(
      "{} items in {} batches of {:.1f} on average, {} queued, {} failed; run time p50 {}, p99 {}; closed by {}",
      snapshot.items, snapshot.batches, mean_batch_size(snapshot), snapshot.queued, snapshot.failed,
      milliseconds(snapshot.p50), milliseconds(snapshot.p99), closed_by(snapshot));
}

}  // namespace live
