// Tests: a bounded queue: who is refused, who waits, who is dropped, and that it is exact.
// SPDX-License-Identifier: BSL-1.0

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/thread_pool.hpp>

#include <algorithm>
#include <atomic>
#include <memory>

#include "asio_support.hpp"

namespace {

using namespace asio_support;
using batching::Overflow;

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

/// Nobody leaves before the test says so: windows close by size, and the size is out of reach.
Options bounded(std::size_t max_queued, Overflow overflow) {
  return {.batch_size = 100, .batch_timeout = by_size_alone, .max_queued = max_queued, .overflow = overflow};
}

/// The only partition is busy with an item until the gate opens.
struct Busy {
  explicit Busy(const Options& options)
      : batcher(
            [this](std::span<const int> inputs) {
              CHECK(gate.wait());
              return squares(inputs);
            },
            options),
        running(batcher.dispatch(1)) {
    REQUIRE(eventually([&] { return batcher.stats().running == 1; }));
  }

  Gate gate;
  Batcher<int, int> batcher;
  Future<int> running;
};

template <class T>
std::string what_of(Future<T>& future) {
  try {
    (void)get(future);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

// --- reject ---

TEST_CASE("A call for which there is no room is refused at once, and there is room again when a batch has started") {
  Stage stage(bounded(3, Overflow::reject), true);
  auto kept = stage.batcher.dispatch_many({1, 2, 3});
  auto refused = stage.batcher.dispatch(4);
  REQUIRE(ready(refused));
  CHECK(what_of(refused).find("1 item more, and at most 3 may wait") != std::string::npos);
  auto many = stage.batcher.dispatch_many({5, 6});
  REQUIRE(ready(many));
  CHECK(error_of(many) == name(errc::queue_full));
  auto stats = stage.batcher.stats();
  CHECK(stats.accepted == 3);
  CHECK(stats.queued == 3);
  CHECK(stats.rejected == 3);
  stage.batcher.flush();
  stage.poll();
  REQUIRE(stage.kept.size() == 1);  // it runs, and is not counted any more
  auto next = stage.batcher.dispatch_many({7, 8, 9});
  CHECK_FALSE(ready(next));
  CHECK(stage.batcher.stats().queued == 3);
  stage.batcher.flush();
  stage.answer_all();
  stage.answer_all();
  CHECK(get(kept) == std::vector<int>({1, 4, 9}));
  CHECK(get(next) == std::vector<int>({49, 64, 81}));
  check_audit(stage.batcher.stats());
}

TEST_CASE("A refused completion handler is posted, not called at once") {
  Stage stage(bounded(1, Overflow::reject));
  stage.batcher.async_dispatch(1, [](const std::exception_ptr&, int) {});
  std::exception_ptr error;
  stage.batcher.async_dispatch(2, [&](const std::exception_ptr& e, int) { error = e; });
  CHECK_FALSE(error);
  stage.poll();
  CHECK(is(error, errc::queue_full));
}

TEST_CASE(
    "Many are taken in whole or not at all; more than can ever wait are refused whatever the policy, and evict "
    "nobody") {
  for (const Overflow overflow : {Overflow::reject, Overflow::block, Overflow::drop_oldest}) {
    Stage stage(bounded(4, overflow));
    auto one = stage.batcher.dispatch(1);
    auto too_many = stage.batcher.dispatch_many({1, 2, 3, 4, 5});
    REQUIRE(ready(too_many));
    CHECK(what_of(too_many).find("5 items more, and at most 4 may wait") != std::string::npos);
    CHECK_FALSE(ready(one));
    CHECK(stage.batcher.stats().queued == 1);
    CHECK(stage.batcher.stats().rejected == 5);
    auto fitting = stage.batcher.dispatch_many({2, 3, 4});
    stage.batcher.flush();
    stage.poll();
    CHECK(get(one) == 1);
    CHECK(get(fitting) == std::vector<int>({4, 9, 16}));
    check_audit(stage.batcher.stats());
  }
}

TEST_CASE("An empty call needs no room") {
  Stage stage(bounded(1, Overflow::reject));
  auto one = stage.batcher.dispatch(1);
  auto none = stage.batcher.dispatch_many(std::vector<int>());
  CHECK(get(none).empty());
}

TEST_CASE("What is cancelled or timed out makes room") {
  Stage stage(bounded(2, Overflow::reject));
  auto cancelled = stage.batcher.dispatch(1);
  auto late = stage.batcher.dispatch(2, timeout(5ms));
  cancelled.cancel();
  stage.poll();
  auto third = stage.batcher.dispatch(3);
  CHECK_FALSE(ready(third));
  stage.advance(5ms);
  CHECK(error_of(late) == name(errc::timed_out));
  auto fourth = stage.batcher.dispatch(4);
  CHECK_FALSE(ready(fourth));
  auto fifth = stage.batcher.dispatch(5);
  CHECK(error_of(fifth) == name(errc::queue_full));
  stage.batcher.flush();
  stage.poll();
  CHECK(get(third) == 9);
  CHECK(get(fourth) == 16);
  check_audit(stage.batcher.stats());
}

TEST_CASE("The bound is exact, however many bring something at once") {
  constexpr std::size_t most = 100;
  Busy busy({.batch_size = 8, .batch_timeout = 0ns, .max_queued = most});
  auto& batcher = busy.batcher;
  std::atomic<std::size_t> accepted = 0;
  std::vector<std::thread> threads;
  std::vector<std::vector<Future<int>>> futures(8);
  for (auto& mine : futures) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        auto future = batcher.dispatch(i);
        if (ready(future)) continue;
        ++accepted;
        mine.push_back(std::move(future));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(accepted == most);
  CHECK(batcher.stats().queued == most);
  CHECK(batcher.stats().rejected == 8 * 500 - most);
  busy.gate.open();
  for (auto& mine : futures) {
    for (auto& future : mine) CHECK(get(future) >= 0);
  }
  batcher.close();
  check_audit(batcher.stats());
}

// --- drop_oldest ---

TEST_CASE("drop_oldest fails who has waited longest, and takes the new one in") {
  Stage stage(bounded(3, Overflow::drop_oldest));
  std::vector<Future<int>> futures;
  for (int i = 1; i <= 5; ++i) futures.push_back(stage.batcher.dispatch(i));
  CHECK(stage.batcher.stats().queued == 3);
  REQUIRE(ready(futures[0]));
  REQUIRE(ready(futures[1]));
  CHECK(error_of(futures[0]) == name(errc::queue_full));
  CHECK(error_of(futures[1]) == name(errc::queue_full));
  stage.batcher.flush();
  stage.poll();
  CHECK(stage.seen == std::vector<std::vector<int>>{{3, 4, 5}});
  for (int i = 3; i <= 5; ++i) CHECK(get(futures[static_cast<std::size_t>(i - 1)]) == i * i);
  CHECK(stage.batcher.stats().failed == 2);
  CHECK(stage.batcher.stats().rejected == 0);
  check_audit(stage.batcher.stats());
}

TEST_CASE("drop_oldest drops as many calls as the new one needs, whole ones, and what is closed already as well") {
  Stage stage(bounded(4, Overflow::drop_oldest), true);
  auto pair = stage.batcher.dispatch_many({1, 2});
  stage.batcher.flush();
  stage.poll();
  REQUIRE(stage.kept.size() == 1);  // runs: out of reach
  auto waiting = stage.batcher.dispatch_many({3, 4});
  stage.batcher.flush();
  auto last = stage.batcher.dispatch_many({5, 6});
  auto three = stage.batcher.dispatch_many({7, 8, 9});
  CHECK(error_of(waiting) == name(errc::queue_full));
  CHECK(error_of(last) == name(errc::queue_full));
  CHECK_FALSE(ready(three));
  stage.batcher.flush();
  stage.answer_all();
  stage.answer_all();
  CHECK(get(pair) == std::vector<int>({1, 4}));
  CHECK(get(three) == std::vector<int>({49, 64, 81}));
  CHECK(stage.seen == std::vector<std::vector<int>>{{1, 2}, {7, 8, 9}});
  check_audit(stage.batcher.stats());
}

TEST_CASE("drop_oldest fails a call whole of which a part runs already") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone, .max_queued = 3, .overflow = Overflow::drop_oldest},
              true);
  auto split = stage.batcher.dispatch_many({1, 2, 3});
  stage.poll();
  REQUIRE(stage.kept.size() == 1);
  auto three = stage.batcher.dispatch_many({4, 5, 6});
  REQUIRE(ready(split));
  CHECK(error_of(split) == name(errc::queue_full));
  stage.answer_all();
  stage.batcher.flush();
  stage.answer_all();
  stage.answer_all();
  CHECK(get(three) == std::vector<int>({16, 25, 36}));
  CHECK(stage.seen == std::vector<std::vector<int>>{{1, 2}, {4, 5}, {6}});
  check_audit(stage.batcher.stats());
}

// --- block ---

TEST_CASE("An asynchronous call waits for room without a thread, first come, first served") {
  Stage stage(bounded(2, Overflow::block), true);
  std::vector<int> order;
  const auto submit = [&](int value) {
    stage.batcher.async_dispatch(value, [&order](const std::exception_ptr& error, int output) {
      CHECK_FALSE(error);
      order.push_back(output);
    });
  };
  for (int i = 1; i <= 7; ++i) submit(i);
  CHECK(stage.batcher.stats().queued == 2);
  CHECK(stage.batcher.stats().rejected == 0);
  for (int i = 0; i < 5; ++i) {
    stage.batcher.flush();
    stage.answer_all();
    stage.answer_all();
  }
  CHECK(order == std::vector<int>({1, 4, 9, 16, 25, 36, 49}));
  for (const auto& batch : stage.seen) CHECK(batch.size() <= 2);
  check_audit(stage.batcher.stats());
}

TEST_CASE("A flush covers those at the door, and not whoever comes after it") {
  Stage stage(bounded(2, Overflow::block), true);
  std::vector<int> order;
  asio::cancellation_signal signal;
  const auto handler = [&order](const std::exception_ptr&, int output) { order.push_back(output); };
  const auto submit = [&](int value) { stage.batcher.async_dispatch(value, handler); };
  for (int i = 1; i <= 3; ++i) submit(i);
  const auto answer_all = [&] {
    for (int i = 0; i < 4; ++i) stage.answer_all();
  };
  SECTION("one of them the last") {
    submit(4);
    submit(5);
    stage.batcher.flush();
    submit(6);
    answer_all();
    CHECK(order == std::vector{1, 4, 9, 16, 25});
    CHECK(stage.batcher.stats().queued == 1);
  }
  SECTION("the last of them gives up") {
    stage.batcher.async_dispatch(4, asio::bind_cancellation_slot(signal.slot(), handler));
    stage.batcher.flush();
    submit(6);
    signal.emit(asio::cancellation_type::all);
    answer_all();
    CHECK(order == std::vector{0, 1, 4, 9});
  }
  SECTION("the last of them gives up, and the others are in") {
    submit(4);
    stage.batcher.async_dispatch(5, asio::bind_cancellation_slot(signal.slot(), handler));
    stage.batcher.flush();
    stage.poll();  // 3 and 4 come in
    CHECK(stage.batcher.stats().queued == 2);
    signal.emit(asio::cancellation_type::all);
    submit(6);
    answer_all();
    CHECK(order == std::vector{0, 1, 4, 9, 16});
  }
  stage.batcher.flush();
  answer_all();
  CHECK(order.back() == 36);
  check_audit(stage.batcher.stats());
}

TEST_CASE("Nobody overtakes a large call that waits for room") {
  Stage stage(bounded(4, Overflow::block), true);
  std::vector<std::string> order;
  const auto one = [&](const char* who) {
    return [&order, who](const std::exception_ptr&, int) { order.emplace_back(who); };
  };
  const auto many = [&](const char* who) {
    return [&order, who](const std::exception_ptr&, const std::vector<int>&) { order.emplace_back(who); };
  };
  stage.batcher.async_dispatch_many(std::vector{1, 2, 3}, many("first"));
  stage.batcher.async_dispatch_many(std::vector{4, 5}, many("large"));
  stage.batcher.async_dispatch(6, one("small"));  // there would be room
  CHECK(stage.batcher.stats().queued == 3);
  for (int i = 0; i < 3; ++i) {
    stage.batcher.flush();
    stage.answer_all();
    stage.answer_all();
  }
  CHECK(order == std::vector<std::string>({"first", "large", "small"}));
  check_audit(stage.batcher.stats());
}

TEST_CASE("At the door calls may be cancelled and time out, and do not reach the function") {
  Stage stage(bounded(1, Overflow::block));
  auto first = stage.batcher.dispatch(1);
  asio::cancellation_signal signal;
  std::exception_ptr cancelled;
  std::exception_ptr late;
  int last = 0;
  stage.batcher.async_dispatch(
      2, asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& e, int) { cancelled = e; }));
  stage.batcher.async_dispatch(3, timeout(5ms), [&](const std::exception_ptr& e, int) { late = e; });
  stage.batcher.async_dispatch(4, [&](const std::exception_ptr&, int output) { last = output; });
  signal.emit(asio::cancellation_type::total);
  stage.poll();
  CHECK(is(cancelled, errc::cancelled));
  stage.advance(5ms);
  CHECK(is(late, errc::timed_out));
  CHECK(last == 0);
  stage.batcher.flush();
  stage.poll();
  CHECK(get(first) == 1);
  stage.batcher.flush();
  stage.poll();
  CHECK(last == 16);
  CHECK(stage.seen == std::vector<std::vector<int>>{{1}, {4}});
  CHECK(stage.batcher.stats().cancelled == 1);
  CHECK(stage.batcher.stats().timed_out == 1);
  check_audit(stage.batcher.stats());
}

TEST_CASE("Those at the door hear that the batcher closes; those who wait are run") {
  Stage stage(bounded(1, Overflow::block));
  auto first = stage.batcher.dispatch(1);
  std::exception_ptr error;
  stage.batcher.async_dispatch(2, [&](const std::exception_ptr& e, int) { error = e; });
  bool closed = false;
  stage.batcher.async_close([&] { closed = true; });
  stage.poll();
  CHECK(is(error, errc::closed));
  CHECK(get(first) == 1);
  CHECK(closed);
  auto late = stage.batcher.dispatch(3);
  CHECK(error_of(late) == name(errc::closed));
  check_audit(stage.batcher.stats());
}

TEST_CASE("dispatch waits for room on its thread; its timeout bounds that as well") {
  Busy busy({.batch_size = 1, .max_queued = 1, .overflow = Overflow::block});
  auto& batcher = busy.batcher;
  auto waiting = batcher.dispatch(2);
  auto late = batcher.dispatch(3, timeout(5ms));  // returns when its time is up
  CHECK(error_of(late) == name(errc::timed_out));
  std::atomic<bool> through = false;
  std::thread blocked([&] {
    auto future = batcher.dispatch(4);
    through = true;
    CHECK(get(future) == 16);
  });
  REQUIRE(eventually([&] { return batcher.stats().accepted == 4; }));
  CHECK_FALSE(through);
  CHECK(batcher.stats().queued == 1);
  busy.gate.open();
  blocked.join();
  CHECK(get(busy.running) == 1);
  CHECK(get(waiting) == 4);
  batcher.close();
  check_audit(batcher.stats());
}

TEST_CASE("A thread that is blocked at the door is let go when the batcher stops") {
  Busy busy({.batch_size = 1, .max_queued = 1, .overflow = Overflow::block});
  auto& batcher = busy.batcher;
  auto waiting = batcher.dispatch(2);
  std::thread blocked([&] {
    auto future = batcher.dispatch(3);
    CHECK(error_of(future) == name(errc::closed));
  });
  REQUIRE(eventually([&] { return batcher.stats().accepted == 3; }));
  batcher.stop();
  blocked.join();
  CHECK(error_of(waiting) == name(errc::closed));
  busy.gate.open();
  CHECK(get(busy.running) == 1);
  batcher.close();
  check_audit(batcher.stats());
}

TEST_CASE("Where waiting for room could never end, dispatch says so; its asynchronous form just waits") {
  std::atomic<int> refused = 0;
  std::atomic<int> answered = 0;
  Batcher<int, int>* self = nullptr;
  Gate ready_to_go;
  Batcher<int, int> batcher(
      [&](std::span<const int> inputs) {
        CHECK(ready_to_go.wait());
        if (inputs[0] == 1) {
          (void)self->dispatch(2);  // there is room
          try {
            (void)self->dispatch(3);
          } catch (const batching::Error& error) {
            if (error.code() == errc::would_deadlock) ++refused;
          }
          self->async_dispatch(4, [&](const std::exception_ptr& error, int) {
            if (!error) ++answered;
          });
        }
        return squares(inputs);
      },
      {.batch_size = 1, .max_queued = 1, .overflow = Overflow::block});
  self = &batcher;
  auto first = batcher.dispatch(1);
  ready_to_go.open();
  CHECK(get(first) == 1);
  CHECK(eventually([&] { return answered == 1; }));
  CHECK(refused == 1);
  batcher.close();
  CHECK(batcher.stats().rejected == 1);
  check_audit(batcher.stats());
}

// --- All together ---

TEST_CASE("A flood of ten times what can be done: memory and queue stay bounded, and the books balance") {
  constexpr std::uint64_t calls = under_tsan || under_asan ? 4'000 : 20'000;
  for (const Overflow overflow : {Overflow::reject, Overflow::block, Overflow::drop_oldest}) {
    constexpr std::uint64_t most = 64;
    std::atomic<std::uint64_t> answers = 0;
    std::atomic<std::uint64_t> longest = 0;
    Batcher<int, int> batcher(
        [&](std::span<const int> inputs) {
          const auto queued = batcher.stats().queued;
          if (queued > longest) longest = queued;
          return squares(inputs);
        },
        {.batch_size = 16, .batch_timeout = 100us, .max_queued = most, .overflow = overflow});
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::uint64_t i = 0; i < calls / 4; ++i) {
          if (i % 3 == 0) {
            batcher.async_dispatch(thread, [&](const std::exception_ptr&, int) { ++answers; });
          } else if (i % 3 == 1) {
            auto future = batcher.dispatch_many({1, 2, 3}, timeout(i % 2 == 0 ? 50us : 1s));
            if (i % 5 == 0) future.cancel();
            (void)outcome(future);
            answers += 3;
          } else {
            auto future = batcher.dispatch(1);
            (void)outcome(future);
            ++answers;
          }
        }
      });
    }
    for (auto& thread : threads) thread.join();
    batcher.close();
    const auto stats = batcher.stats();
    CHECK(eventually([&] { return answers == stats.accepted + stats.rejected; }));
    CHECK(longest <= most);
    check_audit(stats);
  }
}

}  // namespace
