// Waiting: what the window knows of a submission, whole or in parts.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/fingerprint.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/label.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/options.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

namespace batching::detail {

template <class>
class BasicRow;
using Row = BasicRow<WhenUsed>;

/// Why a window was closed by hand, if it was.
struct Seal {
  bool is_set = false;
  CloseReason reason{};
  explicit operator bool() const noexcept { return is_set; }
};

/// What the window knows of a submission: how many items, since when, and its place in the row. One per call, not per
/// item; the call's owner keeps it alive and in place while it waits. (The members stand in an order without gaps.)
struct Waiting : Mail {
  static constexpr Time unknown = Time::min();

  explicit Waiting(std::uint32_t items = 1) noexcept : Mail(Kind::submission), size(items) {}

  /// Set on the last call of a window that was closed by hand: nobody behind it travels with it.
  Seal sealed;
  bool at_door = false;     // not in the row yet: it waits for room
  bool is_counted = false;  // among the callers of a batch that is leaving
  std::uint32_t size;       // items
  Time arrived = unknown;
  std::uint32_t taken = 0;  // items that have left, in a batch or otherwise
  std::int32_t priority = 0;

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

/// Where items have weights or keys or may be twins, a call waits in parts: neighbouring items of equal key, or one
/// item with its weight. The parts of a call are one array, which the call finds by its own link: not it is in the row,
/// but they are.
struct Part final : Waiting, Indexed {
  Waiting* whole = nullptr;
  std::uint32_t first = 0;  // of the call's items
  std::uint32_t parts = 0;  // of the call
  std::size_t weight = 1;   // if it has one; then it is of one item
  Label::Ptr label;         // until its row is found
  Row* row = nullptr;       // then
  Part* older = nullptr;    // in order of arrival, whatever the key
  Part* newer = nullptr;
  /// What makes it the twin of another. Of twins one leads: it is in the row, and stands for all. They are a ring, from
  /// the one that leads on in order of arrival.
  Fingerprint::Ptr fingerprint;
  bool leads = true;
  std::uint32_t slot = no_slot;  // among the latest that lead
  Part* next_twin = this;
  Part* last_twin = this;

  static constexpr std::uint32_t no_slot = static_cast<std::uint32_t>(-1);

  [[nodiscard]] bool has_twins() const noexcept { return next_twin != this; }
  /// Behind those it has.
  void adopt(Part& twin) noexcept {
    twin.leads = false;
    twin.next_twin = this;
    twin.last_twin = last_twin;
    last_twin->next_twin = &twin;
    last_twin = &twin;
  }
  /// Leaves its twins, without whoever led them.
  void leave_twins() noexcept {
    next_twin->last_twin = last_twin;
    last_twin->next_twin = next_twin;
    next_twin = last_twin = this;
  }

  [[nodiscard]] static Part* of(const Waiting& call) noexcept { return static_cast<Part*>(call.next); }
  /// Of all items of a call, or the most that a number holds.
  [[nodiscard]] static std::uint64_t weight_of(const Waiting& call) noexcept {
    const Part* parts = of(call);
    std::uint64_t weight = 0;
    for (std::uint32_t i = 0; i < parts->parts; ++i) {
      weight += parts[i].weight;
      if (weight < parts[i].weight) return std::numeric_limits<std::uint64_t>::max();
    }
    return weight;
  }
};

/// The array that they are.
template <class Used>
struct BasicParts {
  [[nodiscard]] static Part* make(std::uint32_t count) {
    Part* parts = RecyclingAllocator<Part>().allocate(count);
    for (std::uint32_t i = 0; i < count; ++i) {
      std::construct_at(parts + i);
      parts[i].parts = count;
    }
    return parts;
  }
  static void destroy(Part* parts) noexcept {
    if (parts == nullptr) return;
    const std::uint32_t count = parts->parts;
    std::destroy_n(parts, count);
    RecyclingAllocator<Part>().deallocate(parts, count);
  }
  /// Lets go of the parts of a call of which nothing waits any more.
  static void destroy(Waiting& call) noexcept { destroy(static_cast<Part*>(std::exchange(call.next, nullptr))); }
};
using Parts = BasicParts<WhenUsed>;

}  // namespace batching::detail
