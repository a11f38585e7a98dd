// Row: those who may travel together, in the order in which they will.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/chain.hpp>
#include <batching/detail/deadlines.hpp>
#include <batching/detail/duplicates.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/fingerprint.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/label.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/detail/window_rules.hpp>
#include <batching/options.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

/// Everybody, or everybody of one key. Higher priorities first, first in, first out within each; nobody starves: when
/// so many batches have left in a row without anybody of some priority who waits, the next begins with those.
///
/// A large call does not hold up those behind it: while there are any, it gets half of each batch (not where items have
/// weights, nor among those that were flushed).
///
/// The row is cut into batches as late as possible: when a partition takes one. Until then whoever cancels leaves no
/// gap, and an expired window keeps growing up to `batch_size`. Every function takes time in the number of priorities
/// in use, but `take`, which also takes as long as the batch that it returns.
template <class Used>
class BasicRow final : public Deadline, public Indexed {
 public:
  using Slices = Late<std::vector<Slice>, Used>;
  using Duplicates = BasicDuplicates<Used>;
  static constexpr std::uint32_t most_passed_over = 64;
  /// A call of so many batches is large: it leaves half of each batch to those behind it.
  static constexpr std::uint32_t most_batches = 4;
  static constexpr std::uint32_t most_items = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t none = static_cast<std::size_t>(-1);
  static constexpr int most_skipped = 8;  // large calls that are looked behind

  explicit BasicRow(const WindowRules& rules, Label::Ptr of = nullptr)
      : label(std::move(of)),
        duplicates(rules.dedup ? make_owned<Duplicates>(rules.dedup, rules.most_batch_size) : nullptr),
        rules_(rules) {}
  BasicRow(const BasicRow&) = delete;
  BasicRow& operator=(const BasicRow&) = delete;

  /// For the window, which has one for each key.
  const Label::Ptr label;
  std::uint64_t served = 0;            // when a batch of it left, or when it began
  bool ready = false;                  // among those that can leave
  const Owned<Duplicates> duplicates;  // if there are to be any

  [[gnu::always_inline]] void submit(Waiting& call) {
    level_of(call.priority).push(call);
    items_ += call.left();
  }
  void submit_part(Part& part) {
    submit(part);
    if (rules_.weighted) gain(part.weight);
  }

  /// What still waits of this call leaves; returns how many items that were.
  std::uint32_t withdraw(Waiting& call) noexcept {
    const std::uint32_t items = call.left();
    if (items == 0) return 0;
    items_ -= items;
    if (rules_.weighted) lose(static_cast<Part&>(call).weight);
    call.taken = call.size;
    // The window stays closed for those before it, if there are any.
    if (call.sealed && call.before() != nullptr && !call.before()->sealed) call.before()->sealed = call.sealed;
    chain_of(call).unlink(call);
    forget_empty();
    return items;
  }

  /// `by` stands where `part` stood, with its time and its priority.
  void replace(Part& part, Part& by) noexcept {
    by.arrived = part.arrived;
    by.priority = part.priority;
    by.sealed = part.sealed;
    chain_of(part).replace(part, by);
    if (rules_.weighted) {
      lose(part.weight);
      gain(by.weight);
    }
  }
  /// From now on it is of that priority, where it belongs by its time.
  void raise(Part& part, std::int32_t priority) {
    (void)level_of(priority);  // may move the others
    chain_of(part).unlink(part);
    part.priority = priority;
    level_with(priority).insert_by_time(part);
    forget_empty();
  }

  /// Nobody who comes later travels with those who wait now, or before them.
  void seal(CloseReason reason) noexcept {
    const Waiting* last = closed_.last;
    for (Level& level : levels_) {
      closed_.append(level);
      level = Level{{}, level.priority};
    }
    if (closed_.last != last) closed_.last->sealed = {true, reason};
    if (duplicates) duplicates->clear();
    forget_empty();
  }

  /// The window at the head of the row; its slices are added to `batch`. Somebody has to wait.
  [[nodiscard]] Departure take(Slices& batch) {
    const bool waited = rules_.batch_timeout.count() > 0 || lacks_company();
    Departure departure;
    Seal sealed;
    bool room = true;
    if (!closed_.empty()) {
      room = take_from(closed_, departure, sealed, batch);
    } else {
      Level* aged = passed_over();
      if (aged != nullptr) room = take_from(*aged, departure, sealed, batch);
      for (auto level = levels_.begin(); room && level != levels_.end(); ++level) {
        if (&*level != aged) room = take_from(*level, departure, sealed, batch);
      }
    }
    items_ -= departure.items;
    if (rules_.weighted) lose(departure.weight);
    for (Level& level : levels_) level.passed = std::exchange(level.served, false) ? 0 : level.passed + 1;
    forget_empty();
    departure.reason = departure.weight == rules_.batch_size ? CloseReason::size
                       : !room                               ? CloseReason::weight
                       : sealed                              ? sealed.reason
                       : waited                              ? CloseReason::timeout
                                                             : CloseReason::idle;
    return departure;
  }

  [[nodiscard]] std::size_t items() const noexcept { return items_; }
  /// What `batch_size` bounds.
  [[nodiscard]] std::size_t size() const noexcept {
    return !rules_.weighted ? items_ : carried_ > 0 ? std::numeric_limits<std::size_t>::max() : weight_;
  }
  /// Do fewer wait than should leave by `batch_timeout`?
  [[nodiscard]] bool lacks_company() const noexcept {
    return size() < rules_.min_batch_size && rules_.min_batch_size > 1;  // an item may weigh nothing
  }
  /// Whoever arrived first, of the lowest priority if that is not clear; somebody has to wait.
  [[nodiscard]] Waiting& oldest() const noexcept {
    Waiting* oldest = closed_.first;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      Waiting* first = level->first;
      if (oldest == nullptr || (first != nullptr && first->arrived < oldest->arrived)) oldest = first;
    }
    return *oldest;
  }
  /// When the first window may leave, partitions aside: `WindowRules::at_once`, at some time, or `never`.
  [[nodiscard]] Time due() const noexcept {
    if (items_ == 0) return never;
    if (size() >= rules_.batch_size || !closed_.empty()) return WindowRules::at_once;
    const std::chrono::nanoseconds patience = lacks_company() ? rules_.max_wait : rules_.batch_timeout;
    return patience.count() == 0 ? WindowRules::at_once : later(oldest().arrived, patience);
  }

 private:
  /// Those of one priority.
  struct Level : Chain {
    std::int32_t priority = 0;
    bool served = false;       // by the batch that is being taken
    std::uint32_t passed = 0;  // batches that have left in a row without any of these
  };
  using Levels = Late<std::vector<Level, RecyclingAllocator<Level>>, Used>;

  void gain(std::size_t weight) noexcept {
    weight_ += weight;
    if (weight_ < weight) ++carried_;
  }
  void lose(std::size_t weight) noexcept {
    if (weight_ < weight) --carried_;
    weight_ -= weight;
  }

  Level& level_of(std::int32_t priority) {
    if (levels_.front().priority == priority) [[likely]]
      return levels_.front();
    return other_level(priority);
  }
  [[gnu::cold]] Level& other_level(std::int32_t priority) {
    if (items_ == 0) {
      levels_.front() = Level{{}, priority};
      return levels_.front();
    }
    auto at = levels_.begin();
    while (at != levels_.end() && at->priority > priority) ++at;
    if (at != levels_.end() && at->priority == priority) return *at;
    return *levels_.insert(at, Level{{}, priority});
  }
  /// The call is among its priority's, or in a window that was closed by hand.
  Chain& chain_of(const Waiting& call) noexcept { return closed_.ends_in(call) ? closed_ : level_with(call.priority); }
  /// There is one, unless who has that priority is in a window that was closed by hand; then it does not matter which.
  Level& level_with(std::int32_t priority) noexcept {
    auto at = levels_.begin();
    while (at != levels_.end() - 1 && at->priority != priority) ++at;
    return *at;
  }
  /// One level stays in any case.
  void forget_empty() noexcept {
    if (levels_.size() == 1) return;
    std::erase_if(levels_, [](const Level& level) { return level.empty(); });
    if (levels_.empty()) levels_.emplace_back();  // there is room for it
  }
  /// Those who have been passed over for too long; the longest, if there are several.
  [[nodiscard]] Level* passed_over() noexcept {
    if (levels_.size() == 1) return nullptr;
    Level* most = &levels_.front();
    for (Level& level : levels_) {
      if (level.passed > most->passed) most = &level;
    }
    return most->passed < most_passed_over ? nullptr : most;
  }

  /// False when the batch has room no more; up to a seal.
  bool take_from(Level& level, Departure& departure, Seal& sealed, Slices& batch) {
    if (level.empty()) return true;
    if (rules_.weighted) return take_by_weight(level, departure, sealed, batch);
    level.served = true;
    std::size_t room = rules_.batch_size - departure.weight;
    const std::size_t room_before = room;
    std::size_t large = none;
    int skipped = 0;
    const std::uint32_t large_from = closed_.empty() ? at_least_large() : most_items;
    // Most calls leave whole, one behind the other.
    Waiting* next = level.first;
    for (; next != nullptr && next->left() <= room && next->left() < large_from && !next->sealed;
         next = next->behind()) {
      const std::uint32_t left = next->left();
      batch.push_back({next, next->taken, left});
      room -= left;
      next->taken = next->size;
    }
    level.unlink_before(next);
    while (next != nullptr && room > 0 && skipped < most_skipped) {
      Waiting& call = *next;
      next = call.behind();
      const std::uint32_t left = call.left();
      if (left >= large_from && next != nullptr) [[unlikely]] {
        // Half of the batch is for those behind it; of an odd number, the larger half by turns.
        if (large == none) {
          large = batch.size();
          odd_ = !odd_;
          const std::size_t half = smaller(room, (rules_.batch_size + (odd_ ? 1 : 0)) / 2);
          batch.push_back({&call, call.taken, static_cast<std::uint32_t>(half)});
          room -= half;
        } else {
          ++skipped;
        }
        continue;
      }
      const auto count = static_cast<std::uint32_t>(smaller<std::size_t>(left, room));
      batch.push_back({&call, call.taken, count});
      room -= count;
      call.taken += count;
      if (count < left) {
        departure.split = true;
        break;
      }
      level.unlink(call);
      if (call.sealed) {
        sealed = call.sealed;
        break;
      }
    }
    if (large != none) {
      Slice& slice = batch[large];
      slice.count += static_cast<std::uint32_t>(std::exchange(room, 0));  // there were too few for the other half
      slice.call->taken += slice.count;
      departure.split = true;
      if (slice.count == 0) batch.erase(batch.begin() + static_cast<std::ptrdiff_t>(large));
    }
    departure.items += room_before - room;
    departure.weight += room_before - room;
    return room > 0;
  }
  /// Items of a call that is large.
  [[nodiscard]] std::uint32_t at_least_large() const noexcept {
    return rules_.batch_size > most_items / most_batches ? most_items
                                                         : static_cast<std::uint32_t>(rules_.batch_size) * most_batches;
  }
  bool take_by_weight(Level& level, Departure& departure, Seal& sealed, Slices& batch) {
    while (!level.empty() && departure.weight < rules_.batch_size) {
      Part& part = static_cast<Part&>(*level.first);
      if (part.weight > rules_.batch_size - departure.weight) return false;
      batch.push_back({&part, part.taken, 1});
      level.served = true;
      part.taken = 1;
      ++departure.items;
      departure.weight += part.weight;
      level.unlink(part);
      if (part.sealed) {
        sealed = part.sealed;
        return true;
      }
    }
    return departure.weight < rules_.batch_size;
  }

  const WindowRules& rules_;
  Levels levels_ = Levels(1);  // the highest first
  std::size_t items_ = 0;
  std::size_t weight_ = 0;   // where items have one; the lower digits
  std::size_t carried_ = 0;  // and the upper
  bool odd_ = false;
  Level closed_;  // windows that were closed by hand, each up to its seal; they leave before all others
};
using Row = BasicRow<WhenUsed>;

}  // namespace batching::detail
