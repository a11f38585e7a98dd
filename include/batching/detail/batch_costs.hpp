// BatchCosts: what a batch of each size was seen to take, and a guess for the sizes that were not.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace batching::detail {

/// A table and not a formula: a line through the durations is wrong wherever they come in steps (padded tensors, pages,
/// packets). Sizes up to 128 have a class each, above there are 16 to the octave, whose upper ends are exact: a step at
/// a power of two is never blurred. Durations in nanoseconds. 12 bytes and 8 for each class; 3 KiB for sizes up to 128.
class BatchCosts {
 public:
  explicit BatchCosts(std::size_t largest) : seen_(class_of(largest) + 1), guesses_(seen_.size()) {
    unevenness_.fill(1);
  }

  /// A batch is over. Constant time.
  void learn(std::size_t size, double duration) noexcept {
    const std::size_t at = std::min(class_of(size), seen_.size() - 1);
    Class& seen = seen_[at];
    const double expected = seen.count > 0 ? seen.mean : guesses_[at];
    if (known_ >= few && expected > 0) {
      // One batch in which the machine paged or collected garbage says little about the next.
      duration = std::clamp(duration, expected / outlier, expected * outlier);
      unevenness_[turn_++ % unevenness_.size()] = duration / expected;
    }
    ++known_;
    seen.count = std::min(seen.count + 1, memory);
    seen.mean += (duration - seen.mean) / static_cast<double>(std::min(seen.count, fading));
    typical_ += (duration - typical_) / static_cast<double>(std::min(known_, memory));
  }

  /// Makes up its mind about all sizes, for `of`. Time in the number of classes.
  void settle() noexcept {
    const Line line = fit();
    const std::size_t none = seen_.size();
    std::size_t last = none;
    for (std::size_t at = 0; at < seen_.size(); ++at) {
      const Class& seen = seen_[at];
      if (seen.count == 0) continue;
      // A single sight of a size is worth no more than what all the others say about it.
      const double trust = static_cast<double>(seen.count) / static_cast<double>(seen.count + 1);
      guesses_[at] = trust * seen.mean + (1 - trust) * line.at(size_of(at));
      if (last == none) {
        extrapolate(0, at, at, line.slope);
      } else {
        const double slope = (guesses_[at] - guesses_[last]) / (size_of(at) - size_of(last));
        for (std::size_t i = last + 1; i < at; ++i) {
          guesses_[i] = guesses_[last] + slope * (size_of(i) - size_of(last));
        }
      }
      last = at;
    }
    // A little too cheap: what has never been tried would stay so otherwise.
    if (last != none) extrapolate(last + 1, seen_.size(), last, line.slope * optimism);
  }

  /// As of the last `settle`. Constant time.
  [[nodiscard]] double of(std::size_t size) const noexcept {
    return guesses_[std::min(class_of(size), guesses_.size() - 1)];
  }
  /// By how much the `turn`th batch takes longer than its size explains, or shorter: what was seen, over and over.
  [[nodiscard]] double unevenness(std::size_t turn) const noexcept { return unevenness_[turn % unevenness_.size()]; }
  /// How long the latest batches took.
  [[nodiscard]] double typical() const noexcept { return typical_; }
  /// Batches so far.
  [[nodiscard]] std::size_t known() const noexcept { return known_; }
  /// The size at which an item costs the least; as of the last `settle`.
  [[nodiscard]] std::size_t cheapest() const noexcept {
    std::size_t best = 0;
    for (std::size_t at = 1; at < guesses_.size(); ++at) {
      if (guesses_[at] * size_of(best) < guesses_[best] * size_of(at)) best = at;
    }
    return static_cast<std::size_t>(size_of(best));
  }

 private:
  struct Class {
    double mean = 0;
    std::size_t count = 0;
  };
  struct Line {
    double start = 0;
    double slope = 0;
    [[nodiscard]] double at(double size) const noexcept { return start + slope * size; }
  };
  static constexpr std::size_t exact = 128;
  static constexpr std::size_t per_octave = 16;
  static constexpr std::size_t few = 8;
  static constexpr std::size_t memory = 32;
  static constexpr std::size_t fading = 16;
  static constexpr double outlier = 8;
  static constexpr double optimism = 0.75;
  static constexpr std::size_t largest_size = std::size_t{1} << 24;

  [[nodiscard]] static std::size_t class_of(std::size_t size) noexcept {
    if (size <= exact) return size == 0 ? 0 : size - 1;
    size = std::min(size, largest_size);
    const auto octave = static_cast<std::size_t>(std::bit_width(size - 1)) - 1;  // of 2^octave < size <= 2^(octave + 1)
    const std::size_t step = (std::size_t{1} << octave) / per_octave;
    const std::size_t into = (size - (std::size_t{1} << octave) + step - 1) / step;
    return exact + (octave - 7) * per_octave + into - 1;
  }
  /// The upper end of a class.
  [[nodiscard]] static double size_of(std::size_t at) noexcept {
    if (at < exact) return static_cast<double>(at + 1);
    const std::size_t octave = (at - exact) / per_octave + 7;
    const std::size_t into = (at - exact) % per_octave + 1;
    return static_cast<double>((std::size_t{1} << octave) + into * ((std::size_t{1} << octave) / per_octave));
  }

  /// The line of least squares; constant where it would fall, through the origin where it would start below that.
  [[nodiscard]] Line fit() const noexcept {
    double weights = 0, sizes = 0, durations = 0;
    for (std::size_t at = 0; at < seen_.size(); ++at) {
      const auto weight = static_cast<double>(seen_[at].count);
      weights += weight;
      sizes += weight * size_of(at);
      durations += weight * seen_[at].mean;
    }
    if (weights == 0) return {};
    const double size = sizes / weights;
    const double duration = durations / weights;
    double with = 0, spread = 0;
    for (std::size_t at = 0; at < seen_.size(); ++at) {
      const auto weight = static_cast<double>(seen_[at].count);
      with += weight * (size_of(at) - size) * (seen_[at].mean - duration);
      spread += weight * (size_of(at) - size) * (size_of(at) - size);
    }
    const double slope = spread > 0 ? std::clamp(with / spread, 0.0, duration / size) : 0.0;
    return {duration - slope * size, slope};
  }

  /// From a size that is known: not cheaper than that for more items, not dearer for fewer; and never dearer for each
  /// item the more there are.
  void extrapolate(std::size_t first, std::size_t end, std::size_t known, double slope) noexcept {
    const double from = size_of(known);
    slope = std::clamp(slope, 0.0, guesses_[known] / from);
    for (std::size_t at = first; at < end; ++at) guesses_[at] = guesses_[known] + slope * (size_of(at) - from);
  }

  std::vector<Class> seen_;
  std::vector<double> guesses_;
  std::array<double, 64> unevenness_{};
  std::size_t turn_ = 0;
  std::size_t known_ = 0;
  double typical_ = 0;
};

}  // namespace batching::detail
