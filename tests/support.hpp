// What the tests share: bounded waits, gates, the audit, and a batcher that only the test moves.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batching.hpp>
#include <batching/testing/manual_clock.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/thread_pool.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <future>
#include <map>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"

namespace support {

using namespace std::chrono_literals;
using batching::Batch;
using batching::BatchContext;
using batching::Batcher;
using batching::CallOptions;
using batching::CloseReason;
using batching::errc;
using batching::Error;
using batching::Future;
using batching::Options;
using batching::Result;
using batching::Stats;
using batching::testing::ManualClock;

/// Longest that anything which must come is waited for.
inline constexpr std::chrono::seconds patience(10);

/// `future.get()`, but an answer that does not come fails the test instead of hanging it.
template <class T>
T get_within(Future<T>& future, std::chrono::nanoseconds limit = patience) {
  if (future.wait_for(limit) != std::future_status::ready) throw std::logic_error("a future was not answered in time");
  return future.get();
}
template <class T>
T get_within(Future<T>&& future, std::chrono::nanoseconds limit = patience) {
  return get_within(future, limit);
}

/// Has it been answered by now?
template <class T>
[[nodiscard]] bool is_ready(const Future<T>& future) {
  return future.wait_for(0s) == std::future_status::ready;
}

/// The code of the `Error` that it ends with; no code if it ends with a value.
template <class T>
[[nodiscard]] std::error_code error_of(Future<T>& future, std::chrono::nanoseconds limit = patience) {
  try {
    (void)get_within(future, limit);
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}
template <class T>
[[nodiscard]] std::error_code error_of(Future<T>&& future, std::chrono::nanoseconds limit = patience) {
  return error_of(future, limit);
}

/// What the exception that it ends with says; empty if it ends with a value.
template <class T>
[[nodiscard]] std::string what_of(Future<T>& future, std::chrono::nanoseconds limit = patience) {
  try {
    (void)get_within(future, limit);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

/// The code of the `Error` that `f` throws; no code if it does not throw.
template <class F>
[[nodiscard]] std::error_code error_from(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}
[[nodiscard]] inline std::error_code code_of(const std::exception_ptr& error) {
  return error_from([&] {
    if (error) std::rethrow_exception(error);
  });
}

/// A number that threads raise and wait for.
class Counter {
 public:
  void up() {
    const std::lock_guard lock(mutex_);
    ++value_;
    changed_.notify_all();  // under the lock: whoever is woken may end this object
  }
  void reach(int value) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, patience, [&] { return value_ >= value; })) {
      throw std::logic_error("a counter stayed at " + std::to_string(value_) + ", below " + std::to_string(value));
    }
  }
  [[nodiscard]] int value() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

/// Whoever comes waits until it is opened.
class Gate {
 public:
  void open() { opened_.up(); }
  void wait() { opened_.reach(1); }

 private:
  Counter opened_;
};

/// Opens a gate at the end of the scope, also when a check has failed: nobody is left behind it.
class OpensAtEnd {
 public:
  explicit OpensAtEnd(Gate& gate) : gate_(gate) {}
  OpensAtEnd(const OpensAtEnd&) = delete;
  OpensAtEnd& operator=(const OpensAtEnd&) = delete;
  ~OpensAtEnd() { gate_.open(); }

 private:
  Gate& gate_;
};

/// For what has no event to wait for: looks again and again, at most as long as patience lasts.
template <class Predicate>
[[nodiscard]] bool eventually(Predicate predicate) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!predicate()) {
    if (std::chrono::steady_clock::now() >= limit) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// Everybody who was accepted has been answered, and counted once.
template <class AnyBatcher>
void audit(const AnyBatcher& batcher) {
  const Stats stats = batcher.stats();
  CHECK(stats.accepted == stats.completed + stats.failed + stats.cancelled + stats.timed_out);
  CHECK(stats.queued == 0);
}

/// Threads that run a context for as long as this lives.
class Runners {
 public:
  Runners(asio::io_context& context, int threads) : work_(context.get_executor()) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([&context] { context.run(); });
  }
  Runners(const Runners&) = delete;
  Runners& operator=(const Runners&) = delete;
  ~Runners() {
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::vector<std::thread> threads_;
};

/// The three places where a batcher can run, for tests that must hold on each.
struct OnItsOwnPool {
  template <class AnyBatcher, class F>
  AnyBatcher make(F function, Options options) {
    return AnyBatcher(std::move(function), options);
  }
};
struct OnAContext {
  asio::io_context context;
  Runners runners{context, 4};
  template <class AnyBatcher, class F>
  AnyBatcher make(F function, Options options) {
    return AnyBatcher(context, std::move(function), options);
  }
};
struct OnAThreadPool {
  asio::thread_pool pool{4};
  template <class AnyBatcher, class F>
  AnyBatcher make(F function, Options options) {
    return AnyBatcher(pool, std::move(function), options);
  }
};

[[nodiscard]] inline std::vector<int> squares(std::span<const int> items) {
  std::vector<int> outputs;
  outputs.reserve(items.size());
  for (const int item : items) outputs.push_back(item * item);
  return outputs;
}

/// first, first + 1, ..., last
[[nodiscard]] inline std::vector<int> from_to(int first, int last) {
  std::vector<int> items;
  for (int item = first; item <= last; ++item) items.push_back(item);
  return items;
}

using Batches = std::vector<std::vector<int>>;
using Reasons = std::vector<CloseReason>;

enum class Answers { at_once, when_told };

/// A batcher of integers to their squares under the manual clock, on a context that only the test drives.
class Workbench {
 public:
  explicit Workbench(const Batcher<int, int, ManualClock>::Options& options, Answers answers = Answers::at_once)
      : batcher(
            io,
            [this, answers](Batch<int, int> batch) {
              batches.emplace_back(batch.inputs().begin(), batch.inputs().end());
              reasons.push_back(batch.info().closed_by);
              times.push_back(ManualClock::now());
              if (answers == Answers::at_once) {
                batch.complete(squares(batch.inputs()));
              } else {
                held.emplace(batches.size() - 1, std::move(batch));
              }
            },
            options) {}

  /// Runs whatever is ready or due.
  void poll() {
    io.restart();
    io.poll();
  }
  /// Time passes.
  void pass(std::chrono::nanoseconds time) {
    ManualClock::advance(time);
    poll();
  }
  /// Answers a batch that is held; counted from 0 in the order in which they started.
  void finish(std::size_t number) {
    answer(number);
    poll();
  }
  void answer(std::size_t number) {
    Batch<int, int> batch = std::move(held.at(number));
    held.erase(number);
    batch.complete(squares(batch.inputs()));
  }
  void finish_all() {
    while (!held.empty()) finish(held.begin()->first);
  }

  asio::io_context io;
  Batches batches;                              // what each was given
  Reasons reasons;                              // why each left
  std::vector<ManualClock::time_point> times;   // when
  std::map<std::size_t, Batch<int, int>> held;  // those that are not answered yet
  Batcher<int, int, ManualClock> batcher;
};

/// How Asio's timers wait for the manual clock.
struct ManualTraits {
  static auto to_wait_duration(const ManualClock::duration& time) { return ManualClock::to_wait_duration(time); }
  static auto to_wait_duration(const ManualClock::time_point& time) { return ManualClock::to_wait_duration(time); }
};

}  // namespace support
