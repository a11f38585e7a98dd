// Deadlines: the heap against a sorted list.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/deadlines.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <random>
#include <vector>

#include "catch.hpp"

using batching::detail::Deadline;
using batching::detail::Deadlines;
using batching::detail::Time;

TEST_CASE("the earliest deadline is always first, whoever joins and leaves") {
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same numbers every time
  std::vector<Deadline> entries(300);
  std::multimap<Time, Deadline*> sorted;
  Deadlines deadlines;
  CHECK(deadlines.first() == nullptr);
  CHECK(deadlines.next() == batching::detail::never);
  for (int step = 0; step < 20'000; ++step) {
    Deadline& entry = entries[random() % entries.size()];
    if (entry.place == Deadline::absent) {
      entry.deadline = Time(random() % 50);
      deadlines.add(entry);
      sorted.emplace(entry.deadline, &entry);
    } else {
      deadlines.remove(entry);
      auto [at, end] = sorted.equal_range(entry.deadline);
      while (at->second != &entry) ++at;
      sorted.erase(at);
    }
    REQUIRE(deadlines.next() == (sorted.empty() ? batching::detail::never : sorted.begin()->first));
  }
  for (Deadline& entry : entries) deadlines.remove(entry);
  CHECK(deadlines.first() == nullptr);
}
