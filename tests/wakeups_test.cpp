// Tests: an idle batcher sleeps, has no armed timer, and its window is as accurate as a bare timer.
// SPDX-License-Identifier: BSL-1.0

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "asio_support.hpp"

namespace {

using namespace asio_support;

/// Voluntary context switches so far, of each thread of this process but the calling one.
std::map<std::string, long> context_switches() {
  namespace fs = std::filesystem;
  const std::string self = fs::read_symlink("/proc/thread-self").filename();
  std::map<std::string, long> switches;
  for (const auto& task : fs::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == self) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("voluntary_ctxt_switches:")) {
        switches[task.path().filename()] = std::stol(line.substr(line.find(':') + 1));
      }
    }
  }
  return switches;
}

double seconds(std::chrono::steady_clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

TEST_CASE("A batcher that has nothing to do makes no context switch in two seconds") {
  if (!std::filesystem::exists("/proc/thread-self")) return;
  std::thread([] {}).join();               // with the first thread a sanitizer starts one of its own
  const auto others = context_switches();  // which is none of ours
  Batcher<int, int> batcher([](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 4, .batch_timeout = 2ms, .partitions = 3});
  // Some work first: windows that fill, that expire, deadlines that are met and that are not.
  for (int i = 0; i < 50; ++i) {
    auto many = batcher.dispatch_many(std::vector<int>(static_cast<std::size_t>(i % 7 + 1), i), timeout(10s));
    auto late = batcher.dispatch(i, timeout(i % 2 == 0 ? 100us : 10s));
    (void)outcome(many);
    (void)outcome(late);
  }
  std::this_thread::sleep_for(50ms);  // until the last of it has settled
  const auto before = context_switches();
  std::this_thread::sleep_for(2s);
  const auto after = context_switches();
  std::size_t threads = 0;
  for (const auto& [thread, count] : after) {
    if (others.contains(thread)) continue;
    ++threads;
    REQUIRE(before.contains(thread));
    INFO("thread " << thread);
    CHECK(count - before.at(thread) <= 1);
  }
  CHECK(threads >= 3);
  auto next = batcher.dispatch(3);
  CHECK(get(next) == 9);
}

TEST_CASE("io_context::run returns when the work is done, also if the window was given ten seconds") {
  asio::io_context io;
  Batcher<int, int> batcher(io, [](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 4, .batch_timeout = 10s});
  const auto start = std::chrono::steady_clock::now();
  // The window's timer is armed before it fills.
  auto first = batcher.dispatch(1);
  io.poll();
  auto rest = batcher.dispatch_many({2, 3, 4});
  io.restart();
  io.run_for(patience);
  CHECK(get(first) == 1);
  CHECK(get(rest) == std::vector<int>({4, 9, 16}));
  // Likewise a deadline that was not needed, and a window that was cancelled empty.
  auto in_time = batcher.dispatch_many({1, 2, 3, 4}, timeout(10s));
  io.restart();
  io.run_for(patience);
  CHECK(get(in_time) == std::vector<int>({1, 4, 9, 16}));
  auto cancelled = batcher.dispatch(5, timeout(10s));
  io.restart();
  io.poll();
  cancelled.cancel();
  io.restart();
  io.run_for(patience);
  CHECK(io.stopped());
  CHECK(std::chrono::steady_clock::now() - start < 5s);
}

TEST_CASE("A window closes as precisely as a bare timer rings") {
  constexpr auto window = 3ms;
  constexpr int calls = under_tsan || under_asan ? 60 : 150;
  std::mt19937 random(7);
  std::uniform_int_distribution<int> phase(0, 1500);

  // The bare timer: armed from another thread, like a window, on a thread of its own.
  std::vector<double> bare;
  {
    asio::io_context io(1);
    const auto work = asio::make_work_guard(io);
    std::thread thread([&] { io.run(); });
    for (int i = 0; i < calls; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(phase(random)));
      const auto start = std::chrono::steady_clock::now();
      Gate rang;
      asio::steady_timer timer(io);
      asio::post(io, [&] {
        timer.expires_at(start + window);
        timer.async_wait([&](const auto&) {
          bare.push_back(seconds(std::chrono::steady_clock::now() - start - window));
          rang.open();
        });
      });
      CHECK(rang.wait());
    }
    io.stop();
    thread.join();
  }

  std::vector<double> ours;
  {
    std::chrono::steady_clock::time_point left;
    Batcher<int, int> batcher(
        [&](std::span<const int> inputs) {
          left = std::chrono::steady_clock::now();
          return squares(inputs);
        },
        {.batch_size = 32, .batch_timeout = window});
    for (int i = 0; i < calls; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(phase(random)));
      const auto start = std::chrono::steady_clock::now();
      auto future = batcher.dispatch(i);
      CHECK(get(future) == i * i);
      ours.push_back(seconds(left - start - window));
    }
  }
  const double error_of_bare = median(bare);
  const double error_of_ours = median(ours);
  INFO("median error: bare timer " << error_of_bare * 1e6 << " us, window " << error_of_ours * 1e6 << " us");
  CHECK(*std::min_element(ours.begin(), ours.end()) >= 0);  // never early
  CHECK(error_of_ours < 2 * error_of_bare + (under_tsan || under_asan ? 500e-6 : 200e-6));
}

}  // namespace
