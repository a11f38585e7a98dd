// Floor: about the least that a batcher across threads can cost, as a baseline: one mutex, one worker, no allocation.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/parking.hpp>
#include <batching/options.hpp>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace baselines {

/// Where a caller waits for its answer. The caller owns it: nothing is shared or counted, and it may be used again
/// after `get`.
template <class Out>
class Slot {
 public:
  void clear() noexcept { state_.store(empty, std::memory_order_relaxed); }
  /// True if somebody has to be woken at `address`.
  bool set(Out value) noexcept {
    value_ = value;
    return state_.exchange(ready, std::memory_order_acq_rel) == parked;
  }
  Out get() noexcept {
    while (state_.load(std::memory_order_acquire) != ready) {
      std::uint32_t seen = empty;
      if (state_.compare_exchange_strong(seen, parked) || seen == parked) {
        batching::detail::park(state_, parked, batching::detail::no_limit);
      }
    }
    return value_;
  }
  [[nodiscard]] const void* address() const noexcept { return &state_; }

 private:
  enum State : std::uint32_t { empty, ready, parked };

  Out value_{};
  batching::detail::Word state_ = empty;
};

/// The other way to be told.
template <class Out>
struct Callback {
  void (*function)(void* context, Out output);
  void* context;
};

/// `Target`: `Slot<Out>*` or `Callback<Out>`. `F`: `void(std::span<In>, std::span<Out>)`. A window leaves when it is
/// full, or `batch_timeout` after its first item. Nothing may throw, and everybody must have been answered at the end.
template <class In, class Out, class F, class Target>
class Floor {
 public:
  Floor(F function, const batching::Options& options)
      : function_(std::move(function)), batch_size_(options.batch_size), batch_timeout_(options.batch_timeout) {
    queue_.reserve(1 << 12);
    worker_ = std::thread([this] { work(); });
  }
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;
  ~Floor() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_one();
    worker_.join();
  }

  void dispatch(In input, Target target) {
    if constexpr (to_slots) target->clear();
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) oldest_ = Clock::now();
      queue_.push_back({input, target});
      if (queue_.size() != wanted_) return;
      wanted_ = 0;
    }
    changed_.notify_one();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr bool to_slots = std::is_pointer_v<Target>;
  struct Entry {
    In input;
    Target target;
  };

  void work() {
    std::vector<Entry> taken;
    taken.reserve(queue_.capacity());
    std::size_t done = 0;  // of what was taken; the rest is the open window
    Clock::time_point first;
    std::unique_lock lock(mutex_);
    for (;;) {
      const std::size_t left = taken.size() - done;
      if (left == 0 && queue_.empty()) {
        if (closed_) return;
        wanted_ = 1;
        changed_.wait(lock, [this] { return wanted_ == 0 || closed_; });
        continue;
      }
      if (left + queue_.size() < batch_size_ && !closed_) {
        wanted_ = batch_size_ - left;
        changed_.wait_until(lock, (left > 0 ? first : oldest_) + batch_timeout_,
                            [this] { return wanted_ == 0 || closed_; });
        wanted_ = 0;
      }
      taken.erase(taken.begin(), taken.begin() + static_cast<std::ptrdiff_t>(done));
      if (left == 0) {
        taken.swap(queue_);
      } else {
        taken.insert(taken.end(), queue_.begin(), queue_.end());
        queue_.clear();
      }
      lock.unlock();
      if (taken.size() < batch_size_) {
        run(taken);
        done = taken.size();
      } else {
        for (done = 0; taken.size() - done >= batch_size_; done += batch_size_) {
          run(std::span(taken).subspan(done, batch_size_));
        }
        if (done < taken.size()) first = Clock::now();
      }
      lock.lock();
    }
  }

  void run(std::span<Entry> entries) {
    inputs_.clear();
    for (const Entry& entry : entries) inputs_.push_back(entry.input);
    outputs_.resize(entries.size());
    function_(std::span<In>(inputs_), std::span<Out>(outputs_));
    if constexpr (to_slots) {
      // Woken after all answers are there: whoever is woken would take the processor from us.
      parked_.clear();
      for (std::size_t i = 0; i < entries.size(); ++i) {
        const void* address = entries[i].target->address();
        if (entries[i].target->set(outputs_[i])) parked_.push_back(address);
      }
      for (const void* address : parked_) batching::detail::unpark(address);
    } else {
      for (std::size_t i = 0; i < entries.size(); ++i)
        entries[i].target.function(entries[i].target.context, outputs_[i]);
    }
  }

  F function_;
  const std::size_t batch_size_;
  const std::chrono::nanoseconds batch_timeout_;
  std::vector<In> inputs_;
  std::vector<Out> outputs_;
  std::vector<const void*> parked_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Entry> queue_;
  Clock::time_point oldest_;
  std::size_t wanted_ = 0;  // the worker sleeps until the queue has so many; 0: it is awake
  bool closed_ = false;
  std::thread worker_;
};

}  // namespace baselines
