// Deadlines: the heap against a sorted list.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/deadlines.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <random>
#include <vector>

#include "support.hpp"

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

TEST_CASE("a hundred thousand pending deadlines cost one armed timer") {
  using namespace support;
  constexpr std::size_t many = 100'000;
  Workbench bench({.batch_size = 2 * many, .batch_timeout = std::chrono::nanoseconds::max()});
  std::vector<Future<int>> futures;
  for (std::size_t i = 0; i < many; ++i) {
    futures.push_back(bench.batcher.dispatch(1, {.timeout = 1s + std::chrono::nanoseconds(i * 7919 % many)}));
  }
  bench.poll();
  REQUIRE_FALSE(is_ready(futures.front()));
  // A timer of each one's own would be an operation each when the time has come.
  ManualClock::advance(2s);
  bench.io.restart();
  CHECK(bench.io.poll() <= 3);
  std::size_t late = 0;
  for (auto& future : futures) late += is_ready(future) && error_of(future) == errc::timed_out ? 1 : 0;
  CHECK(late == many);
  CHECK(bench.batches.empty());
  audit(bench.batcher);
}
