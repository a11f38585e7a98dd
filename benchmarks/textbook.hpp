// Textbook: the batcher that everybody writes first, as a baseline: mutex, condition variable, std::promise, one
// worker. SPDX-License-Identifier: BSL-1.0
#pragma once

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

/// `F`: `std::vector<Out>(std::span<In>)`.
template <class In, class Out, class F>
class Textbook {
 public:
  Textbook(F function, std::size_t batch_size, std::chrono::nanoseconds batch_timeout)
      : function_(std::move(function)),
        batch_size_(batch_size),
        batch_timeout_(batch_timeout),
        worker_([this] { work(); }) {}
  Textbook(const Textbook&) = delete;
  Textbook& operator=(const Textbook&) = delete;
  ~Textbook() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_one();
    worker_.join();
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
      changed_.wait_until(lock, oldest_ + batch_timeout_, [&] { return closed_ || queue_.size() >= batch_size_; });
      std::vector<In> inputs;
      std::vector<std::promise<Out>> promises;
      while (!queue_.empty() && inputs.size() < batch_size_) {
        inputs.push_back(std::move(queue_.front().first));
        promises.push_back(std::move(queue_.front().second));
        queue_.pop_front();
      }
      if (!queue_.empty()) oldest_ = std::chrono::steady_clock::now();
      lock.unlock();
      auto outputs = function_(std::span<In>(inputs));
      for (std::size_t i = 0; i < promises.size(); ++i) promises[i].set_value(std::move(outputs[i]));
      lock.lock();
    }
  }

  F function_;
  const std::size_t batch_size_;
  const std::chrono::nanoseconds batch_timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::pair<In, std::promise<Out>>> queue_;
  std::chrono::steady_clock::time_point oldest_;
  bool closed_ = false;
  std::thread worker_;
};

}  // namespace baselines
