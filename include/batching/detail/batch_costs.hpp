// BatchCosts: what a batch of each size was seen to take, and a guess for the sizes that were not.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/when_used.hpp>

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace batching::detail {

/// A table and not a formula: a line through the durations is wrong wherever they come in steps (padded tensors, pages,
/// packets). Sizes up to 128 have a class each, above there are 16 to the octave, whose upper ends are exact: a step at
/// a power of two is never blurred. Durations in nanoseconds. 12 bytes and 8 for each class; 3 KiB for sizes up to 128.
template <class Used>
class BasicBatchCosts {
 public:
  explicit BasicBatchCosts(std::size_t largest) : seen_(class_of(largest) + 1), guesses_(seen_.size()) {
    unevenness_.fill(1);
  }

  /// A batch is over. Constant time.
  void learn(std::size_t size, double duration) noexcept {
    const std::size_t at = smaller(class_of(size), seen_.size() - 1);
    Class& seen = seen_[at];
    if (seen.count == 0 && guesses_[at] > 0)
      hope_ = duration > guesses_[at] * 1.01 ? hope_ * 0.8 : smaller(hope_ + 0.1, most_hope);
    const double expected = seen.count > 0 ? seen.mean : guesses_[at];
    if (known_ >= few && expected > 0) {
      // One batch in which the machine paged or collected garbage says little about the next.
      duration = clamped(duration, expected / outlier, expected * outlier);
      if (seen.count > 0) unevenness_[turn_++ % unevenness_.size()] = duration / expected;  // else the guess was wrong
    }
    ++known_;
    seen.count = smaller(seen.count + 1, memory);
    seen.mean += (duration - seen.mean) / static_cast<double>(smaller(seen.count, fading));
    typical_ += (duration - typical_) / static_cast<double>(smaller(known_, memory));
  }

  /// Makes up its mind about all sizes, for `of`. Time in the number of classes.
  void settle() noexcept {
    const Line line = fit();
    const double noise = noise_of_one();
    const double misfit = misfit_of(line, noise);
    const std::size_t none = seen_.size();
    std::size_t last = none;
    for (std::size_t at = 0; at < seen_.size(); ++at) {
      const Class& seen = seen_[at];
      if (seen.count == 0) continue;
      // What was seen of this size against what all the others say about it: by how far each may be off.
      const double trust = noise == 0 ? 1 : misfit / (misfit + noise / static_cast<double>(seen.count));
      guesses_[at] = trust * seen.mean + (1 - trust) * line.at(size_of(at));
      if (last == none) {
        extrapolate_down(at, line.slope);
      } else {
        const double slope = (guesses_[at] - guesses_[last]) / (size_of(at) - size_of(last));
        extrapolate_up(last, at, slope > 0 ? slope * (1 - hope_) : slope);
      }
      last = at;
    }
    if (last != none) extrapolate_up(last, seen_.size(), line.slope * (1 - hope_));
  }

  /// As of the last `settle`. Constant time.
  [[nodiscard]] double of(std::size_t size) const noexcept {
    return guesses_[smaller(class_of(size), guesses_.size() - 1)];
  }
  /// By how much the `turn`th batch takes longer than its size explains, or shorter: what was seen, over and over.
  [[nodiscard]] double unevenness(std::size_t turn) const noexcept { return unevenness_[turn % unevenness_.size()]; }
  /// How long the latest batches took.
  [[nodiscard]] double typical() const noexcept { return typical_; }
  /// Batches so far.
  [[nodiscard]] std::size_t known() const noexcept { return known_; }
  /// Of the sizes that were seen, and after which a batch costs a good deal more, that at which an item costs the
  /// least; 0 if there are none. As of the last `settle`; time in the number of classes.
  [[nodiscard]] std::size_t last_before_step() const noexcept {
    double lowest = std::numeric_limits<double>::max();
    double best = 0;
    for (std::size_t at = 0; at + 1 < guesses_.size(); ++at) {
      const double each = guesses_[at] / size_of(at);
      if (seen_[at].count == 0 || guesses_[at + 1] / guesses_[at] < step || each >= lowest) continue;
      lowest = each;
      best = size_of(at);
    }
    return static_cast<std::size_t>(best);
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
  static constexpr std::size_t fading = 32;
  static constexpr double outlier = 8;
  static constexpr double step = 1.1;
  static constexpr double most_hope = 0.5;
  static constexpr std::size_t largest_size = std::size_t{1} << 24;

  [[nodiscard]] static std::size_t class_of(std::size_t size) noexcept {
    if (size <= exact) return size == 0 ? 0 : size - 1;
    size = smaller(size, largest_size);
    const auto octave = static_cast<std::size_t>(std::bit_width(size - 1)) - 1;  // of 2^octave < size <= 2^(octave + 1)
    const std::size_t width = (std::size_t{1} << octave) / per_octave;
    const std::size_t into = (size - (std::size_t{1} << octave) + width - 1) / width;
    return exact + (octave - 7) * per_octave + into - 1;
  }
  /// The upper end of a class.
  [[nodiscard]] static double size_of(std::size_t at) noexcept {
    if (at < exact) return static_cast<double>(at + 1);
    const std::size_t octave = (at - exact) / per_octave + 7;
    const std::size_t into = (at - exact) % per_octave + 1;
    const std::size_t begin = std::size_t{1} << octave;
    const std::size_t width = begin / per_octave;
    return static_cast<double>(begin + into * width);
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
    const double slope = spread > 0 ? clamped(with / spread, 0.0, duration / size) : 0.0;
    return {duration - slope * size, slope};
  }

  /// The variance of a single batch around its size's mean, both in relation to that.
  [[nodiscard]] double noise_of_one() const noexcept {
    double sum = 0;
    for (const double ratio : unevenness_) sum += (ratio - 1) * (ratio - 1);
    return sum / static_cast<double>(unevenness_.size());
  }
  /// The variance of the sizes' true means around the line, in relation to it.
  [[nodiscard]] double misfit_of(const Line& line, double noise) const noexcept {
    double weights = 0, sum = 0, classes = 0;
    for (std::size_t at = 0; at < seen_.size(); ++at) {
      const double expected = line.at(size_of(at));
      if (seen_[at].count == 0 || expected <= 0) continue;
      const auto weight = static_cast<double>(seen_[at].count);
      const double off = seen_[at].mean / expected - 1;
      sum += weight * off * off;
      weights += weight;
      ++classes;
    }
    return weights == 0 ? 0 : larger(0.0, (sum - noise * classes) / weights);
  }

  /// From a size that is known to those above it.
  void extrapolate_up(std::size_t known, std::size_t end, double slope) noexcept {
    slope = smaller(slope, guesses_[known] / size_of(known));  // an item is not dearer in company
    for (std::size_t at = known + 1; at < end; ++at) {
      guesses_[at] = guesses_[known] + slope * (size_of(at) - size_of(known));
    }
  }
  /// To those below it.
  void extrapolate_down(std::size_t known, double slope) noexcept {
    const double steepest = guesses_[known] / size_of(known);
    slope = smaller(slope + (steepest - slope) * hope_, steepest);
    for (std::size_t at = 0; at < known; ++at) {
      guesses_[at] = guesses_[known] - slope * (size_of(known) - size_of(at));
    }
  }

  Late<std::vector<Class>, Used> seen_;
  Late<std::vector<double>, Used> guesses_;
  std::array<double, 128> unevenness_{};
  double hope_ = most_hope;  // how far sizes that were never seen are taken for cheap, so that they are tried at all
  std::size_t turn_ = 0;
  std::size_t known_ = 0;
  double typical_ = 0;
};
using BatchCosts = BasicBatchCosts<WhenUsed>;

}  // namespace batching::detail
