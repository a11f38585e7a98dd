// Tests of windows: who travels together, when they leave and why, seen from outside.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batcher.hpp>

#include <asio/basic_waitable_timer.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;

namespace {

using Duration = std::chrono::nanoseconds;

// --- Who travels together ---

TEST_CASE("2 + 2 with size 4 and a ten-second timeout make one batch and each caller gets its own two") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10s});
  auto one = bench.batcher.dispatch_many({1, 2});
  auto other = bench.batcher.dispatch_many({3, 4});
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3, 4}});
  CHECK(bench.reasons == Reasons{CloseReason::size});
  CHECK(get_within(one, 0s) == std::vector{1, 4});
  CHECK(get_within(other, 0s) == std::vector{9, 16});
  audit(bench.batcher);
}

TEST_CASE("3 + 4 + 5 with size 6 make two full batches and exact slices") {
  Workbench bench({.batch_size = 6, .batch_timeout = 10s});
  auto three = bench.batcher.dispatch_many({1, 2, 3});
  auto four = bench.batcher.dispatch_many({4, 5, 6, 7});
  auto five = bench.batcher.dispatch_many({8, 9, 10, 11, 12});
  bench.poll();
  CHECK(bench.batches == Batches{from_to(1, 6), from_to(7, 12)});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size});
  CHECK(get_within(three, 0s) == squares(from_to(1, 3)));
  CHECK(get_within(four, 0s) == squares(from_to(4, 7)));
  CHECK(get_within(five, 0s) == squares(from_to(8, 12)));
  audit(bench.batcher);
}

TEST_CASE("three callers of 2 with size 3 make [1, 2, 3] and [4, 5, 6]") {
  Workbench bench({.batch_size = 3, .batch_timeout = 10s});
  auto one = bench.batcher.dispatch_many({1, 2});
  auto two = bench.batcher.dispatch_many({3, 4});
  auto three = bench.batcher.dispatch_many({5, 6});
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3}, {4, 5, 6}});
  CHECK(get_within(one, 0s) == std::vector{1, 4});
  CHECK(get_within(two, 0s) == std::vector{9, 16});
  CHECK(get_within(three, 0s) == std::vector{25, 36});
  audit(bench.batcher);
}

TEST_CASE("ten items with size 4 make 4, 4 and, after the timeout, 2") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  std::vector<Future<int>> futures;
  for (const int item : from_to(1, 10)) futures.push_back(bench.batcher.dispatch(item));
  bench.poll();
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8)});
  CHECK_FALSE(is_ready(futures[8]));
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.size() == 2);
  bench.pass(1ns);
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8), {9, 10}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size, CloseReason::timeout});
  for (const int item : from_to(1, 10))
    CHECK(get_within(futures[static_cast<std::size_t>(item - 1)], 0s) == item * item);
  audit(bench.batcher);
}

TEST_CASE("ten items of one caller with size 4 make 4, 4 and, after the timeout, 2, and come back in order") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto ten = bench.batcher.dispatch_many(from_to(1, 10));
  bench.poll();
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8)});
  CHECK_FALSE(is_ready(ten));
  bench.pass(50ms);
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8), {9, 10}});
  CHECK(get_within(ten, 0s) == squares(from_to(1, 10)));
  audit(bench.batcher);
}

TEST_CASE("1 waiting and five more with size 4 make [1 + 3] at once, and [2] with a clock of its own") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  bench.pass(30ms);
  CHECK(bench.batches.empty());
  auto five = bench.batcher.dispatch_many(from_to(2, 6));
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3, 4}});
  CHECK(get_within(one, 0s) == 1);
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.size() == 1);
  CHECK_FALSE(is_ready(five));
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2, 3, 4}, {5, 6}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::timeout});
  CHECK(get_within(five, 0s) == squares(from_to(2, 6)));
  audit(bench.batcher);
}

TEST_CASE("what is left over from a call greater than a batch leaves after its timeout though nobody else comes") {
  Workbench bench({.batch_size = 64, .batch_timeout = 5ms});
  auto all = bench.batcher.dispatch_many(from_to(1, 64 + 36));
  bench.poll();
  CHECK(bench.batches == Batches{from_to(1, 64)});
  bench.pass(5ms - 1ns);
  CHECK(bench.batches.size() == 1);
  bench.pass(1ns);
  CHECK(bench.batches == Batches{from_to(1, 64), from_to(65, 100)});
  CHECK(get_within(all, 0s) == squares(from_to(1, 100)));
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("what is left over leaves on real threads too, a hundred times", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>([](std::span<int> items) { return squares(items); },
                                                         {.batch_size = 64, .batch_timeout = 1ms});
  for (int round = 0; round < 100; ++round) {
    REQUIRE(get_within(batcher.dispatch_many(from_to(1, 100))) == squares(from_to(1, 100)));
  }
  audit(batcher);
}

// --- When they leave ---

TEST_CASE("items at 0, 20 and 40 ms with a timeout of 50 ms all leave at 50") {
  Workbench bench({.batch_size = 8, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  bench.pass(20ms);
  auto two = bench.batcher.dispatch(2);
  bench.pass(20ms);
  auto three = bench.batcher.dispatch(3);
  bench.pass(10ms - 1ns);
  CHECK(bench.batches.empty());
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2, 3}});
  CHECK(bench.reasons == Reasons{CloseReason::timeout});
  CHECK(get_within(one, 0s) == 1);
  CHECK(get_within(two, 0s) == 4);
  CHECK(get_within(three, 0s) == 9);
  audit(bench.batcher);
}

TEST_CASE("later items never restart the clock: a trickle below the timeout, for 40 timeouts") {
  Workbench bench({.batch_size = 1000, .batch_timeout = 5ms});
  std::vector<Future<int>> futures;
  std::vector<ManualClock::time_point> arrivals;
  for (int ms = 0; ms < 205; ++ms) {
    if (ms < 200 && ms % 2 == 0) {
      arrivals.push_back(ManualClock::now());
      futures.push_back(bench.batcher.dispatch(static_cast<int>(futures.size())));
    }
    bench.pass(1ms);
  }
  REQUIRE(bench.batches.size() > 1);
  for (std::size_t batch = 0; batch < bench.batches.size(); ++batch) {
    const auto first = static_cast<std::size_t>(bench.batches[batch].front());
    CHECK(bench.times[batch] - arrivals[first] == 5ms);
  }
  for (auto& future : futures) CHECK(is_ready(future));
  audit(bench.batcher);
}

TEST_CASE("a timer that expired unseen does not shorten the next window") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto first = bench.batcher.dispatch(1);
  bench.poll();
  ManualClock::advance(50ms);
  SECTION("its completion is not queued yet") {}
  SECTION("its completion is queued") {
    // The context looks at its timers before it runs the first operation in its queue.
    asio::post(bench.io, [] {});
    bench.io.restart();
    REQUIRE(bench.io.poll_one() == 1);
  }
  auto rest = bench.batcher.dispatch_many({2, 3, 4});
  auto more = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3, 4}});
  CHECK(bench.reasons == Reasons{CloseReason::size});
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.size() == 1);
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2, 3, 4}, {5}});
  CHECK(get_within(more, 0s) == 25);
  audit(bench.batcher);
}

TEST_CASE("a window that filled up leaves no timer behind that closes the next one early") {
  Workbench bench({.batch_size = 2, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  bench.pass(40ms);
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  auto three = bench.batcher.dispatch(3);
  bench.pass(10ms);  // when the first window would have ended
  CHECK(bench.batches.size() == 1);
  bench.pass(40ms - 1ns);
  CHECK(bench.batches.size() == 1);
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2}, {3}});
  audit(bench.batcher);
}

TEST_CASE("a window's clock runs from the submission, not from when the context came round to it") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  ManualClock::advance(30ms);
  bench.poll();
  bench.pass(20ms - 1ns);
  CHECK(bench.batches.empty());
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1}});
  audit(bench.batcher);
}

TEST_CASE("cancelling the oldest item moves the clock to the next oldest") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  bench.pass(30ms);
  auto two = bench.batcher.dispatch(2);
  bench.pass(10ms);
  CHECK(one.cancel());
  CHECK(error_of(one, 0s) == errc::cancelled);
  bench.pass(10ms);  // 50 ms after the first
  CHECK(bench.batches.empty());
  bench.pass(30ms - 1ns);
  CHECK(bench.batches.empty());
  bench.pass(1ns);  // 50 ms after the second
  CHECK(bench.batches == Batches{{2}});
  CHECK(get_within(two, 0s) == 4);
  audit(bench.batcher);
}

TEST_CASE("cancelled items make room: the window fills up with those who stay") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch_many({2, 3});
  bench.poll();
  CHECK(two.cancel());
  auto rest = bench.batcher.dispatch_many({4, 5, 6});
  bench.poll();
  CHECK(bench.batches == Batches{{1, 4, 5, 6}});
  CHECK(error_of(two, 0s) == errc::cancelled);
  CHECK(get_within(rest, 0s) == std::vector{16, 25, 36});
  audit(bench.batcher);
}

// --- Busy partitions ---

TEST_CASE("one partition busy for 200 ms, a timeout of 10, items at 50, 100 and 120: one batch of three at 200") {
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms}, Answers::when_told);
  const auto start = ManualClock::now();
  auto busy = bench.batcher.dispatch(1);
  bench.batcher.flush();
  bench.poll();
  REQUIRE(bench.batches == Batches{{1}});
  bench.pass(50ms);
  auto two = bench.batcher.dispatch(2);
  bench.pass(50ms);
  auto three = bench.batcher.dispatch(3);
  bench.pass(20ms);
  auto four = bench.batcher.dispatch(4);
  bench.pass(80ms);
  CHECK(bench.batches.size() == 1);
  bench.finish(0);
  CHECK(bench.batches == Batches{{1}, {2, 3, 4}});
  CHECK(bench.reasons == Reasons{CloseReason::flush, CloseReason::timeout});
  CHECK(bench.times[1] - start == 200ms);
  bench.finish_all();
  CHECK(get_within(busy, 0s) == 1);
  CHECK(get_within(two, 0s) == 4);
  CHECK(get_within(three, 0s) == 9);
  CHECK(get_within(four, 0s) == 16);
  audit(bench.batcher);
}

TEST_CASE("an expired window grows up to the batch size while no partition is free") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10ms}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many(from_to(1, 4));
  auto five = bench.batcher.dispatch(5);
  bench.pass(15ms);  // expired
  auto rest = bench.batcher.dispatch_many(from_to(6, 9));
  bench.pass(5ms);
  CHECK(bench.batches == Batches{from_to(1, 4)});
  bench.finish(0);
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8)});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size});
  bench.finish(1);
  CHECK(bench.batches.size() == 2);  // the last one came 5 ms ago
  bench.pass(5ms);
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8), {9}});
  CHECK(bench.reasons.back() == CloseReason::timeout);
  bench.finish_all();
  CHECK(get_within(rest, 0s) == squares(from_to(6, 9)));
  audit(bench.batcher);
}

TEST_CASE("nine items on two partitions of which the second finishes first keep their order") {
  Workbench bench({.batch_size = 3, .batch_timeout = 10s, .partitions = 2}, Answers::when_told);
  auto nine = bench.batcher.dispatch_many(from_to(1, 9));
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3}, {4, 5, 6}});
  bench.finish(1);
  CHECK(bench.batches == Batches{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}});
  bench.finish(2);
  CHECK_FALSE(is_ready(nine));
  bench.finish(0);
  CHECK(get_within(nine, 0s) == squares(from_to(1, 9)));
  audit(bench.batcher);
}

TEST_CASE("four batches of 2 s on four partitions take 2 s in all") {
  Workbench bench({.batch_size = 2, .batch_timeout = 10s, .partitions = 4}, Answers::when_told);
  auto eight = bench.batcher.dispatch_many(from_to(1, 8));
  bench.poll();
  CHECK(bench.batches.size() == 4);
  bench.pass(2s);
  bench.finish_all();
  CHECK(get_within(eight, 0s) == squares(from_to(1, 8)));
  audit(bench.batcher);
}

#ifdef BATCHING_HAS_COROUTINES
TEST_CASE("four batches that await 2 s on four partitions take 2 s in all, without a thread") {
  using Timer = asio::basic_waitable_timer<ManualClock, ManualTraits, asio::io_context::executor_type>;
  asio::io_context io;
  int started = 0;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
                                           ++started;
                                           Timer timer(io.get_executor());
                                           timer.expires_after(2s);
                                           co_await timer.async_wait(asio::use_awaitable);
                                           co_return squares(items);
                                         },
                                         {.batch_size = 2, .batch_timeout = 10s, .partitions = 4});
  auto eight = batcher.dispatch_many(from_to(1, 8));
  io.poll();
  CHECK(started == 4);
  ManualClock::advance(2s - 1ns);
  io.poll();
  CHECK_FALSE(is_ready(eight));
  ManualClock::advance(1ns);
  io.poll();
  CHECK(get_within(eight, 0s) == squares(from_to(1, 8)));
  audit(batcher);
}
#endif

// --- The two ends of the timeout ---

TEST_CASE("with a timeout of 0 a lone item leaves at once") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0s});
  auto one = bench.batcher.dispatch(1);
  bench.poll();
  CHECK(bench.batches == Batches{{1}});
  CHECK(bench.reasons == Reasons{CloseReason::idle});
  CHECK(get_within(one, 0s) == 1);
  audit(bench.batcher);
}

TEST_CASE("with a timeout of 0 batches form by themselves while the partitions are busy") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0s}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  bench.poll();
  std::vector<Future<int>> futures;
  for (const int item : from_to(2, 8)) {
    futures.push_back(bench.batcher.dispatch(item));
    bench.poll();
  }
  CHECK(bench.batches == Batches{{1}});
  bench.finish(0);
  CHECK(bench.batches == Batches{{1}, from_to(2, 5)});
  bench.finish(1);
  CHECK(bench.batches == Batches{{1}, from_to(2, 5), from_to(6, 8)});
  CHECK(bench.reasons == Reasons{CloseReason::idle, CloseReason::size, CloseReason::idle});
  bench.finish_all();
  CHECK(get_within(one, 0s) == 1);
  audit(bench.batcher);
}

TEST_CASE("below min_batch_size a window waits until max_wait; whoever makes it enough sends it off") {
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .min_batch_size = 3, .max_wait = 50ms});
  auto alone = bench.batcher.dispatch_many({1, 2});
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.empty());
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2}});
  auto two = bench.batcher.dispatch_many({3, 4});
  bench.pass(20ms);
  CHECK(bench.batches.size() == 1);
  auto third = bench.batcher.dispatch(5);  // its time has come long ago
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}, {3, 4, 5}});
  auto three = bench.batcher.dispatch_many({6, 7, 8});  // enough from the start: by batch_timeout
  bench.pass(10ms - 1ns);
  CHECK(bench.batches.size() == 2);
  bench.pass(1ns);
  CHECK(bench.batches.size() == 3);
  auto pair = bench.batcher.dispatch_many({9, 10});
  auto later = bench.batcher.dispatch(11);  // enough after the timer was set for max_wait: it rings earlier now
  bench.pass(10ms);
  CHECK(bench.batches.size() == 4);
  CHECK(bench.reasons == Reasons(4, CloseReason::timeout));
  audit(bench.batcher);
}

TEST_CASE("an item that is cancelled may leave its window below min_batch_size again") {
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .min_batch_size = 2, .max_wait = 50ms});
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  two.cancel();
  bench.pass(10ms);
  CHECK(bench.batches.empty());
  bench.pass(40ms);
  CHECK(bench.batches == Batches{{1}});
  audit(bench.batcher);
}

TEST_CASE("min_batch_size without max_wait: fewer leave by flush and close alone, and full windows as ever") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns, .min_batch_size = 2});
  auto one = bench.batcher.dispatch(1);
  bench.pass(1h);
  CHECK(bench.batches.empty());
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  auto three = bench.batcher.dispatch(3);
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}, {3}});
  CHECK(bench.reasons == Reasons{CloseReason::idle, CloseReason::flush});
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("who makes it enough wakes the batcher on real threads too, a hundred times", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>([](std::span<const int> items) { return squares(items); },
                                                         {.batch_size = 64, .batch_timeout = 0ns, .min_batch_size = 3});
  for (int i = 0; i < 100; ++i) {
    auto one = batcher.dispatch(1);
    auto two = batcher.dispatch(2);
    auto three = batcher.dispatch(3);
    CHECK(get_within(one) == 1);
    CHECK(get_within(two) == 4);
    CHECK(get_within(three) == 9);
  }
  audit(batcher);
}

TEST_CASE("with the longest timeout windows close by size alone") {
  Workbench bench({.batch_size = 2, .batch_timeout = Duration::max()});
  auto one = bench.batcher.dispatch(1);
  bench.poll();
  bench.pass(std::chrono::hours(24 * 365));
  CHECK(bench.batches.empty());
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  CHECK(bench.reasons == Reasons{CloseReason::size});

  auto three = bench.batcher.dispatch(3);
  bench.poll();
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}, {3}});
  CHECK(bench.reasons.back() == CloseReason::flush);

  auto four = bench.batcher.dispatch(4);
  bench.poll();
  bool closed = false;
  bench.batcher.async_close([&] { closed = true; });
  bench.poll();
  CHECK(closed);
  CHECK(bench.batches == Batches{{1, 2}, {3}, {4}});
  CHECK(bench.reasons.back() == CloseReason::close);
  CHECK(get_within(four, 0s) == 16);
  audit(bench.batcher);
}

// --- By hand ---

TEST_CASE("a flush covers what was dispatched before it and not what comes after") {
  Workbench bench({.batch_size = 8, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  bench.batcher.flush();
  auto three = bench.batcher.dispatch(3);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  CHECK(bench.reasons == Reasons{CloseReason::flush});
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.size() == 1);
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1, 2}, {3}});
  audit(bench.batcher);
}

TEST_CASE("a flushed window that waits for a partition takes nobody in") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many(from_to(1, 4));
  auto flushed = bench.batcher.dispatch_many({5, 6});
  bench.poll();
  bench.batcher.flush();
  auto later = bench.batcher.dispatch(7);
  bench.poll();
  CHECK(bench.batches.size() == 1);
  bench.finish(0);
  CHECK(bench.batches == Batches{from_to(1, 4), {5, 6}});
  CHECK(bench.reasons.back() == CloseReason::flush);
  bench.finish(1);
  CHECK(bench.batches.size() == 2);
  bench.pass(50ms);
  CHECK(bench.batches == Batches{from_to(1, 4), {5, 6}, {7}});
  CHECK(bench.reasons.back() == CloseReason::timeout);
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("two flushes close two windows") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many(from_to(1, 4));
  auto one = bench.batcher.dispatch(5);
  bench.batcher.flush();
  auto two = bench.batcher.dispatch(6);
  bench.batcher.flush();
  bench.poll();
  bench.finish(0);
  bench.finish(1);
  CHECK(bench.batches == Batches{from_to(1, 4), {5}, {6}});
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("what a flush finds beyond a full batch leaves as flushed") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10s});
  auto six = bench.batcher.dispatch_many(from_to(1, 6));
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches == Batches{from_to(1, 4), {5, 6}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::flush});
  CHECK(get_within(six, 0s) == squares(from_to(1, 6)));
  audit(bench.batcher);
}

TEST_CASE("a flush of nothing does nothing, also not to the next window") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches.empty());
  auto one = bench.batcher.dispatch(1);
  bench.pass(50ms - 1ns);
  CHECK(bench.batches.empty());
  bench.pass(1ns);
  CHECK(bench.batches == Batches{{1}});
  audit(bench.batcher);
}

TEST_CASE("a flushed item that is cancelled neither leaves nor takes others with it") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many(from_to(1, 4));
  auto one = bench.batcher.dispatch(5);
  auto two = bench.batcher.dispatch(6);
  bench.batcher.flush();
  auto three = bench.batcher.dispatch(7);
  bench.poll();
  CHECK(two.cancel());
  bench.finish(0);
  CHECK(bench.batches == Batches{from_to(1, 4), {5}});
  bench.finish(1);
  CHECK(bench.batches.size() == 2);
  bench.pass(50ms);
  CHECK(bench.batches.back() == std::vector{7});
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("closing sends off the open window, as closed") {
  Workbench bench({.batch_size = 8, .batch_timeout = 50ms});
  auto two = bench.batcher.dispatch_many({1, 2});
  bench.poll();
  bench.batcher.async_close([] {});
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  CHECK(bench.reasons == Reasons{CloseReason::close});
  CHECK(get_within(two, 0s) == std::vector{1, 4});
  audit(bench.batcher);
}

TEST_CASE("a batch size of 1 sends everyone alone, at once, as full") {
  Workbench bench({.batch_size = 1, .batch_timeout = 50ms});
  auto three = bench.batcher.dispatch_many({1, 2, 3});
  bench.poll();
  CHECK(bench.batches == Batches{{1}, {2}, {3}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size, CloseReason::size});
  CHECK(get_within(three, 0s) == std::vector{1, 4, 9});
  audit(bench.batcher);
}

// --- Order ---

TEMPLATE_TEST_CASE("each producer's items enter the batches in its own order", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  constexpr int producers = 4;
  constexpr int each = 1000;
  std::vector<int> seen;  // one partition: one batch at a time
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        seen.insert(seen.end(), items.begin(), items.end());
        return squares(items);
      },
      {.batch_size = 16, .batch_timeout = 100us});
  std::vector<std::vector<Future<int>>> futures(producers);
  std::vector<std::thread> threads;
  for (int producer = 0; producer < producers; ++producer) {
    threads.emplace_back([&, producer] {
      auto& mine = futures[static_cast<std::size_t>(producer)];
      for (int i = 0; i < each; ++i) mine.push_back(batcher.dispatch(producer * each + i));
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& mine : futures) {
    for (auto& future : mine) (void)get_within(future);
  }
  REQUIRE(seen.size() == producers * each);
  std::vector<int> next(producers, 0);
  bool in_order = true;
  for (const int item : seen) in_order = in_order && item % each == next[static_cast<std::size_t>(item / each)]++;
  CHECK(in_order);
  audit(batcher);
}

TEMPLATE_TEST_CASE("with one partition completions come in the order of the calls", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  constexpr int calls = 2000;
  std::mutex mutex;
  std::vector<int> completed;
  Counter done;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>([](std::span<int> items) { return squares(items); },
                                                         {.batch_size = 8, .batch_timeout = 100us});
  for (int call = 0; call < calls; ++call) {
    batcher.async_dispatch(call, [&, call](const std::exception_ptr&, int) {
      {
        const std::lock_guard lock(mutex);
        completed.push_back(call);
      }
      done.up();
    });
  }
  done.reach(calls);
  CHECK(completed == from_to(0, calls - 1));
  audit(batcher);
}

// --- At once ---

TEMPLATE_TEST_CASE("at most `partitions` batches run at once under load", "", OnItsOwnPool, OnAContext, OnAThreadPool) {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        const int now = ++running;
        int before = most.load();
        while (before < now && !most.compare_exchange_weak(before, now)) {
        }
        std::this_thread::yield();
        auto outputs = squares(items);
        --running;
        return outputs;
      },
      {.batch_size = 2, .batch_timeout = 0s, .partitions = 3});
  std::vector<std::thread> threads;
  std::atomic<bool> right = true;
  for (int producer = 0; producer < 3; ++producer) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        if (get_within(batcher.dispatch_many(from_to(1, 20))) != squares(from_to(1, 20))) right = false;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right);
  CHECK(most <= 3);
  audit(batcher);
}

TEMPLATE_TEST_CASE("`partitions` batches do run at once", "", OnItsOwnPool, OnAContext, OnAThreadPool) {
  Counter entered;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        entered.up();
        entered.reach(3);  // throws if the other two never come
        return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0s, .partitions = 3});
  CHECK(get_within(batcher.dispatch_many({1, 2, 3})) == std::vector{1, 4, 9});
  audit(batcher);
}

TEMPLATE_TEST_CASE("a batch that blocks stops neither the second partition nor the timers", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  Gate gate;
  Gate entered;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        if (items.front() == 0) {
          entered.open();
          gate.wait();
        }
        return squares(items);
      },
      {.batch_size = 4, .batch_timeout = 1ms, .partitions = 2});
  const OpensAtEnd opens(gate);
  auto blocked = batcher.dispatch(0);
  entered.wait();
  for (int round = 1; round <= 20; ++round) CHECK(get_within(batcher.dispatch(round)) == round * round);
  CHECK_FALSE(is_ready(blocked));
  gate.open();
  CHECK(get_within(blocked) == 0);
  audit(batcher);
}

TEMPLATE_TEST_CASE("while the only partition blocks, deadlines, cancellation, flush and stats still work", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool) {
  Gate gate;
  Gate entered;
  std::vector<int> seen;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        seen.insert(seen.end(), items.begin(), items.end());
        entered.open();
        gate.wait();
        return squares(items);
      },
      {.batch_size = 4, .batch_timeout = 1ms});
  const OpensAtEnd opens(gate);
  auto blocked = batcher.dispatch(0);
  entered.wait();
  auto late = batcher.dispatch(1, {.timeout = 5ms});
  auto unwanted = batcher.dispatch(2);
  auto patient = batcher.dispatch(3);
  CHECK(error_of(late) == errc::timed_out);
  CHECK(unwanted.cancel());
  batcher.flush();
  CHECK(eventually([&] { return batcher.stats().queued == 1; }));
  gate.open();
  CHECK(get_within(blocked) == 0);
  CHECK(get_within(patient) == 9);
  CHECK(seen == std::vector{0, 3});
  audit(batcher);
}

}  // namespace
