// Tuner: moves batch_size and batch_timeout towards the target latency, by what has arrived and what batches cost.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/adaptive.hpp>
#include <batching/detail/arrivals.hpp>
#include <batching/detail/batch_costs.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/latencies.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/replay.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>

#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace batching::detail {

/// The simple rule: additive steps, and a dead band around the target so that it comes to rest. (Clipper grows by
/// addition and shrinks by multiplication, from which it never rests: Crankshaw and others, NSDI 2017.) Every decision
/// is about batches that ran since the last one.
template <class Used>
class BasicAdditiveRule {
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
    if (measured < 0.9 * target) return batch_size + smaller(step, adaptive.max_batch_size - batch_size);
    if (measured > 1.1 * target) return batch_size - smaller(step, batch_size - adaptive.min_batch_size);
    return batch_size;
  }

 private:
  Late<Latencies, Used> latencies_;
  std::size_t seen_ = 0;
};
using AdditiveRule = BasicAdditiveRule<WhenUsed>;

/// Follows the leader. In rounds, a few replays with each batch that is over, the latest arrivals are replayed under
/// every setting of a grid: sizes by powers of two, timeouts from what a single item costs down to a sixteenth of it.
/// Each setting keeps the mean of its latest rounds, the one with the lowest is the leader, and is moved to when it is
/// clearly better than the present one. As all settings are judged by the same arrivals, whether they were in use or
/// not, this cannot do much worse in the long run than the best of them (Hannan, 1957; Kalai and Vempala, 2005); and
/// what was learnt under one load is not thrown away with the first gust of another. Every move makes the next one
/// harder for a while: whatever makes two settings look better by turns, they are not alternated between.
///
/// A mean over the past is blind to a load that grows, so two things look ahead. Every second round is replayed faster
/// than it was. And a setting with which the partitions could not keep up with the present rate is charged with the
/// queue that would stand until the tuner had noticed: at once, not when it shows in the mean.
///
/// What waited all the time since the last round is a standing queue, and waits also when the replay begins: else a
/// setting that falls behind slowly would look well over the few arrivals that are kept. (The measure of CoDel: Nichols
/// and Jacobson, 2012.)
template <class Used>
class BasicReplayRule {
 public:
  static constexpr std::size_t first_after = 32;  // batches
  static constexpr Time pause{250'000};           // between replays, where batches are faster than that
  static constexpr int most_replays = 2;          // when a batch is over

  BasicReplayRule(const Adaptive& adaptive, std::size_t partitions)
      : adaptive_(adaptive),
        costs_(adaptive.max_batch_size),
        leading_(smaller<std::size_t>(partitions, 8)),
        partitions_(static_cast<double>(partitions)),
        replay_(partitions) {
    const auto powers = static_cast<std::size_t>(std::bit_width(smaller(adaptive.max_batch_size, largest)));
    candidates_.reserve((powers + 3) * timeouts + 1);
    before_.reserve(candidates_.capacity());
  }

  void arrived(Time at, std::uint32_t items) noexcept { arrivals_.add(at, items); }

  [[nodiscard]] Setting finished(const Setting& now, std::size_t size, Time started, Time ended, Time oldest_arrived) {
    costs_.learn(size, larger(0.0, static_cast<double>((ended - started).count())));
    const double each = costs_.typical() / partitions_;  // from one batch to the next
    arrivals_.together(Time(static_cast<Time::rep>(each * static_cast<double>(leading_ + 1) / 16)), leading_);
    const std::uint64_t came = arrivals_.between(oldest_arrived, started);
    standing_ = smaller(standing_, came - smaller<std::uint64_t>(came, size));
    if (costs_.known() < first_after) return now;
    for (int i = 0; i < most_replays && next_ <= ended; ++i) {
      next_ = larger(later(next_, pause), later(ended, -pause));
      if (next_candidate_ == candidates_.size()) {
        if (arrivals_.added() < news_from_) return now;
        begin(now);
      }
      consider(candidates_[next_candidate_++]);
      if (next_candidate_ == candidates_.size()) return decide(now);
    }
    return now;
  }

 private:
  struct Candidate {
    Setting setting;
    double loss = 0;  // the mean of its latest rounds
    double rounds = 0;
  };
  static constexpr std::size_t timeouts = 6;
  static constexpr std::size_t largest = std::size_t{1} << 16;  // that is tried, but for the bounds
  static constexpr double memory = 8;                           // rounds
  static constexpr double faster = 1.1;                         // every second round
  static constexpr double noticing = 100;                       // batches until a queue that grows is noticed
  static constexpr double clearly = 0.03;                       // better
  static constexpr double at_most = 0.2;                        // has to be better
  static constexpr std::uint64_t most_standing = 16384;

  void begin(const Setting& now) {
    costs_.settle();
    news_from_ = arrivals_.added() + Late<Arrivals, Used>::groups / 16;
    replay_.record(arrivals_, smaller(standing_, most_standing));
    standing_ = std::numeric_limits<std::uint64_t>::max();
    rate_ = larger(rate_ * 0.9, arrivals_.rate());
    pace_ = pace_ == 1 ? faster : 1;
    std::swap(candidates_, before_);
    candidates_.clear();
    next_candidate_ = 0;
    propose(now);
  }

  void propose(const Setting& now) {
    const Candidate* present = find(before_, now);
    const Candidate history = present != nullptr ? *present : Candidate{};
    const auto add = [&](std::size_t size, Time timeout) {
      const Setting setting{size, timeout};
      if (size < adaptive_.min_batch_size || size > adaptive_.max_batch_size) return;
      if (timeout < adaptive_.min_batch_timeout || timeout > adaptive_.max_batch_timeout) return;
      if (find(candidates_, setting) != nullptr) return;
      const Candidate* known = find(before_, setting);
      candidates_.push_back(known != nullptr ? *known : Candidate{setting, history.loss, history.rounds});
    };
    const auto single = static_cast<std::uint64_t>(clamped(costs_.of(1), 1.0, 1e15));
    Time timeout = adaptive_.min_batch_timeout;
    Time next(static_cast<Time::rep>(std::bit_floor(single)));
    add(now.batch_size, now.batch_timeout);
    for (std::size_t i = 0; i < timeouts; ++i, timeout = next, next /= 2) {
      add(adaptive_.max_batch_size, timeout);
      add(adaptive_.min_batch_size, timeout);
      add(costs_.last_before_step(), timeout);
      for (std::size_t size = 1; size < adaptive_.max_batch_size && size <= largest; size *= 2) add(size, timeout);
    }
  }
  [[nodiscard]] static const Candidate* find(const std::vector<Candidate>& list, const Setting& setting) noexcept {
    for (const Candidate& candidate : list) {
      if (candidate.setting == setting) return &candidate;
    }
    return nullptr;
  }

  /// The mean latency, and beyond the target the worse the farther. One item in so many waits for the whole timeout:
  /// the last before a pause. Its first rounds count less than the later ones: costs were hardly known.
  void consider(Candidate& candidate) {
    const Setting& setting = candidate.setting;
    const auto outcome = replay_.run(setting, costs_, adaptive_.quantile, pace_);
    const double excess = larger(1.0, outcome.quantile / static_cast<double>(adaptive_.target_latency.count()));
    const double mean = outcome.mean + 0.005 * static_cast<double>(setting.batch_timeout.count());
    const double loss = mean * excess * excess * excess;
    ++candidate.rounds;
    candidate.loss += (loss - candidate.loss) / smaller(memory, 1 + 0.7 * (candidate.rounds - 1));
  }
  /// What a queue that grows would cost until it is noticed.
  [[nodiscard]] double overload(const Setting& setting) const noexcept {
    const double load = rate_ * costs_.of(setting.batch_size) / static_cast<double>(setting.batch_size) / partitions_;
    return larger(0.0, 1.02 * load - 1) * noticing / 2 * costs_.typical() / partitions_;
  }

  [[nodiscard]] Setting decide(const Setting& now) {
    Setting best = now;
    double least = std::numeric_limits<double>::max();
    double present = least;
    for (const Candidate& candidate : candidates_) {
      const double total = candidate.loss + overload(candidate.setting);
      if (candidate.setting == now) present = total;
      if (total >= least) continue;
      least = total;
      best = candidate.setting;
    }
    needed_ = larger(clearly, needed_ * 0.95);
    const bool grows = best.batch_size > now.batch_size;
    // Under large batches small ones are seen too, when few wait: so they are tried first, and for nothing.
    if (least >= present * (1 - (grows && !shrunk_ ? 0 : needed_))) return now;
    needed_ = smaller(2 * needed_, at_most);
    shrunk_ = shrunk_ || best.batch_size < now.batch_size;
    return best;
  }

  Adaptive adaptive_;
  Late<Arrivals, Used> arrivals_;
  Late<BatchCosts, Used> costs_;
  std::size_t leading_;
  double partitions_;
  Late<Replay, Used> replay_;
  double rate_ = 0;  // items per nanosecond, the highest of late
  double pace_ = 1;
  std::uint64_t standing_ = std::numeric_limits<std::uint64_t>::max();
  Time next_{0};
  std::uint64_t news_from_ = 0;

  Late<std::vector<Candidate>, Used> candidates_;
  Late<std::vector<Candidate>, Used> before_;  // those of the last round
  std::size_t next_candidate_ = 0;
  double needed_ = clearly;
  bool shrunk_ = false;
};
using ReplayRule = BasicReplayRule<WhenUsed>;

/// It has no clock and no thread: times come in as values, a setting comes out. Not thread-safe. Nothing is allocated
/// after the construction.
template <class Used>
class BasicTuner {
 public:
  BasicTuner(const Adaptive& adaptive, std::size_t partitions, Setting initial)
      : adaptive_(adaptive), setting_(initial) {
    if (adaptive.policy == Adaptive::Policy::replay) replay_ = make_owned<ReplayRule>(adaptive, partitions);
    setting_.batch_size = clamped(initial.batch_size, adaptive.min_batch_size, adaptive.max_batch_size);
    setting_.batch_timeout = clamped(initial.batch_timeout, adaptive.min_batch_timeout, adaptive.max_batch_timeout);
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
  Late<AdditiveRule, Used> additive_;
  Late<Owned<ReplayRule>, Used> replay_;  // 45 KiB
  Setting setting_;
};
using Tuner = BasicTuner<WhenUsed>;

}  // namespace batching::detail
