// How precisely a window closes: lone calls at random phase, and a bare timer for the same moments.
// SPDX-License-Identifier: BSL-1.0
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <future>
#include <random>
#include <thread>
#include <vector>

#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds window(1);

/// A timer on a thread of its own, set from another, like a window's.
class BareTimer {
 public:
  BareTimer() : thread_([this] { io_.run(); }) {}
  BareTimer(const BareTimer&) = delete;
  BareTimer& operator=(const BareTimer&) = delete;
  ~BareTimer() {
    io_.stop();
    thread_.join();
  }
  Clock::time_point ring_after(Clock::duration time) {
    std::promise<Clock::time_point> rang;
    asio::post(io_, [&, time] {
      timer_.expires_after(time);
      timer_.async_wait([&](const auto&) { rang.set_value(Clock::now()); });
    });
    return rang.get_future().get();
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::steady_timer timer_{io_};
  std::thread thread_;
};

/// `call()` returns when the window that it opened has closed.
template <class Call>
Sample lateness(std::size_t calls, Call call) {
  std::mt19937 random(7);
  std::uniform_int_distribution<int> phase(0, 1000);
  std::vector<double> late;
  for (std::size_t i = 0; i < calls; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(phase(random)));
    const auto begin = Clock::now();
    late.push_back(std::chrono::duration<double, std::micro>(call() - begin - window).count());
  }
  std::ranges::sort(late);
  return {{"us late, p50", late[calls / 2]}, {"p90", late[calls * 9 / 10]}, {"earliest", late.front()}};
}

Sample bare_timer(std::size_t calls) {
  BareTimer timer;
  return lateness(calls, [&] { return timer.ring_after(window); });
}
Sample batcher_window(std::size_t calls) {
  Clock::time_point closed;
  Squaring batcher(
      [&](std::span<Number> inputs, std::span<Number> outputs) {
        closed = Clock::now();
        Square()(inputs, outputs);
      },
      {.batch_size = 64, .batch_timeout = window});
  return lateness(calls, [&] {
    (void)batcher.dispatch(1).get();
    return closed;
  });
}

void run(Suite& suite) {
  const std::size_t calls = suite.items(500);
  const Table& table = suite.compare(
      "Window accuracy: lone calls at random phase, a window of 1 ms",
      {{"steady_timer", [=] { return bare_timer(calls); }, true}, {"window", [=] { return batcher_window(calls); }}});
  suite.add({"window accuracy, 1 ms", Bar::Kind::at_most, 30,
             table.row("window").median() - table.row("steady_timer").median(), "us later than a bare steady_timer"});
  double earliest = 0;
  for (const Sample& sample : table.row("window").samples) earliest = std::min(earliest, sample.back().value);
  suite.add({"a window that closes early", Bar::Kind::at_most, 0, -earliest, "us early", true});
}

const Workload workload("accuracy", "how precisely a window closes", run);

}  // namespace
