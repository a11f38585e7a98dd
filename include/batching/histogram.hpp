// Histogram: how long things took, in a fixed number of buckets.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>

#include <array>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace batching {

/// Counts durations in buckets whose width grows with them: ten for each power of two, as in HdrHistogram (Gil Tene).
/// A quantile is off by less than 5 %, for durations below 256 ns by less than 128 ns instead; what took longer than 18
/// minutes counts as 18 minutes. A value: copies are independent, and two can be added and subtracted.
class Histogram {
 public:
  static constexpr std::size_t buckets = 322;

  void record(std::chrono::nanoseconds duration, std::uint64_t times = 1) noexcept {
    counts_[bucket_of(duration)] += times;
  }

  /// Durations recorded.
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t count : counts_) all += count;
    return all;
  }
  /// What a share of `q` of the durations did not exceed: 0.5 is the median, 1 the longest. 0 if there are none.
  [[nodiscard]] std::chrono::nanoseconds quantile(double q) const noexcept {
    const std::uint64_t all = count();
    const double share = (q > 0 ? detail::smaller(q, 1.0) : 0.0) * static_cast<double>(all);  // not a number: 0
    auto rank = static_cast<std::uint64_t>(share);
    if (rank == 0 || static_cast<double>(rank) < share) ++rank;
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
      seen += counts_[bucket];
      if (seen >= rank) return middle(bucket);
    }
    return std::chrono::nanoseconds(0);
  }

  Histogram& operator+=(const Histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) counts_[bucket] += other.counts_[bucket];
    return *this;
  }
  /// Takes away what an earlier state of the same histogram had.
  Histogram& operator-=(const Histogram& earlier) noexcept {
    for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
      counts_[bucket] -= detail::smaller(counts_[bucket], earlier.counts_[bucket]);
    }
    return *this;
  }
  bool operator==(const Histogram&) const = default;

  [[nodiscard]] static std::size_t bucket_of(std::chrono::nanoseconds duration) noexcept {
    const auto value = static_cast<std::uint64_t>(detail::larger<std::int64_t>(duration.count(), 0));
    if (value < lowest) return 0;
    const unsigned power = static_cast<unsigned>(std::bit_width(value)) - 1;
    if (power >= highest_power) return buckets - 1;
    const std::uint64_t part = ((value - (std::uint64_t{1} << power)) * parts) >> power;
    return 1 + (power - lowest_power) * parts + static_cast<std::size_t>(part);
  }
  /// The first duration of a bucket.
  [[nodiscard]] static std::chrono::nanoseconds lower_bound(std::size_t bucket) noexcept {
    if (bucket == 0) return std::chrono::nanoseconds(0);
    const std::uint64_t power = lowest_power + (bucket - 1) / parts;
    const std::uint64_t part = (bucket - 1) % parts;
    const std::uint64_t base = std::uint64_t{1} << power;
    return std::chrono::nanoseconds(base + (base * part + parts - 1) / parts);
  }

 private:
  static constexpr unsigned lowest_power = 8;
  static constexpr unsigned highest_power = 40;
  static constexpr std::uint64_t lowest = std::uint64_t{1} << lowest_power;
  static constexpr std::uint64_t parts = 10;
  static_assert(buckets == (highest_power - lowest_power) * parts + 2);

  /// The duration from which both ends of the bucket are equally far, in proportion.
  [[nodiscard]] static std::chrono::nanoseconds middle(std::size_t bucket) noexcept {
    const auto low = static_cast<double>(lower_bound(bucket).count());
    if (bucket == buckets - 1) return lower_bound(bucket);
    const auto high = static_cast<double>(lower_bound(bucket + 1).count());
    if (bucket == 0) return std::chrono::nanoseconds(static_cast<std::int64_t>(high / 2));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(2 * low * high / (low + high)));
  }

  std::array<std::uint64_t, buckets> counts_{};
};

}  // namespace batching
