// Tests of Options::observer: what it is told, when and where, and that it changes nothing.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using batching::BatchFinished;
using batching::CallInBatch;
using batching::Observer;
using batching::OnFailure;
using batching::WindowClosed;

namespace {

/// Keeps all that it is told.
class Diary : public Observer {
 public:
  struct Closed : WindowClosed {
    std::vector<CallInBatch> all_calls;
  };
  struct Finished : BatchFinished {
    std::vector<CallInBatch> all_calls;
  };

  void window_closed(const WindowClosed& event) override {
    const std::lock_guard lock(mutex_);
    closed.push_back({event, {event.calls.begin(), event.calls.end()}});
    order.push_back("closed " + std::to_string(event.batch));
  }
  void batch_finished(const BatchFinished& event) override {
    const std::lock_guard lock(mutex_);
    finished.push_back({event, {event.calls.begin(), event.calls.end()}});
    order.push_back("finished " + std::to_string(event.batch));
  }

  std::vector<Closed> closed;
  std::vector<Finished> finished;
  std::vector<std::string> order;

 private:
  std::mutex mutex_;
};

[[nodiscard]] std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return exception.what();
  }
}

using Numbers = Batcher<int, int, ManualClock>;

TEST_CASE("an observer is told who travels, why, and how long everybody waited") {
  const auto diary = std::make_shared<Diary>();
  Workbench bench({.batch_size = 8, .batch_timeout = 50ms, .observer = diary}, Answers::when_told);
  const auto begin = ManualClock::now().time_since_epoch();
  auto two = bench.batcher.dispatch_many({1, 2});
  bench.pass(20ms);
  auto one = bench.batcher.dispatch(3);
  bench.pass(30ms);

  REQUIRE(diary->closed.size() == 1);
  const auto& closed = diary->closed.front();
  CHECK(closed.batch == 1);
  CHECK(closed.partition == 0);
  CHECK(closed.size == 3);
  CHECK(closed.callers == 2);
  CHECK(closed.weight == 3);
  CHECK(closed.deduplicated == 0);
  CHECK(closed.reason == CloseReason::timeout);
  CHECK(closed.time_open == 50ms);
  CHECK(closed.left.time_since_epoch() == begin + 50ms);
  CHECK(closed.queued == 0);
  REQUIRE(closed.all_calls.size() == 2);
  CHECK(closed.all_calls[0].items == 2);
  CHECK(closed.all_calls[0].queue_time == 50ms);
  CHECK(closed.all_calls[1].items == 1);
  CHECK(closed.all_calls[1].queue_time == 30ms);
  CHECK(closed.all_calls[1].arrived.time_since_epoch() == begin + 20ms);
  CHECK(diary->finished.empty());

  ManualClock::advance(7ms);
  bench.finish(0);
  REQUIRE(diary->finished.size() == 1);
  const auto& finished = diary->finished.front();
  CHECK(finished.batch == 1);
  CHECK(finished.size == 3);
  CHECK(finished.callers == 2);
  CHECK(finished.reason == CloseReason::timeout);
  CHECK(finished.queue_time == 50ms);
  CHECK(finished.run_time == 7ms);
  CHECK(finished.started.time_since_epoch() == begin + 50ms);
  CHECK(finished.failed == 0);
  CHECK_FALSE(finished.error);
  CHECK(finished.all_calls.size() == 2);
}

TEST_CASE("an observer hears of a call that is split once for each batch, and of those who still wait") {
  const auto diary = std::make_shared<Diary>();
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns, .observer = diary}, Answers::when_told);
  auto five = bench.batcher.dispatch_many(from_to(1, 5));
  bench.poll();
  REQUIRE(diary->closed.size() == 1);
  CHECK(diary->closed[0].queued == 3);
  bench.finish(0);
  bench.finish(1);
  bench.finish(2);
  REQUIRE(diary->closed.size() == 3);
  CHECK(diary->closed[2].size == 1);
  CHECK(diary->closed[2].reason == CloseReason::idle);
  for (const auto& closed : diary->closed) CHECK(closed.callers == 1);
  CHECK(diary->order ==
        std::vector<std::string>{"closed 1", "finished 1", "closed 2", "finished 2", "closed 3", "finished 3"});
}

TEST_CASE("a caller with several keys counts once in each batch that has items of it") {
  const auto diary = std::make_shared<Diary>();
  Numbers::Options options{.batch_size = 8, .batch_timeout = 0ns, .observer = diary};
  options.weight = [](const int& item) { return static_cast<std::size_t>(item); };
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({1, 2, 3});
  auto one = bench.batcher.dispatch(2);
  bench.poll();
  REQUIRE(diary->closed.size() == 1);
  CHECK(diary->closed[0].callers == 2);
  CHECK(diary->closed[0].weight == 8);
  CHECK(diary->closed[0].size == 4);
}

TEST_CASE("an observer hears what a batch failed with, and how many it failed") {
  const auto diary = std::make_shared<Diary>();
  asio::io_context io;
  SECTION("as a whole") {
    Numbers batcher(io, [](std::span<const int>) -> std::vector<int> { throw std::runtime_error("no disk"); },
                    {.batch_size = 2, .observer = diary});
    auto two = batcher.dispatch_many({1, 2});
    io.poll();
    REQUIRE(diary->finished.size() == 1);
    CHECK(diary->finished[0].failed == 2);
    CHECK(message_of(diary->finished[0].error) == "no disk");
  }
  SECTION("item by item") {
    Numbers batcher(io,
                    [](std::span<const int> items) {
                      std::vector<Result<int>> results;
                      for (const int item : items) {
                        if (item == 2) {
                          results.emplace_back(std::make_exception_ptr(std::runtime_error("two")));
                        } else {
                          results.emplace_back(item);
                        }
                      }
                      return results;
                    },
                    {.batch_size = 3, .observer = diary});
    auto three = batcher.dispatch_many({1, 2, 3});
    io.poll();
    REQUIRE(diary->finished.size() == 1);
    CHECK(diary->finished[0].failed == 1);
    CHECK(message_of(diary->finished[0].error) == "two");
  }
  SECTION("through a handle") {
    Numbers batcher(io,
                    [](Batch<int, int> batch) {
                      batch.set_value(0, 1);
                      batch.set_error(1, std::make_exception_ptr(std::runtime_error("one")));
                      batch.fail(std::make_exception_ptr(std::runtime_error("rest")));
                    },
                    {.batch_size = 4, .observer = diary});
    auto four = batcher.dispatch_many({1, 2, 3, 4});
    io.poll();
    REQUIRE(diary->finished.size() == 1);
    CHECK(diary->finished[0].failed == 3);
    CHECK(message_of(diary->finished[0].error) == "one");
  }
  SECTION("isolated: one batch, whatever runs it took") {
    Numbers::Options options{.batch_size = 4, .observer = diary};
    options.on_failure = OnFailure::isolate;
    Numbers batcher(
        io,
        [](std::span<const int> items) {
          for (const int item : items) {
            if (item == 3) throw std::runtime_error("three");
          }
          return squares(items);
        },
        options);
    auto four = batcher.dispatch_many({1, 2, 3, 4});
    io.poll();
    CHECK(diary->closed.size() == 1);
    REQUIRE(diary->finished.size() == 1);
    CHECK(diary->finished[0].failed == 1);
    CHECK(message_of(diary->finished[0].error) == "three");
  }
}

TEST_CASE("an observer that throws changes nothing") {
  struct Thrower : Observer {
    void window_closed(const WindowClosed&) override { throw std::runtime_error("closed"); }
    void batch_finished(const BatchFinished&) override { throw 42; }
  };
  Workbench bench({.batch_size = 2, .observer = std::make_shared<Thrower>()});
  auto two = bench.batcher.dispatch_many({2, 3});
  bench.poll();
  CHECK(get_within(two) == std::vector<int>{4, 9});
  audit(bench.batcher);
}

TEST_CASE("an observer may call the batcher") {
  struct Caller : Observer {
    void batch_finished(const BatchFinished&) override {
      if (batcher == nullptr) return;
      batches = batcher->stats().batches;
      if (batches < 3) answers.push_back(batcher->dispatch(static_cast<int>(batches)));
    }
    Numbers* batcher = nullptr;
    std::size_t batches = 0;
    std::vector<Future<int>> answers;
  };
  const auto caller = std::make_shared<Caller>();
  Workbench bench({.batch_size = 1, .observer = caller});
  caller->batcher = &bench.batcher;
  auto first = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(caller->batches == 3);
  REQUIRE(caller->answers.size() == 2);
  CHECK(get_within(caller->answers[1]) == 4);
  caller->batcher = nullptr;
}

TEMPLATE_TEST_CASE("when close returns, the observer has heard everything", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  constexpr int items = 2000;
  const auto diary = std::make_shared<Diary>();
  TestType place;
  auto batcher = place.template make<Batcher<int, int>>(
      squares, Options{.batch_size = 7, .batch_timeout = 0ns, .partitions = 3, .observer = diary});
  std::vector<Future<int>> answers;
  for (int i = 0; i < items; ++i) answers.push_back(batcher.dispatch(i));
  batcher.close();
  const Stats stats = batcher.stats();
  CHECK(diary->closed.size() == stats.batches);
  CHECK(diary->finished.size() == stats.batches);
  std::size_t all = 0;
  std::map<std::string, int> seen;
  for (const auto& finished : diary->finished) {
    all += finished.size;
    CHECK(finished.run_time >= 0ns);
    CHECK(finished.queue_time >= 0ns);
    CHECK(finished.callers == finished.size);
  }
  CHECK(all == items);
  // Each batch is announced before it is reported, and both once.
  for (const std::string& line : diary->order) {
    CHECK(++seen[line] == 1);
    if (line.starts_with("finished")) CHECK(seen["closed" + line.substr(8)] == 1);
  }
  audit(batcher);
}

}  // namespace
