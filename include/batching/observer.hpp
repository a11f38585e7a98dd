// Observer: is told of every batch when it leaves and when it is over.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

namespace batching {

/// What a batch has of one call.
struct CallInBatch {
  std::chrono::steady_clock::time_point arrived;  ///< when it was submitted, on the batcher's clock
  std::chrono::nanoseconds queue_time{};          ///< from then until the batch left
  std::size_t items = 0;                          ///< of this call in this batch
};

/// A window has closed and its batch leaves. Times are on the batcher's clock.
struct WindowClosed {
  std::uint64_t batch = 0;       ///< `BatchInfo::id`
  std::size_t partition = 0;     ///< where it runs, below `Options::partitions`
  std::size_t size = 0;          ///< items that the batch function sees
  std::size_t deduplicated = 0;  ///< further items, which share the answer of one of them
  std::size_t callers = 0;       ///< calls that have items in it
  std::size_t weight = 0;        ///< summed `Options::weight`; `size` where items have none
  CloseReason reason = CloseReason::size;
  std::chrono::nanoseconds time_open{};          ///< from the submission of its oldest item until it left
  std::chrono::steady_clock::time_point left{};  ///< when that was
  std::size_t queued = 0;                        ///< items that still wait
  std::span<const CallInBatch> calls{};          ///< valid during the call
};

/// A batch is over: its function has returned and everybody in it has been answered.
struct BatchFinished {
  std::uint64_t batch = 0;
  std::size_t partition = 0;
  std::size_t size = 0;
  std::size_t deduplicated = 0;
  std::size_t callers = 0;
  std::size_t weight = 0;
  CloseReason reason = CloseReason::size;
  std::chrono::nanoseconds queue_time{};            ///< the longest of its calls
  std::chrono::nanoseconds run_time{};              ///< of the batch function, until the last answer
  std::chrono::steady_clock::time_point started{};  ///< when the function was called
  std::size_t failed = 0;                           ///< items that the function failed
  std::exception_ptr error{};                       ///< why the first of them did
  std::span<const CallInBatch> calls{};             ///< valid during the call
};

/// Derive from it and give it to `Options::observer`. Each batch is announced by `window_closed`, then reported by
/// `batch_finished`, both on the thread that runs it, never on the strand and with no lock held: before the batch
/// function is called, and after its answers were handed over (where those come later, from a handle, on the thread of
/// the last one). Several batches at once mean several threads at once. What an observer throws is dropped. It may call
/// the batcher, but not wait for it.
class Observer {
 public:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
  virtual ~Observer() = default;

  virtual void window_closed(const WindowClosed&) {}
  virtual void batch_finished(const BatchFinished&) {}
};

}  // namespace batching
