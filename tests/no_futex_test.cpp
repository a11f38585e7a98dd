// Futures where there is no futex: the same waits on mutexes and condition variables. A program of its own.
// SPDX-License-Identifier: BSL-1.0

#define BATCHING_NO_FUTEX

#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <future>
#include <thread>
#include <vector>

#include "catch.hpp"

using namespace std::chrono_literals;
using batching::Batcher;

#ifdef BATCHING_HAS_FUTEX
#error "this program is about the other way"
#endif

TEST_CASE("callers that are parked are woken without futexes") {
  Batcher<int, int> squares(
      [](std::span<const int> numbers) {
        std::vector<int> results;
        for (const int n : numbers) results.push_back(n * n);
        return results;
      },
      {.batch_size = 8, .batch_timeout = 1ms, .partitions = 2});
  std::vector<std::thread> callers;
  std::vector<int> wrong(16, 0);
  for (std::size_t caller = 0; caller < wrong.size(); ++caller) {
    callers.emplace_back([&, caller] {
      for (int n = 0; n < 200; ++n) wrong[caller] += squares.dispatch(n).get() == n * n ? 0 : 1;
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == std::vector<int>(16, 0));
}

TEST_CASE("a bounded wait ends without futexes") {
  Batcher<int, int> never([](std::vector<int> numbers) { return numbers; },
                          {.batch_size = 8, .batch_timeout = std::chrono::nanoseconds::max()});
  auto future = never.dispatch(1);
  CHECK(future.wait_for(5ms) == std::future_status::timeout);
  never.flush();
  CHECK(future.get() == 1);
}
