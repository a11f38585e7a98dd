// ChromeTraceObserver: what a batcher did and when, as a trace for ui.perfetto.dev and chrome://tracing.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/trace_writer.hpp>
#include <batching/observer.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>

namespace batching {

/// Keeps what happened in memory, and writes it in the Trace Event Format (JSON): a track for each partition with its
/// batches; tracks `callers` with what their calls waited, where the calls of one batch are a staircase that grows
/// until the batch leaves; an arrow from each call to its batch; and how many items were waiting. Any thread may call
/// anything: one mutex is held while a batch is copied in, and while `write` copies all of them out.
class ChromeTraceObserver final : public Observer {
 public:
  /// `name`: what the trace calls the process. At most `most_events` are kept: a batch makes two and each of its calls
  /// one more; later ones are dropped and counted. A call takes 24 bytes, a batch some 250, and its error's message up
  /// to 256 more.
  explicit ChromeTraceObserver(std::string name = "batcher", std::size_t most_events = 1'000'000)
      : most_events_(most_events) {
    trace_.name = std::move(name);
  }

  void window_closed(const WindowClosed& window) override {
    const std::lock_guard lock(mutex_);
    if (is_room_for(1)) trace_.queue.push_back({window.left, window.queued});
  }
  /// A batch is kept with all of its calls, or not at all.
  void batch_finished(const BatchFinished& batch) override {
    detail::Trace::Batch kept{batch, message(batch.error), 0, batch.calls.size()};
    kept.finished.error = nullptr;
    kept.finished.calls = {};
    const std::lock_guard lock(mutex_);
    if (!is_room_for(1 + batch.calls.size())) return;
    kept.first_call = trace_.calls.size();
    trace_.calls.insert(trace_.calls.end(), batch.calls.begin(), batch.calls.end());
    trace_.batches.push_back(std::move(kept));
  }

  /// Events that were not kept.
  [[nodiscard]] std::uint64_t dropped() const {
    const std::lock_guard lock(mutex_);
    return trace_.dropped;
  }

  /// One JSON object with the batches that are over, in order of time: in microseconds, to the nanosecond, since the
  /// first event. Takes O(n log n) for n events, and as much memory again.
  void write(std::ostream& out) const;

 private:
  bool is_room_for(std::size_t events) {
    if (most_events_ - trace_.events() >= events) return true;
    trace_.dropped += events;
    return false;
  }
  static std::string message(const std::exception_ptr& error) {
    if (!error) return {};
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& exception) {
      return std::string(exception.what()).substr(0, 256);
    } catch (...) {
      return "not a std::exception";
    }
  }

  std::size_t most_events_;
  mutable std::mutex mutex_;
  detail::Trace trace_;
};

inline void ChromeTraceObserver::write(std::ostream& out) const {
  const detail::Trace trace = [this] {
    const std::lock_guard lock(mutex_);
    return trace_;
  }();
  detail::TraceWriter(trace, out).write();
}

}  // namespace batching
