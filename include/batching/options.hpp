// Options: how a batcher forms its batches, and why a window closed.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

namespace batching {

/// Why a window closed and its batch left.
enum class CloseReason : std::uint8_t {
  size,     ///< it reached `batch_size`
  weight,   ///< the next item would not have fitted
  timeout,  ///< its first item had waited `batch_timeout`
  idle,     ///< `batch_timeout` is 0 and a partition was free
  flush,    ///< `flush()`
  close,    ///< `close()`
};

/// What happens to a call for which there is no room.
enum class Overflow : std::uint8_t {
  reject,  ///< it is refused with `errc::queue_full`, at once
  block,   ///< it waits for room, first come, first served: `dispatch` on its thread, an asynchronous call without one
  drop_oldest,  ///< it is taken in, and those who have waited longest fail with `errc::queue_full`
};

/// An aggregate: use designated initialisers, in this order. Impossible values throw `std::invalid_argument` from the
/// batcher's constructor, naming the field and the value.
struct Options {
  /// Items per batch, at least 1.
  std::size_t batch_size = 32;
  /// Longest wait of a window's first item for others to join it, not negative; 0: never wait on purpose (a window
  /// leaves the moment a partition is free); `duration::max()`: windows close by size, `flush()` and `close()` alone.
  std::chrono::nanoseconds batch_timeout = std::chrono::milliseconds(1);
  /// Batches that may run at once, at least 1.
  std::size_t partitions = 1;
  /// Items that may wait, not counting those whose batch has started, at least 1. A call of several items is taken in
  /// whole or not at all; one of more than `max_queued` is refused whatever `overflow` says.
  std::size_t max_queued = std::numeric_limits<std::size_t>::max();
  Overflow overflow = Overflow::reject;
  /// A window of fewer items does not leave by `batch_timeout`, at least 1 and at most `batch_size` ...
  std::size_t min_batch_size = 1;
  /// ... until its first item has waited so long, at least `batch_timeout`; without a value: not by time at all.
  std::optional<std::chrono::nanoseconds> max_wait = std::nullopt;
  /// Longest that a batch may run, more than 0: then its callers hear `errc::timed_out`, and `stop_requested` tells its
  /// function. The partition is taken until the function has returned all the same. Without a value: as long as it
  /// likes.
  std::optional<std::chrono::nanoseconds> batch_deadline = std::nullopt;
};

namespace detail {

inline void check(const Options& options) {
  const auto refuse = [](const char* field, const std::string& rule, auto value) {
    throw std::invalid_argument(std::string("batching::Options::") + field + " must be " + rule + ", but is " +
                                std::to_string(value));
  };
  if (options.batch_size == 0) refuse("batch_size", "at least 1", options.batch_size);
  if (options.batch_timeout.count() < 0) {
    refuse("batch_timeout", "0 or more nanoseconds", options.batch_timeout.count());
  }
  if (options.partitions == 0) refuse("partitions", "at least 1", options.partitions);
  if (options.max_queued == 0) refuse("max_queued", "at least 1", options.max_queued);
  if (options.min_batch_size == 0) refuse("min_batch_size", "at least 1", options.min_batch_size);
  if (options.min_batch_size > options.batch_size) {
    refuse("min_batch_size", "at most batch_size, which is " + std::to_string(options.batch_size),
           options.min_batch_size);
  }
  if (options.max_wait && *options.max_wait < options.batch_timeout) {
    refuse("max_wait", "at least batch_timeout, which is " + std::to_string(options.batch_timeout.count()) + " ns",
           options.max_wait->count());
  }
  if (options.batch_deadline && options.batch_deadline->count() <= 0) {
    refuse("batch_deadline", "more than 0 nanoseconds", options.batch_deadline->count());
  }
}

}  // namespace detail
}  // namespace batching
