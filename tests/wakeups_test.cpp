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
  // The last of it may still be settling, and a debugger or a frozen machine wakes threads, too; but not every time.
  long woken = 1;
  for (int look = 0; look < 5 && woken > 0; ++look) {
    const auto before = context_switches();
    std::this_thread::sleep_for(2s);
    woken = 0;
    std::size_t threads = 0;
    for (const auto& [thread, count] : context_switches()) {
      if (others.contains(thread)) continue;
      ++threads;
      REQUIRE(before.contains(thread));
      woken += count - before.at(thread);
    }
    CHECK(threads >= 3);
  }
  CHECK(woken == 0);
  auto next = batcher.dispatch(3);
  CHECK(get(next) == 9);
}

TEST_CASE("io_context::run returns when the work is done, also if the window was given an hour") {
  asio::io_context io;
  Batcher<int, int> batcher(io, [](std::span<const int> inputs) { return squares(inputs); },
                            {.batch_size = 4, .batch_timeout = 1h});
  const auto has_nothing_left_to_do = [&] {
    io.restart();
    io.run_for(patience);
    return io.stopped();
  };
  // The window's timer is armed before it fills.
  auto first = batcher.dispatch(1);
  io.poll();
  auto rest = batcher.dispatch_many({2, 3, 4});
  CHECK(has_nothing_left_to_do());
  CHECK(get(first) == 1);
  CHECK(get(rest) == std::vector<int>({4, 9, 16}));
  // Likewise a deadline that was not needed, and a window that was cancelled empty.
  auto in_time = batcher.dispatch_many({1, 2, 3, 4}, timeout(1h));
  CHECK(has_nothing_left_to_do());
  CHECK(get(in_time) == std::vector<int>({1, 4, 9, 16}));
  auto cancelled = batcher.dispatch(5, timeout(1h));
  io.restart();
  io.poll();
  cancelled.cancel();
  CHECK(has_nothing_left_to_do());
}

TEST_CASE("While a window is open and a partition free, only what may fill the window wakes anybody") {
  using Items = Batcher<int, int, ManualClock>;
  struct Kind {
    std::string name;
    Items::Options options;
  };
  std::vector<Kind> kinds(4, {"plain", {.batch_size = 64, .batch_timeout = 1ms}});
  kinds[1].name = "weight";
  kinds[1].options.batch_size = 640;
  kinds[1].options.weight = [](const int& item) -> std::size_t { return item < 64 ? 10 : 640; };
  kinds[2].name = "dedup";
  kinds[2].options.dedup = batching::dedup::exact{};
  kinds[3].name = "key";
  kinds[3].options.key = [](const int& item) { return item < 64 ? 0 : item; };
  for (const Kind& kind : kinds) {
    INFO(kind.name);
    asio::io_context io;
    std::vector<std::size_t> sizes;
    Items batcher(
        io,
        [&](std::span<const int> inputs) {
          sizes.push_back(inputs.size());
          return squares(inputs);
        },
        kind.options);
    const auto handlers = [&] {
      io.restart();
      return io.poll();
    };
    std::vector<Future<int>> futures;
    futures.push_back(batcher.dispatch(0));
    CHECK(handlers() == 1);
    for (int i = 1; i < 63; ++i) futures.push_back(batcher.dispatch(i));
    CHECK(handlers() == 0);
    futures.push_back(batcher.dispatch(63));
    CHECK(handlers() > 0);
    CHECK(sizes == std::vector<std::size_t>{64});

    // What leaves less room than it takes is noticed: a twin, an item that does not fit, the window of another key.
    futures.push_back(batcher.dispatch(0));
    (void)handlers();
    for (int i = 1; i < 33; ++i) futures.push_back(batcher.dispatch(i));
    for (int i = 1; i < 32; ++i) futures.push_back(batcher.dispatch(i));
    futures.push_back(batcher.dispatch(64));
    (void)handlers();
    const std::size_t left = sizes.size();
    for (int i = 65; i < 65 + 63; ++i) {
      futures.push_back(batcher.dispatch(i));
      (void)handlers();
    }
    ManualClock::advance(1ms);
    (void)handlers();
    if (kind.name == "dedup") {
      CHECK(left == 1);
      CHECK(sizes == std::vector<std::size_t>{64, 64, 33});
    }
    for (auto& future : futures) CHECK(future.wait_for(0s) == std::future_status::ready);
  }
}

/// Rings once, armed from another thread, like a window; on a thread of its own.
class BareTimer {
 public:
  BareTimer() : thread_([this] { io_.run(); }) {}
  BareTimer(const BareTimer&) = delete;
  BareTimer& operator=(const BareTimer&) = delete;
  ~BareTimer() {
    io_.stop();
    thread_.join();
  }
  /// When it rang.
  std::chrono::steady_clock::time_point ring_at(std::chrono::steady_clock::time_point time) {
    Gate rang;
    std::chrono::steady_clock::time_point now;
    asio::post(io_, [&] {
      timer_.expires_at(time);
      timer_.async_wait([&](const auto&) {
        now = std::chrono::steady_clock::now();
        rang.open();
      });
    });
    CHECK(rang.wait());
    return now;
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  asio::steady_timer timer_{io_};
  std::thread thread_;
};

TEST_CASE("A window closes as precisely as a bare timer rings") {
  constexpr auto window = 3ms;
  constexpr int calls = under_tsan || under_asan ? 60 : 150;
  std::mt19937 random(7);
  std::uniform_int_distribution<int> phase(0, 1500);

  BareTimer timer;
  std::chrono::steady_clock::time_point left;
  Batcher<int, int> batcher(
      [&](std::span<const int> inputs) {
        left = std::chrono::steady_clock::now();
        return squares(inputs);
      },
      {.batch_size = 32, .batch_timeout = window});
  // By turns, so that both meet the same machine; and again, if it was too busy to tell.
  bool precise = false;
  for (int attempt = 0; attempt < 3 && !precise; ++attempt) {
    std::vector<double> bare;
    std::vector<double> ours;
    for (int i = 0; i < calls; ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds(phase(random)));
      auto start = std::chrono::steady_clock::now();
      bare.push_back(seconds(timer.ring_at(start + window) - start - window));
      std::this_thread::sleep_for(std::chrono::microseconds(phase(random)));
      start = std::chrono::steady_clock::now();
      auto future = batcher.dispatch(i);
      CHECK(get(future) == i * i);
      ours.push_back(seconds(left - start - window));
    }
    CHECK(*std::min_element(ours.begin(), ours.end()) >= 0);  // never early
    const double error_of_bare = median(bare);
    const double error_of_ours = median(ours);
    UNSCOPED_INFO("median error: bare timer " << error_of_bare * 1e6 << " us, window " << error_of_ours * 1e6 << " us");
    precise = error_of_ours < 2 * error_of_bare + (under_tsan || under_asan ? 500e-6 : 200e-6);
  }
  CHECK(precise);
}

}  // namespace
