// Report: what an observer is told of one batch.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_info.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/row.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/observer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <vector>

namespace batching::detail {

/// Filled by the strand when the batch leaves, and by whoever fails items of it; told off the strand.
template <class Used>
class BasicReport {
 public:
  void begin(Time now) {
    left_ = now;
    calls_.clear();
    callers_.clear();
    latest_ = nullptr;
    deduplicated_ = 0;
    longest_wait_ = Time::zero();
    failed_.store(0, std::memory_order_relaxed);
    error_ = nullptr;
  }
  /// `items` of a call, which may have more in the batch.
  void add(Waiting& call, std::size_t items) {
    if (latest_ != &call) {
      calls_.push_back({moment(call.arrived), left_ - call.arrived, 0});
      latest_ = &call;
    }
    if (!call.is_counted) {
      callers_.push_back(&call);
      call.is_counted = true;
    }
    calls_.back().items += items;
    longest_wait_ = larger(longest_wait_, calls_.back().queue_time);
  }
  void deduplicated(std::size_t items) noexcept { deduplicated_ += items; }
  void end(const BatchInfo& info, std::size_t weight, std::size_t queued) {
    info_ = info;
    weight_ = weight;
    queued_ = queued;
    different_ = callers_.size();
    for (Waiting* call : callers_) call->is_counted = false;
  }

  void fail(std::size_t items, const std::exception_ptr& error) noexcept {
    if (failed_.fetch_add(items) == 0) error_ = error;
  }

  void tell_closed(Observer& observer) const noexcept {
    tell([&] {
      observer.window_closed({.batch = info_.id,
                              .partition = info_.partition,
                              .size = info_.size,
                              .deduplicated = deduplicated_,
                              .callers = different_,
                              .weight = weight_,
                              .reason = info_.closed_by,
                              .time_open = longest_wait_,
                              .left = moment(left_),
                              .queued = queued_,
                              .calls = calls_});
    });
  }
  void tell_finished(Observer& observer, Time started, Time ended) noexcept {
    tell([&] {
      observer.batch_finished({.batch = info_.id,
                               .partition = info_.partition,
                               .size = info_.size,
                               .deduplicated = deduplicated_,
                               .callers = different_,
                               .weight = weight_,
                               .reason = info_.closed_by,
                               .queue_time = longest_wait_,
                               .run_time = ended - started,
                               .started = moment(started),
                               .failed = failed_.load(),
                               .error = error_,
                               .calls = calls_});
    });
    error_ = nullptr;
  }

 private:
  static std::chrono::steady_clock::time_point moment(Time time) noexcept {
    return std::chrono::steady_clock::time_point(time);
  }
  template <class F>
  static void tell(F f) noexcept {
    try {
      f();
    } catch (...) {  // NOLINT(bugprone-empty-catch): an observer changes nothing
    }
  }

  BatchInfo info_;
  std::size_t weight_ = 0;
  std::size_t queued_ = 0;
  std::size_t deduplicated_ = 0;
  std::size_t different_ = 0;
  Time left_{};
  Time longest_wait_{};
  Late<std::vector<CallInBatch>, Used> calls_;
  Late<std::vector<Waiting*>, Used> callers_;  // each once, until they have left
  const Waiting* latest_ = nullptr;
  std::atomic<std::size_t> failed_ = 0;
  std::exception_ptr error_;
};
using Report = BasicReport<WhenUsed>;

}  // namespace batching::detail
