// Tests: coroutines wait for their answers, have errors as exceptions, and are cancelled like anybody else.
// SPDX-License-Identifier: BSL-1.0

#include "asio_support.hpp"

#ifdef BATCHING_HAS_COROUTINES

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <memory>
#include <stdexcept>
#include <variant>

namespace {

using namespace asio_support;
using asio::awaitable;
using asio::use_awaitable;
using namespace asio::experimental::awaitable_operators;

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

const auto squaring = [](std::span<const int> inputs) { return squares(inputs); };

void run(asio::io_context& io) {
  io.restart();
  io.run_for(patience);
  CHECK(io.stopped());
}

// GCC 12 cannot have a list of initialisers in a coroutine that suspends.
const std::vector<int> four_and_five{4, 5};

awaitable<void> square_all(Batcher<int, int>& batcher, int first, int count, std::atomic<int>& right) {
  for (int i = first; i < first + count; ++i) {
    right += co_await batcher.async_dispatch(i, use_awaitable) == i * i ? 1 : 0;
  }
}

TEST_CASE("A coroutine waits for its output, one or many") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  std::vector<int> outputs;
  const auto coroutine = [&]() -> awaitable<void> {
    outputs.push_back(co_await batcher.async_dispatch(3, use_awaitable));
    const auto many = co_await batcher.async_dispatch_many(four_and_five, use_awaitable);
    outputs.insert(outputs.end(), many.begin(), many.end());
    const auto none = co_await batcher.async_dispatch_many(std::vector<int>(), use_awaitable);
    CHECK(none.empty());
    co_await batcher.async_close(use_awaitable);
    outputs.push_back(-1);
  };
  asio::co_spawn(io, coroutine(), asio::detached);
  run(io);
  CHECK(outputs == std::vector<int>({9, 16, 25, -1}));
  check_audit(batcher.stats());
}

TEST_CASE("A coroutine waits for a void output") {
  asio::io_context io;
  int items = 0;
  Batcher<int, void> batcher(io, [&](std::span<const int> inputs) { items += static_cast<int>(inputs.size()); });
  bool done = false;
  const auto coroutine = [&]() -> awaitable<void> {
    co_await batcher.async_dispatch(1, use_awaitable);
    co_await batcher.async_dispatch_many(four_and_five, use_awaitable);
    done = true;
  };
  asio::co_spawn(io, coroutine(), asio::detached);
  run(io);
  CHECK(done);
  CHECK(items == 3);
}

TEST_CASE("256 coroutines go round and round on a single thread") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 32, .batch_timeout = 0ns});
  std::atomic<int> right = 0;
  constexpr int coroutines = 256;
  constexpr int trips = under_tsan ? 20 : 100;
  for (int i = 0; i < coroutines; ++i) {
    asio::co_spawn(io, square_all(batcher, i, trips, right), asio::detached);
  }
  run(io);
  CHECK(right == coroutines * trips);
  CHECK(batcher.stats().completed == coroutines * trips);
  CHECK(batcher.stats().mean_batch_size() > 16);
  check_audit(batcher.stats());
}

TEST_CASE("256 coroutines go round and round on a thread pool, their batcher on that pool or on its own") {
  asio::thread_pool pool(2);
  std::atomic<int> right = 0;
  std::atomic<int> done = 0;
  constexpr int coroutines = 256;
  constexpr int trips = under_tsan ? 10 : 50;
  const auto go = [&](Batcher<int, int>& batcher) {
    for (int i = 0; i < coroutines; ++i) {
      asio::co_spawn(pool, square_all(batcher, i, trips, right), [&](const std::exception_ptr&) { ++done; });
    }
    CHECK(eventually([&] { return done == coroutines; }));
    CHECK(right == coroutines * trips);
    batcher.close();
    check_audit(batcher.stats());
    CHECK(batcher.stats().completed == coroutines * trips);
  };
  SECTION("on that pool") {
    Batcher<int, int> batcher(pool, squaring, {.batch_size = 32, .batch_timeout = 20us, .partitions = 2});
    go(batcher);
  }
  SECTION("on its own") {
    Batcher<int, int> batcher(squaring, {.batch_size = 32, .batch_timeout = 20us, .partitions = 2});
    go(batcher);
  }
  pool.join();
}

awaitable<std::string> error_of_awaiting(awaitable<int> operation) {
  try {
    co_await std::move(operation);
  } catch (...) {
    co_return name(std::current_exception());
  }
  co_return "none";
}

TEST_CASE("Errors arrive as exceptions") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io,
                                         [](std::span<const int> inputs) {
                                           if (inputs[0] < 0) throw std::domain_error("negative");
                                           if (inputs[0] == 0) return std::vector<int>();
                                           return squares(inputs);
                                         },
                                         {.batch_size = 1});
  std::vector<std::string> heard;
  const auto coroutine = [&]() -> awaitable<void> {
    heard.push_back(co_await error_of_awaiting(batcher.async_dispatch(-1, use_awaitable)));
    heard.push_back(co_await error_of_awaiting(batcher.async_dispatch(0, use_awaitable)));
    heard.push_back(co_await error_of_awaiting(batcher.async_dispatch(1, timeout(0ns), use_awaitable)));
    heard.push_back(co_await error_of_awaiting(batcher.async_dispatch(1, use_awaitable)));
    batcher.stop();
    heard.push_back(co_await error_of_awaiting(batcher.async_dispatch(1, use_awaitable)));
  };
  asio::co_spawn(io, coroutine(), asio::detached);
  run(io);
  CHECK(heard == std::vector<std::string>(
                     {"negative", name(errc::wrong_output_count), name(errc::timed_out), "none", name(errc::closed)}));
}

TEST_CASE("A coroutine that waits with a timeout is resumed at its time") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  std::vector<std::string> heard;
  const auto coroutine = [&]() -> awaitable<void> {
    heard.push_back(co_await error_of_awaiting(stage.batcher.async_dispatch(1, timeout(20ms), use_awaitable)));
  };
  asio::co_spawn(stage.io, coroutine(), asio::detached);
  stage.poll();
  stage.advance(20ms - 1ns);
  CHECK(heard.empty());
  stage.advance(1ns);
  CHECK(heard == std::vector<std::string>({name(errc::timed_out)}));
  CHECK(stage.seen.empty());
  check_audit(stage.batcher.stats());
}

TEST_CASE("Two operations joined by && wait for both, in one batch") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 2, .batch_timeout = by_size_alone});
  int sum = 0;
  const auto coroutine = [&]() -> awaitable<void> {
    const auto [one, two] =
        co_await (batcher.async_dispatch(3, use_awaitable) && batcher.async_dispatch(4, use_awaitable));
    sum = one + two;
  };
  asio::co_spawn(io, coroutine(), asio::detached);
  run(io);
  CHECK(sum == 25);
  CHECK(batcher.stats().batches == 1);
}

TEST_CASE("The loser of || leaves its window and never reaches the batch function") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  using Timer = asio::basic_waitable_timer<ManualClock, batching::detail::WaitTraits<ManualClock>>;
  std::size_t winner = 9;
  const auto coroutine = [&]() -> awaitable<void> {
    Timer timer(co_await asio::this_coro::executor);
    timer.expires_after(5ms);
    const auto first = co_await (stage.batcher.async_dispatch(1, use_awaitable) || timer.async_wait(use_awaitable));
    winner = first.index();
  };
  asio::co_spawn(stage.io, coroutine(), asio::detached);
  stage.poll();
  CHECK(stage.batcher.stats().queued == 1);
  stage.advance(5ms);
  CHECK(winner == 1);
  CHECK(stage.batcher.stats().cancelled == 1);
  CHECK(stage.batcher.stats().queued == 0);
  auto one = stage.batcher.dispatch(2);
  auto two = stage.batcher.dispatch(3);
  stage.poll();
  CHECK(stage.seen == std::vector<std::vector<int>>({{2, 3}}));
  CHECK(get(one) == 4);
  CHECK(get(two) == 9);
  check_audit(stage.batcher.stats());
}

TEST_CASE("The winner of || has its output, and the timer goes") {
  Stage stage({.batch_size = 1});
  using Timer = asio::basic_waitable_timer<ManualClock, batching::detail::WaitTraits<ManualClock>>;
  int output = 0;
  const auto coroutine = [&]() -> awaitable<void> {
    Timer timer(co_await asio::this_coro::executor);
    timer.expires_after(5ms);
    auto first = co_await (stage.batcher.async_dispatch(3, use_awaitable) || timer.async_wait(use_awaitable));
    if (first.index() == 0) output = std::get<0>(first);
  };
  asio::co_spawn(stage.io, coroutine(), asio::detached);
  stage.poll();
  CHECK(output == 9);
  stage.io.restart();
  stage.io.poll();
  CHECK(stage.io.stopped());
}

TEST_CASE("async_close may be awaited while batches run") {
  asio::thread_pool pool(2);
  Batcher<int, int> batcher(pool, squaring, {.batch_size = 4, .batch_timeout = by_size_alone});
  std::atomic<int> right = 0;
  std::atomic<bool> closed = false;
  for (int i = 1; i <= 6; ++i) asio::co_spawn(pool, square_all(batcher, i, 1, right), asio::detached);
  REQUIRE(eventually([&] { return batcher.stats().accepted == 6; }));
  const auto coroutine = [&]() -> awaitable<void> {
    co_await batcher.async_close(use_awaitable);
    closed = true;
  };
  asio::co_spawn(pool, coroutine(), asio::detached);
  CHECK(eventually([&] { return closed.load(); }));
  pool.join();
  CHECK(right == 6);
  check_audit(batcher.stats());
}

awaitable<void> wait_for_ever(Batcher<int, int>& batcher, std::shared_ptr<int> token, bool many, bool& resumed) {
  // `token` is held by the coroutine's frame.
  if (many) {
    co_await batcher.async_dispatch_many(four_and_five, use_awaitable);
  } else {
    co_await batcher.async_dispatch(*token, use_awaitable);
  }
  resumed = true;
}

TEST_CASE("Coroutines still waiting when their io_context is destroyed are destroyed with it") {
  const auto token = std::make_shared<int>(1);
  bool resumed = false;
  {
    std::optional<asio::io_context> io(std::in_place);
    Batcher<int, int> batcher(*io, squaring, {.batch_size = 10, .batch_timeout = by_size_alone});
    asio::co_spawn(*io, wait_for_ever(batcher, token, false, resumed), asio::detached);
    asio::co_spawn(*io, wait_for_ever(batcher, token, true, resumed), asio::detached);
    io->poll();
    CHECK(token.use_count() == 3);
    io.reset();
    CHECK(token.use_count() == 1);
  }
  CHECK_FALSE(resumed);
}

TEST_CASE("A coroutine that was answered but not resumed goes with its context; its neighbours notice nothing") {
  const auto token = std::make_shared<int>(1);
  bool resumed = false;
  Batcher<int, int> batcher(squaring, {.batch_size = 2, .batch_timeout = by_size_alone});
  {
    asio::io_context io;
    asio::co_spawn(io, wait_for_ever(batcher, token, false, resumed), asio::detached);
    io.poll();
    REQUIRE(eventually([&] { return batcher.stats().queued == 1; }));
    auto neighbour = batcher.dispatch(2);
    CHECK(get(neighbour) == 4);
    batcher.close();  // the handler has been posted: a context must not go while somebody may still post to it
  }
  CHECK(token.use_count() == 1);
  CHECK_FALSE(resumed);
}

TEST_CASE("A batch function that is a coroutine holds no thread and may itself dispatch to another batcher") {
  asio::io_context io;
  Batcher<int, int> inner(io, squaring, {.batch_size = 8, .batch_timeout = 0ns});
  Batcher<int, int> outer(io,
                          [&](std::vector<int> inputs) -> awaitable<std::vector<int>> {
                            auto outputs = co_await inner.async_dispatch_many(std::move(inputs), use_awaitable);
                            asio::steady_timer timer(co_await asio::this_coro::executor, 1ms);
                            co_await timer.async_wait(use_awaitable);
                            for (int& output : outputs) output += 1;
                            co_return outputs;
                          },
                          {.batch_size = 4, .batch_timeout = by_size_alone, .partitions = 3});
  auto many = outer.dispatch_many({1, 2, 3, 4, 5, 6, 7, 8});
  run(io);
  CHECK(get(many) == std::vector<int>({2, 5, 10, 17, 26, 37, 50, 65}));
}

}  // namespace

#else

TEST_CASE("This compiler and this Asio have no coroutines") { SUCCEED(); }

#endif
