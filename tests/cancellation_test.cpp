// Tests: cancelling and timing out answer their own caller at once, and nobody else notices.
// SPDX-License-Identifier: BSL-1.0

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>
#include <memory>

#include "asio_support.hpp"

namespace {

using namespace asio_support;

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

/// A caller with a slot.
struct Caller {
  std::unique_ptr<asio::cancellation_signal> signal = std::make_unique<asio::cancellation_signal>();
  int calls = 0;
  std::exception_ptr error;
  std::vector<int> outputs;

  auto one() {
    return asio::bind_cancellation_slot(signal->slot(), [this](std::exception_ptr e, int output) {
      ++calls;
      error = std::move(e);
      outputs = {output};
    });
  }
  auto many() {
    return asio::bind_cancellation_slot(signal->slot(), [this](std::exception_ptr e, std::vector<int> all) {
      ++calls;
      error = std::move(e);
      outputs = std::move(all);
    });
  }
};

TEST_CASE("Each type of cancellation through a slot withdraws a waiting item; type none does nothing") {
  for (const auto type :
       {asio::cancellation_type::terminal, asio::cancellation_type::partial, asio::cancellation_type::total}) {
    Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
    Caller caller;
    stage.batcher.async_dispatch(1, caller.one());
    stage.poll();
    caller.signal->emit(asio::cancellation_type::none);
    stage.poll();
    CHECK(caller.calls == 0);
    caller.signal->emit(type);
    CHECK(caller.calls == 0);  // never inside the one who cancels
    stage.poll();
    CHECK(caller.calls == 1);
    CHECK(is(caller.error, errc::cancelled));
    CHECK(caller.outputs == std::vector<int>{0});
    stage.batcher.close_for(0s);
    CHECK(stage.seen.empty());
    CHECK(stage.batcher.stats().cancelled == 1);
    check_audit(stage.batcher.stats());
  }
}

TEST_CASE("A slot that is emitted before the item was even looked at withdraws it") {
  Stage stage({.batch_size = 1});
  Caller caller;
  stage.batcher.async_dispatch(1, caller.one());
  caller.signal->emit(asio::cancellation_type::total);
  stage.poll();
  CHECK(caller.calls == 1);
  CHECK(is(caller.error, errc::cancelled));
  CHECK(stage.seen.empty());
  check_audit(stage.batcher.stats());
}

TEST_CASE("A slot that is emitted twice, or after completion, does no more than once") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  Caller one;
  Caller two;
  Caller three;
  stage.batcher.async_dispatch(1, one.one());
  stage.poll();
  one.signal->emit(asio::cancellation_type::terminal);
  one.signal->emit(asio::cancellation_type::terminal);
  stage.poll();
  one.signal->emit(asio::cancellation_type::terminal);
  stage.batcher.async_dispatch(2, two.one());
  stage.batcher.async_dispatch(3, three.one());
  stage.poll();
  two.signal->emit(asio::cancellation_type::terminal);
  stage.poll();
  CHECK(one.calls == 1);
  CHECK(two.calls == 1);
  CHECK(two.outputs == std::vector<int>{4});
  CHECK(three.outputs == std::vector<int>{9});
  CHECK_FALSE(two.signal->slot().has_handler());  // cleared before the handler ran
}

TEST_CASE("A slot can be used for the next operation from within the handler") {
  Stage stage({.batch_size = 1});
  asio::cancellation_signal signal;
  std::vector<int> outputs;
  stage.batcher.async_dispatch(
      1, asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr&, int first) {
        outputs.push_back(first);
        stage.batcher.async_dispatch(
            2, asio::bind_cancellation_slot(signal.slot(),
                                            [&](const std::exception_ptr&, int second) { outputs.push_back(second); }));
      }));
  stage.poll();
  CHECK(outputs == std::vector<int>({1, 4}));
}

TEST_CASE("A slot that is emitted while the batch runs answers at once, and the output is dropped") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone}, true);
  Caller one;
  Caller two;
  stage.batcher.async_dispatch(1, one.one());
  stage.batcher.async_dispatch(2, two.one());
  stage.poll();
  REQUIRE(stage.kept.size() == 1);
  one.signal->emit(asio::cancellation_type::partial);
  stage.poll();
  CHECK(is(one.error, errc::cancelled));
  CHECK(two.calls == 0);
  stage.answer_all();
  CHECK(one.calls == 1);
  CHECK(two.outputs == std::vector<int>{4});
  check_audit(stage.batcher.stats());
}

TEST_CASE("A slot may be emitted after the batcher is gone") {
  Caller waiting;
  Caller done;
  {
    Stage stage({.batch_size = 1});
    stage.batcher.async_dispatch(1, done.one());
    stage.poll();
    {
      const auto batcher = std::move(stage.batcher);
      stage.keep = true;
      auto other = std::optional<Batcher<int, int>>(
          std::in_place, stage.io, [](std::span<const int> inputs) { return squares(inputs); },
          Options{.batch_size = 2, .batch_timeout = by_size_alone});
      other->async_dispatch(2, waiting.one());
      stage.poll();
      other.reset();
    }
    waiting.signal->emit(asio::cancellation_type::terminal);
    stage.poll();
    CHECK(waiting.calls == 1);
    CHECK(is(waiting.error, errc::closed));
  }
  waiting.signal->emit(asio::cancellation_type::terminal);
  done.signal->emit(asio::cancellation_type::terminal);
  CHECK(done.calls == 1);
}

TEST_CASE("Three of eight cancel before the window closes and two while it runs: the neighbours notice nothing") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms}, true);
  std::vector<Caller> callers(8);
  for (int i = 0; i < 8; ++i) {
    if (i == 7) {
      for (const std::size_t early : {0U, 3U, 6U}) callers[early].signal->emit(asio::cancellation_type::total);
    }
    stage.batcher.async_dispatch(i, callers[static_cast<std::size_t>(i)].one());
    stage.poll();
  }
  CHECK(stage.batcher.stats().queued == 5);
  stage.advance(10ms);
  REQUIRE(stage.kept.size() == 1);
  CHECK(stage.seen[0] == std::vector<int>({1, 2, 4, 5, 7}));
  for (const std::size_t late : {2U, 5U}) callers[late].signal->emit(asio::cancellation_type::terminal);
  stage.poll();
  stage.answer_all();
  for (std::size_t i = 0; i < 8; ++i) {
    INFO("caller " << i);
    CHECK(callers[i].calls == 1);
    const bool stays = i == 1 || i == 4 || i == 7;
    CHECK(name(callers[i].error) == (stays ? "none" : name(errc::cancelled)));
    if (stays) CHECK(callers[i].outputs == std::vector<int>{static_cast<int>(i * i)});
  }
  CHECK(stage.batcher.stats().cancelled == 5);
  CHECK(stage.batcher.stats().completed == 3);
  check_audit(stage.batcher.stats());
  // The service goes on.
  auto next = stage.batcher.dispatch(9);
  stage.advance(10ms);
  stage.answer_all();
  CHECK(get(next) == 81);
}

TEST_CASE("The same eight as futures") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms}, true);
  std::vector<Future<int>> futures;
  for (int i = 0; i < 7; ++i) futures.push_back(stage.batcher.dispatch(i));
  for (const std::size_t early : {0U, 3U, 6U}) CHECK(futures[early].cancel());
  futures.push_back(stage.batcher.dispatch(7));
  stage.advance(10ms);
  REQUIRE(stage.kept.size() == 1);
  CHECK(stage.seen[0] == std::vector<int>({1, 2, 4, 5, 7}));
  for (const std::size_t late : {2U, 5U}) CHECK(futures[late].cancel());
  stage.answer_all();
  for (std::size_t i = 0; i < 8; ++i) {
    auto answer = outcome(futures[i]);
    if (i == 1 || i == 4 || i == 7) {
      CHECK(answer.value == static_cast<int>(i * i));
    } else {
      CHECK(is(answer.error, errc::cancelled));
    }
  }
  check_audit(stage.batcher.stats());
}

TEST_CASE("The clock of a window runs from the oldest item that is left when the first one cancels") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms});
  auto first = stage.batcher.dispatch(1);
  stage.poll();
  stage.advance(4ms);
  auto second = stage.batcher.dispatch(2);
  stage.poll();
  first.cancel();
  stage.advance(6ms);
  CHECK_FALSE(ready(second));
  stage.advance(4ms - 1ns);
  CHECK_FALSE(ready(second));
  stage.advance(1ns);
  CHECK(get(second) == 4);
}

TEST_CASE("A window of which everybody cancelled never leaves") {
  Stage stage({.batch_size = 8, .batch_timeout = 10ms});
  auto one = stage.batcher.dispatch(1);
  auto many = stage.batcher.dispatch_many({2, 3});
  stage.poll();
  CHECK(one.cancel());
  CHECK(many.cancel());
  stage.advance(1h);
  CHECK(stage.seen.empty());
  CHECK(stage.batcher.stats().batches == 0);
  CHECK(stage.batcher.stats().cancelled == 3);
  check_audit(stage.batcher.stats());
}

TEST_CASE("Cancelling a call of many that has run in part keeps the rest of it away from the batch function") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone}, true);
  auto many = stage.batcher.dispatch_many({1, 2, 3, 4, 5});
  auto one = stage.batcher.dispatch(6);
  stage.poll();
  REQUIRE(stage.kept.size() == 1);
  CHECK(many.cancel());
  CHECK(error_of(many) == name(errc::cancelled));
  auto two = stage.batcher.dispatch(7);
  stage.answer_all();
  stage.answer_all();
  CHECK(stage.seen == std::vector<std::vector<int>>({{1, 2}, {6, 7}}));
  CHECK(get(one) == 36);
  CHECK(get(two) == 49);
  CHECK(stage.batcher.stats().cancelled == 5);
  check_audit(stage.batcher.stats());
}

TEST_CASE("A call of many can be cancelled through a slot") {
  Stage stage({.batch_size = 4, .batch_timeout = by_size_alone});
  Caller caller;
  stage.batcher.async_dispatch_many(std::vector<int>{1, 2, 3}, caller.many());
  stage.poll();
  caller.signal->emit(asio::cancellation_type::terminal);
  stage.poll();
  CHECK(caller.calls == 1);
  CHECK(is(caller.error, errc::cancelled));
  CHECK(caller.outputs.empty());
  CHECK(stage.batcher.stats().queued == 0);
  CHECK(stage.batcher.stats().cancelled == 3);
}

TEST_CASE("A cancelled item leaves room in its window for another") {
  Stage stage({.batch_size = 3, .batch_timeout = by_size_alone});
  auto one = stage.batcher.dispatch(1);
  auto two = stage.batcher.dispatch(2);
  two.cancel();
  auto three = stage.batcher.dispatch(3);
  stage.poll();
  CHECK(stage.seen.empty());
  auto four = stage.batcher.dispatch(4);
  stage.poll();
  CHECK(stage.seen == std::vector<std::vector<int>>({{1, 3, 4}}));
  CHECK(get(four) == 16);
}

// --- Timeouts ---

TEST_CASE("A waiting item that times out leaves at its time and never reaches the batch function") {
  Stage stage({.batch_size = 4, .batch_timeout = 50ms});
  auto late = stage.batcher.dispatch(1, timeout(20ms));
  auto neighbour = stage.batcher.dispatch(2);
  stage.poll();
  stage.advance(20ms - 1ns);
  CHECK_FALSE(ready(late));
  stage.advance(1ns);
  CHECK(ready(late));
  CHECK(error_of(late) == name(errc::timed_out));
  CHECK_FALSE(ready(neighbour));
  CHECK(stage.batcher.stats().queued == 1);
  stage.advance(30ms);
  CHECK(get(neighbour) == 4);
  CHECK(stage.seen == std::vector<std::vector<int>>({{2}}));
  CHECK(stage.batcher.stats().timed_out == 1);
  check_audit(stage.batcher.stats());
}

TEST_CASE("A running item that times out is answered at its time, and its output is dropped") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone}, true);
  auto late = stage.batcher.dispatch(1, timeout(20ms));
  auto neighbour = stage.batcher.dispatch(2);
  stage.poll();
  REQUIRE(stage.kept.size() == 1);
  stage.advance(20ms - 1ns);
  CHECK_FALSE(ready(late));
  stage.advance(1ns);
  CHECK(error_of(late) == name(errc::timed_out));
  CHECK_FALSE(ready(neighbour));
  stage.answer_all();
  CHECK(get(neighbour) == 4);
  CHECK(stage.batcher.stats().timed_out == 1);
  check_audit(stage.batcher.stats());
}

TEST_CASE("Deadlines are kept while the only partition is busy") {
  Stage stage({.batch_size = 1}, true);
  auto running = stage.batcher.dispatch(1);
  stage.poll();
  auto late = stage.batcher.dispatch(2, timeout(20ms));
  auto patient = stage.batcher.dispatch(3, timeout(1000ms));
  stage.poll();
  stage.advance(20ms);
  CHECK(error_of(late) == name(errc::timed_out));
  stage.advance(480ms);
  stage.answer_all();
  stage.answer_all();
  CHECK(get(running) == 1);
  CHECK(get(patient) == 9);
  CHECK(stage.seen == std::vector<std::vector<int>>({{1}, {3}}));
  check_audit(stage.batcher.stats());
}

// --- A batch that runs too long ---

TEST_CASE("A batch that runs past batch_deadline: its callers hear timed_out, its function is told, neighbours go on") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone, .partitions = 2, .batch_deadline = 50ms}, true);
  auto slow = stage.batcher.dispatch_many({1, 2});
  stage.poll();
  int calls = 0;
  std::exception_ptr error;
  stage.advance(20ms);
  for (int i = 3; i <= 4; ++i) {
    stage.batcher.async_dispatch(i, [&](const std::exception_ptr& e, int) {
      ++calls;
      error = e;
    });
  }
  stage.poll();
  REQUIRE(stage.kept.size() == 2);
  REQUIRE(stage.kept[0].info().deadline);
  CHECK(*stage.kept[1].info().deadline - *stage.kept[0].info().deadline == 20ms);
  stage.advance(30ms - 1ns);
  CHECK_FALSE(ready(slow));
  CHECK_FALSE(stage.kept[0].stop_requested());
  stage.advance(1ns);
  CHECK(error_of(slow) == name(errc::timed_out));
  CHECK(stage.kept[0].stop_requested());
  CHECK_FALSE(stage.kept[1].stop_requested());
  CHECK(stage.batcher.stats().running == 2);  // it still holds its partition
  auto waiting = stage.batcher.dispatch_many({5, 6});
  stage.poll();
  CHECK(stage.kept.size() == 2);
  Stage::answer(stage.kept[0]);  // too late: dropped
  stage.kept.erase(stage.kept.begin());
  stage.poll();
  CHECK(stage.kept.size() == 2);  // its partition was free again
  stage.advance(20ms);
  CHECK(calls == 2);
  CHECK(is(error, errc::timed_out));
  stage.answer_all();
  CHECK(get(waiting) == std::vector<int>({25, 36}));
  CHECK(calls == 2);
  CHECK(stage.batcher.stats().timed_out == 4);
  CHECK(stage.batcher.stats().completed == 2);
  check_audit(stage.batcher.stats());
}

TEST_CASE("A batch that ends in time leaves no deadline behind, and what was answered before it stays so") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone, .batch_deadline = 50ms}, true);
  auto one = stage.batcher.dispatch(1);
  auto two = stage.batcher.dispatch(2);
  stage.poll();
  stage.kept[0].set_value(0, 1);
  CHECK(get(one) == 1);
  stage.advance(50ms);
  CHECK(error_of(two) == name(errc::timed_out));
  stage.answer_all();
  auto next = stage.batcher.dispatch_many({3, 4});
  stage.poll();
  CHECK_FALSE(stage.kept.at(0).stop_requested());
  stage.answer_all();
  CHECK(get(next) == std::vector<int>({9, 16}));
  stage.advance(1h);
  CHECK(stage.batcher.stats().timed_out == 1);
  check_audit(stage.batcher.stats());
}

TEST_CASE("What still waits of a call whose first batch ran too long never runs") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone, .batch_deadline = 50ms}, true);
  auto split = stage.batcher.dispatch_many({1, 2, 3});
  stage.poll();
  stage.advance(50ms);
  CHECK(error_of(split) == name(errc::timed_out));
  CHECK(stage.batcher.stats().queued == 0);
  stage.batcher.flush();
  stage.answer_all();
  CHECK(stage.seen == std::vector<std::vector<int>>{{1, 2}});
  check_audit(stage.batcher.stats());
}

TEST_CASE("A blocking function that runs too long is told, and its callers hear of it meanwhile") {
  std::atomic<bool> told = false;
  Batcher<int, int> batcher(
      [&](std::span<const int> inputs, batching::BatchContext& context) {
        told = eventually([&] { return context.stop_requested(); });
        return squares(inputs);
      },
      {.batch_size = 1, .batch_deadline = 5ms});
  auto late = batcher.dispatch(1);
  CHECK(error_of(late) == name(errc::timed_out));
  CHECK(eventually([&] { return told.load(); }));
  std::exception_ptr error;
  Gate heard;
  batcher.async_dispatch(2, [&](const std::exception_ptr& e, int) {
    error = e;
    heard.open();
  });
  CHECK(heard.wait());
  CHECK(is(error, errc::timed_out));
  batcher.close();
  CHECK(batcher.stats().timed_out == 2);
  check_audit(batcher.stats());
}

TEST_CASE("On the owned pool a deadline of 20 ms is kept while a blocking batch takes as long as it likes") {
  Gate gate;
  Batcher<int, int> batcher(
      [&](std::span<const int> inputs) {
        gate.wait();
        return squares(inputs);
      },
      {.batch_size = 1});
  auto running = batcher.dispatch(1);
  REQUIRE(eventually([&] { return batcher.stats().running == 1; }));
  auto shortest = std::chrono::steady_clock::duration::max();  // of some: this thread may be held up, too
  constexpr std::uint64_t calls = 5;
  for (std::uint64_t i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    auto late = batcher.dispatch(2, timeout(20ms));
    CHECK(error_of(late) == name(errc::timed_out));
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 20ms);
    shortest = std::min(shortest, took);
  }
  CHECK(shortest < 400ms);
  gate.open();
  CHECK(get(running) == 1);
  batcher.close();
  CHECK(batcher.stats().batches == 1);
  CHECK(batcher.stats().timed_out == calls);
}

TEST_CASE("A timeout of zero or less times out without reaching the batch function") {
  for (const std::chrono::nanoseconds none :
       {0ns, -1ns, std::chrono::nanoseconds(-1h), std::chrono::nanoseconds::min()}) {
    Stage stage({.batch_size = 1});
    auto late = stage.batcher.dispatch(1, timeout(none));
    auto many = stage.batcher.dispatch_many({2, 3}, timeout(none));
    auto neighbour = stage.batcher.dispatch(4);
    stage.poll();
    CHECK(error_of(late) == name(errc::timed_out));
    CHECK(error_of(many) == name(errc::timed_out));
    CHECK(get(neighbour) == 16);
    CHECK(stage.seen == std::vector<std::vector<int>>({{4}}));
    CHECK(stage.batcher.stats().timed_out == 3);
    check_audit(stage.batcher.stats());
  }
}

TEST_CASE("The longest possible timeout is none") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  auto one = stage.batcher.dispatch(1, timeout(std::chrono::nanoseconds::max()));
  stage.advance(24h * 365);
  CHECK_FALSE(ready(one));
  auto two = stage.batcher.dispatch(2, timeout(std::chrono::nanoseconds::max() - 1ns));
  stage.poll();
  CHECK(get(one) == 1);
  CHECK(get(two) == 4);
}

TEST_CASE("A call of many that times out in part takes its waiting items with it") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone}, true);
  auto many = stage.batcher.dispatch_many({1, 2, 3, 4, 5}, timeout(20ms));
  auto one = stage.batcher.dispatch(6);
  auto two = stage.batcher.dispatch(7);
  stage.poll();
  stage.advance(20ms);
  CHECK(error_of(many) == name(errc::timed_out));
  stage.answer_all();
  stage.answer_all();
  CHECK(stage.seen == std::vector<std::vector<int>>({{1, 2}, {6, 7}}));
  CHECK(get(one) == 36);
  CHECK(get(two) == 49);
  CHECK(stage.batcher.stats().timed_out == 5);
  check_audit(stage.batcher.stats());
}

TEST_CASE("A timeout reaches a completion handler like any other error") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  Caller one;
  Caller many;
  stage.batcher.async_dispatch(1, timeout(5ms), one.one());
  stage.poll();
  stage.advance(5ms);
  CHECK(one.calls == 1);
  CHECK(is(one.error, errc::timed_out));
  one.signal->emit(asio::cancellation_type::terminal);
  stage.batcher.async_dispatch_many(std::vector<int>{1}, timeout(5ms), many.many());
  stage.poll();
  stage.advance(5ms);
  CHECK(is(many.error, errc::timed_out));
  stage.poll();
  CHECK(one.calls == 1);
  CHECK(many.calls == 1);
}

TEST_CASE("An item that is cancelled does not time out as well, and one that timed out cannot be cancelled") {
  Stage stage({.batch_size = 2, .batch_timeout = by_size_alone});
  auto cancelled = stage.batcher.dispatch(1, timeout(5ms));
  auto late = stage.batcher.dispatch(2, timeout(std::chrono::nanoseconds(5ms) + 1ns));
  CHECK(cancelled.cancel());
  stage.poll();
  stage.advance(6ms);
  CHECK(error_of(cancelled) == name(errc::cancelled));
  CHECK_FALSE(late.cancel());
  CHECK(error_of(late) == name(errc::timed_out));
  CHECK(stage.batcher.stats().cancelled == 1);
  CHECK(stage.batcher.stats().timed_out == 1);
}

TEST_CASE("A hundred thousand pending deadlines are each kept at their time") {
  constexpr int count = under_tsan ? 20'000 : 100'000;
  Stage stage({.batch_size = count + 1, .batch_timeout = by_size_alone});
  std::vector<Future<int>> futures;
  for (int i = 0; i < count; ++i) {
    // In an order that is neither the one of the deadlines nor its reverse.
    const int place = static_cast<int>((static_cast<long long>(i) * 7919) % count);
    futures.push_back(stage.batcher.dispatch(place, timeout(std::chrono::microseconds(place + 1))));
  }
  stage.poll();
  CHECK(stage.batcher.stats().queued == count);
  stage.advance(std::chrono::microseconds(count / 2));
  CHECK(stage.batcher.stats().timed_out == count / 2);
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const auto place = (static_cast<long long>(i) * 7919) % count;
    wrong += ready(futures[static_cast<std::size_t>(i)]) == (place < count / 2) ? 0 : 1;
  }
  CHECK(wrong == 0);
  for (int i = 0; i < count; i += 3) (void)futures[static_cast<std::size_t>(i)].cancel();
  stage.advance(std::chrono::microseconds(count));
  CHECK(std::all_of(futures.begin(), futures.end(), [](const auto& future) { return ready(future); }));
  CHECK(stage.seen.empty());
  check_audit(stage.batcher.stats());
}

TEST_CASE("A running batch that has been answered leaves no deadline behind") {
  Stage stage({.batch_size = 1});
  for (int i = 0; i < 1000; ++i) {
    auto future = stage.batcher.dispatch(i, timeout(1h));
    stage.poll();
    CHECK(get(future) == i * i);
  }
  // Nothing is armed: the context has nothing to wait for.
  stage.io.restart();
  CHECK(stage.io.poll() == 0);
  CHECK(stage.io.stopped());
  check_audit(stage.batcher.stats());
}

TEST_CASE("Threads that cancel, time out, complete, fail and stop at once: every caller has exactly one answer") {
  constexpr int rounds = under_tsan ? 20 : 100;
  for (int round = 0; round < rounds; ++round) {
    asio::thread_pool callers(2);
    std::atomic<int> draws = 0;
    Batcher<int, int> batcher(
        [&](std::span<const int> inputs) {
          if (draws.fetch_add(1) % 5 == 0) throw Failure();
          return squares(inputs);
        },
        {.batch_size = 4, .batch_timeout = 20us, .partitions = 2});
    constexpr int items = 120;
    struct WithSlot {
      explicit WithSlot(const asio::thread_pool::executor_type& executor) : strand(executor) {}
      asio::strand<asio::thread_pool::executor_type> strand;
      asio::cancellation_signal signal;
      std::atomic<int> calls = 0;
    };
    std::vector<std::unique_ptr<WithSlot>> with_slot;
    for (int i = 0; i < items; ++i) with_slot.push_back(std::make_unique<WithSlot>(callers.get_executor()));
    std::vector<Future<int>> futures(items);
    std::atomic<int> dispatched = 0;
    std::thread submitter([&] {
      for (int i = 0; i < items; ++i) {
        const auto at = static_cast<std::size_t>(i);
        WithSlot& mine = *with_slot[at];
        futures[at] = batcher.dispatch(i, i % 3 == 0 ? timeout(std::chrono::microseconds(i)) : CallOptions());
        batcher.async_dispatch(
            i, i % 3 == 1 ? timeout(std::chrono::microseconds(i)) : CallOptions(),
            asio::bind_cancellation_slot(
                mine.signal.slot(),
                asio::bind_executor(mine.strand, [&mine](const std::exception_ptr&, int) { ++mine.calls; })));
        if (i % 2 == 0) asio::post(mine.strand, [&] { mine.signal.emit(asio::cancellation_type::total); });
        dispatched = i + 1;
      }
    });
    std::thread canceller([&] {
      for (int i = 0; i < items; ++i) {
        while (dispatched <= i) std::this_thread::yield();
        if (i % 4 == 0) (void)futures[static_cast<std::size_t>(i)].cancel();
      }
    });
    std::thread stopper([&] {
      while (dispatched < items / 2 + round) {
        if (dispatched == items) break;
        std::this_thread::yield();
      }
      batcher.stop();
    });
    submitter.join();
    canceller.join();
    stopper.join();
    for (int i = 0; i < items; ++i) {
      auto answer = outcome(futures[static_cast<std::size_t>(i)]);
      const std::string what = name(answer.error);
      INFO(what);
      CHECK((answer.value == i * i || what == name(errc::cancelled) || what == name(errc::timed_out) ||
             what == name(errc::closed) || what == "failure"));
    }
    for (const auto& caller : with_slot) CHECK(eventually([&] { return caller->calls == 1; }));
    callers.join();
    for (const auto& caller : with_slot) CHECK(caller->calls == 1);
    batcher.close();
    check_audit(batcher.stats());
    CHECK(batcher.stats().accepted + batcher.stats().rejected == 2 * items);
  }
}

TEST_CASE("A signal that comes before the call has its place is too early, and does no harm") {
  asio::io_context io;
  asio::cancellation_signal signal;
  Batcher<int, int> batcher(io, [](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 4, .batch_timeout = 0ns, .key = [&](const int& item) {
                               signal.emit(asio::cancellation_type::terminal);
                               return item;
                             }});
  int output = 0;
  batcher.async_dispatch(
      3, asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr&, int out) { output = out; }));
  io.run();
  CHECK(output == 9);
  check_audit(batcher.stats());
}

}  // namespace
