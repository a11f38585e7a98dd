// Meter: what a stretch of a run costs: time, processor time, context switches, futex calls, allocations, memory.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

/// Calls of `operator new` in this program so far.
[[nodiscard]] std::size_t allocations() noexcept;
/// What `operator new` has given out and not got back, with what the allocator rounds it up to.
[[nodiscard]] std::size_t live_bytes() noexcept;
/// Calls that go, or may go, to the system to sleep or to wake: `futex` itself, conditions, mutexes that are taken. Not
/// counted is what happens inside `std::future`.
[[nodiscard]] std::size_t futex_calls() noexcept;

/// A point in the life of this process.
struct Usage {
  double seconds = 0;
  double processor_seconds = 0;  // all threads
  double switches = 0;           // a thread went to sleep

  [[nodiscard]] static Usage now() noexcept;
};

/// One thing that was measured; the same names in the same order for all that are compared.
struct Value {
  std::string name;
  double value = 0;
};
using Sample = std::vector<Value>;

/// Starts when it is made.
class Meter {
 public:
  Meter() noexcept : begin_(Usage::now()), futex_calls_(futex_calls()), allocations_(allocations()) {}

  /// `items` so far were the warming up: allocations count from here.
  void steady(std::size_t items) noexcept {
    warm_up_ = items;
    allocations_ = allocations();
  }
  /// All of it, divided by the number of items.
  [[nodiscard]] Sample per_item(std::size_t items) const;
  /// For all that was done.
  [[nodiscard]] Sample milliseconds() const { return {{"ms for all", seconds() * 1e3}}; }
  [[nodiscard]] double seconds() const noexcept { return Usage::now().seconds - begin_.seconds; }

 private:
  Usage begin_;
  std::size_t futex_calls_;
  std::size_t allocations_;
  std::size_t warm_up_ = 0;
};
