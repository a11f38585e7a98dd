// Tests of stats: what is counted, when, and that it adds up.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batcher.hpp>
#include <batching/stats.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;

namespace {

TEST_CASE("a new batcher has counted nothing") {
  const Workbench bench({});
  const Stats stats = bench.batcher.stats();
  CHECK(stats.accepted == 0);
  CHECK(stats.completed == 0);
  CHECK(stats.failed == 0);
  CHECK(stats.rejected == 0);
  CHECK(stats.cancelled == 0);
  CHECK(stats.timed_out == 0);
  CHECK(stats.batches == 0);
  CHECK(stats.queued == 0);
  CHECK(stats.running == 0);
  CHECK(stats.mean_batch_size() == 0.0);
}

TEST_CASE("stats follow items from the door to their answer") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms}, Answers::when_told);
  auto two = bench.batcher.dispatch_many({1, 2});
  auto one = bench.batcher.dispatch(3);
  bench.poll();
  CHECK(bench.batcher.stats().accepted == 3);
  CHECK(bench.batcher.stats().queued == 3);
  CHECK(bench.batcher.stats().running == 0);
  CHECK(bench.batcher.stats().batches == 0);

  auto more = bench.batcher.dispatch_many({4, 5, 6});
  bench.poll();
  CHECK(bench.batcher.stats().accepted == 6);
  CHECK(bench.batcher.stats().queued == 2);
  CHECK(bench.batcher.stats().running == 1);
  CHECK(bench.batcher.stats().batches == 1);
  CHECK(bench.batcher.stats().completed == 0);

  bench.finish(0);
  CHECK(bench.batcher.stats().running == 0);
  bench.pass(50ms);
  CHECK(bench.batcher.stats().queued == 0);
  CHECK(bench.batcher.stats().running == 1);
  bench.finish(1);
  const Stats stats = bench.batcher.stats();
  CHECK(stats.completed == 6);
  CHECK(stats.running == 0);
  CHECK(stats.batches == 2);
  CHECK(stats.mean_batch_size() == 3.0);
  CHECK(stats.failed + stats.cancelled + stats.timed_out + stats.rejected == 0);
  audit(bench.batcher);
}

TEST_CASE("an item is counted as accepted when the call returns") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms});
  auto one = bench.batcher.dispatch(1);
  CHECK(bench.batcher.stats().accepted == 1);
  CHECK(bench.batcher.stats().queued == 1);
  auto three = bench.batcher.dispatch_many({2, 3, 4});
  CHECK(bench.batcher.stats().accepted == 4);
  bench.poll();
  audit(bench.batcher);
}

TEST_CASE("errors are counted by what they are") {
  Workbench bench({.batch_size = 2, .batch_timeout = 50ms}, Answers::when_told);
  auto failed = bench.batcher.dispatch_many({1, 2});
  bench.poll();
  bench.held.at(0).fail(std::make_exception_ptr(std::runtime_error("no")));
  CHECK(bench.batcher.stats().failed == 2);
  bench.held.clear();
  bench.poll();

  auto cancelled = bench.batcher.dispatch(3);
  CHECK(cancelled.cancel());
  CHECK(bench.batcher.stats().cancelled == 1);
  bench.poll();

  auto late = bench.batcher.dispatch(4, {.timeout = 10ms});
  bench.pass(10ms);
  CHECK(bench.batcher.stats().timed_out == 1);

  auto dropped = bench.batcher.dispatch_many({5, 6});
  bench.poll();
  bench.held.clear();
  CHECK(bench.batcher.stats().failed == 4);
  bench.poll();

  auto closed = bench.batcher.dispatch(7);
  bench.poll();
  bench.batcher.stop();
  CHECK(error_of(closed, 0s) == errc::closed);
  CHECK(bench.batcher.stats().failed == 5);

  auto refused = bench.batcher.dispatch(8);
  auto refused_too = bench.batcher.dispatch_many({9, 10, 11});
  CHECK(error_of(refused, 0s) == errc::closed);
  CHECK(error_of(refused_too, 0s) == errc::closed);
  const Stats stats = bench.batcher.stats();
  CHECK(stats.rejected == 4);
  CHECK(stats.accepted == 7);  // the rejected never were
  CHECK(stats.completed == 0);
  CHECK(stats.failed == 5);
  audit(bench.batcher);
}

TEST_CASE("a cancelled item is not counted again when its batch ends") {
  Workbench bench({.batch_size = 2}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(one.cancel());
  CHECK_FALSE(one.cancel());
  bench.finish(0);
  CHECK_FALSE(two.cancel());  // too late
  CHECK(get_within(two, 0s) == 4);
  const Stats stats = bench.batcher.stats();
  CHECK(stats.cancelled == 1);
  CHECK(stats.completed == 1);
  audit(bench.batcher);
}

TEST_CASE("batches are counted by why they left") {
  Workbench bench({.batch_size = 2, .batch_timeout = 50ms});
  auto four = bench.batcher.dispatch_many({1, 2, 3, 4});
  bench.poll();
  auto timeout = bench.batcher.dispatch(5);
  bench.pass(50ms);
  auto flushed = bench.batcher.dispatch(6);
  bench.batcher.flush();
  bench.poll();
  auto closed = bench.batcher.dispatch(7);
  bench.poll();
  bench.batcher.async_close([] {});
  bench.poll();
  const auto by = bench.batcher.stats().closed_by;
  CHECK(by.size == 2);
  CHECK(by.timeout == 1);
  CHECK(by.flush == 1);
  CHECK(by.close == 1);
  CHECK(by.idle == 0);
  CHECK(by.weight == 0);
  audit(bench.batcher);

  Workbench eager({.batch_size = 2, .batch_timeout = 0s});
  auto idle = eager.batcher.dispatch(1);
  eager.poll();
  CHECK(eager.batcher.stats().closed_by.idle == 1);
  CHECK(eager.batcher.stats().closed_by.timeout == 0);
}

TEMPLATE_TEST_CASE("whoever holds an answer finds it counted", "", OnItsOwnPool, OnAContext, OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [](std::span<int> items) {
        if (items.front() % 5 == 0) throw std::runtime_error("no");
        return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0s, .partitions = 2});
  bool counted = true;
  std::uint64_t completed = 0;
  std::uint64_t failed = 0;
  for (int round = 0; round < 500; ++round) {
    auto future = batcher.dispatch(round);
    if (round % 5 == 0) {
      counted = counted && what_of(future) == "no" && batcher.stats().failed == ++failed;
    } else {
      counted = counted && get_within(future) == round * round && batcher.stats().completed == ++completed;
    }
    counted = counted && batcher.stats().batches == static_cast<std::uint64_t>(round) + 1;
  }
  CHECK(counted);
  audit(batcher);
}

TEST_CASE("a completion handler finds its answer counted, too") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, [](std::span<int> items) { return squares(items); }, {.batch_size = 3});
  std::vector<std::uint64_t> completed;
  for (const int item : {1, 2, 3}) {
    batcher.async_dispatch(item,
                           [&](const std::exception_ptr&, int) { completed.push_back(batcher.stats().completed); });
  }
  io.poll();
  CHECK(completed == std::vector<std::uint64_t>{3, 3, 3});
  audit(batcher);
}

TEST_CASE("an empty call counts nothing") {
  Workbench bench({});
  auto none = bench.batcher.dispatch_many(std::vector<int>());
  bench.poll();
  CHECK(get_within(none, 0s).empty());
  CHECK(bench.batcher.stats().accepted == 0);
  CHECK(bench.batcher.stats().batches == 0);
  CHECK(bench.batches.empty());
}

TEMPLATE_TEST_CASE("under load from many threads, stats never say nonsense and add up at rest", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>([](std::span<int> items) { return squares(items); },
                                                         {.batch_size = 8, .batch_timeout = 50us, .partitions = 2});
  std::vector<std::thread> threads;
  for (int producer = 0; producer < 2; ++producer) {
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        auto kept = batcher.dispatch(round);
        auto unwanted = batcher.dispatch(round);
        (void)unwanted.cancel();
        (void)get_within(kept);
      }
    });
  }
  std::uint64_t most_running = 0;
  bool answered_are_accepted = true;
  bool queued_are_accepted = true;
  for (int look = 0; look < 1000; ++look) {
    const Stats stats = batcher.stats();
    most_running = std::max(most_running, stats.running);
    queued_are_accepted = queued_are_accepted && stats.queued <= stats.accepted;
    answered_are_accepted =
        answered_are_accepted && stats.completed + stats.failed + stats.cancelled + stats.timed_out <= stats.accepted;
  }
  for (auto& thread : threads) thread.join();
  CHECK(most_running <= 2);
  CHECK(queued_are_accepted);
  CHECK(answered_are_accepted);
  batcher.flush();
  CHECK(eventually([&] { return batcher.stats().running == 0 && batcher.stats().queued == 0; }));
  CHECK(batcher.stats().accepted == 800);
  audit(batcher);
}

TEST_CASE("stats know how long items waited and batches ran") {
  Workbench bench({.batch_size = 4, .batch_timeout = 50ms}, Answers::when_told);
  const auto about = [](std::chrono::nanoseconds time, std::chrono::nanoseconds expected) {
    return time > expected - expected / 20 && time < expected + expected / 20;
  };
  auto one = bench.batcher.dispatch(1);
  bench.pass(10ms);
  auto two = bench.batcher.dispatch(2);
  bench.pass(40ms);  // both leave
  ManualClock::advance(8ms);
  bench.finish(0);
  auto four = bench.batcher.dispatch_many({1, 2, 3, 4});
  bench.poll();
  ManualClock::advance(1ms);
  bench.finish(1);
  const Stats stats = bench.batcher.stats();
  CHECK(stats.queue_wait.count() == 6);
  CHECK(stats.queue_wait.quantile(0.5) < 1us);
  CHECK(about(stats.queue_wait.quantile(5.0 / 6), 40ms));
  CHECK(about(stats.queue_wait.quantile(1), 50ms));
  CHECK(stats.run_time.count() == 2);
  CHECK(about(stats.run_time.quantile(0.5), 1ms));
  CHECK(about(stats.run_time.quantile(1), 8ms));
  CHECK(stats.batch_size == 4);
  CHECK(stats.batch_timeout == 50ms);
}

TEST_CASE("utilization counts what runs, also what still does") {
  Workbench bench({.batch_size = 1, .partitions = 2}, Answers::when_told);
  ManualClock::advance(10ms);
  auto one = bench.batcher.dispatch(1);
  bench.poll();
  ManualClock::advance(10ms);
  CHECK(bench.batcher.stats().elapsed == 20ms);
  CHECK(bench.batcher.stats().busy == 10ms);
  CHECK(bench.batcher.stats().utilization() == 0.25);
  auto other = bench.batcher.dispatch(2);
  bench.poll();
  ManualClock::advance(10ms);
  CHECK(bench.batcher.stats().busy == 30ms);
  CHECK(bench.batcher.stats().utilization() == 0.5);
  bench.finish_all();
  ManualClock::advance(30ms);
  CHECK(bench.batcher.stats().busy == 30ms);
  CHECK(bench.batcher.stats().utilization() == 0.25);
}

TEST_CASE("two snapshots tell what happened between them") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto first = bench.batcher.dispatch_many({1, 2});
  bench.poll();
  ManualClock::advance(100ms);
  bench.finish(0);
  const Stats before = bench.batcher.stats();
  auto more = bench.batcher.dispatch_many({1, 2, 3, 4});
  bench.poll();
  ManualClock::advance(50ms);
  bench.finish(1);
  bench.finish(2);
  ManualClock::advance(450ms);
  const Stats change = bench.batcher.stats().since(before);
  CHECK(change.accepted == 4);
  CHECK(change.completed == 4);
  CHECK(change.batches == 2);
  CHECK(change.closed_by.size == 2);
  CHECK(change.elapsed == 500ms);
  CHECK(change.items_per_second() == 8.0);
  CHECK(change.utilization() == 0.1);
  CHECK(change.run_time.count() == 2);
  CHECK(change.run_time.quantile(1) < 60ms);
  CHECK(change.queue_wait.count() == 4);
  CHECK(before.since(before).items_per_second() == 0.0);
}

TEST_CASE("what batching saves is known in runs, and in whatever a run costs") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns});
  auto many = bench.batcher.dispatch_many(from_to(1, 10));
  bench.poll();
  const Stats stats = bench.batcher.stats();
  CHECK(stats.batches == 3);
  CHECK(stats.saved_runs() == 7);
  CHECK(stats.saved(0.5) == 3.5);
  CHECK(stats.saved(2ms) == 14ms);
  CHECK(Stats().saved_runs() == 0);
}

}  // namespace
