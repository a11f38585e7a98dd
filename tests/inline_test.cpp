// Tests of inline calls: the batch function at once, on the calling thread, beside the machinery.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batcher.hpp>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;

namespace {

/// Nobody ever runs its context: whatever answers here answers inline.
struct Idle {
  explicit Idle(Options options)
      : batcher(
            io,
            [this](std::span<int> items) {
              batches.emplace_back(items.begin(), items.end());
              threads.push_back(std::this_thread::get_id());
              return squares(items);
            },
            options) {}
  asio::io_context io;
  Batches batches;
  std::vector<std::thread::id> threads;
  Batcher<int, int> batcher;
};

TEST_CASE("inline_one runs the batch function at once, on the calling thread, with a batch of one") {
  Idle idle({.batch_size = 8, .batch_timeout = 10s});
  CHECK(idle.batcher.inline_one(3) == 9);
  CHECK(idle.batches == Batches{{3}});
  CHECK(idle.threads.front() == std::this_thread::get_id());
}

TEST_CASE("inline_many of 5 with size 2 calls with 2, 2, 1 and returns five values flat") {
  Idle idle({.batch_size = 2, .batch_timeout = 10s});
  CHECK(idle.batcher.inline_many(from_to(1, 5)) == squares(from_to(1, 5)));
  CHECK(idle.batches == Batches{{1, 2}, {3, 4}, {5}});
}

TEST_CASE("inline_many takes any range") {
  Idle idle({.batch_size = 2});
  CHECK(idle.batcher.inline_many({1, 2, 3}) == std::vector{1, 4, 9});
  CHECK(idle.batcher.inline_many(std::list{1, 2, 3}) == std::vector{1, 4, 9});
  const auto items = from_to(1, 3);
  CHECK(idle.batcher.inline_many(items) == std::vector{1, 4, 9});
}

TEST_CASE("inline_many of nothing calls nothing") {
  Idle idle({});
  CHECK(idle.batcher.inline_many(std::vector<int>()).empty());
  CHECK(idle.batches.empty());
}

TEST_CASE("inline calls are not counted") {
  Idle idle({.batch_size = 2});
  (void)idle.batcher.inline_one(1);
  (void)idle.batcher.inline_many({1, 2, 3});
  const Stats stats = idle.batcher.stats();
  CHECK(stats.accepted == 0);
  CHECK(stats.completed == 0);
  CHECK(stats.batches == 0);
  CHECK(stats.running == 0);
}

TEST_CASE("inline calls work after the batcher has closed") {
  Idle idle({.batch_size = 2});
  SECTION("by stop") { idle.batcher.stop(); }
  SECTION("by close") { CHECK(idle.batcher.close_for(patience)); }
  CHECK(idle.batcher.inline_one(3) == 9);
  CHECK(idle.batcher.inline_many(from_to(1, 5)) == squares(from_to(1, 5)));
}

TEST_CASE("inline calls leave the window alone") {
  Idle idle({.batch_size = 2, .batch_timeout = 10s});
  auto waiting = idle.batcher.dispatch(1);
  CHECK(idle.batcher.inline_one(2) == 4);
  CHECK_FALSE(is_ready(waiting));
  CHECK(idle.batches == Batches{{2}});
  CHECK(idle.batcher.stats().queued == 1);
}

TEST_CASE("an inline call does not wait for a busy partition") {
  Gate gate;
  Gate entered;
  Batcher<int, int> batcher(
      [&](std::span<int> items) {
        if (items.front() == 0) {
          entered.open();
          gate.wait();
        }
        return squares(items);
      },
      {.batch_size = 1});
  const OpensAtEnd opens(gate);
  auto busy = batcher.dispatch(0);
  entered.wait();
  CHECK(batcher.inline_one(3) == 9);
  CHECK_FALSE(is_ready(busy));
  gate.open();
  CHECK(get_within(busy) == 0);
}

TEST_CASE("what the batch function throws leaves the inline call") {
  asio::io_context io;
  int calls = 0;
  Batcher<int, int> batcher(io,
                            [&](std::span<int> items) {
                              ++calls;
                              for (const int item : items) {
                                if (item == 13) throw 42;
                              }
                              return squares(items);
                            },
                            {.batch_size = 2});
  CHECK_THROWS_AS(batcher.inline_one(13), int);
  CHECK_THROWS_AS(batcher.inline_many({1, 2, 3, 13, 5}), int);
  CHECK(batcher.inline_one(3) == 9);
}

TEST_CASE("an inline call hears of the wrong number of outputs, of its own errors and of dropped items") {
  asio::io_context io;
  SECTION("wrong number") {
    Batcher<int, int> batcher(io, [](std::span<int>) { return std::vector{1, 2, 3}; });
    CHECK(error_from([&] { (void)batcher.inline_one(1); }) == errc::wrong_output_count);
  }
  SECTION("an outcome") {
    Batcher<int, int> batcher(io, [](std::span<int> items) {
      std::vector<Result<int>> results;
      for (const int item : items) {
        results.emplace_back(item > 0 ? Result<int>(item) : Result<int>(std::make_exception_ptr(42)));
      }
      return results;
    });
    CHECK(batcher.inline_one(1) == 1);
    CHECK_THROWS_AS(batcher.inline_one(-1), int);
    CHECK_THROWS_AS(batcher.inline_many({1, -1}), int);
  }
  SECTION("dropped") {
    Batcher<int, int> batcher(io, [](const Batch<int, int>&) {});
    CHECK(error_from([&] { (void)batcher.inline_one(1); }) == errc::dropped);
  }
}

TEST_CASE("an inline call blocks until a function that answers later has answered") {
  asio::io_context io;
  std::optional<Batch<int, int>> kept;
  Gate entered;
  std::thread answerer([&] {
    entered.wait();
    std::this_thread::sleep_for(1ms);  // the caller has most likely begun to wait
    kept->set_value(0, 10);
    kept.reset();
  });
  Batcher<int, int> batcher(io, [&](Batch<int, int> batch) {
    kept.emplace(std::move(batch));
    entered.open();
  });
  CHECK(batcher.inline_one(3) == 10);
  answerer.join();
}

#ifdef BATCHING_HAS_COROUTINES
TEMPLATE_TEST_CASE("an inline call of a coroutine function waits for its end", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        if (items.front() == 13) throw 42;
        co_return squares(items);
      },
      {.batch_size = 2});
  CHECK(batcher.inline_one(3) == 9);
  CHECK(batcher.inline_many(from_to(1, 5)) == squares(from_to(1, 5)));
  CHECK_THROWS_AS(batcher.inline_one(13), int);
}
#endif

TEST_CASE("inline calls work with outputs of every kind") {
  asio::io_context io;
  SECTION("none") {
    std::vector<int> seen;
    Batcher<int, void> batcher(io, [&](std::span<int> items) { seen.insert(seen.end(), items.begin(), items.end()); },
                               {.batch_size = 2});
    batcher.inline_one(1);
    batcher.inline_many({2, 3, 4});
    CHECK(seen == from_to(1, 4));
  }
  SECTION("move-only") {
    using Box = std::unique_ptr<int>;
    Batcher<Box, Box> batcher(io, [](std::vector<Box> items) { return items; }, {.batch_size = 2});
    CHECK(*batcher.inline_one(std::make_unique<int>(1)) == 1);
    std::vector<Box> boxes;
    for (const int item : {2, 3, 4}) boxes.push_back(std::make_unique<int>(item));
    const auto outputs = batcher.inline_many(std::move(boxes));
    REQUIRE(outputs.size() == 3);
    CHECK(*outputs[2] == 4);
  }
  SECTION("bool") {
    Batcher<bool, bool> batcher(io,
                                [](std::span<bool> items, std::span<bool> outputs) {
                                  for (std::size_t i = 0; i < items.size(); ++i) outputs[i] = !items[i];
                                },
                                {.batch_size = 2});
    CHECK(batcher.inline_one(false));
    CHECK(batcher.inline_many({true, false, true}) == std::vector<bool>{false, true, false});
  }
  SECTION("not default constructible") {
    struct Named {
      explicit Named(int item) : name(std::to_string(item)) {}
      std::string name;
    };
    Batcher<int, Named> batcher(io,
                                [](std::span<int> items) {
                                  std::vector<Named> outputs;
                                  for (const int item : items) outputs.emplace_back(item);
                                  return outputs;
                                },
                                {.batch_size = 2});
    CHECK(batcher.inline_one(1).name == "1");
    CHECK(batcher.inline_many({1, 2, 3}).back().name == "3");
  }
}

TEST_CASE("a function with a context is given one inline as well") {
  asio::io_context io;
  std::vector<std::size_t> sizes;
  Batcher<int, int> batcher(io,
                            [&](std::span<int> items, BatchContext& context) {
                              sizes.push_back(context.info().size);
                              CHECK_FALSE(context.stop_requested());
                              return squares(items);
                            },
                            {.batch_size = 2});
  CHECK(batcher.inline_many({1, 2, 3}) == std::vector{1, 4, 9});
  CHECK(sizes == std::vector<std::size_t>{2, 1});
}

TEST_CASE("inline calls from several threads beside dispatch give everybody their own") {
  Batcher<int, int> batcher([](std::span<int> items) { return squares(items); },
                            {.batch_size = 4, .batch_timeout = 50us, .partitions = 2});
  std::atomic<bool> right = true;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (int item = 0; item < 200; ++item) {
        const int output = thread == 0 ? get_within(batcher.dispatch(item)) : batcher.inline_one(item);
        if (output != item * item) right = false;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right);
  CHECK(batcher.stats().accepted == 200);
  audit(batcher);
}

}  // namespace
