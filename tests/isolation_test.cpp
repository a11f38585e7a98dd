// Tests: OnFailure::isolate: whose fault it was, found out by running the batch again in halves.
// SPDX-License-Identifier: BSL-1.0

#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support.hpp"

namespace {

using namespace support;
using batching::OnFailure;

constexpr int poisoned = 1000;
constexpr auto by_size_alone = std::chrono::nanoseconds::max();

Batcher<int, int>::Options isolating(std::size_t batch_size, std::size_t max_runs = 64) {
  return {
      .batch_size = batch_size, .batch_timeout = by_size_alone, .on_failure = OnFailure::isolate, .max_runs = max_runs};
}

/// `count` items, the poisoned ones at these places.
std::vector<int> items_with(std::size_t count, const std::set<std::size_t>& places) {
  std::vector<int> items(count);
  std::iota(items.begin(), items.end(), 0);
  for (const std::size_t place : places) items[place] += poisoned;
  return items;
}
bool is_poisoned(int item) { return item >= poisoned; }
void throw_if_poisoned(std::span<const int> items) {
  if (std::any_of(items.begin(), items.end(), is_poisoned)) throw std::runtime_error("poison");
}

template <class AnyBatcher>
std::vector<Future<int>> dispatch_each(AnyBatcher& batcher, const std::vector<int>& items) {
  std::vector<Future<int>> futures;
  for (const int item : items) futures.push_back(batcher.dispatch(item));
  return futures;
}
/// Everybody who is not poisoned has its own output, the others have `error`.
void check(std::vector<Future<int>>& futures, const std::vector<int>& items, const std::string& error = "poison") {
  int wrong = 0;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (is_poisoned(items[i])) {
      wrong += what_of(futures[i]) == error ? 0 : 1;
    } else {
      wrong += get_within(futures[i]) == items[i] * items[i] ? 0 : 1;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("one poisoned of 256: 255 values and one error in at most 17 runs, wherever it stands") {
  for (const std::size_t place : {0U, 1U, 100U, 127U, 128U, 255U}) {
    std::atomic<std::size_t> runs = 0;
    Batcher<int, int> batcher(
        [&](std::span<const int> items) {
          ++runs;
          throw_if_poisoned(items);
          return squares(items);
        },
        isolating(256));
    const auto items = items_with(256, {place});
    auto futures = dispatch_each(batcher, items);
    check(futures, items);
    CHECK(runs <= 17);
    batcher.close();
    const Stats stats = batcher.stats();
    CHECK(stats.batches == 1);
    CHECK(stats.reruns == runs - 1);
    CHECK(stats.completed == 255);
    CHECK(stats.failed == 1);
    audit(batcher);
  }
}

TEST_CASE("a function that always fails stops at the run budget, and everybody hears its last error") {
  std::atomic<int> runs = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int>) -> std::vector<int> { throw std::runtime_error("run " + std::to_string(++runs)); },
      isolating(64, 10));
  auto futures = dispatch_each(batcher, items_with(64, {}));
  std::set<std::string> errors;
  for (auto& future : futures) errors.insert(what_of(future));
  CHECK(runs == 10);
  CHECK(errors.count("run 10") == 1);
  for (const std::string& error : errors) CHECK(error.rfind("run ", 0) == 0);
  batcher.close();
  CHECK(batcher.stats().reruns == 9);
  CHECK(batcher.stats().failed == 64);
  audit(batcher);
}

TEST_CASE("with a budget of one nothing runs again") {
  std::atomic<int> runs = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> items) {
        ++runs;
        throw_if_poisoned(items);
        return squares(items);
      },
      isolating(4, 1));
  auto futures = dispatch_each(batcher, items_with(4, {2}));
  for (auto& future : futures) CHECK(what_of(future) == "poison");
  CHECK(runs == 1);
}

TEST_CASE("a batch that succeeds runs once, on the items as they were") {
  std::atomic<int> runs = 0;
  Batcher<std::string, std::string> batcher(
      [&](std::span<std::string> items) {
        ++runs;
        std::vector<std::string> outputs;
        for (std::string& item : items) outputs.push_back(std::move(item));
        return outputs;
      },
      {.batch_size = 3, .batch_timeout = by_size_alone, .on_failure = OnFailure::isolate});
  auto many = batcher.dispatch_many({"a long enough string to be moved", "b", "c"});
  CHECK(get_within(many) == std::vector<std::string>{"a long enough string to be moved", "b", "c"});
  CHECK(runs == 1);
}

TEST_CASE("a function that has moved from its inputs gets them again") {
  Batcher<std::string, std::string> batcher(
      [&](std::vector<std::string> items) {
        const bool poison = std::count(items.begin(), items.end(), "poison") > 0;
        std::vector<std::string> outputs = std::move(items);
        if (poison) throw std::runtime_error("poison");
        return outputs;
      },
      {.batch_size = 3, .batch_timeout = by_size_alone, .on_failure = OnFailure::isolate});
  auto first = batcher.dispatch("a long enough string to be moved");
  auto second = batcher.dispatch("poison");
  auto third = batcher.dispatch("another long enough string to be moved");
  CHECK(get_within(first) == "a long enough string to be moved");
  CHECK(what_of(second) == "poison");
  CHECK(get_within(third) == "another long enough string to be moved");
}

TEST_CASE("the wrong number of outputs is a failure like any other") {
  Batcher<int, int> batcher(
      [](std::span<const int> items) {
        auto outputs = squares(items);
        if (std::any_of(items.begin(), items.end(), is_poisoned)) outputs.pop_back();
        return outputs;
      },
      isolating(8));
  const auto items = items_with(8, {5});
  auto futures = dispatch_each(batcher, items);
  CHECK(error_of(futures[5]) == errc::wrong_output_count);
  futures.erase(futures.begin() + 5);
  auto rest = items;
  rest.erase(rest.begin() + 5);
  check(futures, rest);
}

TEST_CASE("results that fail by themselves are final") {
  std::atomic<int> runs = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> items) {
        ++runs;
        std::vector<Result<int>> results;
        for (const int item : items) {
          if (is_poisoned(item)) {
            results.emplace_back(std::make_exception_ptr(std::runtime_error("poison")));
          } else {
            results.emplace_back(item * item);
          }
        }
        return results;
      },
      isolating(8));
  const auto items = items_with(8, {5});
  auto futures = dispatch_each(batcher, items);
  check(futures, items);
  CHECK(runs == 1);
}

TEST_CASE("items that were answered before the failure are not run again") {
  std::mutex mutex;
  std::vector<std::vector<int>> runs;
  Batcher<int, int> batcher(
      [&](Batch<int, int> batch) {
        {
          const std::lock_guard lock(mutex);
          runs.emplace_back(batch.inputs().begin(), batch.inputs().end());
        }
        for (std::size_t i = 0; i < batch.inputs().size(); ++i) {
          if (is_poisoned(batch.inputs()[i])) throw std::runtime_error("poison");
          batch.set_value(i, batch.inputs()[i] * batch.inputs()[i]);
        }
      },
      isolating(8));
  const auto items = items_with(8, {4});
  auto futures = dispatch_each(batcher, items);
  check(futures, items);
  CHECK(runs.front().size() == 8);
  for (std::size_t run = 1; run < runs.size(); ++run) {
    for (const int item : runs[run]) CHECK((item >= 5 || is_poisoned(item)));
  }
  audit(batcher);
}

TEST_CASE("a dispatch_many with a poisoned item fails, its neighbours in the batch do not, and the rest need not run") {
  std::atomic<int> seen = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> items) {
        seen += static_cast<int>(items.size());
        throw_if_poisoned(items);
        return squares(items);
      },
      isolating(4));
  auto neighbour = batcher.dispatch(3);
  auto many = batcher.dispatch_many({1, poisoned, 2, 5, 5, 5, 5});
  CHECK(what_of(many) == "poison");
  CHECK(get_within(neighbour) == 9);
  batcher.close();
  audit(batcher);
}

TEST_CASE("a function that answers later, from another thread, is run again on the executor") {
  asio::thread_pool pool(2);
  std::atomic<int> runs = 0;
  std::atomic<int> at_once = 0;
  std::vector<std::thread> threads;
  std::mutex mutex;
  Batcher<int, int> batcher(
      pool,
      [&](Batch<int, int> batch) {
        ++runs;
        if (++at_once != 1) throw std::logic_error("two runs at once");
        const std::lock_guard lock(mutex);
        threads.emplace_back([&, kept = std::move(batch)]() mutable {
          --at_once;
          const auto inputs = kept.inputs();
          if (std::any_of(inputs.begin(), inputs.end(), is_poisoned)) {
            kept.fail(std::make_exception_ptr(std::runtime_error("poison")));
          } else {
            kept.complete(squares(inputs));
          }
        });
      },
      isolating(32));
  const auto items = items_with(32, {7, 20});
  auto futures = dispatch_each(batcher, items);
  check(futures, items);
  batcher.close();
  CHECK(runs > 10);
  audit(batcher);
  for (std::thread& thread : threads) thread.join();
}

TEST_CASE("who cancels meanwhile is answered at once, and counted once") {
  Gate gate;
  const OpensAtEnd opens(gate);
  std::atomic<int> runs = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> items) {
        if (++runs == 2) gate.wait();
        throw_if_poisoned(items);
        return squares(items);
      },
      isolating(4));
  const auto items = items_with(4, {1});
  auto futures = dispatch_each(batcher, items);
  REQUIRE(eventually([&] { return runs == 2; }));
  CHECK(futures[0].cancel());
  CHECK(error_of(futures[0]) == errc::cancelled);
  gate.open();
  CHECK(what_of(futures[1]) == "poison");
  CHECK(get_within(futures[3]) == 9);
  batcher.close();
  CHECK(batcher.stats().cancelled == 1);
  audit(batcher);
}

TEST_CASE("after stop nothing is run again") {
  Gate gate;
  const OpensAtEnd opens(gate);
  std::atomic<int> runs = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int>) -> std::vector<int> {
        ++runs;
        gate.wait();
        throw std::runtime_error("poison");
      },
      isolating(4));
  auto futures = dispatch_each(batcher, items_with(4, {}));
  REQUIRE(eventually([&] { return runs == 1; }));
  batcher.stop();
  gate.open();
  for (auto& future : futures) CHECK(what_of(future) == "poison");
  CHECK(runs == 1);
  batcher.close();
  audit(batcher);
}

TEST_CASE("inline calls isolate as well") {
  Batcher<int, int> batcher(
      [](std::span<const int> items) {
        throw_if_poisoned(items);
        return squares(items);
      },
      isolating(4));
  CHECK(batcher.inline_many({1, 2, 3}) == std::vector<int>{1, 4, 9});
  CHECK_THROWS_WITH(batcher.inline_many({1, poisoned, 3}), "poison");
}

TEST_CASE("an item that cannot be copied fails alone") {
  struct Fragile {
    explicit Fragile(int n) : number(n) {}
    Fragile(Fragile&&) = default;
    Fragile(const Fragile& other) : number(other.number) {
      if (number < 0) throw std::runtime_error("cannot be copied");
    }
    int number;
  };
  Batcher<Fragile, int> batcher(
      [](std::span<const Fragile> items) {
        std::vector<int> outputs;
        for (const Fragile& item : items) outputs.push_back(item.number);
        return outputs;
      },
      {.batch_size = 2, .batch_timeout = by_size_alone, .on_failure = OnFailure::isolate});
  auto bad = batcher.dispatch(Fragile(-1));
  auto good = batcher.dispatch(Fragile(7));
  CHECK(what_of(bad) == "cannot be copied");
  CHECK(get_within(good) == 7);
  audit(batcher);
}

TEST_CASE("what was decided at run time and asks for copies of what cannot be copied is refused with a sentence") {
  using Owner = std::unique_ptr<int>;
  const Options options{.batch_size = 1, .on_failure = OnFailure::isolate};
  const auto make = [&] {
    const Batcher<Owner, int> batcher([](std::span<const Owner> items) { return std::vector<int>(items.size()); },
                                      options);
  };
  CHECK_THROWS_WITH(make(),
                    "batching::Options::on_failure must be fail_batch where In cannot be copied, but is isolate");
  CHECK_THROWS_AS(make(), std::invalid_argument);
}

TEST_CASE("move-only items are no obstacle where nothing is isolated") {
  Batcher<std::unique_ptr<int>, int> batcher(
      [](std::span<const std::unique_ptr<int>> items) { return std::vector<int>(items.size(), 1); },
      {.batch_size = 1, .on_failure = OnFailure::fail_batch});
  CHECK(get_within(batcher.dispatch(std::make_unique<int>(1))) == 1);
}

#ifdef BATCHING_HAS_COROUTINES
TEST_CASE("a coroutine is run again, and the destructor waits for it") {
  std::atomic<int> runs = 0;
  std::optional<Batcher<int, int>> batcher(
      std::in_place,
      [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
        ++runs;
        co_await asio::post(asio::use_awaitable);
        throw_if_poisoned(items);
        co_return squares(items);
      },
      isolating(16));
  const auto items = items_with(16, {3});
  auto futures = dispatch_each(*batcher, items);
  check(futures, items);
  CHECK(runs <= 9);
  auto more = dispatch_each(*batcher, items);
  batcher.reset();
  for (auto& future : more) CHECK(is_ready(future));
}
#endif

TEST_CASE("many callers, much poison: the books balance") {
  Batcher<int, int> batcher(
      [](std::span<const int> items) {
        throw_if_poisoned(items);
        return squares(items);
      },
      {.batch_size = 16, .batch_timeout = 100us, .partitions = 2, .on_failure = OnFailure::isolate, .max_runs = 12});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        auto bad = batcher.dispatch(poisoned + i);
        auto good = batcher.dispatch(i);
        if (i % 3 == 0) bad.cancel();
        try {
          wrong += get_within(good) == i * i ? 0 : 1;  // or the budget was spent
        } catch (const std::runtime_error&) {
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher.close();
  CHECK(wrong == 0);
  audit(batcher);
}

}  // namespace
