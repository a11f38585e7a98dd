// Deadlines: a heap of moments, so that any number of them needs one timer.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace batching::detail {

/// Whoever has a deadline knows its place in the heap, so that it can leave early.
struct Deadline {
  static constexpr std::uint32_t absent = std::numeric_limits<std::uint32_t>::max();
  Time deadline = never;
  std::uint32_t place = absent;
};

/// A binary heap, the earliest first; joining and leaving take logarithmic time.
template <class Used>
class BasicDeadlines {
 public:
  void add(Deadline& entry) {
    entry.place = static_cast<std::uint32_t>(heap_.size());
    heap_.push_back(&entry);
    up(entry.place);
  }

  void remove(Deadline& entry) noexcept {
    if (entry.place == Deadline::absent) return;
    const std::uint32_t place = std::exchange(entry.place, Deadline::absent);
    Deadline* last = heap_.back();
    heap_.pop_back();
    if (last == &entry) return;
    put(place, last);
    up(place);
    down(last->place);
  }

  /// No memory of many that were.
  void shrink() noexcept {
    if (heap_.empty() && heap_.capacity() > 1024) heap_ = std::vector<Deadline*>();
  }

  /// The earliest; null if there is none.
  [[nodiscard]] Deadline* first() const noexcept { return heap_.empty() ? nullptr : heap_.front(); }
  [[nodiscard]] Time next() const noexcept { return heap_.empty() ? never : heap_.front()->deadline; }

 private:
  void put(std::uint32_t place, Deadline* entry) noexcept {
    heap_[place] = entry;
    entry->place = place;
  }
  void swap(std::uint32_t one, std::uint32_t other) noexcept {
    Deadline* entry = heap_[one];
    put(one, heap_[other]);
    put(other, entry);
  }
  void up(std::uint32_t place) noexcept {
    while (place > 0 && heap_[place]->deadline < heap_[(place - 1) / 2]->deadline) {
      swap(place, (place - 1) / 2);
      place = (place - 1) / 2;
    }
  }
  void down(std::uint32_t place) noexcept {
    for (;;) {
      std::uint32_t least = place;
      for (std::uint32_t child = 2 * place + 1; child <= 2 * place + 2 && child < heap_.size(); ++child) {
        if (heap_[child]->deadline < heap_[least]->deadline) least = child;
      }
      if (least == place) return;
      swap(place, least);
      place = least;
    }
  }

  Late<std::vector<Deadline*>, Used> heap_;
};
using Deadlines = BasicDeadlines<WhenUsed>;

}  // namespace batching::detail
