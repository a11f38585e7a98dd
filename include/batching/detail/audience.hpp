// Audience: who of a batch's callers listens to its hooks.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/hook.hpp>

#include <any>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace batching::detail {

/// One caller's. Hears one thing at a time, although its items may be in several batches.
template <class>
class BasicListener {
 public:
  explicit BasicListener(std::function<void(const HookEvent&)> function) : function_(std::move(function)) {}
  void hear(const HookEvent& event) noexcept {
    try {
      const std::lock_guard lock(mutex_);
      function_(event);
    } catch (...) {  // NOLINT(bugprone-empty-catch): a listener changes nothing
    }
  }

 private:
  std::mutex mutex_;
  const std::function<void(const HookEvent&)> function_;
};
using Listener = BasicListener<WhenUsed>;

/// Filled before the batch function runs, and only read while it does, by any thread.
template <class Used>
class BasicAudience {
 public:
  [[nodiscard]] bool empty() const noexcept { return seats_.empty(); }
  void clear() noexcept { seats_.clear(); }

  /// Items `first`, `first + 1`, ... of the batch are the caller's `offset`, `offset + 1`, ... `may_repeat`: there may
  /// be others of that caller.
  void add(const std::shared_ptr<Listener>& listener, std::size_t first, std::size_t count, std::size_t offset,
           bool may_repeat) {
    Seat* const before = may_repeat ? seat_of(listener) : nullptr;
    if (before != nullptr) before->items += count;
    seats_.push_back({listener, first, count, offset, count, before != nullptr});
  }
  /// Item `item` of this batch is item `from` of another.
  void add(std::size_t item, const BasicAudience& other, std::size_t from) {
    for (const Seat& seat : other.seats_) {
      if (from >= seat.first && from < seat.first + seat.count) {
        add(seat.listener, item, 1, seat.offset + from - seat.first, true);
      }
    }
  }

  /// `payloads`: those of the items from `first` on.
  void emit(std::uint64_t batch, std::string_view hook, std::size_t first, std::span<const std::any> payloads) const {
    const std::size_t end = first + payloads.size();
    for (const Seat& seat : seats_) {
      const std::size_t from = larger(first, seat.first);
      const std::size_t to = smaller(end, seat.first + seat.count);
      if (from >= to) continue;
      seat.listener->hear(
          {hook, seat.offset + from - seat.first, payloads.subspan(from - first, to - from), false, to - from, batch});
    }
  }
  void broadcast(std::uint64_t batch, std::string_view hook, const std::any& payload) const {
    for (const Seat& seat : seats_) {
      if (!seat.again) seat.listener->hear({hook, seat.offset, {&payload, 1}, true, seat.items, batch});
    }
  }

 private:
  struct Seat {
    std::shared_ptr<Listener> listener;
    std::size_t first;
    std::size_t count;
    std::size_t offset;
    std::size_t items;  // of the caller in all seats, if it is the first
    bool again;         // the same caller has one before
  };
  [[nodiscard]] Seat* seat_of(const std::shared_ptr<Listener>& listener) noexcept {
    for (Seat& seat : seats_) {
      if (seat.listener == listener) return &seat;
    }
    return nullptr;
  }

  Late<std::vector<Seat>, Used> seats_;
};
using Audience = BasicAudience<WhenUsed>;

}  // namespace batching::detail
