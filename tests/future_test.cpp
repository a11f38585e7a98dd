// Tests: Future has std::future's interface, can be cancelled, and is never left without an answer.
// SPDX-License-Identifier: BSL-1.0

#include <batching/future.hpp>

#include <future>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include "asio_support.hpp"

namespace {

using namespace asio_support;

static_assert(std::is_nothrow_move_constructible_v<Future<int>>);
static_assert(std::is_nothrow_move_assignable_v<Future<int>>);
static_assert(!std::is_copy_constructible_v<Future<int>>);
static_assert(std::is_default_constructible_v<Future<std::unique_ptr<int>>>);
static_assert(std::is_void_v<decltype(std::declval<Future<void>&>().get())>);
static_assert(std::is_same_v<std::future_status, decltype(std::declval<const Future<int>&>().wait_for(1s))>);

/// Two to a batch and no clock: the first of a pair waits until the second comes.
Batcher<int, int> pairs() {
  return Batcher<int, int>([](std::span<const int> inputs) { return squares(inputs); },
                           {.batch_size = 2, .batch_timeout = std::chrono::nanoseconds::max()});
}

template <class F>
bool has_no_state(F f) {
  try {
    f();
  } catch (const std::future_error& error) {
    return error.code() == std::future_errc::no_state;
  }
  return false;
}

TEST_CASE("A future has its value once") {
  auto batcher = pairs();
  auto one = batcher.dispatch(3);
  auto other = batcher.dispatch(4);
  CHECK(one.valid());
  CHECK(get(one) == 9);
  CHECK_FALSE(one.valid());
  CHECK(has_no_state([&] { one.get(); }));
  other.wait();
  CHECK(other.valid());
  CHECK(other.wait_for(0s) == std::future_status::ready);
  CHECK(other.get() == 16);
}

TEST_CASE("A future without a state says so, and only valid and cancel may be asked") {
  auto batcher = pairs();
  Future<int> empty;
  auto source = batcher.dispatch(1);
  Future<int> moved = std::move(source);
  for (Future<int>* future : {&empty, &source}) {
    CHECK_FALSE(future->valid());
    CHECK_FALSE(future->cancel());
    CHECK(has_no_state([&] { future->get(); }));
    CHECK(has_no_state([&] { future->wait(); }));
    CHECK(has_no_state([&] { (void)future->wait_for(1s); }));
    CHECK(has_no_state([&] { (void)future->wait_until(std::chrono::steady_clock::now()); }));
    CHECK(has_no_state([&] { (void)future->wait_until(std::chrono::system_clock::now() + 1h); }));
  }
  CHECK(moved.valid());
  auto second = batcher.dispatch(2);
  CHECK(get(moved) == 1);
}

TEST_CASE("A future can be assigned over, and to itself") {
  auto batcher = pairs();
  auto one = batcher.dispatch(1);
  auto& same = one;
  one = std::move(same);
  CHECK(one.valid());
  one = batcher.dispatch(2);
  CHECK(get(one) == 4);
  CHECK(eventually([&] { return batcher.stats().completed == 2; }));
}

TEST_CASE("A future has its error once, as it was thrown") {
  Batcher<int, int> batcher([](std::span<const int>) -> std::vector<int> { throw std::domain_error("not today"); });
  auto future = batcher.dispatch(1);
  REQUIRE(future.wait_for(patience) == std::future_status::ready);
  CHECK_THROWS_AS(future.get(), std::domain_error);
  CHECK_FALSE(future.valid());
  CHECK(has_no_state([&] { future.get(); }));
}

TEST_CASE("A future of many has all outputs, a future of void has none") {
  Batcher<int, void> batcher([](std::span<const int>) {});
  Future<void> one = batcher.dispatch(1);
  Future<void> many = batcher.dispatch_many({2, 3});
  get(one);
  get(many);
  CHECK_FALSE(many.valid());
  CHECK(has_no_state([&] { many.get(); }));

  Batcher<int, int> squaring([](std::span<const int> inputs) { return squares(inputs); }, {.batch_size = 2});
  auto outputs = squaring.dispatch_many({2, 3, 4});
  CHECK(get(outputs) == std::vector<int>({4, 9, 16}));
}

TEST_CASE("A wait that is too short says timeout and leaves the future as it was") {
  auto batcher = pairs();
  auto one = batcher.dispatch(5);
  CHECK(one.wait_for(0s) == std::future_status::timeout);
  CHECK(one.wait_for(-1h) == std::future_status::timeout);
  CHECK(one.wait_for(1ms) == std::future_status::timeout);
  CHECK(one.wait_for(std::chrono::duration<double, std::micro>(0.5)) == std::future_status::timeout);
  CHECK(one.wait_for(std::chrono::duration<float>(1e-6F)) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::steady_clock::now() - 1s) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::steady_clock::now() + 1ms) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::system_clock::now() - 1s) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::system_clock::now() + 1ms) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::high_resolution_clock::now() + 1ms) == std::future_status::timeout);
  CHECK(one.wait_until(ManualClock::now()) == std::future_status::timeout);
  auto second = batcher.dispatch(6);
  CHECK(get(one) == 25);
}

TEST_CASE("A wait never ends before its time") {
  auto batcher = pairs();
  auto one = batcher.dispatch(5);
  for (const auto duration : {100us, 700us, 3000us}) {
    const auto start = std::chrono::steady_clock::now();
    CHECK(one.wait_for(duration) == std::future_status::timeout);
    CHECK(std::chrono::steady_clock::now() - start >= duration);
    const auto until = std::chrono::system_clock::now() + duration;
    CHECK(one.wait_until(until) == std::future_status::timeout);
    CHECK(std::chrono::system_clock::now() >= until);
  }
}

TEST_CASE("The longest possible waits end when the answer comes") {
  auto batcher = pairs();
  int number = 0;
  const auto answered_meanwhile = [&](auto wait) {
    auto one = batcher.dispatch(7);
    std::thread second([&] {
      std::this_thread::sleep_for(2ms);
      (void)batcher.dispatch(8);
    });
    const auto status = wait(one);
    second.join();
    INFO("wait " << ++number);
    CHECK(status == std::future_status::ready);
  };
  answered_meanwhile([](auto& future) { return future.wait_for(std::chrono::nanoseconds::max()); });
  answered_meanwhile([](auto& future) { return future.wait_for(std::chrono::hours::max()); });
  answered_meanwhile([](auto& future) { return future.wait_for(std::chrono::duration<double>(1e300)); });
  answered_meanwhile([](auto& future) { return future.wait_until(std::chrono::steady_clock::time_point::max()); });
  answered_meanwhile([](auto& future) { return future.wait_until(std::chrono::system_clock::time_point::max()); });
  answered_meanwhile([](auto& future) {
    using Seconds = std::chrono::time_point<std::chrono::system_clock, std::chrono::seconds>;
    return future.wait_until(Seconds::max());
  });
}

TEST_CASE("The most negative waits end at once") {
  auto batcher = pairs();
  auto one = batcher.dispatch(7);
  // Should one of them not end, the second of the pair ends it.
  Gate over;
  std::thread second([&] {
    if (over.wait()) return;
    (void)batcher.dispatch(8);
  });
  CHECK(one.wait_for(std::chrono::nanoseconds::min()) == std::future_status::timeout);
  CHECK(one.wait_for(std::chrono::hours::min()) == std::future_status::timeout);
  CHECK(one.wait_for(std::chrono::duration<double>(-1e300)) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::steady_clock::time_point::min()) == std::future_status::timeout);
  CHECK(one.wait_until(std::chrono::system_clock::time_point::min()) == std::future_status::timeout);
  over.open();
  second.join();
}

TEST_CASE("Waiting until a moment of another clock ends when that clock says so") {
  auto batcher = pairs();
  auto one = batcher.dispatch(7);
  std::atomic<bool> over = false;
  std::thread time([&] {
    while (!over) {
      ManualClock::advance(100us);
      std::this_thread::sleep_for(100us);
    }
  });
  const auto until = ManualClock::now() + 2ms;
  CHECK(one.wait_until(until) == std::future_status::timeout);
  CHECK(ManualClock::now() >= until);
  over = true;
  time.join();
}

TEST_CASE("A future may be waited for on another thread than the one that dispatched") {
  auto batcher = pairs();
  auto one = batcher.dispatch(3);
  int value = 0;
  std::thread thread([&value, future = std::move(one)]() mutable { value = get(future); });
  auto other = batcher.dispatch(4);
  thread.join();
  CHECK(value == 9);
}

TEST_CASE("Many parked waiters are all woken by one batch") {
  constexpr int waiters = 64;
  Batcher<int, int> batcher([](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = waiters + 1, .batch_timeout = std::chrono::nanoseconds::max()});
  for (int round = 0; round < 5; ++round) {
    std::atomic<int> parking = 0;
    std::atomic<int> right = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < waiters; ++i) {
      threads.emplace_back([&, i] {
        auto future = batcher.dispatch(i);
        ++parking;
        right += get(future) == i * i ? 1 : 0;
      });
    }
    REQUIRE(eventually([&] { return parking == waiters; }));
    std::this_thread::sleep_for(1ms);  // most of them sleep by now
    auto last = batcher.dispatch(1000);
    for (std::thread& thread : threads) thread.join();
    CHECK(right == waiters);
    CHECK(get(last) == 1'000'000);
  }
}

TEST_CASE("Dropping a future neither waits nor cancels") {
  std::atomic<int> sum = 0;
  Batcher<int, int> batcher(
      [&](std::span<const int> inputs) {
        for (const int input : inputs) sum += input;
        return squares(inputs);
      },
      {.batch_size = 4, .batch_timeout = std::chrono::nanoseconds::max()});
  (void)batcher.dispatch(1);
  { auto dropped = batcher.dispatch(2); }
  { auto dropped = batcher.dispatch_many({4, 8}); }
  batcher.close();
  CHECK(sum == 15);
  CHECK(batcher.stats().completed == 4);
  check_audit(batcher.stats());
}

TEST_CASE("A future may be dropped while its answer is on the way, a thousand times over") {
  Batcher<std::unique_ptr<int>, std::unique_ptr<int>> batcher(
      [](std::span<std::unique_ptr<int>> inputs) {
        std::vector<std::unique_ptr<int>> outputs;
        for (auto& input : inputs) outputs.push_back(std::move(input));
        return outputs;
      },
      {.batch_size = 4, .batch_timeout = 0ns});
  for (int i = 0; i < 1000; ++i) {
    auto future = batcher.dispatch(std::make_unique<int>(i));
    if (i % 3 == 0) (void)future.wait_for(std::chrono::microseconds(i % 50));
    if (i % 5 == 0) future.cancel();
  }
  batcher.close();
  check_audit(batcher.stats());
  CHECK(batcher.stats().accepted == 1000);
}

TEST_CASE("A future outlives its batcher") {
  Future<int> waiting;
  Future<int> done;
  {
    auto batcher = pairs();
    auto other = batcher.dispatch(1);
    done = batcher.dispatch(2);
    CHECK(get(other) == 1);
    waiting = batcher.dispatch(3);
  }
  CHECK(get(done) == 4);
  CHECK_FALSE(waiting.cancel());
  CHECK(error_of(waiting) == name(errc::closed));
}

TEST_CASE("A cancelled future is ready with errc::cancelled, and cannot be cancelled twice") {
  auto batcher = pairs();
  auto one = batcher.dispatch(1);
  CHECK(one.cancel());
  CHECK_FALSE(one.cancel());
  CHECK(ready(one));
  CHECK(error_of(one) == name(errc::cancelled));
  CHECK(batcher.stats().cancelled == 1);
}

TEST_CASE("What has been answered cannot be cancelled") {
  auto batcher = pairs();
  auto one = batcher.dispatch(1);
  auto two = batcher.dispatch(2);
  one.wait();
  CHECK_FALSE(one.cancel());
  CHECK(one.get() == 1);
  CHECK_FALSE(one.cancel());
  CHECK(get(two) == 4);
  CHECK(batcher.stats().cancelled == 0);
}

TEST_CASE("Cancelling from another thread wakes the one that waits") {
  auto batcher = pairs();
  auto one = batcher.dispatch(1);
  std::atomic<bool> waits = false;
  std::thread thread([&] {
    while (!waits) std::this_thread::yield();
    std::this_thread::sleep_for(2ms);
    one.cancel();
  });
  waits = true;
  REQUIRE(one.wait_for(patience) == std::future_status::ready);
  thread.join();
  CHECK(error_of(one) == name(errc::cancelled));
}

TEST_CASE("Of a batch's answer and several cancellations at once, exactly one counts") {
  Batcher<int, int> batcher([](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 1, .batch_timeout = 0ns});
  int cancelled = 0;
  constexpr int rounds = under_tsan ? 500 : 2000;
  for (int round = 0; round < rounds; ++round) {
    auto future = batcher.dispatch(round);
    std::atomic<int> winners = 0;
    std::thread one([&] { winners += future.cancel() ? 1 : 0; });
    winners += future.cancel() ? 1 : 0;
    one.join();
    auto answer = outcome(future);
    if (answer.value) {
      CHECK(*answer.value == round * round);
      CHECK(winners == 0);
    } else {
      CHECK(is(answer.error, errc::cancelled));
      CHECK(winners == 1);
      ++cancelled;
    }
  }
  batcher.close();
  CHECK(batcher.stats().cancelled == static_cast<std::uint64_t>(cancelled));
  check_audit(batcher.stats());
}

TEST_CASE("A wait inside the batch function is refused, and leaves the future as it was") {
  std::vector<std::string> errors;
  std::optional<Batcher<int, int>> batcher;
  Future<int> inner;
  batcher.emplace(
      [&](std::span<const int> inputs) {
        if (inputs[0] == 1) {
          inner = batcher->dispatch(2);
          const auto attempt = [&](auto wait) {
            try {
              wait();
              errors.emplace_back("none");
            } catch (...) {
              errors.push_back(name(std::current_exception()));
            }
          };
          attempt([&] { inner.get(); });
          attempt([&] { inner.wait(); });
          attempt([&] { (void)inner.wait_for(1s); });
          attempt([&] { (void)inner.wait_until(std::chrono::system_clock::now() + 1s); });
          attempt([&] { (void)inner.wait_for(0s); });
        }
        return squares(inputs);
      },
      Options{.batch_size = 1});
  auto outer = batcher->dispatch(1);
  CHECK(get(outer) == 1);
  const std::string refused = name(errc::would_deadlock);
  CHECK(errors == std::vector<std::string>({refused, refused, refused, refused, "none"}));
  REQUIRE(inner.valid());
  CHECK(get(inner) == 4);
}

}  // namespace
