// Tests: a batcher follows Asio's rules for asynchronous operations, with every kind of token, executor and handler.
// SPDX-License-Identifier: BSL-1.0

#include <asio/bind_allocator.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/system_executor.hpp>
#include <asio/use_future.hpp>

#include <algorithm>
#include <deque>
#include <functional>
#include <future>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <tuple>

#include "asio_support.hpp"

// Where this Asio has them: under their own name since 1.23, as experimental ones in 1.22.
#if ASIO_VERSION >= 102300
#include <asio/as_tuple.hpp>
#include <asio/deferred.hpp>
namespace forms {
using asio::as_tuple;
using asio::deferred;
}  // namespace forms
#else
#include <asio/experimental/as_tuple.hpp>
#include <asio/experimental/deferred.hpp>
namespace forms {
using asio::experimental::as_tuple;
using asio::experimental::deferred;
}  // namespace forms
#endif

namespace {

using namespace asio_support;

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

const auto squaring = [](std::span<const int> inputs) { return squares(inputs); };

/// Runs until there is nothing left to do, within `patience`.
void run(asio::io_context& io) {
  io.restart();
  io.run_for(patience);
  CHECK(io.stopped());
}

// --- Completion tokens ---

TEST_CASE("A callback has a null pointer and its own output") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  std::vector<int> outputs;
  batcher.async_dispatch(3, [&](const std::exception_ptr& error, int output) {
    CHECK_FALSE(error);
    outputs.push_back(output);
  });
  batcher.async_dispatch_many(std::vector<int>{4, 5}, [&](const std::exception_ptr& error, std::vector<int> many) {
    CHECK_FALSE(error);
    outputs.insert(outputs.end(), many.begin(), many.end());
  });
  run(io);
  CHECK(outputs == std::vector<int>({9, 16, 25}));
}

TEST_CASE("A callback of a failed batch has the exception as it was thrown, and a default output") {
  asio::io_context io;
  Batcher<int, int> batcher(io, [](std::span<const int>) -> std::vector<int> { throw std::domain_error("no"); });
  int calls = 0;
  batcher.async_dispatch(3, [&](const std::exception_ptr& error, int output) {
    ++calls;
    CHECK_THROWS_AS(std::rethrow_exception(error), std::domain_error);
    CHECK(output == 0);
  });
  batcher.async_dispatch_many(std::vector<int>{4, 5},
                              [&](const std::exception_ptr& error, const std::vector<int>& many) {
                                ++calls;
                                CHECK(name(error) == "no");
                                CHECK(many.empty());
                              });
  run(io);
  CHECK(calls == 2);
}

TEST_CASE("With void as Out a handler has the error alone") {
  asio::io_context io;
  std::vector<int> written;
  Batcher<int, void> batcher(io, [&](std::span<const int> items) {
    written.insert(written.end(), items.begin(), items.end());
    if (items.back() == 9) throw std::runtime_error("nine");
  });
  std::vector<std::string> heard;
  const auto handler = [&](const std::exception_ptr& error) { heard.push_back(name(error)); };
  batcher.async_dispatch(1, handler);
  batcher.async_dispatch_many(std::vector<int>{2, 3}, handler);
  run(io);
  batcher.async_dispatch(9, handler);
  run(io);
  CHECK(written == std::vector<int>({1, 2, 3, 9}));
  CHECK(heard == std::vector<std::string>({"none", "none", "nine"}));
}

TEST_CASE("use_future gives a std::future with the output or the exception") {
  Batcher<int, int> batcher([](std::span<const int> inputs) {
    if (inputs[0] < 0) throw std::domain_error("negative");
    return squares(inputs);
  });
  std::future<int> one = batcher.async_dispatch(3, asio::use_future);
  std::future<std::vector<int>> many = batcher.async_dispatch_many(std::vector<int>{4, 5}, asio::use_future);
  REQUIRE(one.wait_for(patience) == std::future_status::ready);
  REQUIRE(many.wait_for(patience) == std::future_status::ready);
  CHECK(one.get() == 9);
  CHECK(many.get() == std::vector<int>({16, 25}));
  std::future<int> failed = batcher.async_dispatch(-1, asio::use_future);
  REQUIRE(failed.wait_for(patience) == std::future_status::ready);
  CHECK_THROWS_AS(failed.get(), std::domain_error);
  std::future<void> closed = batcher.async_close(asio::use_future);
  REQUIRE(closed.wait_for(patience) == std::future_status::ready);

  Batcher<int, void> writing([](std::span<const int>) {});
  std::future<void> done = writing.async_dispatch(1, asio::use_future);
  REQUIRE(done.wait_for(patience) == std::future_status::ready);
  done.get();
}

TEST_CASE("detached runs the item and forgets it") {
  asio::io_context io;
  std::vector<int> seen;
  Batcher<int, int> batcher(io, [&](std::span<const int> inputs) {
    seen.insert(seen.end(), inputs.begin(), inputs.end());
    if (inputs.size() == 1) throw std::runtime_error("nobody hears of it");
    return squares(inputs);
  });
  batcher.async_dispatch(1, asio::detached);
  batcher.async_dispatch_many(std::vector<int>{2, 3}, asio::detached);
  run(io);
  batcher.async_dispatch(4, asio::detached);
  batcher.async_close(asio::detached);
  run(io);
  CHECK(seen == std::vector<int>({1, 2, 3, 4}));
  CHECK(batcher.stats().completed == 3);
  CHECK(batcher.stats().failed == 1);
}

TEST_CASE("deferred submits when it is called, not before") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  auto operation = batcher.async_dispatch(3, forms::deferred);
  run(io);
  CHECK(batcher.stats().accepted == 0);
  int output = 0;
  std::move(operation)([&](const std::exception_ptr&, int value) { output = value; });
  run(io);
  CHECK(output == 9);
  CHECK(batcher.stats().accepted == 1);
}

TEST_CASE("as_tuple hands over one tuple") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  int output = 0;
  batcher.async_dispatch(3, forms::as_tuple([&](std::tuple<std::exception_ptr, int> answer) {
                           CHECK_FALSE(std::get<0>(answer));
                           output = std::get<1>(answer);
                         }));
  run(io);
  CHECK(output == 9);
}

TEST_CASE("Handlers may be move-only, and are moved, not copied") {
  asio::io_context io;
  Batcher<std::unique_ptr<int>, std::unique_ptr<int>> batcher(io, [](std::vector<std::unique_ptr<int>> inputs) {
    for (auto& input : inputs) *input += 1;
    return inputs;
  });
  std::vector<int> outputs;
  batcher.async_dispatch(std::make_unique<int>(1),
                         [&, own = std::make_unique<int>(10)](const std::exception_ptr&, std::unique_ptr<int> output) {
                           outputs.push_back(*own + *output);
                         });
  std::vector<std::unique_ptr<int>> inputs;
  inputs.push_back(std::make_unique<int>(2));
  inputs.push_back(std::make_unique<int>(3));
  batcher.async_dispatch_many(
      std::move(inputs),
      [&, own = std::make_unique<int>(20)](const std::exception_ptr&, std::vector<std::unique_ptr<int>> many) {
        for (const auto& output : many) outputs.push_back(*own + *output);
      });
  batcher.async_close([&, own = std::make_unique<int>(30)] { outputs.push_back(*own); });
  run(io);
  CHECK(outputs == std::vector<int>({12, 23, 24, 30}));
}

TEST_CASE("One batch serves callers of many kinds at once, each in its own way") {
  asio::io_context io;
  asio::io_context other;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 7, .batch_timeout = by_size_alone});
  std::vector<int> heard;
  auto future = batcher.dispatch(1);
  batcher.async_dispatch(2, [&](const std::exception_ptr&, int output) { heard.push_back(output); });
  batcher.async_dispatch_many(std::vector<int>{3, 4}, asio::bind_executor(other, [&](const std::exception_ptr&,
                                                                                     const std::vector<int>& outputs) {
                                heard.insert(heard.end(), outputs.begin(), outputs.end());
                              }));
  auto std_future = batcher.async_dispatch(5, asio::use_future);
  batcher.async_dispatch(6, asio::detached);
  batcher.async_dispatch(
      7, forms::as_tuple(asio::bind_executor(
             other, [&](const std::tuple<std::exception_ptr, int>& answer) { heard.push_back(std::get<1>(answer)); })));
  run(io);
  run(other);
  CHECK(batcher.stats().batches == 1);
  CHECK(get(future) == 1);
  REQUIRE(std_future.wait_for(0s) == std::future_status::ready);
  CHECK(std_future.get() == 25);
  CHECK(heard == std::vector<int>({4, 9, 16, 49}));
}

// --- Never inside the initiating call ---

/// Initiates one of each kind, and says how many completed before it was over.
template <class B>
struct Initiator {
  B& batcher;
  bool initiating = false;
  int calls = 0;
  int inside = 0;

  void heard() {
    ++calls;
    inside += initiating ? 1 : 0;
  }
  void initiate() {
    initiating = true;
    batcher.async_dispatch(1, [this](const std::exception_ptr&, int) { heard(); });
    batcher.async_dispatch(2, timeout(0ns), [this](const std::exception_ptr&, int) { heard(); });
    batcher.async_dispatch_many(std::vector<int>{3, 4}, [this](const std::exception_ptr&, const auto&) { heard(); });
    batcher.async_dispatch_many(std::vector<int>{}, [this](const std::exception_ptr&, const auto&) { heard(); });
    initiating = false;
  }
  static constexpr int initiated = 4;
};

TEST_CASE("No handler runs inside the call that initiates it, wherever that is made") {
  asio::io_context io;
  std::function<void()> in_function;
  Batcher<int, int> batcher(io,
                            [&](std::span<const int> inputs) {
                              if (in_function) std::exchange(in_function, nullptr)();
                              return squares(inputs);
                            },
                            {.batch_size = 1});
  Initiator<Batcher<int, int>> initiator{batcher};
  initiator.initiate();
  CHECK(initiator.calls == 0);
  run(io);
  CHECK(initiator.calls == 4);

  SECTION("in a handler of the same executor") {
    asio::post(io, [&] {
      initiator.initiate();
      CHECK(initiator.calls == 4);
    });
    run(io);
    CHECK(initiator.calls == 8);
  }
  SECTION("in a completion handler of the same batcher") {
    batcher.async_dispatch(5, [&](const std::exception_ptr&, int) { initiator.initiate(); });
    run(io);
    CHECK(initiator.calls == 8);
  }
  SECTION("in the batch function") {
    in_function = [&] { initiator.initiate(); };
    batcher.async_dispatch(5, asio::detached);
    run(io);
    CHECK(initiator.calls == 8);
  }
  SECTION("on a closed batcher") {
    batcher.stop();
    initiator.initiate();
    CHECK(initiator.calls == 4);
    run(io);
    CHECK(initiator.calls == 8);
    CHECK(batcher.stats().rejected == Initiator<Batcher<int, int>>::initiated);
  }
  SECTION("on a closed batcher, in a handler of the same executor") {
    batcher.stop();
    asio::post(io, [&] { initiator.initiate(); });
    run(io);
    CHECK(initiator.calls == 8);
  }
  CHECK(initiator.inside == 0);
}

TEST_CASE("The handler of async_close is never called inside the call, and once for each call") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  int calls = 0;
  bool initiating = true;
  const auto handler = [&] {
    CHECK_FALSE(initiating);
    ++calls;
  };
  batcher.async_close(handler);
  batcher.async_close(handler);
  CHECK(calls == 0);
  initiating = false;
  run(io);
  CHECK(calls == 2);
  asio::post(io, [&] {
    initiating = true;
    batcher.async_close(handler);
    initiating = false;
  });
  run(io);
  CHECK(calls == 3);
}

TEST_CASE("async_close completes after the last handler, with what was accepted done") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 4, .batch_timeout = by_size_alone});
  std::vector<int> heard;
  for (int i = 1; i <= 3; ++i) {
    batcher.async_dispatch(i, [&](const std::exception_ptr&, int output) { heard.push_back(output); });
  }
  batcher.async_close([&] { heard.push_back(-1); });
  batcher.async_dispatch(4, [&](const std::exception_ptr& error, int) {
    CHECK(is(error, errc::closed));
    heard.push_back(-2);
  });
  run(io);
  heard.erase(std::remove(heard.begin(), heard.end(), -2), heard.end());  // the refusal may come at any time
  CHECK(heard == std::vector<int>({1, 4, 9, -1}));
  check_audit(batcher.stats());
}

// --- Associated executors ---

TEST_CASE("A handler runs on its associated executor, and only there") {
  asio::io_context io;
  asio::io_context other;
  Batcher<int, int> batcher(io, squaring);
  int on_other = 0;
  int on_io = 0;
  batcher.async_dispatch(1, asio::bind_executor(other, [&](const std::exception_ptr&, int) {
                           ++on_other;
                           CHECK(other.get_executor().running_in_this_thread());
                         }));
  batcher.async_dispatch(2, [&](const std::exception_ptr&, int) {
    ++on_io;
    CHECK(io.get_executor().running_in_this_thread());
  });
  const asio::any_io_executor any = other.get_executor();
  batcher.async_dispatch(3, asio::bind_executor(any, [&](const std::exception_ptr&, int) {
                           ++on_other;
                           CHECK(other.get_executor().running_in_this_thread());
                         }));
  batcher.async_close(asio::bind_executor(any, [&] { ++on_other; }));
  run(io);
  CHECK(on_io == 1);
  CHECK(on_other == 0);
  run(other);
  CHECK(on_other == 3);
}

/// An executor that takes nothing for a while.
struct Moody {
  asio::io_context* context;
  int* refusals;

  template <class F>
  void execute(F&& f) const {
    if (*refusals > 0) {
      --*refusals;
      throw std::runtime_error("not now");
    }
    asio::post(*context, std::forward<F>(f));
  }
  [[nodiscard]] asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  [[nodiscard]] Moody require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
  bool operator==(const Moody&) const noexcept = default;
  bool operator!=(const Moody&) const noexcept = default;
};

TEST_CASE("A handler whose executor takes nothing is destroyed uncalled, and nobody else notices") {
  asio::io_context io;
  asio::io_context other;
  int refusals = std::numeric_limits<int>::max();
  Batcher<int, int, ManualClock> batcher(io, squaring, {.batch_size = 3, .batch_timeout = 1h});
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = owned;
  std::vector<int> heard;
  const auto listen = [&](const std::exception_ptr&, int output) { heard.push_back(output); };
  batching::CallOptions options;
  const bool times_out = GENERATE(false, true);
  if (times_out) options.timeout = 1ms;
  batcher.async_dispatch(1, options,
                         asio::bind_executor(Moody{&other, &refusals}, [owned = std::move(owned)](auto&&...) {}));
  batcher.async_dispatch(2, options, asio::bind_executor(other, listen));
  auto future = batcher.dispatch(3, options);
  ManualClock::advance(times_out ? 1ms : 0ms);
  CHECK_NOTHROW(run(io));
  CHECK_NOTHROW(run(other));
  CHECK(alive.expired());
  std::sort(heard.begin(), heard.end());
  CHECK(heard == (times_out ? std::vector{0} : std::vector{4}));
  CHECK(ready(future));
  auto next = batcher.dispatch_many({5, 6, 7});
  run(io);
  CHECK(get(next) == std::vector{25, 36, 49});
  run(other);
  CHECK(heard.size() == 1);
  check_audit(batcher.stats());
}

TEST_CASE("When the batcher's own executor takes nothing, those who wait hear why, and the next are served") {
  asio::io_context io;
  int refusals = 0;
  Batcher<int, int, ManualClock> batcher(asio::any_io_executor(Moody{&io, &refusals}), squaring,
                                         {.batch_size = 2, .max_queued = 3, .overflow = batching::Overflow::block});
  SECTION("once") {
    refusals = 1;
    auto many = batcher.dispatch_many({1, 2});
    run(io);
    CHECK(get(many) == std::vector{1, 4});
  }
  SECTION("for a while") {
    refusals = 1000;
    auto many = batcher.dispatch_many({1, 2, 3});
    REQUIRE(ready(many));
    CHECK_THROWS_WITH(many.get(), "not now");
    refusals = 0;
  }
  SECTION("for a while, with others at the door") {
    auto first = batcher.dispatch(1);
    for (int i = 0; i < 3; ++i) batcher.async_dispatch_many(std::vector{5, 6, 7}, asio::detached);
    refusals = 1000;
    batcher.flush();  // now, on this thread
    CHECK_THROWS_WITH(get(first), "not now");
    refusals = 0;
    run(io);
  }
  SECTION("with a batch on its way and others at the door") {
    auto first = batcher.dispatch_many({1, 2});
    int failed = 0;
    const auto count = [&](const std::exception_ptr& error, auto&&) { failed += error ? 1 : 0; };
    for (int i = 0; i < 3; ++i) batcher.async_dispatch_many(std::vector{5, 6}, count);
    refusals = 2;  // the first batch is taken by who was posted before
    run(io);
    CHECK(get(first) == std::vector{1, 4});
    CHECK(failed == 0);
    refusals = 0;
  }
  auto next = batcher.dispatch_many({3, 4});
  run(io);
  CHECK(get(next) == std::vector{9, 16});
  check_audit(batcher.stats());
}

TEST_CASE("A refusal, too, comes on the handler's executor") {
  asio::io_context io;
  asio::io_context other;
  Batcher<int, int> batcher(io, squaring);
  batcher.stop();
  int calls = 0;
  batcher.async_dispatch(1, asio::bind_executor(other, [&](const std::exception_ptr& error, int) {
                           ++calls;
                           CHECK(is(error, errc::closed));
                           CHECK(other.get_executor().running_in_this_thread());
                         }));
  run(io);
  CHECK(calls == 0);
  run(other);
  CHECK(calls == 1);
}

TEST_CASE("A foreign context keeps running until the result has come") {
  asio::io_context other;
  Gate gate;
  Batcher<int, int> batcher([&](std::span<const int> inputs) {
    gate.wait();
    return squares(inputs);
  });
  int output = 0;
  SECTION("io_context's own executor") {
    batcher.async_dispatch(3,
                           asio::bind_executor(other, [&](const std::exception_ptr&, int value) { output = value; }));
  }
  SECTION("any_io_executor") {
    const asio::any_io_executor any = other.get_executor();
    batcher.async_dispatch(3, asio::bind_executor(any, [&](const std::exception_ptr&, int value) { output = value; }));
  }
  SECTION("a strand of it") {
    batcher.async_dispatch(3, asio::bind_executor(asio::make_strand(other),
                                                  [&](const std::exception_ptr&, int value) { output = value; }));
  }
  SECTION("async_close") {
    batcher.async_dispatch(3, asio::detached);
    batcher.async_close(asio::bind_executor(other, [&] { output = 9; }));
  }
  std::atomic<bool> returned = false;
  std::thread thread([&] {
    other.run_for(patience);
    returned = true;
  });
  std::this_thread::sleep_for(5ms);
  CHECK_FALSE(returned);
  gate.open();
  thread.join();
  CHECK(output == 9);
}

TEST_CASE("Batches that take their time let the executor's other work have its turn in between") {
  asio::io_context io;
  std::size_t batches = 0;
  Batcher<int, int> batcher(io,
                            [&](std::span<const int> inputs) {
                              const auto end = std::chrono::steady_clock::now() + 1ms;
                              while (std::chrono::steady_clock::now() < end) {
                              }
                              ++batches;
                              return squares(inputs);
                            },
                            {.batch_size = 1});
  std::vector<std::size_t> turns;
  std::function<void()> other = [&] {
    turns.push_back(batches);
    if (batches < 5) asio::post(io, other);
  };
  asio::post(io, other);
  auto many = batcher.dispatch_many({1, 2, 3, 4, 5});
  run(io);
  CHECK(get(many) == std::vector<int>({1, 4, 9, 16, 25}));
  CHECK(turns.size() >= 5);
  for (std::size_t i = 1; i < turns.size(); ++i) CHECK(turns[i] <= turns[i - 1] + 1);
}

TEST_CASE("The batcher's own context keeps running until every answer has come") {
  asio::io_context io;
  std::vector<batching::Batch<int, int>> kept;
  Batcher<int, int> batcher(io, [&](batching::Batch<int, int> batch) { kept.push_back(std::move(batch)); },
                            {.batch_size = 1});
  int output = 0;
  batcher.async_dispatch(3, [&](const std::exception_ptr&, int value) { output = value; });
  io.poll();
  REQUIRE(kept.size() == 1);
  io.run_for(5ms);
  CHECK_FALSE(io.stopped());
  std::thread late([&] { kept[0].set_value(0, 9); });
  late.join();
  CHECK(output == 0);  // posted, not run where the answer was given
  run(io);
  CHECK(output == 9);
}

TEST_CASE("Handlers of different executors in one batch each run on their own, in order") {
  asio::io_context io;
  std::deque<asio::io_context> others(12);
  constexpr int rounds = 4;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 13 * rounds, .batch_timeout = by_size_alone});
  std::vector<std::vector<int>> heard(13);
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t at = 0; at < 13; ++at) {
      const auto handler = [&, at](const std::exception_ptr&, int output) {
        asio::io_context& mine = at < 12 ? others[at] : io;
        CHECK(mine.get_executor().running_in_this_thread());
        heard[at].push_back(output);
      };
      if (at == 12) {
        batcher.async_dispatch(round, handler);
      } else if (at % 3 == 0) {
        batcher.async_dispatch(round, asio::bind_executor(asio::any_io_executor(others[at].get_executor()), handler));
      } else {
        batcher.async_dispatch(round, asio::bind_executor(others[at], handler));
      }
    }
  }
  run(io);
  for (asio::io_context& other : others) run(other);
  CHECK(batcher.stats().batches == 1);
  for (const auto& order : heard) CHECK(order == std::vector<int>({0, 1, 4, 9}));
}

TEST_CASE("Handlers on a strand of the batcher's own pool never overlap, and keep their order") {
  asio::thread_pool pool(3);
  auto strand = asio::make_strand(pool);
  Batcher<int, int> batcher(pool, squaring, {.batch_size = 8, .batch_timeout = 10us});
  constexpr int count = 2000;
  std::vector<int> order;  // written on the strand alone
  std::atomic<int> overlapping = 0;
  std::atomic<int> calls = 0;
  std::atomic<bool> inside = false;
  for (int i = 0; i < count; ++i) {
    batcher.async_dispatch(i % 40000, asio::bind_executor(strand, [&, i](const std::exception_ptr&, int) {
                             overlapping += inside.exchange(true) ? 1 : 0;
                             order.push_back(i);
                             inside = false;
                             ++calls;
                           }));
  }
  REQUIRE(eventually([&] { return calls == count; }));
  pool.join();
  CHECK(overlapping == 0);
  CHECK(std::is_sorted(order.begin(), order.end()));
}

TEST_CASE("A handler bound to a thread pool runs on one of its threads") {
  asio::thread_pool pool(2);
  Batcher<int, int> batcher(squaring);
  std::atomic<int> inside = 0;
  std::atomic<int> calls = 0;
  for (int i = 0; i < 100; ++i) {
    batcher.async_dispatch(i, asio::bind_executor(pool, [&](const std::exception_ptr&, int) {
                             inside += pool.get_executor().running_in_this_thread() ? 1 : 0;
                             ++calls;
                           }));
  }
  REQUIRE(eventually([&] { return calls == 100; }));
  CHECK(inside == 100);
}

TEST_CASE("A handler may be bound to the system executor") {
  asio::io_context io;
  Batcher<int, int> batcher(io, squaring);
  std::atomic<int> calls = 0;
  bool initiating = true;
  batcher.async_dispatch(3, asio::bind_executor(asio::system_executor(), [&](const std::exception_ptr&, int output) {
                           CHECK_FALSE(initiating);
                           CHECK(output == 9);
                           ++calls;
                         }));
  initiating = false;
  run(io);
  CHECK(eventually([&] { return calls == 1; }));
}

// --- Where a batcher runs ---

TEST_CASE("On an io_context everything runs on the threads that run it") {
  asio::io_context io;
  std::vector<std::thread::id> threads;
  Batcher<int, int> batcher(io, [&](std::span<const int> inputs) {
    threads.push_back(std::this_thread::get_id());
    return squares(inputs);
  });
  CHECK(batcher.get_executor() == io.get_executor());
  auto future = batcher.dispatch(3);
  batcher.async_dispatch(4, [&](const std::exception_ptr&, int) { threads.push_back(std::this_thread::get_id()); });
  CHECK(threads.empty());
  std::thread thread([&] { run(io); });
  const auto runner = thread.get_id();
  thread.join();
  CHECK(get(future) == 9);
  CHECK(threads == std::vector<std::thread::id>(2, runner));
}

TEST_CASE("A batcher runs on a thread pool, given as context, as executor or as any_io_executor") {
  asio::thread_pool pool(2);
  const auto check = [&](auto& batcher) {
    std::atomic<int> calls = 0;
    int on_pool = 0;
    auto future = batcher.dispatch_many({1, 2, 3, 4, 5});
    batcher.async_dispatch(6, [&](const std::exception_ptr&, int output) {
      on_pool += pool.get_executor().running_in_this_thread() ? 1 : 0;
      calls += output == 36 ? 1 : 0;
    });
    CHECK(get(future) == std::vector<int>({1, 4, 9, 16, 25}));
    CHECK(eventually([&] { return calls == 1; }));
    CHECK(on_pool == 1);
  };
  Batcher<int, int> on_context(pool, squaring);
  check(on_context);
  Batcher<int, int> on_executor(pool.get_executor(), squaring);
  check(on_executor);
  const asio::any_io_executor any = pool.get_executor();
  Batcher<int, int> on_any(any, squaring);
  check(on_any);
  CHECK(on_any.get_executor() == any);
}

TEST_CASE("On a strand of the user's the batch function and the handlers run on it, one at a time") {
  asio::thread_pool pool(3);
  auto strand = asio::make_strand(pool);
  std::atomic<bool> inside = false;
  std::atomic<int> overlapping = 0;
  std::atomic<int> elsewhere = 0;
  std::atomic<int> calls = 0;
  const auto enter = [&] {
    overlapping += inside.exchange(true) ? 1 : 0;
    elsewhere += strand.running_in_this_thread() ? 0 : 1;
  };
  Batcher<int, int> batcher(strand,
                            [&](std::span<const int> inputs) {
                              enter();
                              auto outputs = squares(inputs);
                              inside = false;
                              return outputs;
                            },
                            {.batch_size = 4, .batch_timeout = 10us, .partitions = 3});
  constexpr int count = 1000;
  for (int i = 0; i < count; ++i) {
    batcher.async_dispatch(i, [&](const std::exception_ptr&, int) {
      enter();
      inside = false;
      ++calls;
    });
  }
  CHECK(eventually([&] { return calls == count; }));
  batcher.close();
  CHECK(overlapping == 0);
  CHECK(elsewhere == 0);
  check_audit(batcher.stats());
}

TEST_CASE("A handler bound to the context under the batcher's strand does not run on the strand") {
  asio::io_context io;
  const auto strand = asio::make_strand(io);
  std::vector<batching::Batch<int, int>> kept;
  Batcher<int, int> batcher(strand, [&](batching::Batch<int, int> batch) { kept.push_back(std::move(batch)); },
                            {.batch_size = 3, .batch_timeout = by_size_alone});
  std::vector<bool> on_strand;
  const auto handler = [&](const std::exception_ptr&, int) { on_strand.push_back(strand.running_in_this_thread()); };
  batcher.async_dispatch(1, asio::bind_executor(io, handler));
  batcher.async_dispatch(2, asio::bind_executor(strand, handler));
  batcher.async_dispatch(3, handler);
  io.poll();
  REQUIRE(kept.size() == 1);
  for (std::size_t i = 0; i < 3; ++i) {
    kept[0].set_value(i, 0);
    io.poll();
  }
  CHECK(on_strand == std::vector<bool>({false, true, true}));
}

// --- Associated allocator ---

struct Counted {
  std::atomic<int> allocations = 0;
  std::atomic<int> live = 0;
};

template <class T>
struct CountingAllocator {
  using value_type = T;
  Counted* counted;

  explicit CountingAllocator(Counted& into) noexcept : counted(&into) {}
  template <class U>
  CountingAllocator(const CountingAllocator<U>& other) noexcept : counted(other.counted) {}  // NOLINT
  T* allocate(std::size_t count) {
    ++counted->allocations;
    ++counted->live;
    return static_cast<T*>(::operator new(count * sizeof(T)));
  }
  void deallocate(T* memory, std::size_t) noexcept {
    --counted->live;
    ::operator delete(memory);
  }
  template <class U>
  bool operator==(const CountingAllocator<U>& other) const noexcept {
    return counted == other.counted;
  }
};

TEST_CASE("The associated allocator gives the memory, and has it back before the handler runs") {
  asio::io_context io;
  asio::io_context other;
  Batcher<int, int> batcher(io, squaring);
  Counted one;
  Counted many;
  Counted closing;
  Counted foreign;
  int calls = 0;
  const auto bind = [](Counted& counted, auto handler) {
    return asio::bind_allocator(CountingAllocator<char>(counted), std::move(handler));
  };
  batcher.async_dispatch(1, bind(one, [&](const std::exception_ptr&, int) {
                           CHECK(one.live == 0);
                           ++calls;
                         }));
  CHECK(one.allocations >= 1);
  batcher.async_dispatch_many(std::vector<int>{2, 3}, bind(many, [&](const std::exception_ptr&, const auto&) {
                                CHECK(many.live == 0);
                                ++calls;
                              }));
  CHECK(many.allocations >= 1);
  batcher.async_dispatch(4,
                         bind(foreign, asio::bind_executor(other, [&](const std::exception_ptr&, int) { ++calls; })));
  CHECK(foreign.allocations >= 1);
  run(io);
  run(other);
  CHECK(calls == 3);
  batcher.async_close(bind(closing, [&] {
    CHECK(closing.live == 0);
    ++calls;
  }));
  CHECK(closing.allocations >= 1);
  run(io);
  CHECK(calls == 4);
  for (const Counted* counted : {&one, &many, &closing, &foreign}) CHECK(counted->live == 0);
}

TEST_CASE("The associated allocator is balanced for refused, empty and never completed calls as well") {
  Counted refused;
  Counted empty;
  Counted abandoned;
  Counted late;
  {
    asio::io_context io;
    Batcher<int, int> batcher(io, squaring, {.batch_size = 2, .batch_timeout = by_size_alone});
    const auto bind = [](Counted& counted) {
      return asio::bind_allocator(CountingAllocator<char>(counted), [](const std::exception_ptr&, const auto&) {});
    };
    batcher.async_dispatch_many(std::vector<int>{}, bind(empty));
    batcher.async_dispatch(1, timeout(1ns), bind(late));
    run(io);
    {
      Batcher<int, int> closed(io, squaring);
      closed.close_for(0s);
      closed.async_dispatch(1, bind(refused));
      closed.async_dispatch_many(std::vector<int>{1}, bind(refused));
    }
    run(io);
    for (const Counted* counted : {&refused, &empty, &late}) {
      CHECK(counted->allocations >= 1);
      CHECK(counted->live == 0);
    }
    batcher.async_dispatch(1, bind(abandoned));
    batcher.async_dispatch_many(std::vector<int>{1, 2, 3}, bind(abandoned));
    batcher.async_dispatch(1, timeout(1h), bind(abandoned));
  }
  CHECK(abandoned.allocations >= 3);
  CHECK(abandoned.live == 0);
}

// --- Handlers that misbehave ---

TEST_CASE("A handler that throws does not stop the others, and its exception leaves io_context::run") {
  asio::io_context io;
  asio::io_context other;
  Batcher<int, int> batcher(io, squaring, {.batch_size = 8, .batch_timeout = by_size_alone});
  int calls = 0;
  for (int i = 0; i < 8; ++i) {
    const auto handler = [&, i](const std::exception_ptr&, int) {
      ++calls;
      if (i == 0 || i == 1) throw std::runtime_error("first");
      if (i == 3) throw 42;
    };
    if (i % 2 == 0) {
      batcher.async_dispatch(i, handler);
    } else {
      batcher.async_dispatch(i, asio::bind_executor(other, handler));
    }
  }
  const auto drain = [](asio::io_context& context) {
    std::vector<std::string> thrown;
    for (int i = 0; i < 100; ++i) {
      context.restart();
      try {
        context.run_for(patience);
        break;
      } catch (...) {
        thrown.push_back(name(std::current_exception()));
      }
    }
    return thrown;
  };
  CHECK(drain(io) == std::vector<std::string>({"first"}));
  CHECK(drain(other) == std::vector<std::string>({"first", "int 42"}));
  CHECK(calls == 8);
  check_audit(batcher.stats());
  auto next = batcher.dispatch_many(std::vector<int>(8, 2));
  run(io);
  CHECK(get(next) == std::vector<int>(8, 4));
}

/// Handlers of which every third throws; all are called, and the batcher works on.
template <class B>
void survives_throwing_handlers(B& batcher) {
  std::atomic<int> calls = 0;
  for (int i = 0; i < 60; ++i) {
    batcher.async_dispatch(i, [&, i](const std::exception_ptr&, int) {
      ++calls;
      if (i % 3 == 0) throw std::runtime_error("thrown by a handler");
      if (i % 3 == 1) throw 42;
    });
  }
  CHECK(eventually([&] { return calls == 60; }));
  auto next = batcher.dispatch(5);
  CHECK(get(next) == 25);
}

TEST_CASE("On the owned pool handlers may throw") {
  Batcher<int, int> batcher(squaring, {.batch_size = 8});
  survives_throwing_handlers(batcher);
}

TEST_CASE("On a thread pool handlers may throw") {
  asio::thread_pool pool(2);
  Batcher<int, int> batcher(pool, squaring, {.batch_size = 8});
  survives_throwing_handlers(batcher);
  pool.join();
}

TEST_CASE("Bound to a thread pool, or a strand of one, handlers may throw") {
  asio::thread_pool pool(2);
  Batcher<int, int> batcher(squaring, {.batch_size = 8});
  std::atomic<int> calls = 0;
  const auto strand = asio::make_strand(pool);
  for (int i = 0; i < 60; ++i) {
    const auto handler = [&](const std::exception_ptr&, int) {
      ++calls;
      throw std::runtime_error("thrown by a handler");
    };
    if (i % 2 == 0) {
      batcher.async_dispatch(i, asio::bind_executor(pool, handler));
    } else {
      batcher.async_dispatch(i, asio::bind_executor(strand, handler));
    }
  }
  CHECK(eventually([&] { return calls == 60; }));
  pool.join();
}

TEST_CASE("On a strand of a thread pool, and bound to one by any_io_executor, handlers may throw") {
  asio::thread_pool pool(2);
  Batcher<int, int> batcher(asio::make_strand(pool), squaring, {.batch_size = 8});
  survives_throwing_handlers(batcher);
  std::atomic<int> calls = 0;
  const asio::any_io_executor any = asio::make_strand(pool);
  batcher.async_dispatch(1, asio::bind_executor(any, [&](const std::exception_ptr&, int) {
                           ++calls;
                           throw 42;
                         }));
  CHECK(eventually([&] { return calls == 1; }));
  pool.join();
}

TEST_CASE("Handlers that submit again, twenty times over") {
  struct Chain {
    Batcher<int, int>& to;
    std::atomic<int>& done;
    int left = 20;
    void operator()(const std::exception_ptr& error, int output) {
      if (error || output != left * left) return;
      if (--left == 0) {
        ++done;
        return;
      }
      to.async_dispatch(left, Chain(*this));
    }
  };
  const auto again_and_again = [](Batcher<int, int>& batcher, auto drive) {
    std::atomic<int> done = 0;
    for (int i = 0; i < 10; ++i) batcher.async_dispatch(20, Chain{batcher, done});
    drive(done);
    CHECK(done == 10);
  };
  SECTION("on an io_context") {
    asio::io_context io;
    Batcher<int, int> batcher(io, squaring, {.batch_size = 4, .batch_timeout = 10us});
    again_and_again(batcher, [&](auto&) { run(io); });
  }
  SECTION("on the owned pool") {
    Batcher<int, int> batcher(squaring, {.batch_size = 4, .batch_timeout = 10us, .partitions = 2});
    again_and_again(batcher, [&](auto& done) { CHECK(eventually([&] { return done == 10; })); });
  }
}

TEST_CASE("A handler may destroy the batcher; the others of its batch are still called") {
  std::atomic<int> calls = 0;
  std::atomic<int> closed = 0;
  const auto submit = [&](std::optional<Batcher<int, int>>& batcher) {
    for (int i = 0; i < 6; ++i) {
      batcher->async_dispatch(i, [&, i](const std::exception_ptr& error, int) {
        if (i == 1) batcher.reset();
        closed += is(error, errc::closed) ? 1 : 0;
        ++calls;
      });
    }
  };
  const Options options{.batch_size = 4, .batch_timeout = by_size_alone};
  SECTION("on an io_context") {
    asio::io_context io;
    std::optional<Batcher<int, int>> batcher;
    batcher.emplace(io, squaring, options);
    submit(batcher);
    run(io);
    CHECK(calls == 6);
    CHECK_FALSE(batcher);
  }
  SECTION("on a thread pool") {
    asio::thread_pool pool(1);  // so that all are submitted before the first handler runs
    std::optional<Batcher<int, int>> batcher;
    asio::post(pool, [&] {
      batcher.emplace(pool, squaring, options);
      submit(batcher);
    });
    CHECK(eventually([&] { return calls == 6; }));
    pool.join();
  }
  CHECK(closed == 2);
}

TEST_CASE("A handler on the owned pool may destroy the batcher") {
  std::atomic<int> calls = 0;
  auto* batcher = new Batcher<int, int>(squaring, {.batch_size = 4, .batch_timeout = by_size_alone});
  Batcher<int, int>& reference = *batcher;
  for (int i = 0; i < 3; ++i) {
    reference.async_dispatch(i, [&](const std::exception_ptr&, int) { ++calls; });
  }
  reference.async_dispatch(
      3, [&, own = std::unique_ptr<Batcher<int, int>>(batcher)](const std::exception_ptr&, int) mutable {
        own.reset();
        ++calls;
      });
  CHECK(eventually([&] { return calls == 4; }));
}

TEST_CASE("Handlers still waiting when their io_context is destroyed are destroyed uncalled, futures hear closed") {
  const auto token = std::make_shared<int>(1);
  Future<int> future;
  Future<std::vector<int>> many;
  {
    std::optional<asio::io_context> io(std::in_place);
    Batcher<int, int> batcher(*io, squaring, {.batch_size = 10});
    future = batcher.dispatch(1);
    many = batcher.dispatch_many({1, 2});
    batcher.async_dispatch(2, [token](const std::exception_ptr&, int) { CHECK(false); });
    batcher.async_close([token] { CHECK(false); });
    CHECK(token.use_count() == 3);
    io.reset();
    CHECK(token.use_count() == 1);
    CHECK(error_of(future) == name(errc::closed));
    CHECK(error_of(many) == name(errc::closed));
    auto after = batcher.dispatch(3);
    CHECK(error_of(after) == name(errc::closed));
    check_audit(batcher.stats());
  }
}

TEST_CASE("Handlers of a foreign context that is destroyed are destroyed with it") {
  asio::io_context io;
  const auto token = std::make_shared<int>(1);
  Batcher<int, int> batcher(io, squaring, {.batch_size = 2, .batch_timeout = by_size_alone});
  auto other = std::make_unique<asio::io_context>();
  batcher.async_dispatch(1, asio::bind_executor(*other, [token](const std::exception_ptr&, int) { CHECK(false); }));
  auto neighbour = batcher.dispatch(2);
  run(io);
  CHECK(token.use_count() == 2);
  other.reset();
  CHECK(token.use_count() == 1);
  CHECK(get(neighbour) == 4);
}

}  // namespace
