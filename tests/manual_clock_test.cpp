// Tests: with the manual clock, polling after `advance` fires exactly what is due, and nothing before.
// SPDX-License-Identifier: BSL-1.0

#include <batching/testing/manual_clock.hpp>

#include "asio_support.hpp"

namespace {

using namespace asio_support;

static_assert(ManualClock::is_steady);
static_assert(std::is_same_v<decltype(ManualClock::now()), ManualClock::time_point>);

TEST_CASE("The manual clock stands still until it is advanced, on every thread") {
  const auto before = ManualClock::now();
  std::this_thread::sleep_for(1ms);
  CHECK(ManualClock::now() == before);
  ManualClock::advance(5ms);
  CHECK(ManualClock::now() == before + 5ms);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int step = 0; step < 1000; ++step) ManualClock::advance(1ns);
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(ManualClock::now() == before + 5ms + 4us);
}

TEST_CASE("A window leaves at its time and not a nanosecond before") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms});
  auto future = stage.batcher.dispatch(3);
  stage.poll();
  CHECK(stage.seen.empty());
  stage.advance(10ms - 1ns);
  CHECK(stage.seen.empty());
  CHECK_FALSE(ready(future));
  stage.poll();
  CHECK(stage.seen.empty());
  stage.advance(1ns);
  CHECK(stage.seen.size() == 1);
  CHECK(get(future) == 9);
}

TEST_CASE("A window of one nanosecond leaves after one nanosecond") {
  Stage stage({.batch_size = 8, .batch_timeout = 1ns});
  auto future = stage.batcher.dispatch(3);
  stage.poll();
  CHECK(stage.seen.empty());
  stage.advance(1ns);
  CHECK(get(future) == 9);
}

TEST_CASE("A leap over many windows fires each that is due, once") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms});
  auto first = stage.batcher.dispatch(1);
  stage.poll();
  stage.advance(24h);
  CHECK(get(first) == 1);
  stage.advance(24h);
  CHECK(stage.seen.size() == 1);
  auto second = stage.batcher.dispatch(2);
  stage.poll();
  CHECK(stage.seen.size() == 1);
  stage.advance(10ms - 1ns);
  CHECK(stage.seen.size() == 1);
  stage.advance(1ns);
  CHECK(get(second) == 4);
}

TEST_CASE("The clock runs from the submission, also if nobody polls meanwhile") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms});
  auto future = stage.batcher.dispatch(1);
  ManualClock::advance(10ms);
  stage.poll();
  CHECK(get(future) == 1);
}

TEST_CASE("Items at 0, 20 and 40 ms with a timeout of 50 ms all leave at 50 ms") {
  Stage stage({.batch_size = 8, .batch_timeout = 50ms});
  for (const int item : {1, 2, 3}) {
    (void)stage.batcher.dispatch(item);
    stage.poll();
    if (item < 3) stage.advance(20ms);
  }
  stage.advance(10ms - 1ns);
  CHECK(stage.seen.empty());
  stage.advance(1ns);
  CHECK(stage.seen == std::vector<std::vector<int>>({{1, 2, 3}}));
}

TEST_CASE("A trickle below the timeout never holds the first item back") {
  Stage stage({.batch_size = 1000, .batch_timeout = 5ms});
  for (int millisecond = 0; millisecond < 200; ++millisecond) {
    if (millisecond % 2 == 0) (void)stage.batcher.dispatch(millisecond);
    stage.poll();
    stage.advance(1ms);
    // A window from its first item at 0, 6, 12, ... to 5 ms later.
    CHECK(stage.seen.size() == static_cast<std::size_t>((millisecond + 2) / 6));
  }
}

TEST_CASE("An alarm that expired unpolled does not close the next window early") {
  Stage stage({.batch_size = 2, .batch_timeout = 10ms});
  for (int round = 0; round < 50; ++round) {
    auto first = stage.batcher.dispatch(1);
    stage.poll();                // armed
    ManualClock::advance(10ms);  // expired, unpolled
    auto second = stage.batcher.dispatch(2);
    auto third = stage.batcher.dispatch(3);
    stage.poll();
    CHECK(get(first) == 1);
    CHECK(get(second) == 4);
    CHECK_FALSE(ready(third));
    stage.advance(10ms - 1ns);
    CHECK_FALSE(ready(third));
    stage.advance(1ns);
    CHECK(get(third) == 9);
  }
}

TEST_CASE("Several batchers on one clock each keep their own time") {
  Stage quick({.batch_size = 8, .batch_timeout = 10ms});
  Stage slow({.batch_size = 8, .batch_timeout = 30ms});
  auto one = quick.batcher.dispatch(1);
  auto two = slow.batcher.dispatch(2);
  quick.poll();
  slow.poll();
  quick.advance(10ms);
  slow.poll();
  CHECK(ready(one));
  CHECK_FALSE(ready(two));
  slow.advance(20ms - 1ns);
  CHECK_FALSE(ready(two));
  slow.advance(1ns);
  CHECK(ready(two));
}

TEST_CASE("Deadlines of many callers expire one nanosecond after the other") {
  Stage stage({.batch_size = 100, .batch_timeout = 1h});
  std::vector<Future<int>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(stage.batcher.dispatch(i, timeout(std::chrono::nanoseconds(50 - i))));
  stage.poll();
  for (std::size_t passed = 1; passed <= 50; ++passed) {
    stage.advance(1ns);
    for (std::size_t i = 0; i < 50; ++i) CHECK(ready(futures[i]) == (50 - i <= passed));
  }
  CHECK(stage.batcher.stats().timed_out == 50);
}

TEST_CASE("Without an armed timer the context has nothing to wait for") {
  Stage stage({.batch_size = 2, .batch_timeout = 10s});
  auto future = stage.batcher.dispatch_many({1, 2});
  stage.poll();
  CHECK(ready(future));
  stage.io.restart();
  CHECK(stage.io.poll() == 0);
  CHECK(stage.io.stopped());
}

}  // namespace
