// Tests of batch functions: every shape, what it is given, and how its answers reach the callers.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batch_function.hpp>
#include <batching/batcher.hpp>

#include <asio/basic_waitable_timer.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
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

/// Poison for batch functions that refuse some items.
[[nodiscard]] std::exception_ptr refusal(int item) {
  return std::make_exception_ptr(std::runtime_error("no " + std::to_string(item)));
}

/// The function squares: for four callers of one item each, for a caller with a batch of his own, and for one whose
/// items are spread over three batches.
void check_squares(asio::io_context& io, Batcher<int, int, ManualClock>& batcher) {
  std::vector<Future<int>> singles;
  for (const int item : from_to(1, 4)) singles.push_back(batcher.dispatch(item));
  auto four = batcher.dispatch_many(from_to(5, 8));
  auto one = batcher.dispatch(9);
  auto ten = batcher.dispatch_many(from_to(10, 19));
  io.poll();
  ManualClock::advance(10ms);
  io.poll();
  for (const int item : from_to(1, 4))
    CHECK(get_within(singles[static_cast<std::size_t>(item - 1)], 0s) == item * item);
  CHECK(get_within(four, 0s) == squares(from_to(5, 8)));
  CHECK(get_within(one, 0s) == 81);
  CHECK(get_within(ten, 0s) == squares(from_to(10, 19)));
  CHECK(batcher.stats().batches == 5);
  audit(batcher);
}

template <class F>
void check_squares(F function) {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, std::move(function), {.batch_size = 4, .batch_timeout = 10ms});
  check_squares(io, batcher);
}

/// The function squares odd items and refuses even ones, each alone.
void check_refuses_even(asio::io_context& io, Batcher<int, int, ManualClock>& batcher) {
  std::vector<Future<int>> singles;
  for (const int item : from_to(1, 4)) singles.push_back(batcher.dispatch(item));
  auto odd = batcher.dispatch_many({5, 7});
  auto both = batcher.dispatch_many({9, 10, 11, 12});
  io.poll();
  CHECK(get_within(singles[0], 0s) == 1);
  CHECK(what_of(singles[1], 0s) == "no 2");
  CHECK(get_within(singles[2], 0s) == 9);
  CHECK(what_of(singles[3], 0s) == "no 4");
  CHECK(get_within(odd, 0s) == std::vector{25, 49});
  CHECK(what_of(both, 0s) == "no 10");
  audit(batcher);
}

template <class F>
void check_refuses_even(F function) {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, std::move(function), {.batch_size = 4, .batch_timeout = 0s});
  check_refuses_even(io, batcher);
}

/// The function is done with its items, and has put them into `seen`.
void check_without_outputs(std::vector<int>& seen, asio::io_context& io, Batcher<int, void, ManualClock>& batcher) {
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  auto many = batcher.dispatch_many(from_to(3, 9));
  io.poll();
  get_within(one, 0s);
  get_within(two, 0s);
  get_within(many, 0s);
  CHECK(seen == from_to(1, 9));
  CHECK(batcher.stats().completed == 9);
  audit(batcher);
}

template <class F>
void check_without_outputs(std::vector<int>& seen, F function) {
  asio::io_context io;
  Batcher<int, void, ManualClock> batcher(io, std::move(function), {.batch_size = 4, .batch_timeout = 0s});
  check_without_outputs(seen, io, batcher);
}

[[nodiscard]] std::vector<Result<int>> odd_squares(std::span<const int> items) {
  std::vector<Result<int>> results;
  for (const int item : items) {
    if (item % 2 == 0) {
      results.emplace_back(refusal(item));
    } else {
      results.emplace_back(item * item);
    }
  }
  return results;
}

// --- The shapes ---

TEST_CASE("a batch function takes std::span<In>") {
  check_squares([](std::span<int> items) { return squares(items); });
}
TEST_CASE("a batch function takes std::span<const In>") {
  check_squares([](std::span<const int> items) { return squares(items); });
}
TEST_CASE("a batch function takes std::vector<In>") {
  check_squares([](std::vector<int> items) { return squares(items); });
}
TEST_CASE("a batch function takes const std::vector<In>&") {
  check_squares([](const std::vector<int>& items) { return squares(items); });
}
TEST_CASE("a batch function takes std::vector<In>&& and may return it") {
  check_squares([](std::vector<int>&& items) {
    for (int& item : items) item *= item;
    return std::move(items);
  });
}
TEST_CASE("a batch function writes in place") {
  check_squares([](std::span<int> items, std::span<int> outputs) {
    std::transform(items.begin(), items.end(), outputs.begin(), [](int item) { return item * item; });
  });
}
TEST_CASE("a batch function that writes in place reads std::span<const In>") {
  check_squares([](std::span<const int> items, std::span<int> outputs) {
    std::transform(items.begin(), items.end(), outputs.begin(), [](int item) { return item * item; });
  });
}
TEST_CASE("a batch function takes a Batch") {
  check_squares([](Batch<int, int> batch) { batch.complete(squares(batch.inputs())); });
}
TEST_CASE("a batch function takes a Batch&&") {
  check_squares([](Batch<int, int>&& batch) { batch.complete(squares(batch.inputs())); });
}
TEST_CASE("a batch function is a plain function") {
  struct Plain {
    static std::vector<int> function(std::span<int> items) { return squares(items); }
  };
  check_squares(&Plain::function);
}
TEST_CASE("a batch function is a move-only object with a state") {
  auto factor = std::make_unique<int>(1);
  check_squares([factor = std::move(factor), calls = 0](std::span<int> items) mutable {
    ++calls;
    auto outputs = squares(items);
    for (int& output : outputs) output *= *factor;
    return outputs;
  });
}

TEST_CASE("a batch function of each shape takes a BatchContext behind its other parameters") {
  std::vector<std::size_t> sizes;
  SECTION("std::span<In>") {
    check_squares([&](std::span<int> items, BatchContext& context) {
      sizes.push_back(context.info().size);
      return squares(items);
    });
  }
  SECTION("std::span<const In>") {
    check_squares([&](std::span<const int> items, BatchContext& context) {
      sizes.push_back(context.info().size);
      return squares(items);
    });
  }
  SECTION("std::vector<In>") {
    check_squares([&](std::vector<int> items, BatchContext& context) {
      sizes.push_back(context.info().size);
      return squares(items);
    });
  }
  SECTION("const std::vector<In>&") {
    check_squares([&](const std::vector<int>& items, BatchContext& context) {
      sizes.push_back(context.info().size);
      return squares(items);
    });
  }
  SECTION("in place") {
    check_squares([&](std::span<int> items, std::span<int> outputs, BatchContext& context) {
      sizes.push_back(context.info().size);
      std::transform(items.begin(), items.end(), outputs.begin(), [](int item) { return item * item; });
    });
  }
#ifdef BATCHING_HAS_COROUTINES
  SECTION("a coroutine") {
    check_squares([&](std::vector<int> items, BatchContext& context) -> asio::awaitable<std::vector<int>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      sizes.push_back(context.info().size);  // still there
      co_return squares(items);
    });
  }
#endif
  CHECK(sizes == std::vector<std::size_t>{4, 4, 4, 4, 3});
}

TEST_CASE("a batch function returns an outcome for each item"){
    SECTION("from std::span<In>"){check_refuses_even([](std::span<int> items) { return odd_squares(items); });
}  // namespace
SECTION("from std::vector<In>") {
  check_refuses_even([](std::vector<int> items) { return odd_squares(items); });
}
SECTION("with a BatchContext") {
  check_refuses_even([](std::span<int> items, BatchContext&) { return odd_squares(items); });
}
SECTION("in a deque") {
  check_refuses_even([](std::span<int> items) {
    auto results = odd_squares(items);
    return std::deque<Result<int>>(results.begin(), results.end());
  });
}
SECTION("by a handle") {
  check_refuses_even([](Batch<int, int> batch) {
    for (std::size_t i = 0; i < batch.inputs().size(); ++i) {
      const int item = batch.inputs()[i];
      if (item % 2 == 0) {
        batch.set_error(i, refusal(item));
      } else {
        batch.set_value(i, item * item);
      }
    }
  });
}
#ifdef BATCHING_HAS_COROUTINES
SECTION("from a coroutine") {
  check_refuses_even([](std::vector<int> items) -> asio::awaitable<std::vector<Result<int>>> {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return odd_squares(items);
  });
}
#endif
}

TEST_CASE("a null error for one item counts as dropped") {
  const auto check = [](auto function) {
    Workbench bench({});  // only its context
    Batcher<int, int, ManualClock> batcher(bench.io, function, {.batch_size = 2});
    auto one = batcher.dispatch(1);
    auto two = batcher.dispatch(2);
    bench.poll();
    CHECK(get_within(one, 0s) == 1);
    CHECK(error_of(two, 0s) == errc::dropped);
    audit(batcher);
  };
  SECTION("in a result") {
    check([](std::span<int>) { return std::vector<Result<int>>{Result<int>(1), Result<int>(std::exception_ptr())}; });
  }
  SECTION("through a handle") {
    check([](Batch<int, int> batch) {
      batch.set_value(0, 1);
      batch.set_error(1, nullptr);
    });
  }
  SECTION("for all the rest") {
    check([](Batch<int, int> batch) {
      batch.set_value(0, 1);
      batch.fail(nullptr);
    });
  }
}

TEST_CASE("a batch function without outputs") {
  std::vector<int> seen;
  SECTION("takes std::span<In>") {
    check_without_outputs(seen, [&](std::span<int> items) { seen.insert(seen.end(), items.begin(), items.end()); });
  }
  SECTION("takes std::span<In> and a BatchContext") {
    check_without_outputs(
        seen, [&](std::span<int> items, BatchContext&) { seen.insert(seen.end(), items.begin(), items.end()); });
  }
  SECTION("takes std::vector<In>") {
    check_without_outputs(seen,
                          [&](const std::vector<int>& items) { seen.insert(seen.end(), items.begin(), items.end()); });
  }
  SECTION("takes a Batch and completes it") {
    check_without_outputs(seen, [&](Batch<int, void> batch) {
      seen.insert(seen.end(), batch.inputs().begin(), batch.inputs().end());
      batch.complete();
    });
  }
  SECTION("takes a Batch and answers item by item") {
    check_without_outputs(seen, [&](Batch<int, void> batch) {
      seen.insert(seen.end(), batch.inputs().begin(), batch.inputs().end());
      for (std::size_t i = 0; i < batch.info().size; ++i) batch.set_value(i);
    });
  }
  SECTION("returns an outcome for each item") {
    check_without_outputs(seen, [&](std::span<int> items) {
      seen.insert(seen.end(), items.begin(), items.end());
      return std::vector<Result<void>>(items.size());
    });
  }
#ifdef BATCHING_HAS_COROUTINES
  SECTION("is a coroutine") {
    check_without_outputs(seen, [&](std::vector<int> items) -> asio::awaitable<void> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      seen.insert(seen.end(), items.begin(), items.end());
    });
  }
  SECTION("is a coroutine with an outcome for each item") {
    check_without_outputs(seen, [&](std::vector<int> items) -> asio::awaitable<std::vector<Result<void>>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      seen.insert(seen.end(), items.begin(), items.end());
      co_return std::vector<Result<void>>(items.size());
    });
  }
#endif
}

TEST_CASE("without outputs, an item fails alone by its Result<void>") {
  asio::io_context io;
  Batcher<int, void, ManualClock> batcher(io,
                                          [](std::span<int> items) {
                                            std::vector<Result<void>> results(items.size());
                                            results[1] = Result<void>(refusal(items[1]));
                                            return results;
                                          },
                                          {.batch_size = 3});
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  auto three = batcher.dispatch(3);
  io.poll();
  CHECK_NOTHROW(get_within(one, 0s));
  CHECK(what_of(two, 0s) == "no 2");
  CHECK_NOTHROW(get_within(three, 0s));
  audit(batcher);
}

// --- What it returns ---

TEST_CASE("any sized range of outputs will do") {
  SECTION("std::deque") {
    check_squares([](std::span<int> items) {
      const auto outputs = squares(items);
      return std::deque<int>(outputs.begin(), outputs.end());
    });
  }
  SECTION("std::list") {
    check_squares([](std::span<int> items) {
      const auto outputs = squares(items);
      return std::list<int>(outputs.begin(), outputs.end());
    });
  }
  SECTION("std::set") {
    check_squares([](std::span<int> items) {
      const auto outputs = squares(items);
      return std::set<int>(outputs.begin(), outputs.end());
    });
  }
  SECTION("elements that convert") {
    check_squares([](std::span<int> items) {
      const auto outputs = squares(items);
      return std::vector<short>(outputs.begin(), outputs.end());
    });
  }
  SECTION("a const vector") {
    check_squares([](std::span<int> items) -> const std::vector<int> { return squares(items); });
  }
  SECTION("a reference to a vector that the function keeps") {
    std::vector<int> kept;
    check_squares([&](std::span<int> items) -> const std::vector<int>& { return kept = squares(items); });
    CHECK(kept == squares(from_to(17, 19)));
  }
  SECTION("a span of what the function keeps") {
    std::vector<int> kept;
    check_squares([&](std::span<int> items) {
      kept = squares(items);
      return std::span<int>(kept);
    });
    CHECK(kept == squares(from_to(17, 19)));
  }
  SECTION("its own inputs") {
    check_squares([](std::span<int> items) {
      for (int& item : items) item *= item;
      return items;
    });
  }
}

TEST_CASE("a std::array of outputs fits batches of its size") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(
      io,
      [](std::span<int> items) {
        return std::array<int, 2>{items.front() * items.front(), items.back() * items.back()};
      },
      {.batch_size = 2, .batch_timeout = 0s});
  auto two = batcher.dispatch_many({1, 2});
  auto one = batcher.dispatch(3);
  io.poll();
  CHECK(get_within(two, 0s) == std::vector{1, 4});
  CHECK(error_of(one, 0s) == errc::wrong_output_count);
  audit(batcher);
}

TEST_CASE("bool is an input and an output like any other") {
  const auto check = [](auto function) {
    asio::io_context io;
    Batcher<bool, bool, ManualClock> batcher(io, function, {.batch_size = 3, .batch_timeout = 0s});
    auto one = batcher.dispatch(true);
    auto two = batcher.dispatch(false);
    auto five = batcher.dispatch_many(std::vector<bool>{true, true, false, true, false});
    io.poll();
    CHECK(get_within(one, 0s) == false);
    CHECK(get_within(two, 0s) == true);
    CHECK(get_within(five, 0s) == std::vector<bool>{false, false, true, false, true});
    audit(batcher);
  };
  SECTION("in a span, out by std::vector<bool>") {
    check([](std::span<bool> items) {
      std::vector<bool> outputs;
      for (const bool item : items) outputs.push_back(!item);
      return outputs;
    });
  }
  SECTION("in a std::vector<bool>, out by std::deque<bool>") {
    check([](std::vector<bool> items) {
      std::deque<bool> outputs;
      for (const bool item : items) outputs.push_back(!item);
      return outputs;
    });
  }
  SECTION("in place") {
    check([](std::span<bool> items, std::span<bool> outputs) {
      for (std::size_t i = 0; i < items.size(); ++i) outputs[i] = !items[i];
    });
  }
  SECTION("with results") {
    check([](std::span<bool> items) {
      std::vector<Result<bool>> outputs;
      for (const bool item : items) outputs.emplace_back(!item);
      return outputs;
    });
  }
  SECTION("by a handle") {
    check([](Batch<bool, bool> batch) {
      for (std::size_t i = 0; i < batch.inputs().size(); ++i) batch.set_value(i, !batch.inputs()[i]);
    });
  }
}

TEST_CASE("In and Out may be move-only") {
  using Box = std::unique_ptr<int>;
  const auto check = [](auto function) {
    asio::io_context io;
    Batcher<Box, Box, ManualClock> batcher(io, function, {.batch_size = 2, .batch_timeout = 0s});
    auto one = batcher.dispatch(std::make_unique<int>(1));
    std::vector<Box> boxes;
    for (const int item : from_to(2, 5)) boxes.push_back(std::make_unique<int>(item));
    auto many = batcher.dispatch_many(std::move(boxes));
    io.poll();
    CHECK(*get_within(one, 0s) == 1);
    const auto outputs = get_within(many, 0s);
    REQUIRE(outputs.size() == 4);
    for (int i = 0; i < 4; ++i) CHECK(*outputs[static_cast<std::size_t>(i)] == i + 2);
    audit(batcher);
  };
  SECTION("moved out of the span") {
    check([](std::span<Box> items) {
      std::vector<Box> outputs;
      for (Box& item : items) outputs.push_back(std::move(item));
      return outputs;
    });
  }
  SECTION("the vector itself") {
    check([](std::vector<Box> items) { return items; });
  }
  SECTION("in place") {
    check([](std::span<Box> items, std::span<Box> outputs) { std::move(items.begin(), items.end(), outputs.begin()); });
  }
  SECTION("in a list") {
    check([](std::span<Box> items) {
      std::list<Box> outputs;
      for (Box& item : items) outputs.push_back(std::move(item));
      return outputs;
    });
  }
  SECTION("as results") {
    check([](std::span<Box> items) {
      std::vector<Result<Box>> outputs;
      for (Box& item : items) outputs.emplace_back(std::move(item));
      return outputs;
    });
  }
  SECTION("by a handle, one by one") {
    check([](Batch<Box, Box> batch) {
      for (std::size_t i = 0; i < batch.inputs().size(); ++i) batch.set_value(i, std::move(batch.inputs()[i]));
    });
  }
  SECTION("by a handle, all at once") {
    check([](Batch<Box, Box> batch) {
      std::vector<Box> outputs;
      for (Box& item : batch.inputs()) outputs.push_back(std::move(item));
      batch.complete(std::move(outputs));
    });
  }
#ifdef BATCHING_HAS_COROUTINES
  SECTION("from a coroutine") {
    check([](std::vector<Box> items) -> asio::awaitable<std::vector<Box>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      co_return items;
    });
  }
#endif
}

TEST_CASE("Out need not be default constructible") {
  struct Named {
    explicit Named(int item) : name("item " + std::to_string(item)) {}
    std::string name;
  };
  const auto check = [](auto function) {
    asio::io_context io;
    Batcher<int, Named, ManualClock> batcher(io, function, {.batch_size = 2, .batch_timeout = 0s});
    auto one = batcher.dispatch(1);
    auto many = batcher.dispatch_many(from_to(2, 5));
    io.poll();
    CHECK(get_within(one, 0s).name == "item 1");
    const auto outputs = get_within(many, 0s);
    REQUIRE(outputs.size() == 4);
    CHECK(outputs.front().name == "item 2");
    CHECK(outputs.back().name == "item 5");
    audit(batcher);
  };
  SECTION("in a vector") {
    check([](std::span<int> items) {
      std::vector<Named> outputs;
      for (const int item : items) outputs.emplace_back(item);
      return outputs;
    });
  }
  SECTION("as results") {
    check([](std::span<int> items) {
      std::vector<Result<Named>> outputs;
      for (const int item : items) outputs.emplace_back(Named(item));
      return outputs;
    });
  }
  SECTION("by a handle") {
    check([](Batch<int, Named> batch) {
      for (std::size_t i = 0; i < batch.inputs().size(); ++i) batch.set_value(i, Named(batch.inputs()[i]));
    });
  }
}

// --- What it is told ---

TEST_CASE("a batch knows its number, its partition, its size and why it left") {
  asio::io_context io;
  std::vector<batching::BatchInfo> infos;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::span<int> items, BatchContext& context) {
                                           infos.push_back(context.info());
                                           return squares(items);
                                         },
                                         {.batch_size = 4, .batch_timeout = 10ms});
  auto six = batcher.dispatch_many(from_to(1, 6));
  io.poll();
  ManualClock::advance(10ms);
  io.poll();
  REQUIRE(infos.size() == 2);
  CHECK(infos[1].id > infos[0].id);
  CHECK(infos[0].partition == 0);
  CHECK(infos[0].size == 4);
  CHECK(infos[0].closed_by == CloseReason::size);
  CHECK(infos[1].size == 2);
  CHECK(infos[1].closed_by == CloseReason::timeout);
  audit(batcher);
}

TEST_CASE("batches that run at once have different partitions, below `partitions`") {
  Workbench bench({.batch_size = 1, .partitions = 3}, Answers::when_told);
  auto three = bench.batcher.dispatch_many({1, 2, 3});
  bench.poll();
  std::set<std::size_t> partitions;
  for (const auto& [number, batch] : bench.held) partitions.insert(batch.info().partition);
  CHECK(partitions == std::set<std::size_t>{0, 1, 2});
  bench.finish_all();
  audit(bench.batcher);
}

TEST_CASE("a batch function hears that its batcher was stopped") {
  SECTION("through its context") {
    Gate entered;
    Gate gate;
    std::vector<bool> requested;
    Batcher<int, int> batcher(
        [&](std::span<int> items, BatchContext& context) {
          requested.push_back(context.stop_requested());
          entered.open();
          gate.wait();
          requested.push_back(context.stop_requested());
          return squares(items);
        },
        {.batch_size = 1});
    const OpensAtEnd opens(gate);
    auto one = batcher.dispatch(1);
    entered.wait();
    batcher.stop();
    gate.open();
    CHECK(get_within(one) == 1);
    CHECK(requested == std::vector{false, true});
    audit(batcher);
  }
  SECTION("through its handle") {
    Workbench bench({.batch_size = 1}, Answers::when_told);
    auto one = bench.batcher.dispatch(1);
    bench.poll();
    REQUIRE(bench.held.size() == 1);
    CHECK_FALSE(bench.held.begin()->second.stop_requested());
    bench.batcher.stop();
    CHECK(bench.held.begin()->second.stop_requested());
    bench.finish_all();
    CHECK(get_within(one, 0s) == 1);
    audit(bench.batcher);
  }
}

TEST_CASE("a batch function sees the items of its batch and no neighbour's") {
  // Whole batches of one caller need no copy; whatever is done, the others' items must stay out of sight and reach.
  asio::io_context io;
  Batches seen;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::span<int> items) {
                                           seen.emplace_back(items.begin(), items.end());
                                           auto outputs = squares(items);
                                           std::fill(items.begin(), items.end(), -1);
                                           return outputs;
                                         },
                                         {.batch_size = 2, .batch_timeout = 0s});
  auto one = batcher.dispatch_many({1, 2});
  auto other = batcher.dispatch_many({3, 4});
  auto five = batcher.dispatch_many(from_to(5, 9));
  auto last = batcher.dispatch(10);
  io.poll();
  CHECK(seen == Batches{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}});
  CHECK(get_within(one, 0s) == std::vector{1, 4});
  CHECK(get_within(other, 0s) == std::vector{9, 16});
  CHECK(get_within(five, 0s) == squares(from_to(5, 9)));
  CHECK(get_within(last, 0s) == 100);
  audit(batcher);
}

TEST_CASE("a caller's own range is left alone unless it was given away") {
  asio::io_context io;
  Batcher<std::string, std::string, ManualClock> batcher(io,
                                                         [](std::span<std::string> items) {
                                                           std::vector<std::string> outputs;
                                                           for (std::string& item : items)
                                                             outputs.push_back(std::move(item) + "!");
                                                           return outputs;
                                                         },
                                                         {.batch_size = 2, .batch_timeout = 0s});
  std::vector<std::string> mine = {"a string that is too long to be stored in place", "b"};
  const std::list<std::string> list(mine.begin(), mine.end());
  auto kept = batcher.dispatch_many(mine);
  auto listed = batcher.dispatch_many(list);
  auto viewed = batcher.dispatch_many(std::span<std::string>(mine));
  io.poll();
  CHECK(mine == std::vector<std::string>{"a string that is too long to be stored in place", "b"});
  const std::vector<std::string> expected = {mine[0] + "!", "b!"};
  CHECK(get_within(kept, 0s) == expected);
  CHECK(get_within(listed, 0s) == expected);
  CHECK(get_within(viewed, 0s) == expected);
  auto given = batcher.dispatch_many(std::move(mine));
  io.restart();
  io.poll();
  CHECK(get_within(given, 0s) == expected);
  audit(batcher);
}

// --- A handle that is kept ---

TEST_CASE("a kept batch is answered item by item, out of order, and each caller hears at once") {
  Workbench bench({.batch_size = 3}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  auto three = bench.batcher.dispatch(3);
  bench.poll();
  REQUIRE(bench.held.size() == 1);
  auto& batch = bench.held.begin()->second;
  batch.set_value(2, 33);
  CHECK(get_within(three, 0s) == 33);
  CHECK_FALSE(is_ready(one));
  batch.set_error(0, refusal(1));
  CHECK(what_of(one, 0s) == "no 1");
  CHECK_FALSE(is_ready(two));
  batch.set_value(1, 22);
  CHECK(get_within(two, 0s) == 22);
  audit(bench.batcher);
}

TEST_CASE("a kept batch holds its partition until its last item is answered") {
  Workbench bench({.batch_size = 2}, Answers::when_told);
  auto four = bench.batcher.dispatch_many(from_to(1, 4));
  bench.poll();
  CHECK(bench.batches.size() == 1);
  bench.held.at(0).set_value(0, 10);
  bench.poll();
  CHECK(bench.batches.size() == 1);
  bench.held.at(0).set_value(1, 20);  // the handle itself still lives
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}, {3, 4}});
  bench.finish(1);
  CHECK(get_within(four, 0s) == std::vector{10, 20, 9, 16});
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("a kept batch is answered by several threads, each caller getting its own", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  constexpr std::size_t answerers = 4;
  constexpr std::size_t size = 64;
  std::optional<Batch<int, int>> kept;
  Gate entered;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](Batch<int, int> batch) {
        kept.emplace(std::move(batch));
        entered.open();
      },
      {.batch_size = size, .batch_timeout = 10s});
  std::vector<Future<int>> futures;
  for (const int item : from_to(0, size - 9)) futures.push_back(batcher.dispatch(item));
  auto many = batcher.dispatch_many(from_to(100, 107));
  entered.wait();
  std::vector<std::thread> threads;
  for (std::size_t first = 0; first < answerers; ++first) {
    threads.emplace_back([&kept, first] {
      for (std::size_t i = first; i < kept->info().size; i += answerers) {
        const std::size_t item = kept->info().size - 1 - i;
        kept->set_value(item, kept->inputs()[item] * 2);
      }
    });
  }
  for (std::size_t i = 0; i < futures.size(); ++i) CHECK(get_within(futures[i]) == 2 * static_cast<int>(i));
  CHECK(get_within(many) == std::vector{200, 202, 204, 206, 208, 210, 212, 214});
  for (auto& thread : threads) thread.join();
  audit(batcher);
}

TEST_CASE("several threads that answer the same items leave each with one answer") {
  for (int round = 0; round < 50; ++round) {
    Workbench bench({.batch_size = 16}, Answers::when_told);
    auto many = bench.batcher.dispatch_many(from_to(1, 8));
    std::vector<Future<int>> singles;
    for (const int item : from_to(9, 16)) singles.push_back(bench.batcher.dispatch(item));
    bench.poll();
    REQUIRE(bench.held.size() == 1);
    auto& batch = bench.held.begin()->second;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&batch] {
        for (std::size_t i = 0; i < 16; ++i) batch.set_value(i, static_cast<int>(i));
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(get_within(many, 0s) == from_to(0, 7));
    for (int i = 0; i < 8; ++i) CHECK(get_within(singles[static_cast<std::size_t>(i)], 0s) == 8 + i);
    bench.held.clear();
    bench.poll();
    CHECK(bench.batcher.stats().completed == 16);
    audit(bench.batcher);
  }
}

TEST_CASE("answering an item twice is ignored") {
  Workbench bench({.batch_size = 4}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  auto rest = bench.batcher.dispatch_many({3, 4});
  bench.poll();
  auto& batch = bench.held.begin()->second;
  batch.set_value(0, 10);
  batch.set_value(0, 11);
  batch.set_error(0, refusal(1));
  batch.set_error(1, refusal(2));
  batch.set_value(1, 20);
  batch.complete(std::vector{1, 2, 3, 4});  // for the rest
  batch.complete(std::vector{5, 6, 7, 8});
  batch.fail(refusal(0));
  CHECK(get_within(one, 0s) == 10);
  CHECK(what_of(two, 0s) == "no 2");
  CHECK(get_within(rest, 0s) == std::vector{3, 4});
  bench.held.clear();
  bench.poll();
  CHECK(bench.batcher.stats().completed == 3);
  CHECK(bench.batcher.stats().failed == 1);
  audit(bench.batcher);
}

TEST_CASE("an index out of range throws std::out_of_range that names both numbers, and answers nobody") {
  Workbench bench({.batch_size = 3}, Answers::when_told);
  auto three = bench.batcher.dispatch_many({1, 2, 3});
  bench.poll();
  auto& batch = bench.held.begin()->second;
  CHECK_THROWS_AS(batch.set_value(3, 1), std::out_of_range);
  CHECK_THROWS_AS(batch.set_error(77, refusal(1)), std::out_of_range);
  const auto message = [](auto f) {
    try {
      f();
    } catch (const std::out_of_range& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const auto of_value = message([&] { batch.set_value(3, 1); });
  CHECK(of_value.find("set_value") != std::string::npos);
  CHECK(of_value.find('3') != std::string::npos);
  const auto of_error = message([&] { batch.set_error(77, nullptr); });
  CHECK(of_error.find("set_error") != std::string::npos);
  CHECK(of_error.find("77") != std::string::npos);
  CHECK(of_error.find('3') != std::string::npos);
  CHECK_FALSE(is_ready(three));
  bench.finish_all();
  CHECK(get_within(three, 0s) == std::vector{1, 4, 9});
  audit(bench.batcher);
}

TEST_CASE("whoever has no answer when the handle is dropped hears so") {
  Workbench bench({.batch_size = 3}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  auto three = bench.batcher.dispatch(3);
  bench.poll();
  bench.held.begin()->second.set_value(1, 4);
  bench.held.clear();
  CHECK(error_of(one, 0s) == errc::dropped);
  CHECK(get_within(two, 0s) == 4);
  CHECK(error_of(three, 0s) == errc::dropped);
  // and the partition is free again
  auto next = bench.batcher.dispatch_many({4, 5, 6});
  bench.poll();
  bench.finish_all();
  CHECK(get_within(next, 0s) == std::vector{16, 25, 36});
  audit(bench.batcher);
}

TEST_CASE("a handle that the batch function never looks at is dropped") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, [](const Batch<int, int>&) {}, {.batch_size = 2});
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  io.poll();
  CHECK(error_of(one, 0s) == errc::dropped);
  CHECK(error_of(two, 0s) == errc::dropped);
  audit(batcher);
}

TEST_CASE("a handle that another is moved into lets go of its own batch") {
  Workbench bench({.batch_size = 1, .partitions = 2}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  REQUIRE(bench.held.size() == 2);
  bench.held.at(0) = std::move(bench.held.at(1));
  CHECK(error_of(one, 0s) == errc::dropped);
  CHECK_FALSE(is_ready(two));
  CHECK(bench.held.at(0).inputs().front() == 2);
  bench.held.at(0).set_value(0, 4);
  CHECK(get_within(two, 0s) == 4);
  bench.held.clear();
  bench.poll();
  audit(bench.batcher);
}

TEST_CASE("a handle function that throws after answering some leaves the rest with what it threw") {
  std::vector<Batch<int, int>> keeper;
  const auto check = [](auto function) {
    asio::io_context io;
    Batcher<int, int, ManualClock> batcher(io, function, {.batch_size = 3});
    auto one = batcher.dispatch(1);
    auto two = batcher.dispatch(2);
    auto three = batcher.dispatch(3);
    io.poll();
    CHECK(what_of(one, 0s) == "no 0");
    CHECK(get_within(two, 0s) == 4);
    CHECK(what_of(three, 0s) == "no 0");
    auto next = batcher.dispatch_many({4, 5, 6});
    io.restart();
    io.poll();
    CHECK(what_of(next, 0s) == "no 0");  // it was run, the partition was free
    audit(batcher);
  };
  SECTION("with the handle on its way out") {
    check([](Batch<int, int> batch) {
      batch.set_value(1, 4);
      std::rethrow_exception(refusal(0));
    });
  }
  SECTION("with the handle in a local variable") {
    check([](Batch<int, int> batch) {
      Batch<int, int> mine = std::move(batch);
      mine.set_value(1, 4);
      std::rethrow_exception(refusal(0));
    });
  }
  SECTION("with the handle kept elsewhere") {
    check([&](Batch<int, int> batch) {
      batch.set_value(1, 4);
      keeper.push_back(std::move(batch));
      std::rethrow_exception(refusal(0));
    });
    for (auto& batch : keeper) CHECK_NOTHROW(batch.set_value(0, 1));  // ignored
  }
}

TEST_CASE("outputs of the wrong number through a handle reach nobody, and the rest hears both numbers") {
  Workbench bench({.batch_size = 3}, Answers::when_told);
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch_many({2, 3});
  bench.poll();
  auto& batch = bench.held.begin()->second;
  batch.set_value(0, 1);
  batch.complete(std::vector{7, 8, 9, 10, 11});
  CHECK(get_within(one, 0s) == 1);
  try {
    (void)get_within(two, 0s);
    FAIL("a value came");
  } catch (const Error& error) {
    const std::string what = error.what();
    CHECK(error.code() == errc::wrong_output_count);
    CHECK(what.find('3') != std::string::npos);
    CHECK(what.find('5') != std::string::npos);
  }
  bench.held.clear();
  bench.poll();
  audit(bench.batcher);
}

TEST_CASE("a kept batch can be answered when its batcher is gone") {
  SECTION("futures, from an io_context") {
    std::optional<Batch<int, int>> kept;
    asio::io_context io;
    auto batcher = std::make_unique<Batcher<int, int, ManualClock>>(
        io, [&](Batch<int, int> batch) { kept.emplace(std::move(batch)); }, Options{.batch_size = 2});
    auto one = batcher->dispatch(1);
    auto two = batcher->dispatch(2);
    io.poll();
    REQUIRE(kept);
    batcher.reset();
    CHECK_FALSE(is_ready(one));
    CHECK(std::vector(kept->inputs().begin(), kept->inputs().end()) == std::vector{1, 2});
    CHECK(kept->info().size == 2);
    CHECK(kept->stop_requested());
    kept->set_value(0, 10);
    CHECK(get_within(one, 0s) == 10);
    kept.reset();
    CHECK(error_of(two, 0s) == errc::dropped);
  }
  SECTION("handlers, from an io_context") {
    std::optional<Batch<int, int>> kept;
    asio::io_context io;
    auto batcher = std::make_unique<Batcher<int, int, ManualClock>>(
        io, [&](Batch<int, int> batch) { kept.emplace(std::move(batch)); }, Options{.batch_size = 1});
    int output = 0;
    batcher->async_dispatch(1, [&](const std::exception_ptr&, int value) { output = value; });
    io.poll();
    REQUIRE(kept);
    batcher.reset();
    kept->set_value(0, 10);
    CHECK(output == 0);  // never inside
    io.restart();
    io.poll();
    CHECK(output == 10);
  }
  SECTION("futures and handlers, from the batcher's own pool") {
    std::optional<Batch<int, int>> kept;
    Gate entered;
    Gate called;
    int output = 0;
    auto batcher = std::make_unique<Batcher<int, int>>(
        [&](Batch<int, int> batch) {
          kept.emplace(std::move(batch));
          entered.open();
        },
        Options{.batch_size = 2});
    auto one = batcher->dispatch(1);
    batcher->async_dispatch(2, [&](const std::exception_ptr&, int value) {
      output = value;
      called.open();
    });
    entered.wait();
    batcher.reset();  // does not wait for the handle
    kept->set_value(0, 10);
    CHECK(get_within(one) == 10);
    kept->set_value(1, 20);
    called.wait();
    CHECK(output == 20);
    kept.reset();
  }
}

TEST_CASE("a kept handle has its inputs and its core to itself, also when the function that kept it has thrown") {
  std::optional<Batch<std::shared_ptr<int>, int>> kept;
  asio::io_context io;
  auto batcher = std::make_unique<Batcher<std::shared_ptr<int>, int, ManualClock>>(
      io,
      [&](Batch<std::shared_ptr<int>, int> batch) {
        kept.emplace(std::move(batch));
        throw std::runtime_error("kept");
      },
      Options{.batch_size = 1});
  auto input = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = input;
  auto future = batcher->dispatch(std::move(input));
  io.poll();
  CHECK(what_of(future, 0s) == "kept");
  REQUIRE(kept);
  CHECK_FALSE(alive.expired());
  audit(*batcher);
  batcher.reset();
  CHECK(kept->stop_requested());
  kept.reset();
  CHECK(alive.expired());
}

// --- Coroutines ---

#ifdef BATCHING_HAS_COROUTINES

TEST_CASE("a batch function is a coroutine") {
  check_squares([](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return squares(items);
  });
}

TEST_CASE("a coroutine batch function need not await anything") {
  check_squares([](std::vector<int> items) -> asio::awaitable<std::vector<int>> { co_return squares(items); });
}

TEST_CASE("a coroutine batch function returns any sized range") {
  check_squares([](std::vector<int> items) -> asio::awaitable<std::deque<int>> {
    const auto outputs = squares(items);
    co_return std::deque<int>(outputs.begin(), outputs.end());
  });
}

TEST_CASE("what a coroutine batch function throws reaches its callers") {
  asio::io_context io;
  const auto check = [&](auto function) {
    Batcher<int, int, ManualClock> batcher(io, function, {.batch_size = 2});
    auto one = batcher.dispatch(1);
    auto two = batcher.dispatch(2);
    io.restart();
    io.poll();
    CHECK(what_of(one, 0s) == "no 1");
    CHECK(what_of(two, 0s) == "no 1");
    auto next = batcher.dispatch_many({3, 4});
    io.restart();
    io.poll();
    CHECK(what_of(next, 0s) == "no 3");
    audit(batcher);
  };
  SECTION("after a suspension") {
    check([](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      std::rethrow_exception(refusal(items.front()));
      co_return items;
    });
  }
  SECTION("before any") {
    check([](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
      std::rethrow_exception(refusal(items.front()));
      co_return items;
    });
  }
  SECTION("before it is a coroutine at all") {
    check(
        [](std::vector<int> items) -> asio::awaitable<std::vector<int>> { std::rethrow_exception(refusal(items[0])); });
  }
}

TEST_CASE("a coroutine batch function with the wrong number of outputs fails its batch") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io,
                                         [](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
                                           co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
                                           items.pop_back();
                                           co_return items;
                                         },
                                         {.batch_size = 2});
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  io.poll();
  CHECK(error_of(one, 0s) == errc::wrong_output_count);
  CHECK(error_of(two, 0s) == errc::wrong_output_count);
  audit(batcher);
}

TEST_CASE("coroutine batches hold no thread: two at once on one thread") {
  using Timer = asio::basic_waitable_timer<ManualClock, ManualTraits, asio::io_context::executor_type>;
  asio::io_context io;
  Batches started;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
                                           started.push_back(items);
                                           Timer timer(io.get_executor());
                                           timer.expires_after(items.front() * 1ms);
                                           co_await timer.async_wait(asio::use_awaitable);
                                           co_return squares(items);
                                         },
                                         {.batch_size = 1, .partitions = 2});
  auto slow = batcher.dispatch(20);
  auto fast = batcher.dispatch(10);
  auto third = batcher.dispatch(5);
  io.poll();
  CHECK(started == Batches{{20}, {10}});
  ManualClock::advance(10ms);
  io.poll();
  CHECK(get_within(fast, 0s) == 100);
  CHECK(started.size() == 3);
  ManualClock::advance(5ms);
  io.poll();
  CHECK(get_within(third, 0s) == 25);
  CHECK_FALSE(is_ready(slow));
  ManualClock::advance(5ms);
  io.poll();
  CHECK(get_within(slow, 0s) == 400);
  audit(batcher);
}

TEMPLATE_TEST_CASE("coroutine batch functions work on real threads", "", OnItsOwnPool, OnAContext, OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        co_return squares(items);
      },
      {.batch_size = 4, .batch_timeout = 100us, .partitions = 2});
  std::vector<Future<int>> futures;
  for (int item = 0; item < 200; ++item) futures.push_back(batcher.dispatch(item));
  for (int item = 0; item < 200; ++item) CHECK(get_within(futures[static_cast<std::size_t>(item)]) == item * item);
  audit(batcher);
}

#endif

// --- One function object for each partition ---

TEST_CASE("per_partition calls its factory once for each partition, in the constructor") {
  std::vector<std::size_t> made;
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, batching::per_partition([&](std::size_t partition) {
                                           made.push_back(partition);
                                           return [](std::span<int> items) { return squares(items); };
                                         }),
                                         {.batch_size = 1, .partitions = 3});
  CHECK(made == std::vector<std::size_t>{0, 1, 2});
  auto ten = batcher.dispatch_many(from_to(1, 10));
  io.poll();
  CHECK(get_within(ten, 0s) == squares(from_to(1, 10)));
  CHECK(made.size() == 3);
  audit(batcher);
}

TEST_CASE("per_partition runs each batch on the function object of its partition") {
  asio::io_context io;
  std::vector<std::pair<std::size_t, Batch<int, int>>> held;
  Batcher<int, int, ManualClock> batcher(io, batching::per_partition([&](std::size_t mine) {
                                           return [&held, mine](Batch<int, int> batch) {
                                             held.emplace_back(mine, std::move(batch));
                                           };
                                         }),
                                         {.batch_size = 1, .partitions = 3});
  auto three = batcher.dispatch_many({1, 2, 3});
  io.poll();
  REQUIRE(held.size() == 3);
  std::set<std::size_t> used;
  for (auto& [mine, batch] : held) {
    CHECK(batch.info().partition == mine);
    used.insert(mine);
    batch.complete(squares(batch.inputs()));
  }
  CHECK(used.size() == 3);
  CHECK(get_within(three, 0s) == std::vector{1, 4, 9});
  held.clear();
  io.poll();
  audit(batcher);
}

TEST_CASE("what a factory throws leaves the constructor") {
  int made = 0;
  const auto make = [&] {
    Batcher<int, int> batcher(batching::per_partition([&](std::size_t partition) {
                                if (partition == 1) throw std::runtime_error("no model");
                                ++made;
                                return [](std::span<int> items) { return squares(items); };
                              }),
                              {.partitions = 3});
  };
  CHECK_THROWS_WITH(make(), "no model");
  CHECK(made == 1);
}

TEST_CASE("a factory's function objects may be move-only, of any shape") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, batching::per_partition([](std::size_t) {
                                           return [model = std::make_unique<int>(1)](
                                                      std::span<int> items, std::span<int> outputs, BatchContext&) {
                                             for (std::size_t i = 0; i < items.size(); ++i)
                                               outputs[i] = items[i] * items[i] * *model;
                                           };
                                         }),
                                         {.batch_size = 4});
  auto four = batcher.dispatch_many(from_to(1, 4));
  io.poll();
  CHECK(get_within(four, 0s) == squares(from_to(1, 4)));
  audit(batcher);
}

TEST_CASE("inline calls use one function object more, built at their first use and never again") {
  std::vector<std::size_t> made;
  std::vector<std::size_t> used;
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, batching::per_partition([&](std::size_t partition) {
                                           made.push_back(partition);
                                           return [&used, partition](std::span<int> items) {
                                             used.push_back(partition);
                                             return squares(items);
                                           };
                                         }),
                                         {.batch_size = 2, .partitions = 2});
  CHECK(made.size() == 2);
  CHECK(batcher.inline_one(3) == 9);
  CHECK(made == std::vector<std::size_t>{0, 1, 2});
  CHECK(batcher.inline_many({1, 2, 3}) == std::vector{1, 4, 9});
  CHECK(made.size() == 3);
  CHECK(used == std::vector<std::size_t>{2, 2, 2});
}

TEMPLATE_TEST_CASE("no function object of per_partition is ever entered by two threads at a time", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  struct Model {
    std::atomic<int> inside = 0;
    int calls = 0;  // TSan looks after this one
  };
  std::array<Model, 4> models;
  std::atomic<bool> alone = true;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(batching::per_partition([&](std::size_t partition) {
                                                           Model& model = models.at(partition);
                                                           return [&](std::span<int> items) {
                                                             if (++model.inside != 1) alone = false;
                                                             ++model.calls;
                                                             std::this_thread::yield();
                                                             auto outputs = squares(items);
                                                             --model.inside;
                                                             return outputs;
                                                           };
                                                         }),
                                                         {.batch_size = 2, .batch_timeout = 0s, .partitions = 3});
  std::vector<std::thread> threads;
  std::atomic<bool> right = true;
  for (int producer = 0; producer < 4; ++producer) {
    threads.emplace_back([&, producer] {
      for (int round = 0; round < 50; ++round) {
        const auto items = from_to(producer, producer + 9);
        if (producer % 2 == 0) {
          if (get_within(batcher.dispatch_many(items)) != squares(items)) right = false;
        } else {
          if (batcher.inline_many(items) != squares(items)) right = false;
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right);
  CHECK(alone);
  CHECK(models[3].calls == 2 * 50 * 5);
  audit(batcher);
}

}  // namespace
