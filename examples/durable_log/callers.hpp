// Callers: n callers at once, each of which goes on to its next record only when the last one is durable.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

#include "interrupt.hpp"
#include "workload.hpp"

/// A caller is a chain of callbacks, not a thread: 500 threads on a few cores would measure the scheduler. It must
/// outlive the appender that it was started with.
class Callers {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Callers(const Workload& workload)
      : workload_(workload), callers_(workload.callers), left_(workload.callers) {
    for (std::size_t caller = 0; caller < callers_.size(); ++caller) {
      callers_[caller].rows.reserve(workload.share(caller));
      callers_[caller].latencies.reserve(workload.share(caller));
    }
  }

  template <class Appender>
  void start(Appender& appender) {
    begin_ = Clock::now();
    for (std::size_t caller = 0; caller < callers_.size(); ++caller) append_next(appender, caller);
  }
  /// Have all of them stopped? They do when they have appended their share, when one has failed, or on Ctrl-C.
  [[nodiscard]] bool wait_for(std::chrono::milliseconds limit) const {
    return over_.wait_for(limit) == std::future_status::ready;
  }
  [[nodiscard]] std::size_t done() const noexcept { return done_.load(std::memory_order_relaxed); }

  // When all have stopped:
  [[nodiscard]] double seconds() const { return std::chrono::duration<double>(end_ - begin_).count(); }
  [[nodiscard]] std::exception_ptr error() const { return error_; }
  [[nodiscard]] std::vector<double> latencies() const {
    std::vector<double> all;
    for (const Caller& caller : callers_) all.insert(all.end(), caller.latencies.begin(), caller.latencies.end());
    return all;
  }
  [[nodiscard]] Told take_told() {
    Told told{workload_, {}};
    for (Caller& caller : callers_) told.rows.push_back(std::move(caller.rows));
    return told;
  }

 private:
  struct Caller {
    std::vector<RowId> rows;
    std::vector<double> latencies;  // seconds
    Clock::time_point asked;
  };

  template <class Appender>
  void append_next(Appender& appender, std::size_t index) {
    Caller& caller = callers_[index];
    const std::size_t sequence = caller.rows.size();
    if (sequence == workload_.share(index) || stop_.load(std::memory_order_relaxed) || caught_signal() != 0) {
      return leave();
    }
    caller.asked = Clock::now();
    appender.append(workload_.record(index, sequence),
                    [this, &appender, index](const std::exception_ptr& error, RowId row) {
                      if (error) return fail(error);
                      durable(index, row);
                      append_next(appender, index);
                    });
  }
  void durable(std::size_t index, RowId row) {
    Caller& caller = callers_[index];
    caller.latencies.push_back(std::chrono::duration<double>(Clock::now() - caller.asked).count());
    caller.rows.push_back(row);
    done_.fetch_add(1, std::memory_order_relaxed);
  }
  void fail(const std::exception_ptr& error) {
    stop_.store(true, std::memory_order_relaxed);
    {
      const std::lock_guard lock(error_mutex_);
      if (!error_) error_ = error;
    }
    leave();
  }
  void leave() {
    if (left_.fetch_sub(1) != 1) return;
    end_ = Clock::now();
    all_left_.set_value();
  }

  Workload workload_;
  std::vector<Caller> callers_;
  std::atomic<std::size_t> left_;
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::promise<void> all_left_;
  std::future<void> over_ = all_left_.get_future();
  Clock::time_point begin_;
  Clock::time_point end_;
};
