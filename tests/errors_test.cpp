// Tests of errors: what reaches whom, what touches nobody else, and what is refused in words.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batcher.hpp>
#include <batching/error.hpp>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;

namespace {

/// An exception that cannot be copied without another.
struct Explosive {
  explicit Explosive(int number) : value(number) {}
  Explosive(const Explosive& other) : value(other.value) { throw std::runtime_error("copied"); }
  Explosive& operator=(const Explosive&) = delete;
  int value;
};

// --- What the batch function throws ---

/// Items 1 and 2 share a batch with a function that throws at 2; all hear of it, and the next batch runs.
template <class E>
void check_throws(Batcher<int, int>& batcher, bool (*check)(const E&)) {
  for (int round = 0; round < 3; ++round) {
    auto one = batcher.dispatch(1);
    auto two = batcher.dispatch(2);
    for (auto* future : {&one, &two}) {
      bool caught = false;
      try {
        (void)get_within(*future);
      } catch (const E& error) {
        caught = check(error);
      }
      CHECK(caught);
    }
    CHECK(get_within(batcher.dispatch_many({3, 4})) == std::vector{9, 16});
  }
  CHECK(batcher.stats().failed == 6);
  audit(batcher);
}
template <class E, class Ground, class F>
void check_throws(Ground& ground, F function, bool (*check)(const E&)) {
  auto batcher = ground.template make<Batcher<int, int>>(std::move(function), {.batch_size = 2, .batch_timeout = 10s});
  check_throws<E>(batcher, check);
}

TEMPLATE_TEST_CASE("whatever a batch function throws reaches its callers unchanged, and the next batch runs", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool) {
  TestType ground;
  SECTION("an exception") {
    check_throws<std::runtime_error>(
        ground,
        [](std::span<int> items) {
          if (items.back() == 2) throw std::runtime_error("no model");
          return squares(items);
        },
        [](const std::runtime_error& error) { return error.what() == std::string("no model"); });
  }
  SECTION("a number") {
    check_throws<int>(
        ground,
        [](std::span<int> items) {
          if (items.back() == 2) throw 42;
          return squares(items);
        },
        [](const int& error) { return error == 42; });
  }
  SECTION("something whose copy throws") {
    check_throws<Explosive>(
        ground,
        [](std::span<int> items) {
          if (items.back() == 2) throw Explosive(7);
          return squares(items);
        },
        [](const Explosive& error) { return error.value == 7; });
  }
  SECTION("from std::vector<In>") {
    check_throws<int>(
        ground,
        [](const std::vector<int>& items) {
          if (items.back() == 2) throw 42;
          return squares(items);
        },
        [](const int& error) { return error == 42; });
  }
  SECTION("from a function that writes in place") {
    check_throws<int>(
        ground,
        [](std::span<int> items, std::span<int> outputs) {
          outputs.front() = -1;
          if (items.back() == 2) throw 42;
          std::transform(items.begin(), items.end(), outputs.begin(), [](int item) { return item * item; });
        },
        [](const int& error) { return error == 42; });
  }
  SECTION("from a function that takes a handle") {
    check_throws<int>(
        ground,
        [](Batch<int, int> batch) {
          if (batch.inputs().back() == 2) throw 42;
          batch.complete(squares(batch.inputs()));
        },
        [](const int& error) { return error == 42; });
  }
  SECTION("from an instance of per_partition") {
    check_throws<int>(ground, batching::per_partition([](std::size_t) {
                        return [](std::span<int> items) {
                          if (items.back() == 2) throw 42;
                          return squares(items);
                        };
                      }),
                      [](const int& error) { return error == 42; });
  }
#ifdef BATCHING_HAS_COROUTINES
  SECTION("from a coroutine") {
    check_throws<int>(
        ground,
        [](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
          co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
          if (items.back() == 2) throw 42;
          co_return squares(items);
        },
        [](const int& error) { return error == 42; });
  }
#endif
}

TEST_CASE("a completion handler is given what the batch function threw, and an empty output") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, [](std::span<int>) -> std::vector<int> { throw 42; }, {.batch_size = 1});
  std::exception_ptr error;
  int output = -1;
  batcher.async_dispatch(1, [&](std::exception_ptr e, int value) {
    error = std::move(e);
    output = value;
  });
  io.poll();
  REQUIRE(error);
  CHECK_THROWS_AS(std::rethrow_exception(error), int);
  CHECK(output == 0);
  audit(batcher);
}

// --- The wrong number of outputs ---

/// Callers of 1, 2 and 1 in a batch whose function returns `count` outputs.
void check_wrong_count(std::size_t count, asio::io_context& io, Batcher<int, int, ManualClock>& batcher) {
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch_many({2, 3});
  auto three = batcher.dispatch(4);
  io.poll();
  const auto check = [&](auto& future) {
    bool refused = false;
    try {
      (void)get_within(future, 0s);
    } catch (const Error& error) {
      refused = true;
      const std::string what = error.what();
      CHECK(error.code() == errc::wrong_output_count);
      CHECK(what.find('4') != std::string::npos);
      CHECK(what.find(std::to_string(count)) != std::string::npos);
    }
    CHECK(refused);
  };
  check(one);
  check(two);
  check(three);
  auto next = batcher.dispatch_many({5, 6});  // here the function does well
  io.restart();
  io.poll();
  CHECK(get_within(next, 0s) == std::vector{25, 36});
  CHECK(batcher.stats().failed == 4);
  audit(batcher);
}

template <class F>
void check_wrong_count(std::size_t count, F function) {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, std::move(function), {.batch_size = 4, .batch_timeout = 0s});
  check_wrong_count(count, io, batcher);
}

[[nodiscard]] std::vector<int> of_size(std::span<const int> items, std::size_t count) {
  auto outputs = squares(items);
  if (items.size() == 4) outputs.resize(count, -1);
  return outputs;
}

TEST_CASE("with the wrong number of outputs every caller of the batch hears both numbers and nobody gets a value") {
  const std::size_t count = GENERATE(0U, 3U, 5U, 9U);
  SECTION("in a vector") {
    check_wrong_count(count, [count](std::span<int> items) { return of_size(items, count); });
  }
  SECTION("in another range") {
    check_wrong_count(count, [count](std::vector<int> items) {
      const auto outputs = of_size(items, count);
      return std::deque<int>(outputs.begin(), outputs.end());
    });
  }
  SECTION("as results") {
    check_wrong_count(count, [count](std::span<int> items) {
      const auto outputs = of_size(items, count);
      return std::vector<Result<int>>(outputs.begin(), outputs.end());
    });
  }
  SECTION("through a handle") {
    check_wrong_count(count, [count](Batch<int, int> batch) { batch.complete(of_size(batch.inputs(), count)); });
  }
#ifdef BATCHING_HAS_COROUTINES
  SECTION("from a coroutine") {
    check_wrong_count(count, [count](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      co_return of_size(items, count);
    });
  }
  SECTION("as results from a coroutine") {
    check_wrong_count(count, [count](std::vector<int> items) -> asio::awaitable<std::vector<Result<int>>> {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      const auto outputs = of_size(items, count);
      co_return std::vector<Result<int>>(outputs.begin(), outputs.end());
    });
  }
#endif
}

TEST_CASE("without outputs, results of the wrong number fail the batch") {
  asio::io_context io;
  Batcher<int, void, ManualClock> batcher(
      io, [](std::span<int> items) { return std::vector<Result<void>>(items.size() - 1); }, {.batch_size = 2});
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  io.poll();
  CHECK(error_of(one, 0s) == errc::wrong_output_count);
  CHECK(error_of(two, 0s) == errc::wrong_output_count);
  audit(batcher);
}

// --- Nobody else is touched ---

TEST_CASE("callers of 2 and 3 with size 4 where the second batch throws: only the caller with an item in it fails") {
  asio::io_context io;
  Batches seen;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::span<int> items) {
                                           seen.emplace_back(items.begin(), items.end());
                                           if (seen.size() == 2) throw std::runtime_error("the second");
                                           return squares(items);
                                         },
                                         {.batch_size = 4, .batch_timeout = 10ms});
  auto two = batcher.dispatch_many({1, 2});
  auto three = batcher.dispatch_many({3, 4, 5});
  io.poll();
  ManualClock::advance(10ms);
  io.poll();
  CHECK(seen == Batches{{1, 2, 3, 4}, {5}});
  CHECK(get_within(two, 0s) == std::vector{1, 4});
  CHECK(what_of(three, 0s) == "the second");
  auto next = batcher.dispatch_many({6, 7, 8, 9});
  io.restart();
  io.poll();
  CHECK(get_within(next, 0s) == squares(from_to(6, 9)));
  audit(batcher);
}

TEST_CASE("a call spread over batches fails with the first error, once") {
  Workbench bench({.batch_size = 2, .partitions = 3}, Answers::when_told);
  int calls = 0;
  std::exception_ptr error;
  auto future = bench.batcher.dispatch(0);
  bench.batcher.async_dispatch_many(from_to(1, 5), [&](std::exception_ptr e, const std::vector<int>& outputs) {
    ++calls;
    error = std::move(e);
    CHECK(outputs.empty());
  });
  bench.poll();
  REQUIRE(bench.batches == Batches{{0, 1}, {2, 3}, {4, 5}});
  bench.held.at(1).fail(std::make_exception_ptr(std::runtime_error("first")));
  bench.poll();
  bench.held.at(2).fail(std::make_exception_ptr(std::runtime_error("second")));
  bench.finish(0);
  bench.held.clear();
  bench.poll();
  CHECK(calls == 1);
  REQUIRE(error);
  CHECK_THROWS_WITH(std::rethrow_exception(error), "first");
  CHECK(get_within(future, 0s) == 0);
  CHECK(bench.batcher.stats().failed == 5);
  CHECK(bench.batcher.stats().completed == 1);
  audit(bench.batcher);
}

TEST_CASE("cancelling 3 of 8 before the window closes and 2 while it runs leaves the others theirs") {
  Workbench bench({.batch_size = 8, .batch_timeout = 50ms}, Answers::when_told);
  std::vector<Future<int>> futures;
  for (const int item : from_to(0, 7)) futures.push_back(bench.batcher.dispatch(item));
  SECTION("the strand has heard of the items") { bench.poll(); }
  SECTION("the strand has not heard of them yet") {}
  // The window was full already: cancel before it leaves means before the context runs.
  const bool left = !bench.batches.empty();
  if (!left) {
    for (const std::size_t i : {0U, 3U, 7U}) CHECK(futures[i].cancel());
    bench.poll();
    CHECK(bench.batches.empty());  // not full any more
    bench.pass(50ms);
    CHECK(bench.batches == Batches{{1, 2, 4, 5, 6}});
  } else {
    for (const std::size_t i : {0U, 3U, 7U}) CHECK(futures[i].cancel());
  }
  for (const std::size_t i : {1U, 5U}) CHECK(futures[i].cancel());
  bench.finish_all();
  for (const std::size_t i : {0U, 1U, 3U, 5U, 7U}) CHECK(error_of(futures[i], 0s) == errc::cancelled);
  for (const std::size_t i : {2U, 4U, 6U}) CHECK(get_within(futures[i], 0s) == static_cast<int>(i * i));
  CHECK(bench.batcher.stats().cancelled == 5);
  CHECK(bench.batcher.stats().completed == 3);
  auto next = bench.batcher.dispatch_many(from_to(1, 8));
  bench.poll();
  bench.finish_all();
  CHECK(get_within(next, 0s) == squares(from_to(1, 8)));
  audit(bench.batcher);
}

TEST_CASE("one partition busy for 500 ms and a deadline of 20: the caller hears at 20, and the item never runs") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10ms}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many(from_to(1, 4));
  bench.poll();
  auto late = bench.batcher.dispatch(5, {.timeout = 20ms});
  auto patient = bench.batcher.dispatch(6);
  bench.pass(20ms - 1ns);
  CHECK_FALSE(is_ready(late));
  bench.pass(1ns);
  CHECK(error_of(late, 0s) == errc::timed_out);
  bench.pass(480ms);
  bench.finish(0);
  CHECK(bench.batches == Batches{from_to(1, 4), {6}});
  bench.finish_all();
  CHECK(get_within(patient, 0s) == 36);
  CHECK(bench.batcher.stats().timed_out == 1);
  audit(bench.batcher);
}

TEST_CASE("a deadline that passes while the batch runs discards that output alone") {
  Workbench bench({.batch_size = 2}, Answers::when_told);
  auto late = bench.batcher.dispatch(1, {.timeout = 20ms});
  auto patient = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  bench.pass(20ms);
  CHECK(error_of(late, 0s) == errc::timed_out);
  bench.finish_all();
  CHECK(get_within(patient, 0s) == 4);
  CHECK(bench.batcher.stats().timed_out == 1);
  CHECK(bench.batcher.stats().completed == 1);
  audit(bench.batcher);
}

// --- Outputs that cannot be moved ---

/// Throws when it is moved with the value 2 (when armed: a batch function has to build its outputs first).
struct Grenade {
  Grenade() = default;
  explicit Grenade(int number) : value(number) {}
  Grenade(Grenade&& other) : value(other.value) { check(); }
  Grenade& operator=(Grenade&& other) {
    value = other.value;
    check();
    return *this;
  }
  void check() const {
    if (value == 2 && armed) throw std::runtime_error("moved");
  }
  int value = 0;
  static inline std::atomic<bool> armed = false;
};
/// The same without a default constructor.
struct Bare {
  explicit Bare(int number) : value(number) {}
  Bare(Bare&& other) : value(other.value) {
    if (value == 2 && Grenade::armed) throw std::runtime_error("moved");
  }
  int value;
};

template <class Out>
[[nodiscard]] std::vector<Out> grenades(std::span<const int> items) {
  Grenade::armed = false;
  std::vector<Out> outputs;
  outputs.reserve(items.size());
  for (const int item : items) outputs.emplace_back(item);
  Grenade::armed = true;
  return outputs;
}

template <class Out, class F>
void check_grenades(F function) {
  asio::io_context io;
  Batcher<int, Out, ManualClock> batcher(io, function, {.batch_size = 8});
  std::vector<Future<Out>> singles;
  for (const int item : from_to(1, 3)) singles.push_back(batcher.dispatch(item));
  auto unlucky = batcher.dispatch_many({4, 2, 5});
  auto lucky = batcher.dispatch_many({6, 7});
  io.poll();
  CHECK(get_within(singles[0], 0s).value == 1);
  CHECK(what_of(singles[1], 0s) == "moved");
  CHECK(get_within(singles[2], 0s).value == 3);
  CHECK(what_of(unlucky, 0s) == "moved");
  const auto outputs = get_within(lucky, 0s);
  REQUIRE(outputs.size() == 2);
  CHECK(outputs[0].value == 6);
  CHECK(outputs[1].value == 7);
  audit(batcher);
}

TEST_CASE("an Out whose move throws fails its own caller, not those who were answered or still will be") {
  SECTION("in a vector") {
    check_grenades<Grenade>([](std::span<int> items) { return grenades<Grenade>(items); });
  }
  SECTION("in a vector, without a default constructor") {
    check_grenades<Bare>([](std::span<int> items) { return grenades<Bare>(items); });
  }
  SECTION("in place") {
    check_grenades<Grenade>([](std::span<int> items, std::span<Grenade> outputs) {
      for (std::size_t i = 0; i < items.size(); ++i) outputs[i].value = items[i];
      Grenade::armed = true;
    });
  }
  SECTION("as outcomes, one by one") {
    check_grenades<Grenade>([](std::span<int> items) {
      Grenade::armed = false;
      std::vector<Result<Grenade>> outcomes;
      outcomes.reserve(items.size());
      for (const int item : items) outcomes.emplace_back(Grenade(item));
      Grenade::armed = true;
      return outcomes;
    });
  }
  SECTION("through a handle, one by one") {
    check_grenades<Grenade>([](Batch<int, Grenade> batch) {
      Grenade::armed = true;
      for (std::size_t i = 0; i < batch.inputs().size(); ++i) batch.set_value(i, batch.inputs()[i]);
    });
  }
  SECTION("through a handle, without a default constructor") {
    check_grenades<Bare>([](Batch<int, Bare> batch) {
      Grenade::armed = true;
      for (std::size_t i = 0; i < batch.inputs().size(); ++i) batch.set_value(i, batch.inputs()[i]);
    });
  }
  Grenade::armed = false;
}

/// Throws the last time it is moved before it would be seen.
struct LateGrenade {
  LateGrenade() = default;
  explicit LateGrenade(int number) : value(number) {}
  LateGrenade(LateGrenade&& other) : value(other.value) {
    if (moves > 0 && --moves == 0) throw std::runtime_error("moved");
  }
  LateGrenade& operator=(LateGrenade&&) = default;
  int value = 0;
  static inline int moves = 0;
};

TEST_CASE("an Out whose move throws on its way to a handler is answered with that, and the memory is given back") {
  const int moves = GENERATE(1, 2, 3, 4);  // into the answers, then out of them
  asio::io_context io;
  Batcher<int, LateGrenade, ManualClock> batcher(io,
                                                 [&](std::span<int> items) {
                                                   std::vector<LateGrenade> outputs;
                                                   outputs.reserve(items.size());
                                                   for (const int item : items) outputs.emplace_back(item);
                                                   LateGrenade::moves = moves;
                                                   return outputs;
                                                 },
                                                 {.batch_size = 2});
  std::vector<std::string> heard;
  const auto handler = [&](const std::exception_ptr& error, const LateGrenade& output) {
    try {
      if (error) std::rethrow_exception(error);
      heard.push_back(std::to_string(output.value));
    } catch (const std::exception& exception) {
      heard.emplace_back(exception.what());
    }
  };
  batcher.async_dispatch(1, handler);
  batcher.async_dispatch(2, handler);
  io.poll();
  std::sort(heard.begin(), heard.end());
  CHECK((heard == std::vector<std::string>{"2", "moved"} || heard == std::vector<std::string>{"1", "moved"}));
  audit(batcher);
}

TEST_CASE("an output that cannot be converted fails the batch, which is reported and not lost") {
  struct Picky {
    explicit Picky(int number) : value(number) {}
    operator int() const {  // NOLINT(google-explicit-constructor)
      if (value == 4) throw std::runtime_error("not this one");
      return value;
    }
    int value;
  };
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io,
                                         [](std::span<int> items) {
                                           std::vector<Picky> outputs;
                                           for (const int output : squares(items)) outputs.emplace_back(output);
                                           return outputs;
                                         },
                                         {.batch_size = 2});
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  auto next = batcher.dispatch_many({3, 4});
  io.poll();
  CHECK(is_ready(one));
  CHECK(what_of(two, 0s) == "not this one");
  CHECK(get_within(next, 0s) == std::vector{9, 16});
  audit(batcher);
}

// --- Impossible options ---

template <class F>
[[nodiscard]] std::string refused(F make) {
  try {
    make();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("impossible options are refused with the field and the value") {
  int made = 0;
  asio::io_context io;
  const auto on_pool = [&](Options options) {
    return refused([&] {
      const Batcher<int, int> batcher(batching::per_partition([&](std::size_t) {
                                        ++made;
                                        return [](std::span<int> items) { return squares(items); };
                                      }),
                                      options);
    });
  };
  const auto on_context = [&](Options options) {
    return refused([&] {
      const Batcher<int, int> batcher(
          io, [](std::span<int> items) { return squares(items); }, options);
    });
  };
  const auto check = [&](Options options, const std::string& field, const std::string& value) {
    for (const std::string& what : {on_pool(options), on_context(options)}) {
      CHECK(what.find(field) != std::string::npos);
      CHECK(what.find(value) != std::string::npos);
    }
  };
  check({.batch_size = 0}, "batch_size", "0");
  check({.batch_timeout = -5ns}, "batch_timeout", "-5");
  check({.batch_timeout = std::chrono::nanoseconds::min()}, "batch_timeout", "-9223372036854775808");
  check({.partitions = 0}, "partitions", "0");
  check({.max_queued = 0}, "max_queued", "0");
  check({.min_batch_size = 0}, "min_batch_size", "0");
  check({.batch_size = 4, .min_batch_size = 5}, "min_batch_size must be at most batch_size, which is 4", "5");
  check({.batch_timeout = 2ms, .max_wait = 1ms}, "max_wait must be at least batch_timeout", "1000000");
  check({.batch_deadline = 0ns}, "batch_deadline must be more than 0 nanoseconds", "0");
  check({.batch_deadline = -3ns}, "batch_deadline", "-3");
  check({.max_runs = 0}, "max_runs must be at least 1", "0");
  CHECK(made == 0);
  CHECK(on_context({.batch_size = 1, .batch_timeout = 0s, .partitions = 1}).empty());
}

// --- Waits that could never end ---

/// Tries every blocking function, the bounded ones first: one that is not refused must not hang the test.
template <class AnyBatcher>
void try_all_waits(AnyBatcher& batcher, Future<int>& future, std::vector<std::error_code>& codes) {
  codes.push_back(error_from([&] { (void)future.wait_for(200ms); }));
  codes.push_back(error_from([&] { (void)future.wait_until(std::chrono::steady_clock::now() + 200ms); }));
  codes.push_back(error_from([&] { (void)future.wait_until(std::chrono::system_clock::now() + 200ms); }));
  if (codes.back() != errc::would_deadlock) return;
  codes.push_back(error_from([&] { future.wait(); }));
  codes.push_back(error_from([&] { (void)future.get(); }));
  codes.push_back(error_from([&] { (void)batcher.close_for(200ms); }));
  if (codes.back() != errc::would_deadlock) return;
  codes.push_back(error_from([&] { batcher.close(); }));
}

void check_refusals(const std::vector<std::error_code>& codes) {
  CHECK(codes.size() == 7);
  for (const auto& code : codes) CHECK(code == errc::would_deadlock);
}

struct OnOneThread {
  asio::thread_pool pool{1};
  template <class AnyBatcher, class F>
  AnyBatcher make(F function, Options options) {
    return AnyBatcher(pool, std::move(function), options);
  }
};

TEMPLATE_TEST_CASE("a batch function that waits for its own batcher is refused, and its future stays valid", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool, OnOneThread) {
  std::vector<std::error_code> codes;
  std::optional<Future<int>> inner;
  bool valid = false;
  bool polled = false;
  Batcher<int, int>* itself = nullptr;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        if (items.front() == 0) {
          inner.emplace(itself->dispatch(3));
          try_all_waits(*itself, *inner, codes);
          valid = inner->valid();
          polled = inner->wait_for(0s) == std::future_status::timeout;  // does not block
        }
        return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0s});
  itself = &batcher;
  CHECK(get_within(batcher.dispatch(0)) == 0);
  check_refusals(codes);
  CHECK(valid);
  CHECK(polled);
  REQUIRE(inner);
  CHECK(get_within(*inner) == 9);
  CHECK(get_within(batcher.dispatch(4)) == 16);  // a refused close closes nothing
  audit(batcher);
}

TEMPLATE_TEST_CASE("inside a batch function a future that is ready can be had", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool, OnOneThread) {
  std::optional<Future<int>> ready;
  int value = 0;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::span<int> items) {
        if (items.front() == 0) {
          ready->wait();
          value = ready->get();
        }
        return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0s});
  ready.emplace(batcher.dispatch(3));
  REQUIRE(ready->wait_for(patience) == std::future_status::ready);
  CHECK(get_within(batcher.dispatch(0)) == 0);
  CHECK(value == 9);
  audit(batcher);
}

TEST_CASE("a batch function may wait for another batcher") {
  Batcher<int, int> other([](std::span<int> items) { return squares(items); }, {.batch_timeout = 0s});
  Batcher<int, int> batcher([&](std::span<int> items) { return get_within(other.dispatch_many(items)); },
                            {.batch_timeout = 0s});
  CHECK(get_within(batcher.dispatch(3)) == 9);
}

TEST_CASE("on a thread of the batcher's own pool a wait is refused outside batch functions as well") {
  std::vector<std::error_code> codes;
  Gate gate;
  Gate done;
  Batcher<int, int> batcher(
      [&](std::span<int> items) {
        gate.wait();
        return squares(items);
      },
      {.batch_size = 1});
  const OpensAtEnd opens(gate);
  auto future = batcher.dispatch(3);
  SECTION("in an operation that was posted there") {
    asio::post(batcher.get_executor(), [&] {
      try_all_waits(batcher, future, codes);
      done.open();
    });
    done.wait();
  }
  SECTION("in a completion handler") {
    Batcher<int, int> other([](std::span<int> items) { return squares(items); }, {.batch_size = 1});
    auto never = std::make_unique<Future<int>>();
    batcher.async_dispatch(1, [&](const std::exception_ptr&, int) {
      *never = batcher.dispatch(2);  // its batch can start on the other thread: look before it leaps
      if (is_ready(*never)) {
        codes.assign(7, make_error_code(errc::would_deadlock));
      } else {
        codes.push_back(error_from([&] { (void)batcher.close_for(200ms); }));
        codes.resize(7, codes.front());
      }
      done.open();
    });
    gate.open();
    done.wait();
    CHECK(get_within(*never) == 4);
  }
  check_refusals(codes);
  gate.open();
  CHECK(get_within(future) == 9);
  audit(batcher);
}

TEST_CASE("a wait in a completion handler is refused wherever that comes from") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, [](std::span<int> items) { return squares(items); },
                                         {.batch_size = 2, .batch_timeout = 1h});
  std::error_code code;
  const auto handler = [&](const std::exception_ptr&, int) {
    code = error_from([&] { batcher.dispatch(2).wait_for(200ms); });
  };
  SECTION("from a batch") {
    batcher.async_dispatch(1, handler);
    batcher.flush();
    io.poll();
  }
  SECTION("from a time limit") {
    batcher.async_dispatch(1, {.timeout = 1ms}, handler);
    io.poll();
    ManualClock::advance(1ms);
    io.poll();
  }
  CHECK(code == errc::would_deadlock);
}

#ifdef BATCHING_HAS_COROUTINES
TEMPLATE_TEST_CASE("a coroutine batch function that blocks for its own batcher is refused, also after a suspension", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool) {
  std::vector<std::error_code> codes;
  std::optional<Future<int>> inner;
  Batcher<int, int>* itself = nullptr;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
        if (items.front() == 0) {
          inner.emplace(itself->dispatch(3));
          co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
          try_all_waits(*itself, *inner, codes);
        }
        co_return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0s});
  itself = &batcher;
  CHECK(get_within(batcher.dispatch(0)) == 0);
  check_refusals(codes);
  REQUIRE(inner);
  CHECK(get_within(*inner) == 9);
  audit(batcher);
}

TEST_CASE("an inline call of a coroutine that blocks for its own batcher is refused, also after a suspension") {
  std::error_code code;
  Batcher<int, int>* itself = nullptr;
  OnAContext ground;
  auto batcher = ground.make<Batcher<int, int>>(
      [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        if (items.front() == 0) code = error_from([&] { itself->dispatch(3).wait_for(200ms); });
        co_return squares(items);
      },
      {.batch_size = 2, .batch_timeout = 1h});
  itself = &batcher;
  CHECK(batcher.inline_one(0) == 0);
  CHECK(code == errc::would_deadlock);
}

TEST_CASE("a coroutine batch function may await its own batcher where a partition is free") {
  asio::io_context io;
  Batcher<int, int, ManualClock>* itself = nullptr;
  Batcher<int, int, ManualClock> batcher(io,
                                         [&](std::vector<int> items) -> asio::awaitable<std::vector<int>> {
                                           if (items.front() == 0)
                                             items.front() = co_await itself->async_dispatch(3, asio::use_awaitable);
                                           co_return squares(items);
                                         },
                                         {.batch_size = 1, .batch_timeout = 0s, .partitions = 2});
  itself = &batcher;
  auto future = batcher.dispatch(0);
  io.poll();
  CHECK(get_within(future, 0s) == 81);
  audit(batcher);
}
#endif

TEMPLATE_TEST_CASE("a batch function may use its own batcher without waiting", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool, OnOneThread) {
  Batcher<int, int>* itself = nullptr;
  TestType ground;
  auto batcher = ground.template make<Batcher<int, int>>(
      [&](Batch<int, int> batch) {
        if (batch.inputs().front() == 0) {
          // 0 is answered with the square of 3, when that has come.
          auto kept = std::make_shared<Batch<int, int>>(std::move(batch));
          itself->async_dispatch(3, [kept](const std::exception_ptr&, int value) { kept->set_value(0, value); });
        } else {
          batch.complete(squares(batch.inputs()));
        }
      },
      {.batch_size = 1, .batch_timeout = 0s, .partitions = 2});
  itself = &batcher;
  CHECK(get_within(batcher.dispatch(0)) == 9);
  audit(batcher);
}

// --- The errors themselves ---

TEST_CASE("the errors have a category with a name and a sentence each") {
  CHECK(std::string(batching::error_category().name()) == "batching");
  std::set<std::string> messages;
  const auto all = {errc::queue_full,         errc::timed_out, errc::cancelled, errc::closed,
                    errc::wrong_output_count, errc::too_heavy, errc::dropped,   errc::would_deadlock};
  for (const errc value : all) {
    const std::error_code code = value;
    CHECK(code == value);
    CHECK(code);  // none is 0
    CHECK(code.category() == batching::error_category());
    CHECK_FALSE(code.message().empty());
    messages.insert(code.message());
  }
  CHECK(messages.size() == all.size());
  CHECK(std::error_code(errc::closed) != errc::cancelled);
  CHECK(std::error_code(errc::closed) != std::make_error_code(std::errc::operation_canceled));
  CHECK_FALSE(batching::error_category().message(4711).empty());
}

TEST_CASE("an Error is a std::system_error whose code compares with errc") {
  const Error plain(errc::closed);
  CHECK(plain.code() == errc::closed);
  CHECK(plain.code() != errc::dropped);
  CHECK(std::string(plain.what()).find(make_error_code(errc::closed).message()) != std::string::npos);
  const Error with_words(errc::would_deadlock, "some words");
  CHECK(std::string(with_words.what()).find("some words") != std::string::npos);
  CHECK_THROWS_AS(throw Error(errc::closed), std::system_error);
}

TEST_CASE("a Result is a value or an error") {
  Result<std::string> value(std::string("yes"));
  CHECK(value.has_value());
  CHECK(value);
  CHECK(value.value() == "yes");
  CHECK(*value == "yes");
  CHECK(value->size() == 3);
  CHECK_FALSE(value.error());
  CHECK(std::move(value).value() == "yes");

  const Result<std::string> error(std::make_exception_ptr(std::runtime_error("no")));
  CHECK_FALSE(error.has_value());
  CHECK(error.error());
  CHECK_THROWS_WITH(error.value(), "no");

  CHECK(Result<void>().has_value());
  CHECK_NOTHROW(Result<void>().value());
  CHECK_FALSE(Result<void>(std::make_exception_ptr(1)).has_value());
  CHECK_THROWS_AS(Result<void>(std::make_exception_ptr(1)).value(), int);
}

}  // namespace
