// Window: who travels together and when they leave, decided without threads, timers or a clock.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/deadlines.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/label.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/row.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/options.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace batching::detail {

/// All who wait, and the partitions. Without keys there is one row. With keys each has its own for as long as somebody
/// waits in it; of those that can leave, the one goes first that was served, or began, the longest ago: so keys share
/// the partitions fairly, and among those that have just begun the oldest is the first.
///
/// With weights or keys, what is submitted and what leaves are the `Part`s of calls.
template <class Used>
class BasicWindow {
 public:
  using Row = BasicRow<Used>;
  explicit BasicWindow(const Options& options)
      : rules_(options),
        keyed_(options.key.given),
        adapts_(options.adaptive.has_value()),
        in_parts_(WindowRules::in_parts(options)),
        partitions_(options.partitions),
        threshold_(options.dedup.threshold),
        only_(rules_) {
    free_.reserve(partitions_);
    for (std::size_t partition = partitions_; partition > 0; --partition) free_.push_back(partition - 1);
  }

  BasicWindow(const BasicWindow&) = delete;
  BasicWindow& operator=(const BasicWindow&) = delete;
  ~BasicWindow() {
    rows_.for_each([](Indexed& row) { destroy(&static_cast<Row&>(row), RecyclingAllocator<void>()); });
  }

  /// A call joins its row, behind all of its priority.
  void submit(Waiting& call) {
    if (in_parts_) [[unlikely]] {
      submit_part(static_cast<Part&>(call));
    } else {
      submit_whole(call);
    }
  }
  /// The same, for whoever knows that calls do not wait in parts.
  [[gnu::always_inline]] void submit_whole(Waiting& call) { only_.submit(call); }

  /// What still waits of this call leaves the row; returns how many items that were. Neighbours notice nothing, but for
  /// the clock, which runs from the oldest that is left.
  std::uint32_t withdraw(Waiting& call) {
    if (call.left() == 0) return 0;
    return in_parts_ ? withdraw_part(static_cast<Part&>(call)) : only_.withdraw(call);
  }

  /// Closes the open windows: all who wait now leave as soon as partitions are free, without whoever comes later.
  void flush() { seal(CloseReason::flush); }

  /// The last flush: nobody comes later.
  void close() { seal(CloseReason::close); }

  /// How alike two items have to be to share an answer. Any thread.
  void set_threshold(double threshold) noexcept { threshold_.store(threshold, std::memory_order_relaxed); }

  /// From now on windows are of this size, and wait so long.
  void set(std::size_t batch_size, std::chrono::nanoseconds batch_timeout) {
    rules_.batch_size = batch_size;
    rules_.batch_timeout = batch_timeout;
    rows_.for_each([this](Indexed& row) { sort(static_cast<Row&>(row)); });
  }

  /// Who has waited longest; somebody has to.
  [[nodiscard]] Waiting& oldest() const noexcept { return in_parts_ ? *oldest_ : only_.oldest(); }

  /// The batch on this partition is over, however it ended.
  void release(std::size_t partition) { free_.push_back(partition); }

  /// Can a batch leave now?
  [[nodiscard]] bool ready(Time now) const noexcept { return !free_.empty() && due() <= now; }

  /// When to ask again if nothing else happens; `never` if that cannot help, or if a batch can leave at once.
  [[nodiscard]] Time wake_at() const noexcept {
    const Time at = free_.empty() ? never : due();
    return at == WindowRules::at_once ? never : at;
  }

  /// The batch that leaves now, if one can: its slices are written to `batch` (emptied first), its partition is taken
  /// and its items wait no more.
  [[nodiscard]] Late<std::optional<Departure>, Used> next(Time now, std::vector<Slice>& batch) {
    batch.clear();
    if (!ready(now)) return std::nullopt;
    Row& row = keyed_ ? first_to_leave(now) : only_;
    Departure departure = row.take(batch);
    departure.partition = free_.back();
    free_.pop_back();
    if (in_parts_) {
      for (const Slice& slice : batch) departure.twins += depart(static_cast<Part&>(*slice.call), row);
      waiting_ -= departure.items + departure.twins;
    }
    if (keyed_) {
      leave(row);
      row.served = ++turn_;
      sort(row);
    }
    return departure;
  }

  /// Items that wait.
  [[nodiscard]] std::size_t waiting() const noexcept { return in_parts_ ? waiting_ : only_.items(); }
  /// Do calls wait in parts?
  [[nodiscard]] bool in_parts() const noexcept { return in_parts_; }
  /// Keys of which somebody waits.
  [[nodiscard]] std::size_t keys() const noexcept { return rows_.size(); }
  /// Items, or weight, that the window at the end of the row lacks; all of its room if the next item opens one. With
  /// keys: the row that lacks least lacks no less. Twins take no room, but count here: whoever counts them as well
  /// looks too early, never too late.
  [[nodiscard]] std::size_t lacking_behind() const noexcept {
    return rules_.batch_size - (keyed_ ? waiting_ : only_.size()) % rules_.batch_size;
  }
  /// Is it enough to be woken when a window may be full? Else whoever comes has to be looked at.
  [[nodiscard]] bool fills_by_count() const noexcept {
    if (adapts_ || waiting() == 0) return false;
    if (!keyed_) return !only_.lacks_company();
    return rules_.min_batch_size <= 1 && !rules_.weighted && rules_.batch_timeout.count() > 0 &&
           waiting_ < rules_.batch_size;
  }
  [[nodiscard]] const WindowRules& rules() const noexcept { return rules_; }
  [[nodiscard]] std::size_t partitions() const noexcept { return partitions_; }
  /// Batches that run.
  [[nodiscard]] std::size_t running() const noexcept { return partitions_ - free_.size(); }
  /// Is every partition taken?
  [[nodiscard]] bool busy() const noexcept { return free_.empty(); }

 private:
  /// When the first window may leave, partitions aside.
  [[nodiscard]] Time due() const noexcept {
    if (!keyed_) return only_.due();
    return ready_.first() != nullptr ? WindowRules::at_once : due_.next();
  }
  void seal(CloseReason reason) {
    only_.seal(reason);
    rows_.for_each([&](Indexed& entry) {
      Row& row = static_cast<Row&>(entry);
      row.seal(reason);
      sort(row);
    });
  }

  [[gnu::cold]] void submit_part(Part& part) {
    waiting_ += part.left();
    remember(part);
    Row& row = keyed_ ? row_for(part) : only_;
    if (!row.duplicates || !find_twin(part, row)) row.submit_part(part);
    if (keyed_) sort(row);
  }
  /// Does it share the answer of one that waits?
  bool find_twin(Part& part, Row& row) {
    Part* twin = row.duplicates->find(part, threshold_.load(std::memory_order_relaxed));
    if (twin == nullptr) {
      row.duplicates->add(part);
      return false;
    }
    twin->adopt(part);
    if (part.priority > twin->priority) row.raise(*twin, part.priority);
    return true;
  }
  std::uint32_t withdraw_part(Part& part) {
    Row& row = keyed_ ? *part.row : only_;
    std::uint32_t items = part.left();
    forget(part);
    const bool joinable = part.leads && row.duplicates && row.duplicates->remove(part);
    if (!part.leads || part.has_twins()) {
      if (part.leads) succeed(part, row, joinable);
      part.leave_twins();
      part.taken = part.size;
    } else {
      items = row.withdraw(part);
    }
    waiting_ -= items;
    if (keyed_) sort(row);
    return items;
  }
  /// Its twins are left; the first of them leads from now on, and may be joined if it could.
  static void succeed(Part& part, Row& row, bool joinable) {
    Part& heir = *part.next_twin;
    heir.leads = true;
    row.replace(part, heir);
    if (joinable) row.duplicates->add(heir);
  }
  /// It leaves with its twins; returns how many those are.
  std::size_t depart(Part& part, Row& row) noexcept {
    if (part.left() > 0) return 0;
    forget(part);
    if (row.duplicates) (void)row.duplicates->remove(part);
    std::size_t twins = 0;
    for (Part* twin = part.next_twin; twin != &part; twin = twin->next_twin, ++twins) forget(*twin);
    return twins;
  }
  Row& row_for(Part& part) {
    const std::size_t hash = part.label->hash();
    auto* row = static_cast<Row*>(rows_.find(
        hash, [&](const Indexed& other) { return static_cast<const Row&>(other).label->equals(*part.label); }));
    if (row == nullptr) {
      row = create<Row>(RecyclingAllocator<void>(), rules_, std::move(part.label));
      rows_.add(*row, hash);
      row->served = ++turn_;
    }
    part.label.reset();
    part.row = row;
    return *row;
  }
  /// After every change of a row: it is among those that can leave, or those whose time will come, or it is gone.
  void sort(Row& row) {
    const Time due = row.due();
    if (row.items() == 0) {
      leave(row);
      rows_.remove(row);
      destroy(&row, RecyclingAllocator<void>());
      if (rows_.size() == 0) shrink();
    } else if (due == WindowRules::at_once ? !row.ready
                                           : row.ready || row.deadline != due || row.place == Deadline::absent) {
      leave(row);
      row.ready = due == WindowRules::at_once;
      row.deadline = row.ready ? Time(static_cast<Time::rep>(row.served)) : due;
      if (due != never) (row.ready ? ready_ : due_).add(row);
    }
  }
  void leave(Row& row) noexcept {
    (row.ready ? ready_ : due_).remove(row);
    row.ready = false;
  }
  /// Those whose time has come join those that can leave.
  Row& first_to_leave(Time now) {
    while (due_.next() <= now) {
      Row& row = static_cast<Row&>(*due_.first());
      due_.remove(row);
      row.ready = true;
      row.deadline = Time(static_cast<Time::rep>(row.served));
      ready_.add(row);
    }
    return static_cast<Row&>(*ready_.first());
  }
  /// No memory of keys that were.
  void shrink() {
    ready_.shrink();
    due_.shrink();
  }

  void remember(Part& part) noexcept {
    part.older = std::exchange(newest_, &part);
    part.newer = nullptr;
    (part.older != nullptr ? part.older->newer : oldest_) = &part;
  }
  void forget(Part& part) noexcept {
    (part.older != nullptr ? part.older->newer : oldest_) = part.newer;
    (part.newer != nullptr ? part.newer->older : newest_) = part.older;
  }

  WindowRules rules_;
  const bool keyed_;
  const bool adapts_;
  const bool in_parts_;
  const std::size_t partitions_;
  std::atomic<double> threshold_;
  Late<std::vector<std::size_t>, Used> free_;  // partitions, the one used last at the back
  std::size_t waiting_ = 0;                    // in parts
  Late<Row, Used> only_;                       // without keys
  Late<Index, Used> rows_;
  Late<Deadlines, Used> ready_;  // rows that can leave, by when they were served
  Late<Deadlines, Used> due_;    // rows whose time will come
  std::uint64_t turn_ = 0;
  Part* oldest_ = nullptr;
  Part* newest_ = nullptr;
};
using Window = BasicWindow<WhenUsed>;

}  // namespace batching::detail
