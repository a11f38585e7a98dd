// What the tests of the Asio side share: short batchers, bounded waits, and names for errors.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batching.hpp>
#include <batching/testing/manual_clock.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <asio/thread_pool.hpp>
#include <asio/version.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"

#if defined(__SANITIZE_THREAD__)
#define BATCHING_TEST_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define BATCHING_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BATCHING_TEST_TSAN 1
#elif __has_feature(address_sanitizer)
#define BATCHING_TEST_ASAN 1
#endif
#endif

namespace asio_support {

using namespace std::chrono_literals;
using batching::Batcher;
using batching::CallOptions;
using batching::errc;
using batching::Future;
using batching::Options;
using batching::testing::ManualClock;

#ifdef BATCHING_TEST_TSAN
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif
#ifdef BATCHING_TEST_ASAN
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif

/// Longer than anything here takes, shorter than the limit of the test.
inline constexpr auto patience = 20s;

/// A condition that another thread brings about, within `patience`.
template <class F>
[[nodiscard]] bool eventually(F condition) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::sleep_for(200us);
  }
  return true;
}

/// For batch functions to throw: one without a string, whose shared memory ThreadSanitizer cannot follow.
class Failure : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "failure"; }
};

/// What an error is called: its code's message, `what()`, or "int 42"; "none" for a null pointer.
[[nodiscard]] inline std::string name(const std::exception_ptr& error) {
  if (!error) return "none";
  try {
    std::rethrow_exception(error);
  } catch (const std::system_error& e) {
    return e.code().message();
  } catch (const std::exception& e) {
    return e.what();
  } catch (int e) {
    return "int " + std::to_string(e);
  } catch (...) {
    return "something else";
  }
}
[[nodiscard]] inline std::string name(errc code) { return make_error_code(code).message(); }

[[nodiscard]] inline bool is(const std::exception_ptr& error, errc code) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const batching::Error& e) {
    return e.code() == code;
  } catch (...) {
  }
  return false;
}

/// The answer of a future, within `patience`: the value or the error.
template <class T>
struct Outcome {
  std::optional<T> value;
  std::exception_ptr error;
};
template <>
struct Outcome<void> {
  std::exception_ptr error;
};
template <class T>
[[nodiscard]] Outcome<T> outcome(Future<T>& future) {
  Outcome<T> result;
  try {
    if (future.wait_for(patience) != std::future_status::ready) throw std::runtime_error("no answer");
    if constexpr (std::is_void_v<T>) {
      future.get();
    } else {
      result.value.emplace(future.get());
    }
  } catch (...) {
    result.error = std::current_exception();
  }
  return result;
}
/// Its name, "none" for a value.
template <class T>
[[nodiscard]] std::string error_of(Future<T>& future) {
  return name(outcome(future).error);
}
template <class T>
[[nodiscard]] T get(Future<T>& future) {
  const auto status = future.wait_for(patience);
  if (status != std::future_status::ready) throw std::runtime_error("no answer");
  return future.get();
}
template <class T>
[[nodiscard]] bool ready(const Future<T>& future) {
  return future.wait_for(0s) == std::future_status::ready;
}

/// At rest every accepted item has one answer.
inline void check_audit(const batching::Stats& stats) {
  CHECK(stats.accepted == stats.completed + stats.failed + stats.cancelled + stats.timed_out);
  CHECK(stats.queued == 0);
  CHECK(stats.running == 0);
}

[[nodiscard]] inline std::vector<int> squares(std::span<const int> inputs) {
  std::vector<int> outputs;
  for (const int input : inputs) outputs.push_back(input * input);
  return outputs;
}

/// Opened once; whoever waits gives up after `patience`.
class Gate {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool wait() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

[[nodiscard]] inline CallOptions timeout(std::chrono::nanoseconds limit) {
  CallOptions options;
  options.timeout = limit;
  return options;
}

/// A batcher on a manual clock and an `io_context` that the test polls; its batches run until the test answers them.
struct Stage {
  using Handle = batching::Batch<int, int>;

  explicit Stage(Options options, bool keep_batches = false)
      : keep(keep_batches),
        batcher(
            io, [this](Handle batch) { run(std::move(batch)); }, options) {}

  void run(Handle batch) {
    seen.emplace_back(batch.inputs().begin(), batch.inputs().end());
    if (keep) {
      kept.push_back(std::move(batch));
    } else {
      answer(batch);
    }
  }
  static void answer(Handle& batch) { batch.complete(squares(batch.inputs())); }
  void poll() {
    io.restart();
    io.poll();
  }
  void advance(std::chrono::nanoseconds by) {
    ManualClock::advance(by);
    poll();
  }
  /// Every batch that is kept gets its outputs.
  void answer_all() {
    auto batches = std::exchange(kept, {});
    for (Handle& batch : batches) answer(batch);
    poll();
  }

  bool keep;
  std::vector<std::vector<int>> seen;  // what the batch function was given
  std::vector<Handle> kept;
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher;
};

}  // namespace asio_support
