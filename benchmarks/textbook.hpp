// Textbook: the batcher that everybody writes first, as a baseline: mutex, condition variable, std::promise, workers.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/options.hpp>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <future>
#include <mutex>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace baselines {

/// `F`: `std::vector<Out>(std::span<In>)`. One worker for each of the options' partitions.
template <class In, class Out, class F>
class Textbook {
 public:
  Textbook(F function, const batching::Options& options) : function_(std::move(function)), options_(options) {
    for (std::size_t i = 0; i < options_.partitions; ++i) workers_.emplace_back([this] { work(); });
  }
  Textbook(const Textbook&) = delete;
  Textbook& operator=(const Textbook&) = delete;
  ~Textbook() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_all();
    for (auto& worker : workers_) worker.join();
  }

  std::future<Out> dispatch(In input) {
    std::promise<Out> promise;
    auto future = promise.get_future();
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) oldest_ = std::chrono::steady_clock::now();
      queue_.emplace_back(std::move(input), std::move(promise));
    }
    changed_.notify_one();
    return future;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return closed_ || !queue_.empty(); });
      if (queue_.empty()) return;
      // Asked anew after each wake-up: another worker may have taken the window that this one has waited for.
      while (!closed_ && !queue_.empty() && queue_.size() < options_.batch_size) {
        if (changed_.wait_until(lock, oldest_ + options_.batch_timeout) == std::cv_status::timeout &&
            std::chrono::steady_clock::now() >= oldest_ + options_.batch_timeout)
          break;
      }
      std::vector<In> inputs;
      std::vector<std::promise<Out>> promises;
      while (!queue_.empty() && inputs.size() < options_.batch_size) {
        inputs.push_back(std::move(queue_.front().first));
        promises.push_back(std::move(queue_.front().second));
        queue_.pop_front();
      }
      if (promises.empty()) continue;  // another worker was faster
      if (!queue_.empty()) {
        oldest_ = std::chrono::steady_clock::now();
        if (options_.partitions > 1) changed_.notify_one();
      }
      lock.unlock();
      auto outputs = function_(std::span<In>(inputs));
      for (std::size_t i = 0; i < promises.size(); ++i) promises[i].set_value(std::move(outputs[i]));
      lock.lock();
    }
  }

  F function_;
  const batching::Options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<In, std::promise<Out>>> queue_;
  std::chrono::steady_clock::time_point oldest_;
  bool closed_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace baselines
