// Told: batches as a batcher would tell of them, made by hand.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/observer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

namespace told {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

/// An hour after the clock's beginning: that a clock does not begin with the program is part of the test.
inline Time at(std::chrono::nanoseconds time) { return Time(1h + time); }

struct Call {
  std::chrono::nanoseconds arrived{};
  std::size_t items = 1;
};

/// A batch: its calls, when it left, and how long its function took.
struct Batch {
  std::uint64_t id = 0;
  std::size_t partition = 0;
  std::vector<Call> calls{};
  std::chrono::nanoseconds left{};
  std::chrono::nanoseconds run_time{};
  batching::CloseReason reason = batching::CloseReason::size;
  std::size_t deduplicated = 0;
  std::size_t queued = 0;
  std::size_t failed = 0;
  std::exception_ptr error{};

  void leave(batching::Observer& observer) const {
    const auto calls_in = calls_in_batch();
    batching::WindowClosed window;
    fill(window, calls_in);
    window.time_open = longest(calls_in);
    window.left = at(left);
    window.queued = queued;
    observer.window_closed(window);
  }
  void finish(batching::Observer& observer) const {
    const auto calls_in = calls_in_batch();
    batching::BatchFinished batch;
    fill(batch, calls_in);
    batch.queue_time = longest(calls_in);
    batch.run_time = run_time;
    batch.started = at(left);
    batch.failed = failed;
    batch.error = error;
    observer.batch_finished(batch);
  }
  void tell(batching::Observer& observer) const {
    leave(observer);
    finish(observer);
  }

 private:
  using Calls = std::vector<batching::CallInBatch>;

  Calls calls_in_batch() const {
    Calls result;
    for (const Call& call : calls) result.push_back({at(call.arrived), left - call.arrived, call.items});
    return result;
  }
  static std::chrono::nanoseconds longest(const Calls& calls) {
    std::chrono::nanoseconds longest{};
    for (const auto& call : calls) longest = std::max(longest, call.queue_time);
    return longest;
  }
  template <class Event>
  void fill(Event& event, const Calls& calls_in) const {
    event.batch = id;
    event.partition = partition;
    for (const Call& call : calls) event.size += call.items;
    event.size -= deduplicated;
    event.deduplicated = deduplicated;
    event.callers = calls.size();
    event.weight = event.size;
    event.reason = reason;
    event.calls = calls_in;
  }
};

}  // namespace told
