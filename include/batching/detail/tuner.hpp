// Tuner: moves batch_size and batch_timeout towards the target latency, by what has arrived and what batches cost.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/adaptive.hpp>
#include <batching/detail/arrivals.hpp>
#include <batching/detail/batch_costs.hpp>
#include <batching/detail/latencies.hpp>
#include <batching/detail/replay.hpp>
#include <batching/detail/time.hpp>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

namespace batching::detail {

/// The simple rule: additive steps, and a dead band around the target so that it comes to rest. (Clipper grows by
/// addition and shrinks by multiplication, from which it never rests: Crankshaw and others, NSDI 2017.) Every decision
/// is about batches that ran since the last one.
class AdditiveRule {
 public:
  static constexpr std::size_t step = 4;
  static constexpr std::size_t batches = 64;  // seen before a decision

  /// The whole batch counts as late as its oldest item.
  [[nodiscard]] std::size_t finished(const Adaptive& adaptive, std::size_t batch_size, std::size_t items,
                                     double latency) {
    latencies_.add(latency, items);
    if (++seen_ < batches) return batch_size;
    const double measured = latencies_.quantile(adaptive.quantile);
    const auto target = static_cast<double>(adaptive.target_latency.count());
    seen_ = 0;
    latencies_.clear();
    if (measured < 0.9 * target) return batch_size + std::min(step, adaptive.max_batch_size - batch_size);
    if (measured > 1.1 * target) return batch_size - std::min(step, batch_size - adaptive.min_batch_size);
    return batch_size;
  }

 private:
  Latencies latencies_;
  std::size_t seen_ = 0;
};

/// In rounds: the latest arrivals are replayed under the present setting and some forty others, two replays a batch; a
/// setting that was clearly better in several rounds in a row, or far better in fewer, is moved to. Every move makes
/// the next one wait longer for a while: whatever makes two settings look better by turns, they are not alternated
/// between.
///
/// What waited all the time since the last round is a standing queue, and waits also when the replay begins: else a
/// setting that falls behind slowly would look well over the few arrivals that are kept. (The measure of CoDel: Nichols
/// and Jacobson, 2012.)
class ReplayRule {
 public:
  static constexpr std::size_t first_after = 32;                 // batches
  static constexpr Time pause = std::chrono::microseconds(250);  // between replays, where batches are faster than that
  static constexpr int most_replays = 2;                         // when a batch is over

  ReplayRule(const Adaptive& adaptive, std::size_t partitions)
      : adaptive_(adaptive),
        costs_(adaptive.max_batch_size),
        leading_(std::min<std::size_t>(partitions, 8)),
        partitions_(static_cast<double>(partitions)),
        replay_(partitions) {
    candidates_.reserve(most_candidates);
  }

  void arrived(Time at, std::uint32_t items) noexcept { arrivals_.add(at, items); }

  [[nodiscard]] Setting finished(const Setting& now, std::size_t size, Time started, Time ended, Time oldest_arrived) {
    costs_.learn(size, std::max(0.0, static_cast<double>((ended - started).count())));
    arrivals_.together(Time(static_cast<Time::rep>(costs_.typical() * static_cast<double>(leading_ + 1) / 16)),
                       leading_);
    const std::uint64_t came = arrivals_.between(oldest_arrived, started);
    standing_ = std::min(standing_, came - std::min<std::uint64_t>(came, size));
    if (costs_.known() < first_after) return now;
    for (int i = 0; i < most_replays && next_ <= ended; ++i) {
      next_ = std::max(later(next_, pause), later(ended, -pause));
      if (phase_ == Phase::rest) {
        if (arrivals_.added() < news_from_) return now;
        begin(now);
      }
      if (next_candidate_ == candidates_.size()) propose();
      if (phase_ == Phase::rest) return decide(now);
      consider(candidates_[next_candidate_++]);
    }
    return now;
  }

 private:
  enum class Phase : std::uint8_t { rest, sizes, timeouts, sizes_again };
  static constexpr std::size_t most_candidates = 64;
  static constexpr double clearly = 0.03;
  static constexpr double urgently = 0.1;
  static constexpr double far = 0.25;
  static constexpr double least_patience = 2;
  static constexpr double most_patience = 12;

  void begin(const Setting& now) {
    costs_.settle();
    news_from_ = arrivals_.added() + Arrivals::groups / 16;
    replay_.record(arrivals_, std::min(standing_, most_standing));
    standing_ = std::numeric_limits<std::uint64_t>::max();
    busiest_ = std::max(busiest_ * 0.98, arrivals_.rate());
    best_ = now;
    best_score_ = score_now_ = score(now);
    phase_ = Phase::sizes;
    candidates_.clear();
    next_candidate_ = 0;
    candidates_.push_back({adaptive_.max_batch_size, adaptive_.min_batch_timeout});
    propose_sizes();
  }

  /// A size and a timeout are looked for by turns, each along the whole line: costs in steps have many valleys.
  void propose() {
    candidates_.clear();
    next_candidate_ = 0;
    switch (phase_) {
      case Phase::sizes:
        phase_ = Phase::timeouts;
        line_ = best_;
        propose_timeouts();
        break;
      case Phase::timeouts:
        phase_ = best_ == line_ ? Phase::rest : Phase::sizes_again;
        if (phase_ != Phase::rest) propose_sizes();
        break;
      case Phase::sizes_again:
      case Phase::rest:
        phase_ = Phase::rest;
    }
  }
  void propose_sizes() {
    const auto propose = [&](std::size_t size) {
      if (size < adaptive_.min_batch_size || size > adaptive_.max_batch_size) return;
      candidates_.push_back({size, best_.batch_timeout});
    };
    propose(adaptive_.max_batch_size);
    for (std::size_t size = std::size_t{1} << 24; size > 0; size /= 2) {
      if (size < adaptive_.max_batch_size) propose(size);
      if (size > 1) propose(size / 4 * 3);
    }
    propose(adaptive_.min_batch_size);
    propose(costs_.last_before_step());
  }
  void propose_timeouts() {
    const Time most =
        std::max(adaptive_.min_batch_timeout, std::min(adaptive_.max_batch_timeout, adaptive_.target_latency));
    const auto typical = static_cast<std::uint64_t>(std::clamp(costs_.typical(), 1.0, 1e15));
    candidates_.push_back({best_.batch_size, adaptive_.min_batch_timeout});
    Time timeout(static_cast<Time::rep>(std::bit_floor(typical)) * 4);
    for (int i = 0; i < 7; ++i, timeout /= 2) {
      if (timeout > adaptive_.min_batch_timeout && timeout < most) candidates_.push_back({best_.batch_size, timeout});
    }
    candidates_.push_back({best_.batch_size, most});
  }

  void consider(const Setting& candidate) {
    const double score_of_it = score(candidate);
    if (score_of_it < best_score_ * 0.999) {
      best_ = candidate;
      best_score_ = score_of_it;
    }
  }
  /// The mean latency, and beyond the target the worse the farther. A size with which the partitions would hardly keep
  /// up has to be the better for it: the next minutes may be busier. Where nothing else makes a difference, larger
  /// batches are the better ones.
  [[nodiscard]] double score(const Setting& setting) {
    const auto size = static_cast<double>(setting.batch_size);
    const Replay::Outcome outcome = replay_.run(setting, costs_, adaptive_.quantile);
    const double excess = std::max(1.0, outcome.quantile / static_cast<double>(adaptive_.target_latency.count()));
    const double load = std::min(1.2, busiest_ * costs_.of(setting.batch_size) / size / partitions_);
    const double halvings = std::min(7.0, std::log2(static_cast<double>(adaptive_.max_batch_size) / size));
    return outcome.mean * excess * excess * excess * (1 + 0.15 * load * load + 0.005 * halvings);
  }

  [[nodiscard]] Setting decide(const Setting& now) {
    patience_ = std::max(least_patience, patience_ * 0.98);
    const double gain = 1 - best_score_ / score_now_;
    const bool grows = best_.batch_size > now.batch_size;
    better_ = gain > (grows && !shrunk_ ? 0.0 : clearly) ? better_ + 1 : 0;
    if (better_ == 0) return now;
    const double needed = grows && gain > urgently ? 1 : gain > far ? patience_ / 2 : patience_;
    if (better_ < needed) return now;
    better_ = 0;
    patience_ = std::min(1.5 * patience_, most_patience);
    shrunk_ = shrunk_ || best_.batch_size < now.batch_size;
    return best_;
  }

  static constexpr std::uint64_t most_standing = 16384;

  Adaptive adaptive_;
  Arrivals arrivals_;
  BatchCosts costs_;
  std::size_t leading_;
  double partitions_;
  double busiest_ = 0;  // items per nanosecond
  Replay replay_;
  std::uint64_t standing_ = std::numeric_limits<std::uint64_t>::max();
  Time next_{0};
  std::uint64_t news_from_ = 0;

  Phase phase_ = Phase::rest;
  std::vector<Setting> candidates_;
  std::size_t next_candidate_ = 0;
  Setting line_;
  Setting best_;
  double best_score_ = 0;
  double score_now_ = 0;

  double patience_ = least_patience;
  double better_ = 0;  // rounds in a row
  bool shrunk_ = false;
};

/// It has no clock and no thread: times come in as values, a setting comes out. Not thread-safe. Nothing is allocated
/// after the construction.
class Tuner {
 public:
  Tuner(const Adaptive& adaptive, std::size_t partitions, Setting initial) : adaptive_(adaptive), setting_(initial) {
    if (adaptive.policy == Adaptive::Policy::replay) replay_ = std::make_unique<ReplayRule>(adaptive, partitions);
    setting_.batch_size = std::clamp(initial.batch_size, adaptive.min_batch_size, adaptive.max_batch_size);
    setting_.batch_timeout = std::clamp(initial.batch_timeout, adaptive.min_batch_timeout, adaptive.max_batch_timeout);
  }

  /// Items were submitted. Constant time.
  void arrived(Time at, std::uint32_t items) noexcept {
    if (replay_) replay_->arrived(at, items);
  }

  /// A batch is over; true if the setting is another one now.
  bool finished(std::size_t size, Time started, Time ended, Time oldest_arrived) {
    if (size == 0) return false;
    const Setting before = setting_;
    if (replay_) {
      setting_ = replay_->finished(setting_, size, started, ended, oldest_arrived);
    } else {
      const auto latency = static_cast<double>((ended - oldest_arrived).count());
      setting_.batch_size = additive_.finished(adaptive_, setting_.batch_size, size, latency);
    }
    return setting_ != before;
  }

  [[nodiscard]] const Setting& setting() const noexcept { return setting_; }

 private:
  Adaptive adaptive_;
  AdditiveRule additive_;
  std::unique_ptr<ReplayRule> replay_;  // 40 KiB
  Setting setting_;
};

}  // namespace batching::detail
