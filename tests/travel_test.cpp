// Tests: who travels with whom: priorities, weights and keys from the caller to the batch function and back.
// SPDX-License-Identifier: BSL-1.0

#include <asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

using namespace support;
using IntOptions = Batcher<int, int, ManualClock>::Options;
using batching::Overflow;

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

// --- priorities ---

TEST_CASE("the higher priority goes first among all who wait, then who came first") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto busy = bench.batcher.dispatch(0);
  bench.poll();
  std::vector<Future<int>> futures;
  for (const auto& [item, priority] : {std::pair(1, 0), {2, 10}, {3, -1}, {4, 10}, {5, 0}}) {
    futures.push_back(bench.batcher.dispatch(item, {.priority = priority}));
  }
  bench.poll();
  while (!bench.held.empty()) bench.finish(bench.held.begin()->first);
  CHECK(bench.batches == Batches{{0}, {2, 4}, {1, 5}, {3}});
  for (int i = 0; i < 5; ++i) CHECK(get_within(futures[static_cast<std::size_t>(i)]) == (i + 1) * (i + 1));
  CHECK(get_within(busy) == 0);
  audit(bench.batcher);
}

TEST_CASE("under a flood of high priority the low one is served after at most 64 batches") {
  Workbench bench({.batch_size = 1, .batch_timeout = 0ns}, Answers::when_told);
  auto busy = bench.batcher.dispatch(0);
  bench.poll();
  auto low = bench.batcher.dispatch(-1, {.priority = 0});
  std::vector<Future<int>> flood;
  for (int i = 0; i < 200; ++i) flood.push_back(bench.batcher.dispatch(i, {.priority = 1}));
  std::size_t batch = 0;
  while (!is_ready(low)) bench.finish(batch++);
  CHECK(batch == 1 + 64 + 1);
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("a dispatch_many with a priority overtakes as a whole and keeps its order") {
  Workbench bench({.batch_size = 3, .batch_timeout = 0ns}, Answers::when_told);
  auto busy = bench.batcher.dispatch(0);
  bench.poll();
  auto low = bench.batcher.dispatch_many({1, 2});
  auto high = bench.batcher.dispatch_many({3, 4, 5, 6}, {.priority = 1});
  bench.poll();
  while (!bench.held.empty()) bench.finish(bench.held.begin()->first);
  CHECK(bench.batches == Batches{{0}, {3, 4, 5}, {6, 1, 2}});
  CHECK(get_within(high) == std::vector<int>{9, 16, 25, 36});
  CHECK(get_within(low) == std::vector<int>{1, 4});
}

TEST_CASE("drop_oldest drops who came first, not who is first in the row") {
  Workbench bench(
      {.batch_size = 9, .batch_timeout = by_size_alone, .max_queued = 2, .overflow = Overflow::drop_oldest});
  auto low = bench.batcher.dispatch(1);
  ManualClock::advance(1ns);
  auto high = bench.batcher.dispatch(2, {.priority = 1});
  ManualClock::advance(1ns);
  auto newest = bench.batcher.dispatch(3, {.priority = 2});
  bench.poll();
  CHECK(error_of(low) == errc::queue_full);
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches == Batches{{3, 2}});
  audit(bench.batcher);
}

// --- weights ---

IntOptions by_weight(std::size_t batch_size, std::chrono::nanoseconds timeout = 10ms) {
  return {.batch_size = batch_size, .batch_timeout = timeout, .weight = [](const int& item) -> std::size_t {
            return static_cast<std::size_t>(item);
          }};
}

TEST_CASE("batch_size bounds the weight; what does not fit opens the next window") {
  Workbench bench(by_weight(10));
  auto six = bench.batcher.dispatch(6);
  auto five = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(bench.batches == Batches{{6}});
  CHECK(bench.reasons == Reasons{CloseReason::weight});
  auto last = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(bench.batches == Batches{{6}, {5, 5}});
  CHECK(bench.reasons.back() == CloseReason::size);
  const Stats stats = bench.batcher.stats();
  CHECK(stats.closed_by.weight == 1);
  CHECK(stats.closed_by.size == 1);
  audit(bench.batcher);
}

TEST_CASE("an item above batch_size is refused at the door with a sentence, and so is the whole call that brings it") {
  Workbench bench(by_weight(10));
  auto heavy = bench.batcher.dispatch(11);
  REQUIRE(is_ready(heavy));
  CHECK(what_of(heavy).find("an item of weight 11, and batch_size is 10") != std::string::npos);
  auto many = bench.batcher.dispatch_many({1, 2, 12});
  CHECK(error_of(many) == errc::too_heavy);
  auto exact = bench.batcher.dispatch(10);
  bench.poll();
  CHECK(get_within(exact) == 100);
  CHECK(bench.batches == Batches{{10}});
  CHECK(bench.batcher.stats().rejected == 4);
  CHECK(bench.batcher.stats().accepted == 1);
  audit(bench.batcher);
}

TEST_CASE("an item that weighs nothing leaves by time, also where one more would fill the batch") {
  Workbench bench(by_weight(1));
  auto nothing = bench.batcher.dispatch(0);
  bench.pass(9ms);
  CHECK(bench.batches.empty());
  bench.pass(1ms);
  CHECK(bench.batches == Batches{{0}});
}

TEST_CASE("a call of many items is split by weight and keeps its order") {
  Workbench bench(by_weight(10));
  auto many = bench.batcher.dispatch_many({4, 4, 4, 1, 9, 1});
  bench.poll();
  CHECK(bench.batches == Batches{{4, 4}, {4, 1}, {9, 1}});
  CHECK(bench.reasons == Reasons{CloseReason::weight, CloseReason::weight, CloseReason::size});
  CHECK(get_within(many) == std::vector<int>{16, 16, 16, 1, 81, 1});
}

TEST_CASE("a weight or key function that throws fails that call alone") {
  for (const bool by_key : {false, true}) {
    IntOptions options{.batch_size = 2, .batch_timeout = 10ms};
    const auto fussy = [](const int& item) -> std::size_t {
      if (item == 13) throw std::runtime_error("13 is unlucky");
      return 1;
    };
    if (by_key) {
      options.key = fussy;
    } else {
      options.weight = fussy;
    }
    Workbench bench(options);
    auto before = bench.batcher.dispatch(1);
    auto unlucky = bench.batcher.dispatch_many({5, 13});
    CHECK(what_of(unlucky) == "13 is unlucky");
    auto after = bench.batcher.dispatch(2);
    bench.poll();
    CHECK(bench.batches == Batches{{1, 2}});
    CHECK(get_within(before) == 1);
    CHECK(get_within(after) == 4);
    audit(bench.batcher);
  }
}

TEST_CASE("a call by weight of which a batch fails does not run the rest") {
  asio::io_context io;
  int runs = 0;
  Batcher<int, int, ManualClock> batcher(
      io,
      [&](std::span<const int>) -> std::vector<int> {
        ++runs;
        throw std::runtime_error("no");
      },
      by_weight(4));
  auto many = batcher.dispatch_many({3, 3, 3});
  io.poll();
  CHECK(what_of(many) == "no");
  CHECK(runs == 1);
  audit(batcher);
}

// --- keys ---

IntOptions by_tens(std::size_t batch_size, std::chrono::nanoseconds timeout) {
  return {.batch_size = batch_size, .batch_timeout = timeout, .key = [](const int& item) { return item / 10; }};
}

TEST_CASE("only items of equal key share a batch, and alternating keys make full ones") {
  Workbench bench(by_tens(3, 10ms));
  std::vector<Future<int>> futures;
  for (const int item : {10, 20, 11, 21, 12, 22}) futures.push_back(bench.batcher.dispatch(item));
  bench.poll();
  CHECK(bench.batches == Batches{{10, 11, 12}, {20, 21, 22}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size});
  CHECK(get_within(futures[3]) == 21 * 21);
  audit(bench.batcher);
}

TEST_CASE("each key has its own clock") {
  Workbench bench(by_tens(3, 10ms));
  auto a = bench.batcher.dispatch(10);
  bench.pass(4ms);
  auto b = bench.batcher.dispatch(20);
  bench.pass(6ms);
  CHECK(bench.batches == Batches{{10}});
  bench.pass(3ms);
  CHECK(bench.batches.size() == 1);
  bench.pass(1ms);
  CHECK(bench.batches == Batches{{10}, {20}});
}

TEST_CASE("a rare key's window leaves on time beside a key that floods") {
  Workbench bench(by_tens(2, 10ms), Answers::when_told);
  std::vector<Future<int>> flood;
  for (int i = 0; i < 60; ++i) flood.push_back(bench.batcher.dispatch(10 + i % 10));
  bench.poll();
  auto rare = bench.batcher.dispatch(20);
  bench.pass(10ms);
  bench.finish(0);
  bench.finish(1);  // the flood had its turn before the other came; now that one has
  bench.finish(2);
  CHECK(is_ready(rare));
  CHECK(bench.batches[2] == std::vector<int>{20});
  CHECK(bench.reasons[2] == CloseReason::timeout);
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("a call of many keys travels in parts and comes back in its own order") {
  Workbench bench(by_tens(2, 10ms));
  auto many = bench.batcher.dispatch_many({10, 20, 30, 11, 21, 12});
  bench.poll();
  CHECK(bench.batches == Batches{{10, 11}, {20, 21}});
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{10, 11}, {20, 21}, {30}, {12}});
  CHECK(get_within(many) == std::vector<int>{100, 400, 900, 121, 441, 144});
  audit(bench.batcher);
}

TEST_CASE("keys may be strings, and items and outputs may only be moved") {
  struct Request {
    std::string tenant;
    std::unique_ptr<int> payload;
  };
  std::vector<std::string> tenants;
  asio::io_context io;
  Batcher<Request, std::unique_ptr<int>, ManualClock> batcher(
      io,
      [&](std::span<Request> requests) {
        std::vector<std::unique_ptr<int>> outputs;
        for (Request& request : requests) {
          CHECK(request.tenant == requests.front().tenant);
          outputs.push_back(std::move(request.payload));
        }
        tenants.push_back(requests.front().tenant + std::to_string(requests.size()));
        return outputs;
      },
      {.batch_size = 2, .batch_timeout = 10ms, .key = &Request::tenant});
  auto one = batcher.dispatch({"one", std::make_unique<int>(1)});
  auto two = batcher.dispatch({"two", std::make_unique<int>(2)});
  auto three = batcher.dispatch({"one", std::make_unique<int>(3)});
  io.poll();
  CHECK(tenants == std::vector<std::string>{"one2"});
  CHECK(*get_within(one) == 1);
  CHECK(*get_within(three) == 3);
  CHECK(two.cancel());
  batcher.stop();
}

TEST_CASE("who cancels, times out or is stopped leaves its key's window, and neighbours notice nothing") {
  Workbench bench(by_tens(3, 100ms));
  auto cancelled = bench.batcher.dispatch_many({10, 20, 11});
  auto late = bench.batcher.dispatch_many({30, 12}, {.timeout = 5ms});
  auto stays = bench.batcher.dispatch(13);
  bench.poll();
  CHECK(bench.batches.size() == 1);  // 10 11 12
  CHECK(cancelled.cancel());
  bench.pass(5ms);
  CHECK(error_of(late) == errc::timed_out);
  CHECK(bench.batcher.stats().queued == 1);
  auto again = bench.batcher.dispatch_many({14, 15});
  bench.poll();
  CHECK(bench.batches == Batches{{10, 11, 12}, {13, 14, 15}});
  CHECK(get_within(stays) == 169);
  auto stopped = bench.batcher.dispatch_many({10, 20, 30});
  bench.poll();
  bench.batcher.stop();
  CHECK(error_of(stopped) == errc::closed);
  audit(bench.batcher);
}

TEST_CASE("max_queued, its door and drop_oldest count items whatever their keys") {
  for (const Overflow overflow : {Overflow::reject, Overflow::drop_oldest}) {
    IntOptions options = by_tens(9, by_size_alone);
    options.max_queued = 3;
    options.overflow = overflow;
    Workbench bench(options);
    auto first = bench.batcher.dispatch(10);
    auto others = bench.batcher.dispatch_many({20, 30});
    bench.poll();
    auto newest = bench.batcher.dispatch(40);
    bench.poll();
    auto& unlucky = overflow == Overflow::reject ? newest : first;
    CHECK(error_of(unlucky) == errc::queue_full);
    CHECK(bench.batcher.stats().queued == 3);
    bench.batcher.stop();
    audit(bench.batcher);
  }
}

TEST_CASE("inline calls keep keys apart and weights within bounds") {
  std::vector<std::vector<int>> batches;
  const auto remember = [&](std::span<const int> items) {
    batches.emplace_back(items.begin(), items.end());
    return squares(items);
  };
  Batcher<int, int> keyed(remember, {.batch_size = 2, .key = [](const int& item) { return item / 10; }});
  CHECK(keyed.inline_many({10, 11, 12, 20, 13}) == std::vector<int>{100, 121, 144, 400, 169});
  CHECK(batches == Batches{{10, 11}, {12}, {20}, {13}});
  batches.clear();
  Batcher<int, int> weighed(
      remember, {.batch_size = 10, .weight = [](const int& item) { return static_cast<std::size_t>(item); }});
  CHECK(weighed.inline_many({6, 4, 7, 4}) == std::vector<int>{36, 16, 49, 16});
  CHECK(batches == Batches{{6, 4}, {7}, {4}});
  CHECK(error_from([&] { (void)weighed.inline_one(11); }) == errc::too_heavy);
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> sizes;
  Batcher<std::size_t, void> heavy([&](std::span<const std::size_t> items) { sizes.push_back(items.size()); },
                                   {.batch_size = most, .weight = [](std::size_t item) { return item; }});
  heavy.inline_many({most / 2 + 1, most / 2 + 1, most / 2});
  CHECK(sizes == std::vector<std::size_t>{1, 2});
}

TEST_CASE("many threads with keys, weights and priorities: everybody gets its own, and the books balance") {
  std::atomic<int> mixed = 0;
  std::atomic<int> heavy = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> items) {
        std::size_t weight = 0;
        for (const int item : items) {
          weight += static_cast<std::size_t>(item % 5);
          mixed += item % 7 == items.front() % 7 ? 0 : 1;
        }
        heavy += weight <= 16 ? 0 : 1;
        return squares(items);
      },
      {.batch_size = 16,
       .batch_timeout = 100us,
       .partitions = 2,
       .max_queued = 500,
       .overflow = Overflow::block,
       .weight = [](const int& item) { return static_cast<std::size_t>(item % 5); },
       .key = [](const int& item) { return item % 7; }});
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 300; ++i) {
        const int item = thread * 1000 + i;
        auto cancelled = batcher.dispatch(item);
        auto many = batcher.dispatch_many({item, item + 1, item + 2}, {.priority = i % 3});
        if (i % 2 == 0) cancelled.cancel();
        if (get_within(many) != std::vector<int>{item * item, (item + 1) * (item + 1), (item + 2) * (item + 2)})
          ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher.close();
  CHECK(wrong == 0);
  CHECK(mixed == 0);
  CHECK(heavy == 0);
  audit(batcher);
}

// --- fairness ---

TEST_CASE("single callers beside one dispatch_many of 100,000 wait for less than four batches, and it keeps half") {
  // A batch takes one tick of the manual clock, so that nothing depends on the machine.
  constexpr auto tick = 1ms;
  Workbench bench({.batch_size = 64, .batch_timeout = 0ns}, Answers::when_told);
  std::vector<int> items(100'000);
  auto large = bench.batcher.dispatch_many(items);
  bench.poll();
  struct Single {
    Future<int> future;
    ManualClock::time_point since;
  };
  std::vector<Single> callers;
  for (int i = 0; i < 16; ++i) callers.push_back({bench.batcher.dispatch(i), ManualClock::now()});
  std::vector<std::chrono::nanoseconds> waits;
  std::size_t batches = 0;
  while (!is_ready(large)) {
    ManualClock::advance(tick);
    bench.finish(batches++);
    for (Single& caller : callers) {
      if (!is_ready(caller.future)) continue;
      waits.push_back(ManualClock::now() - caller.since);
      (void)get_within(caller.future);
      caller = {bench.batcher.dispatch(1), ManualClock::now()};
    }
    bench.poll();
  }
  std::sort(waits.begin(), waits.end());
  REQUIRE(waits.size() > 10'000);
  CHECK(waits[waits.size() * 99 / 100] < 4 * tick);
  CHECK(batches <= 2 * (items.size() + 63) / 64);
  bench.batcher.stop();
  bench.finish_all();
  audit(bench.batcher);
}

}  // namespace
