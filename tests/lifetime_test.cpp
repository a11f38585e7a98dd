// Tests of the end: closing, stopping, destruction wherever it happens, and executors that go away first.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batcher.hpp>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/thread_pool.hpp>
#include <asio/use_future.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
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

using Squarer = Batcher<int, int>;
using ManualSquarer = Batcher<int, int, ManualClock>;

[[nodiscard]] auto squaring() {
  return [](std::span<int> items) { return squares(items); };
}

// --- stop ---

TEST_CASE("stop with a batch running, a full one and a partial one waiting: those fail at once, the first delivers") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10s}, Answers::when_told);
  auto running = bench.batcher.dispatch_many(from_to(1, 4));
  auto full = bench.batcher.dispatch_many(from_to(5, 8));
  auto partial = bench.batcher.dispatch(9);
  bench.poll();
  REQUIRE(bench.batches.size() == 1);
  bench.batcher.stop();
  CHECK(error_of(full, 0s) == errc::closed);
  CHECK(error_of(partial, 0s) == errc::closed);
  CHECK_FALSE(is_ready(running));
  bench.finish(0);
  CHECK(get_within(running, 0s) == squares(from_to(1, 4)));
  CHECK(bench.batches.size() == 1);
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("stop on real threads fails what has not started at once and lets what runs deliver", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool) {
  Gate gate;
  Gate entered;
  std::atomic<int> runs = 0;
  TestType ground;
  auto batcher = ground.template make<Squarer>(
      [&](std::span<int> items) {
        ++runs;
        entered.open();
        gate.wait();
        return squares(items);
      },
      {.batch_size = 4, .batch_timeout = 10s});
  const OpensAtEnd opens(gate);
  auto running = batcher.dispatch_many(from_to(1, 4));
  entered.wait();
  auto full = batcher.dispatch_many(from_to(5, 8));
  auto partial = batcher.dispatch(9);
  batcher.stop();
  CHECK(error_of(full, 0s) == errc::closed);
  CHECK(error_of(partial, 0s) == errc::closed);
  CHECK_FALSE(is_ready(running));
  gate.open();
  CHECK(get_within(running) == squares(from_to(1, 4)));
  CHECK(runs == 1);
  audit(batcher);
}

TEST_CASE("stop fails a full window that is on its way to its partition") {
  Workbench bench({.batch_size = 2});
  auto two = bench.batcher.dispatch_many({1, 2});  // the context has not been run since
  bench.batcher.stop();
  CHECK(error_of(two, 0s) == errc::closed);
  bench.poll();
  CHECK(bench.batches.empty());
  audit(bench.batcher);
}

TEST_CASE("a call of which a part runs when the batcher stops fails as a whole, once") {
  Workbench bench({.batch_size = 2}, Answers::when_told);
  auto three = bench.batcher.dispatch_many({1, 2, 3});
  bench.poll();
  bench.batcher.stop();
  CHECK(error_of(three, 0s) == errc::closed);
  bench.finish_all();
  CHECK(bench.batcher.stats().failed == 3);
  CHECK(bench.batcher.stats().completed == 0);
  audit(bench.batcher);
}

TEST_CASE("stop may be called again, after close, and by the batch function") {
  SECTION("again") {
    Workbench bench({});
    bench.batcher.stop();
    bench.batcher.stop();
    bench.poll();
  }
  SECTION("after close") {
    Workbench bench({.batch_size = 2}, Answers::when_told);
    auto four = bench.batcher.dispatch_many({1, 2, 3, 4});
    auto five = bench.batcher.dispatch(5);
    bool closed = false;
    bench.poll();
    bench.batcher.async_close([&] { closed = true; });
    bench.poll();
    CHECK_FALSE(closed);
    bench.batcher.stop();
    CHECK(error_of(five, 0s) == errc::closed);
    bench.finish_all();
    CHECK(closed);
    audit(bench.batcher);
  }
  SECTION("by the batch function") {
    Squarer* itself = nullptr;
    Gate gate;
    Squarer batcher(
        [&](std::span<int> items) {
          gate.wait();
          itself->stop();
          return squares(items);
        },
        {.batch_size = 1});
    itself = &batcher;
    auto one = batcher.dispatch(1);
    CHECK(eventually([&] { return batcher.stats().running == 1; }));
    auto two = batcher.dispatch(2);
    gate.open();
    CHECK(get_within(one) == 1);
    CHECK(error_of(two) == errc::closed);
    audit(batcher);
  }
}

// --- close ---

TEST_CASE("close runs everything that was accepted, the partial window as well") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10s}, Answers::when_told);
  auto running = bench.batcher.dispatch_many(from_to(1, 4));
  auto full = bench.batcher.dispatch_many(from_to(5, 8));
  auto partial = bench.batcher.dispatch(9);
  bench.poll();
  int closed = 0;
  bench.batcher.async_close([&] { ++closed; });
  auto refused = bench.batcher.dispatch(10);
  bench.poll();
  CHECK(error_of(refused, 0s) == errc::closed);
  bench.finish(0);
  bench.finish(1);
  CHECK(closed == 0);
  bench.finish(2);
  CHECK(closed == 1);
  CHECK(bench.batches == Batches{from_to(1, 4), from_to(5, 8), {9}});
  CHECK(bench.reasons == Reasons{CloseReason::size, CloseReason::size, CloseReason::close});
  CHECK(get_within(running, 0s) == squares(from_to(1, 4)));
  CHECK(get_within(full, 0s) == squares(from_to(5, 8)));
  CHECK(get_within(partial, 0s) == 81);
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("when close returns every future is ready", "", OnItsOwnPool, OnAContext, OnAThreadPool) {
  TestType ground;
  auto batcher = ground.template make<Squarer>(squaring(), {.batch_size = 8, .batch_timeout = 10s, .partitions = 2});
  std::vector<Future<int>> futures;
  for (int item = 0; item < 100; ++item) futures.push_back(batcher.dispatch(item));
  auto many = batcher.dispatch_many(from_to(1, 50));
  batcher.close();
  bool ready = is_ready(many);
  for (const auto& future : futures) ready = ready && is_ready(future);
  CHECK(ready);
  for (int item = 0; item < 100; ++item) CHECK(get_within(futures[static_cast<std::size_t>(item)]) == item * item);
  CHECK(get_within(many) == squares(from_to(1, 50)));
  batcher.close();  // again
  CHECK(batcher.close_for(0s));
  audit(batcher);
}

TEST_CASE("close waits for a kept batch") {
  std::optional<Batch<int, int>> kept;
  Gate entered;
  Squarer batcher(
      [&](Batch<int, int> batch) {
        kept.emplace(std::move(batch));
        entered.open();
      },
      {.batch_size = 1});
  auto one = batcher.dispatch(1);
  entered.wait();
  CHECK_FALSE(batcher.close_for(20ms));
  CHECK_FALSE(is_ready(one));
  kept->set_value(0, 1);
  CHECK(batcher.close_for(patience));
  CHECK(get_within(one) == 1);
}

TEMPLATE_TEST_CASE("close_for gives up in time on a batch that runs on, and what had not started has failed", "",
                   OnItsOwnPool, OnAContext, OnAThreadPool) {
  Gate gate;
  Gate entered;
  TestType ground;
  auto batcher = ground.template make<Squarer>(
      [&](std::span<int> items) {
        entered.open();
        gate.wait();
        return squares(items);
      },
      {.batch_size = 2, .batch_timeout = 10s});
  const OpensAtEnd opens(gate);
  auto running = batcher.dispatch_many({1, 2});
  entered.wait();
  auto full = batcher.dispatch_many({3, 4});
  auto partial = batcher.dispatch(5);
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(batcher.close_for(100ms));
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(took >= 100ms);
  CHECK(took < 5s);
  CHECK(error_of(full, 0s) == errc::closed);
  CHECK(error_of(partial, 0s) == errc::closed);
  CHECK_FALSE(is_ready(running));
  gate.open();
  CHECK(get_within(running) == std::vector{1, 4});
  CHECK(batcher.close_for(patience));
  audit(batcher);
}

TEST_CASE("close_for returns true when everything was delivered in time") {
  Squarer batcher(squaring(), {.batch_size = 4, .batch_timeout = 10s});
  auto one = batcher.dispatch(1);
  CHECK(batcher.close_for(patience));
  CHECK(is_ready(one));
  CHECK(get_within(one) == 1);
}

TEST_CASE("closing an idle batcher returns at once, also where nobody runs its context") {
  asio::io_context io;
  Squarer batcher(io, squaring());
  CHECK(batcher.close_for(patience));
  batcher.close();
  batcher.stop();
}

TEST_CASE("async_close completes after the last delivery, never inside the call, for everybody who asks") {
  Workbench bench({.batch_size = 4, .batch_timeout = 10s});
  std::vector<std::string> order;
  bench.batcher.async_dispatch(1, [&](const std::exception_ptr&, int) { order.emplace_back("delivered"); });
  bench.batcher.async_close([&] { order.emplace_back("closed"); });
  bench.batcher.async_close([&] { order.emplace_back("closed again"); });
  CHECK(order.empty());
  bench.poll();
  CHECK(order == std::vector<std::string>{"delivered", "closed", "closed again"});
  bench.batcher.async_close([&] { order.emplace_back("closed once more"); });
  CHECK(order.size() == 3);
  bench.poll();
  CHECK(order.size() == 4);
  audit(bench.batcher);
}

TEST_CASE("async_close takes use_future") {
  Squarer batcher(squaring(), {.batch_size = 4, .batch_timeout = 10s});
  auto one = batcher.dispatch(1);
  std::future<void> closed = batcher.async_close(asio::use_future);
  REQUIRE(closed.wait_for(patience) == std::future_status::ready);
  CHECK(is_ready(one));
}

TEST_CASE("async_close may be called inside a batch function") {
  Squarer* itself = nullptr;
  Gate closed;
  Squarer batcher(
      [&](std::span<int> items) {
        itself->async_close([&] { closed.open(); });
        return squares(items);
      },
      {.batch_size = 1});
  itself = &batcher;
  CHECK(get_within(batcher.dispatch(2)) == 4);
  closed.wait();
  CHECK(error_of(batcher.dispatch(3)) == errc::closed);
}

TEST_CASE("after the end every submission is refused: ready at return, counted as rejected, and never thrown") {
  Workbench bench({.batch_size = 2});
  SECTION("by stop") { bench.batcher.stop(); }
  SECTION("by close_for") { CHECK(bench.batcher.close_for(patience)); }
  SECTION("by async_close") {
    bench.batcher.async_close([] {});
  }
  auto one = bench.batcher.dispatch(1);
  auto many = bench.batcher.dispatch_many({2, 3, 4});
  CHECK(is_ready(one));
  CHECK(is_ready(many));
  CHECK(error_of(one, 0s) == errc::closed);
  CHECK(error_of(many, 0s) == errc::closed);
  std::error_code code;
  bench.batcher.async_dispatch(5, [&](const std::exception_ptr& error, int) { code = code_of(error); });
  CHECK_FALSE(code);  // not inside the call
  bench.poll();
  CHECK(code == errc::closed);
  bench.batcher.flush();
  bench.poll();
  CHECK(bench.batches.empty());
  const Stats stats = bench.batcher.stats();
  CHECK(stats.rejected == 5);
  CHECK(stats.accepted == 0);
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("while many submit, close answers everyone: with a value or with closed", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  for (int round = 0; round < 10; ++round) {
    Counter begun;
    TestType ground;
    auto batcher = ground.template make<Squarer>(squaring(), {.batch_size = 8, .batch_timeout = 50us, .partitions = 2});
    std::vector<std::vector<Future<int>>> futures(3);
    std::vector<std::thread> threads;
    for (auto& mine : futures) {
      threads.emplace_back([&] {
        begun.up();
        for (int item = 0; item < 300; ++item) {
          mine.push_back(batcher.dispatch(item));
          (void)mine.back().wait_for(patience);
        }
      });
    }
    begun.reach(3);
    std::this_thread::yield();
    if (round % 2 == 0) {
      CHECK(batcher.close_for(patience));
    } else {
      batcher.stop();
    }
    for (auto& thread : threads) thread.join();
    std::uint64_t values = 0;
    std::uint64_t refused = 0;
    for (auto& mine : futures) {
      for (auto& future : mine) {
        const auto code = error_of(future, 0s);
        values += code ? 0U : 1U;
        refused += code == errc::closed ? 1U : 0U;
      }
    }
    CHECK(values + refused == 3 * 300);
    const Stats stats = batcher.stats();
    CHECK(stats.completed == values);
    CHECK(stats.failed + stats.rejected == refused);
    audit(batcher);
  }
}

// --- Destruction ---

TEST_CASE("destroying a batcher with work waiting fails it as closed, at once") {
  SECTION("on a context") {
    asio::io_context io;
    auto batcher = std::make_unique<ManualSquarer>(io, squaring(), Options{.batch_size = 4, .batch_timeout = 10s});
    auto one = batcher->dispatch(1);
    SECTION("that has heard of it") { io.poll(); }
    SECTION("that has not heard of it") {}
    auto two = batcher->dispatch_many({2, 3});
    std::error_code code;
    batcher->async_dispatch(4, CallOptions{.timeout = 1h},
                            [&](const std::exception_ptr& error, int) { code = code_of(error); });
    batcher.reset();
    CHECK(error_of(one, 0s) == errc::closed);
    CHECK(error_of(two, 0s) == errc::closed);
    CHECK_FALSE(code);  // handlers run where they belong
    io.restart();
    io.poll();
    CHECK(code == errc::closed);
  }
  SECTION("on its own pool") {
    auto batcher = std::make_unique<Squarer>(
        squaring(), Options{.batch_size = 4, .batch_timeout = std::chrono::nanoseconds::max()});
    Gate called;
    auto one = batcher->dispatch(1);
    batcher->async_dispatch(2, [&](const std::exception_ptr&, int) { called.open(); });
    batcher.reset();
    CHECK(error_of(one, 0s) == errc::closed);
    called.wait();
  }
}

TEST_CASE("destroying a batcher with its own pool waits for the batch that runs") {
  Gate gate;
  Gate entered;
  std::atomic<bool> finished = false;
  auto batcher = std::make_unique<Squarer>(
      [&](std::span<int> items) {
        entered.open();
        gate.wait();
        finished = true;
        return squares(items);
      },
      Options{.batch_size = 1});
  auto one = batcher->dispatch(3);
  auto two = batcher->dispatch(4);
  entered.wait();
  bool failed_first = false;
  std::thread opener([&] {
    // The item that waits is failed by the destructor, which then waits for the gate.
    failed_first = two.wait_for(patience) == std::future_status::ready;
    gate.open();
  });
  batcher.reset();
  CHECK(finished);
  CHECK(get_within(one, 0s) == 9);
  opener.join();
  CHECK(failed_first);
  CHECK(error_of(two, 0s) == errc::closed);
}

TEST_CASE("a batcher on somebody else's executor is destroyed without waiting for the batch that runs") {
  Gate gate;
  Gate entered;
  asio::thread_pool pool(2);
  auto batcher = std::make_unique<Squarer>(
      pool,
      [&](std::span<int> items) {
        entered.open();
        gate.wait();
        return squares(items);
      },
      Options{.batch_size = 1});
  const OpensAtEnd opens(gate);
  auto one = batcher->dispatch(3);
  auto two = batcher->dispatch(4);
  entered.wait();
  batcher.reset();
  CHECK_FALSE(is_ready(one));
  CHECK(error_of(two, 0s) == errc::closed);
  gate.open();
  CHECK(get_within(one) == 9);  // the running one delivers all the same
}

TEST_CASE("a batch function may destroy its own batcher") {
  SECTION("on its own pool") {
    Gate gate;
    std::unique_ptr<Squarer> batcher;
    batcher = std::make_unique<Squarer>(
        [&, big = std::vector<int>(1000, 1)](std::span<int> items) {
          gate.wait();
          batcher.reset();
          auto outputs = squares(items);
          outputs.front() += big.back() - 1;  // the function object is still there
          return outputs;
        },
        Options{.batch_size = 1});
    auto one = batcher->dispatch(3);
    auto two = batcher->dispatch(4);
    gate.open();
    CHECK(get_within(one) == 9);
    CHECK(error_of(two) == errc::closed);
  }
  SECTION("on a context") {
    asio::io_context io;
    std::unique_ptr<ManualSquarer> batcher;
    batcher = std::make_unique<ManualSquarer>(
        io,
        [&, big = std::vector<int>(1000, 1)](std::span<int> items) {
          batcher.reset();
          auto outputs = squares(items);
          outputs.front() += big.back() - 1;
          return outputs;
        },
        Options{.batch_size = 1});
    auto one = batcher->dispatch(3);
    auto two = batcher->dispatch(4);
    io.poll();
    CHECK(get_within(one, 0s) == 9);
    CHECK(error_of(two, 0s) == errc::closed);
  }
  SECTION("and throw then") {
    Gate gate;
    std::unique_ptr<Squarer> batcher;
    batcher = std::make_unique<Squarer>(
        [&](std::span<int>) -> std::vector<int> {
          gate.wait();
          batcher.reset();
          throw std::runtime_error("gone");
        },
        Options{.batch_size = 1});
    auto one = batcher->dispatch(3);
    gate.open();
    CHECK(what_of(one) == "gone");
  }
  SECTION("with a handle, and answer then") {
    Gate gate;
    std::unique_ptr<Squarer> batcher;
    batcher = std::make_unique<Squarer>(
        [&](Batch<int, int> batch) {
          gate.wait();
          batcher.reset();
          batch.complete(squares(batch.inputs()));
        },
        Options{.batch_size = 1});
    auto one = batcher->dispatch(3);
    gate.open();
    CHECK(get_within(one) == 9);
  }
}

/// Does something when it ends.
struct Farewell {
  explicit Farewell(std::function<void()> f) : last(std::move(f)) {}
  Farewell(Farewell&& other) noexcept : last(std::exchange(other.last, nullptr)) {}
  Farewell& operator=(Farewell&&) = delete;
  ~Farewell() {
    if (last) last();
  }
  std::function<void()> last;
};

TEST_CASE("an item's destructor, wherever it runs, may destroy the batcher, and is refused what could never end") {
  using Guests = Batcher<Farewell, int>;
  const auto function = [](std::span<Farewell> items) { return std::vector<int>(items.size()); };
  const Options options{.batch_size = 8, .batch_timeout = 1h};
  Gate done;
  std::error_code code;
  SECTION("close") {
    Guests batcher(function, options);
    (void)batcher.dispatch(Farewell([&] {
      code = error_from([&] { (void)batcher.close_for(200ms); });
      done.open();
    }));
    REQUIRE(eventually([&] { return batcher.stats().queued == 1; }));
    batcher.stop();
    done.wait();
    CHECK(code == errc::would_deadlock);
  }
  SECTION("the end of the batcher") {
    auto batcher = std::make_unique<Guests>(function, options);
    auto other = batcher->dispatch(Farewell(nullptr));
    std::thread([&] {
      (void)batcher->dispatch(Farewell([&] {
        batcher.reset();
        done.open();
      }));
      Guests& guests = *batcher;
      REQUIRE(eventually([&] { return guests.stats().queued == 2; }));
      guests.stop();
    }).join();
    done.wait();
    CHECK(error_of(other) == errc::closed);
  }
}

TEST_CASE("a completion handler may destroy the batcher") {
  SECTION("on its own pool") {
    Gate called;
    Gate gate;
    std::unique_ptr<Squarer> batcher;
    batcher = std::make_unique<Squarer>(squaring(), Options{.batch_size = 1});
    int output = 0;
    batcher->async_dispatch(3, [&](const std::exception_ptr&, int value) {
      gate.wait();
      batcher.reset();
      output = value;
      called.open();
    });
    gate.open();
    called.wait();
    CHECK(output == 9);
  }
  SECTION("on a context, before the other handlers of its batch") {
    asio::io_context io;
    std::unique_ptr<ManualSquarer> batcher;
    batcher = std::make_unique<ManualSquarer>(io, squaring(), Options{.batch_size = 3});
    std::vector<int> outputs;
    for (const int item : {1, 2, 3}) {
      batcher->async_dispatch(item, [&](const std::exception_ptr&, int value) {
        batcher.reset();
        outputs.push_back(value);
      });
    }
    auto waiting = batcher->dispatch(4);
    io.poll();
    CHECK(outputs == std::vector{1, 4, 9});
    CHECK(error_of(waiting, 0s) == errc::closed);
  }
  SECTION("as its last owner") {
    asio::io_context io;
    auto batcher = std::make_shared<ManualSquarer>(io, squaring(), Options{.batch_size = 1});
    const std::weak_ptr<ManualSquarer> watch = batcher;
    auto& reference = *batcher;
    int output = 0;
    reference.async_dispatch(
        3, [owner = std::move(batcher), &output](const std::exception_ptr&, int value) { output = value; });
    io.poll();
    CHECK(output == 9);
    CHECK(watch.expired());
  }
  SECTION("as its last owner, on its own pool") {
    Gate called;
    auto batcher = std::make_shared<Squarer>(squaring(), Options{.batch_size = 1});
    const std::weak_ptr<Squarer> watch = batcher;
    auto& reference = *batcher;
    reference.async_dispatch(3,
                             [owner = std::move(batcher), &called](const std::exception_ptr&, int) { called.open(); });
    called.wait();
    CHECK(eventually([&] { return watch.expired(); }));
  }
}

TEMPLATE_TEST_CASE("a batcher may be destroyed by another thread at any moment", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  TestType ground;
  for (int round = 0; round < 50; ++round) {
    auto batcher = std::make_unique<Squarer>(
        ground.template make<Squarer>(squaring(), {.batch_size = 4, .batch_timeout = 20us, .partitions = 2}));
    std::vector<Future<int>> futures;
    for (int item = 0; item < 30; ++item) futures.push_back(batcher->dispatch(item));
    auto many = batcher->dispatch_many(from_to(1, 10));
    for (int spin = 0; spin < round * 20; ++spin) std::this_thread::yield();
    std::thread destroyer([gone = std::move(batcher)]() mutable { gone.reset(); });
    for (int item = 0; item < 30; ++item) {
      auto& future = futures[static_cast<std::size_t>(item)];
      REQUIRE(future.wait_for(patience) == std::future_status::ready);
      const auto code = [&] {
        try {
          return future.get() == item * item ? std::error_code() : std::make_error_code(std::errc::bad_message);
        } catch (const Error& error) {
          return error.code();
        }
      }();
      CHECK((!code || code == errc::closed));
    }
    CHECK(many.wait_for(patience) == std::future_status::ready);
    destroyer.join();
  }
}

TEST_CASE("a batcher may be destroyed right after its timer's completion was queued") {
  asio::io_context io;
  auto batcher = std::make_unique<ManualSquarer>(io, squaring(), Options{.batch_size = 4, .batch_timeout = 50ms});
  auto one = batcher->dispatch(1);
  auto two = batcher->dispatch(2, {.timeout = 50ms});
  io.poll();
  ManualClock::advance(50ms);
  SECTION("it is queued") {
    asio::post(io, [] {});
    io.restart();
    REQUIRE(io.poll_one() == 1);
  }
  SECTION("it is due, not queued") {}
  batcher.reset();
  CHECK(error_of(one, 0s) == errc::closed);
  CHECK(is_ready(two));
  io.restart();
  io.poll();
}

TEST_CASE("no timer of a destroyed batcher keeps its context busy") {
  asio::io_context io;
  {
    ManualSquarer batcher(io, squaring(), {.batch_size = 4, .batch_timeout = 50ms});
    auto one = batcher.dispatch(1);
    io.poll();
  }
  const auto limit = std::chrono::steady_clock::now() + patience;
  io.restart();
  while (!io.stopped() && std::chrono::steady_clock::now() < limit) io.poll();
  CHECK(io.stopped());
}

TEST_CASE("an idle batcher keeps no context busy") {
  asio::io_context io;
  ManualSquarer batcher(io, squaring(), {.batch_size = 4, .batch_timeout = 50ms});
  io.poll();
  CHECK(io.stopped());
  auto one = batcher.dispatch(1);
  io.restart();
  io.poll();
  CHECK_FALSE(io.stopped());  // somebody waits
  ManualClock::advance(50ms);
  io.poll();
  CHECK(get_within(one, 0s) == 1);
  CHECK(io.stopped());
}

// --- The executor goes first ---

TEST_CASE("on a thread pool that was stopped and joined everybody is answered before it dies") {
  Gate gate;
  std::optional<asio::thread_pool> pool(std::in_place, 1);
  asio::post(*pool, [&] { gate.wait(); });
  std::optional<Squarer> batcher(std::in_place, *pool, squaring(), Options{.batch_size = 4, .batch_timeout = 1ms});
  auto owned = std::make_shared<int>(0);
  int calls = 0;
  std::vector<Future<int>> futures;
  for (int item = 0; item < 10; ++item) futures.push_back(batcher->dispatch(item));
  auto many = batcher->dispatch_many(from_to(1, 10));
  batcher->async_dispatch(1, [owned, &calls](const std::exception_ptr&, int) { ++calls; });
  pool->stop();
  gate.open();
  pool->join();
  SECTION("the batcher first") {
    batcher.reset();
    for (auto& future : futures) CHECK(error_of(future, 0s) == errc::closed);
    CHECK(error_of(many, 0s) == errc::closed);
    pool.reset();
  }
  SECTION("the pool first") {
    pool.reset();
    for (auto& future : futures) CHECK(error_of(future, 0s) == errc::closed);
    CHECK(error_of(many, 0s) == errc::closed);
    audit(*batcher);
    batcher.reset();
  }
  CHECK(calls == 0);
  CHECK(owned.use_count() == 1);  // destroyed uncalled
}

TEST_CASE("when its context is destroyed first, futures hear closed and handlers are destroyed uncalled") {
  auto io = std::make_unique<asio::io_context>();
  ManualSquarer batcher(*io, squaring(), {.batch_size = 4, .batch_timeout = 50ms});
  auto owned = std::make_shared<int>(0);
  int calls = 0;
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch_many({2});
  batcher.async_dispatch(3, [owned, &calls](const std::exception_ptr&, int) { ++calls; });
  SECTION("with the window's timer armed") { io->poll(); }
  SECTION("with the items still on their way") {}
  SECTION("with a full window on its way") {
    batcher.async_dispatch(4, [owned, &calls](const std::exception_ptr&, int) { ++calls; });
  }
  io.reset();
  CHECK(error_of(one, 0s) == errc::closed);
  CHECK(error_of(two, 0s) == errc::closed);
  CHECK(calls == 0);
  CHECK(owned.use_count() == 1);

  auto late = batcher.dispatch(5);
  CHECK(is_ready(late));
  CHECK(error_of(late, 0s) == errc::closed);
  batcher.async_dispatch(6, [owned, &calls](const std::exception_ptr&, int) { ++calls; });
  CHECK(calls == 0);
  CHECK(owned.use_count() == 1);
  batcher.flush();
  batcher.stop();
  audit(batcher);
}

TEST_CASE("a kept batch can be answered when the context is gone") {
  std::optional<Batch<int, int>> kept;
  auto io = std::make_unique<asio::io_context>();
  ManualSquarer batcher(*io, [&](Batch<int, int> batch) { kept.emplace(std::move(batch)); }, {.batch_size = 3});
  auto owned = std::make_shared<int>(0);
  int calls = 0;
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  batcher.async_dispatch(3, [owned, &calls](const std::exception_ptr&, int) { ++calls; });
  io->poll();
  REQUIRE(kept);
  io.reset();
  kept->set_value(0, 10);
  CHECK(get_within(one, 0s) == 10);
  kept.reset();
  CHECK(error_of(two, 0s));
  CHECK(calls == 0);
  CHECK(owned.use_count() == 1);
  audit(batcher);
}

TEST_CASE("a handler that owns its batcher goes down with the context") {
  auto io = std::make_unique<asio::io_context>();
  auto batcher = std::make_shared<ManualSquarer>(*io, squaring(), Options{.batch_size = 4, .batch_timeout = 50ms});
  const std::weak_ptr<ManualSquarer> watch = batcher;
  auto& reference = *batcher;
  auto waiting = reference.dispatch(1);
  reference.async_dispatch(2, [owner = std::move(batcher)](const std::exception_ptr&, int) {});
  io->poll();
  CHECK_FALSE(watch.expired());
  io.reset();
  CHECK(watch.expired());
  CHECK(error_of(waiting, 0s) == errc::closed);
}

// --- Moving ---

TEST_CASE("a batcher can be moved with work in it") {
  asio::io_context io;
  ManualSquarer first(io, squaring(), {.batch_size = 2});
  auto one = first.dispatch(1);
  ManualSquarer second(std::move(first));
  auto two = second.dispatch(2);
  io.poll();
  CHECK(get_within(one, 0s) == 1);
  CHECK(get_within(two, 0s) == 4);
  CHECK(second.stats().accepted == 2);
  audit(second);
}

TEST_CASE("a batcher that another is moved into ends as if destroyed") {
  SECTION("on a context") {
    asio::io_context io;
    ManualSquarer target(io, squaring(), {.batch_size = 2, .batch_timeout = 10s});
    ManualSquarer source(io, [](std::span<int> items) { return std::vector<int>(items.size(), -1); },
                         {.batch_size = 2});
    auto old = target.dispatch(1);
    auto kept = source.dispatch(2);
    target = std::move(source);
    CHECK(error_of(old, 0s) == errc::closed);
    auto next = target.dispatch(3);
    io.poll();
    CHECK(get_within(kept, 0s) == -1);
    CHECK(get_within(next, 0s) == -1);
    audit(target);
  }
  SECTION("on its own pool") {
    Squarer target(squaring(), {.batch_size = 2, .batch_timeout = 10s});
    auto old = target.dispatch(1);
    target = Squarer(squaring(), {.batch_size = 1});
    CHECK(error_of(old, 0s) == errc::closed);
    CHECK(get_within(target.dispatch(2)) == 4);
    audit(target);
  }
}

// --- Futures ---

TEST_CASE("a future may outlive its batcher") {
  Future<int> answered;
  Future<int> closed;
  {
    Squarer batcher(squaring(), {.batch_size = 2, .batch_timeout = 10s});
    answered = batcher.dispatch(3);
    auto other = batcher.dispatch(4);
    CHECK(get_within(other) == 16);
    closed = batcher.dispatch(5);
  }
  CHECK_FALSE(answered.cancel());
  CHECK_FALSE(closed.cancel());
  CHECK(get_within(answered, 0s) == 9);
  CHECK(error_of(closed, 0s) == errc::closed);
}

TEST_CASE("dropping a future neither waits nor cancels") {
  Workbench bench({.batch_size = 2});
  (void)bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch(2);
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2}});
  CHECK(bench.batcher.stats().completed == 2);
  audit(bench.batcher);
}

TEST_CASE("an empty call completes with nothing and calls nothing") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0s});
  auto none = bench.batcher.dispatch_many(std::vector<int>());
  CHECK(is_ready(none));
  CHECK(get_within(none, 0s).empty());
  bool called = false;
  bench.batcher.async_dispatch_many(
      std::vector<int>(),
      [&](const std::exception_ptr& error, const std::vector<int>& outputs) { called = !error && outputs.empty(); });
  CHECK_FALSE(called);  // posted like any other
  bench.poll();
  CHECK(called);
  CHECK(bench.batches.empty());
  audit(bench.batcher);
}

}  // namespace
