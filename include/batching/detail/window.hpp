// Window: who travels together and when they leave, decided without threads, timers or a clock.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/intake.hpp>
#include <batching/options.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

namespace batching::detail {

/// A moment, as the time since the epoch of whatever clock the batcher runs on.
using Time = std::chrono::nanoseconds;

/// A moment that does not come.
inline constexpr Time never = Time::max();

/// `from + by`, or `never` where that does not fit.
[[nodiscard]] constexpr Time later(Time from, std::chrono::nanoseconds by) noexcept {
  return from > Time::zero() && by > never - from ? never : from + by;
}

/// What the window knows of a submission: how many items, since when, and its place in the row. One per call, not per
/// item; the call's owner keeps it alive and in place while it waits. (The members stand in an order without gaps.)
struct Waiting : Mail {
  static constexpr Time unknown = Time::min();

  explicit Waiting(std::uint32_t items = 1) noexcept : Mail(Kind::submission), size(items) {}

  /// Set on the last call of a window that was closed by hand: nobody behind it travels with it.
  std::optional<CloseReason> sealed{};
  bool at_door = false;  // not in the row yet: it waits for room
  std::uint32_t size;    // items
  Time arrived = unknown;
  std::uint32_t taken = 0;  // items that have left, in a batch or otherwise

  [[nodiscard]] std::uint32_t left() const noexcept { return size - taken; }
  /// Once the mail is read, its links serve the row.
  [[nodiscard]] Waiting* behind() const noexcept { return static_cast<Waiting*>(next); }
  [[nodiscard]] Waiting* before() const noexcept { return static_cast<Waiting*>(back); }
};

/// `count` items of a call, from its item `first` on.
struct Slice {
  Waiting* call = nullptr;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

/// All who wait, first in, first out, and the partitions. The row is cut into batches as late as possible: when a
/// partition takes one. Until then whoever cancels leaves no gap, and an expired window keeps growing up to
/// `batch_size`. Every function takes constant time, but `next`, which takes as long as the batch it returns.
class Window {
 public:
  /// A batch that leaves.
  struct Departure {
    std::size_t partition = 0;
    std::size_t items = 0;
    CloseReason reason = CloseReason::size;
  };

  explicit Window(const Options& options)
      : batch_size_(options.batch_size),
        min_batch_size_(options.min_batch_size),
        batch_timeout_(options.batch_timeout),
        max_wait_(options.max_wait.value_or(never)),
        partitions_(options.partitions) {
    free_.reserve(partitions_);
    for (std::size_t partition = partitions_; partition > 0; --partition) free_.push_back(partition - 1);
  }

  /// A call joins the end of the row.
  void submit(Waiting& call) noexcept {
    call.back = last_;
    call.next = nullptr;
    if (last_ != nullptr) {
      last_->next = &call;
    } else {
      first_ = &call;
    }
    last_ = &call;
    waiting_ += call.left();
  }

  /// What still waits of this call leaves the row; returns how many items that were. Neighbours notice nothing, but for
  /// the clock, which runs from the oldest that is left.
  std::uint32_t withdraw(Waiting& call) noexcept {
    const std::uint32_t items = call.left();
    if (items == 0) return 0;
    call.taken = call.size;
    waiting_ -= items;
    if (call.sealed) {
      // The window stays closed for those before it, if there are any.
      if (call.before() != nullptr && !call.before()->sealed) {
        call.before()->sealed = call.sealed;
      } else {
        --seals_;
      }
    }
    unlink(call);
    return items;
  }

  /// Closes the open window: all who wait now leave as soon as partitions are free, without whoever comes later.
  void flush() noexcept { seal(CloseReason::flush); }

  /// The last flush: nobody comes later.
  void close() noexcept { seal(CloseReason::close); }

  /// Everybody leaves unserved: calls `left(call, items)` for each, first in, first out.
  template <class F>
  void stop(F left) {
    while (first_ != nullptr) {
      Waiting& call = *first_;
      left(call, withdraw(call));
    }
  }

  /// Who has waited longest; somebody has to.
  [[nodiscard]] Waiting& oldest() const noexcept { return *first_; }

  /// The batch on this partition is over, however it ended.
  void release(std::size_t partition) { free_.push_back(partition); }

  /// Can a batch leave now?
  [[nodiscard]] bool ready(Time now) const noexcept { return !free_.empty() && due() <= now; }

  /// When to ask again if nothing else happens; `never` if that cannot help, or if a batch can leave at once.
  [[nodiscard]] Time wake_at() const noexcept {
    const Time at = free_.empty() ? never : due();
    return at == at_once ? never : at;
  }

  /// The batch that leaves now, if one can: its slices are written to `batch` (emptied first), its partition is taken
  /// and its items wait no more.
  [[nodiscard]] std::optional<Departure> next(Time now, std::vector<Slice>& batch) {
    batch.clear();
    if (!ready(now)) return std::nullopt;
    const bool waits = batch_timeout_.count() > 0 || lacks_company();
    Departure departure{free_.back(), 0, CloseReason::size};
    free_.pop_back();
    std::optional<CloseReason> sealed;
    while (first_ != nullptr && departure.items < batch_size_ && !sealed) {
      Waiting& call = *first_;
      const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(call.left(), batch_size_ - departure.items));
      batch.push_back({&call, call.taken, count});
      departure.items += count;
      call.taken += count;
      if (call.left() > 0) break;
      if (call.sealed) {
        sealed = call.sealed;
        --seals_;
      }
      unlink(call);
    }
    waiting_ -= departure.items;
    if (departure.items < batch_size_) {
      departure.reason = sealed ? *sealed : waits ? CloseReason::timeout : CloseReason::idle;
    }
    return departure;
  }

  /// Items that wait.
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  /// Items that the window at the end of the row lacks; all of its room if the next item opens one.
  [[nodiscard]] std::size_t lacking_behind() const noexcept { return batch_size_ - waiting_ % batch_size_; }
  /// Do fewer wait than should leave by `batch_timeout`?
  [[nodiscard]] bool lacks_company() const noexcept { return waiting_ < min_batch_size_; }
  /// Batches that run.
  [[nodiscard]] std::size_t running() const noexcept { return partitions_ - free_.size(); }
  /// Is every partition taken?
  [[nodiscard]] bool busy() const noexcept { return free_.empty(); }

  /// Does leaving depend on the time at all? If not, `arrived` may stay unset, and any `now` will do.
  [[nodiscard]] static bool timed(const Options& options) noexcept {
    const auto by_time = [](std::chrono::nanoseconds limit) { return limit.count() > 0 && limit != never; };
    return options.batch_size > 1 && (by_time(options.batch_timeout) ||
                                      (options.min_batch_size > 1 && by_time(options.max_wait.value_or(never))));
  }

 private:
  static constexpr Time at_once = Time::min();

  /// When the first window may leave, partitions aside.
  [[nodiscard]] Time due() const noexcept {
    if (waiting_ == 0) return never;
    if (waiting_ >= batch_size_ || seals_ > 0) return at_once;
    const std::chrono::nanoseconds patience = lacks_company() ? max_wait_ : batch_timeout_;
    return patience.count() == 0 ? at_once : later(first_->arrived, patience);
  }

  void seal(CloseReason reason) noexcept {
    if (last_ == nullptr || last_->sealed) return;
    last_->sealed = reason;
    ++seals_;
  }

  void unlink(Waiting& call) noexcept {
    Waiting* behind = call.behind();
    if (call.before() != nullptr) {
      call.before()->next = behind;
    } else {
      first_ = behind;
    }
    if (behind != nullptr) {
      behind->back = call.before();
    } else {
      last_ = call.before();
    }
  }

  std::size_t batch_size_;
  std::size_t min_batch_size_;
  std::chrono::nanoseconds batch_timeout_;
  std::chrono::nanoseconds max_wait_;
  std::size_t partitions_;
  std::vector<std::size_t> free_;  // partitions, the one used last at the back
  Waiting* first_ = nullptr;
  Waiting* last_ = nullptr;
  std::size_t waiting_ = 0;
  std::size_t seals_ = 0;
};

}  // namespace batching::detail
