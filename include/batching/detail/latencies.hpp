// Latencies: counted by size, for their mean and their quantiles.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/when_used.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// Quantiles to within a twentieth, from 1 microsecond to 18 minutes (what is outside counts as its end); 16 buckets to
/// the octave, as in the leading bits of a floating-point number. 4 KiB.
template <class>
class BasicLatencies {
 public:
  void clear() noexcept { *this = BasicLatencies(); }

  void add(double nanoseconds, std::uint64_t items) noexcept {
    counts_[bucket_of(nanoseconds)] += items;
    total_ += items;
    sum_ += nanoseconds * static_cast<double>(items);
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  /// 0 if there are none.
  [[nodiscard]] double mean() const noexcept { return total_ == 0 ? 0 : sum_ / static_cast<double>(total_); }
  /// That which `q` of them do not exceed; 0 if there are none.
  [[nodiscard]] double quantile(double q) const noexcept {
    if (total_ == 0) return 0;
    double above = (1 - q) * static_cast<double>(total_);
    std::size_t at = buckets;
    while (at-- > 0) {
      const auto count = static_cast<double>(counts_[at]);
      if (count > 0 && above <= count) return start_of(at + 1) - (start_of(at + 1) - start_of(at)) * above / count;
      above -= count;
    }
    return start_of(0);
  }

 private:
  static constexpr unsigned mantissa_bits = 4;
  static constexpr unsigned shift = 52 - mantissa_bits;
  static constexpr std::uint64_t first = (std::uint64_t{1023} + 10) << mantissa_bits;  // 2^10 ns
  static constexpr std::size_t buckets = std::size_t{30} << mantissa_bits;

  [[nodiscard]] static std::size_t bucket_of(double nanoseconds) noexcept {
    const std::uint64_t bits = std::bit_cast<std::uint64_t>(larger(nanoseconds, 0.0)) >> shift;
    return static_cast<std::size_t>(clamped(bits, first, first + buckets - 1) - first);
  }
  [[nodiscard]] static double start_of(std::size_t bucket) noexcept {
    return std::bit_cast<double>((first + bucket) << shift);
  }

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t total_ = 0;
  double sum_ = 0;
};
using Latencies = BasicLatencies<WhenUsed>;

}  // namespace batching::detail
