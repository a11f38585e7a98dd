// Stats: a snapshot of what a batcher has done.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

namespace batching {

/// Counts are of items, except `batches`, `running` and `closed_by`. A call of many items counts them all the way its
/// caller was answered. Every count moves before the delivery that it counts is visible, and at rest
/// `accepted == completed + failed + cancelled + timed_out`.
struct Stats {
  std::uint64_t accepted = 0;   ///< taken in
  std::uint64_t completed = 0;  ///< answered with their own output
  std::uint64_t failed = 0;     ///< answered with any error but the two below
  std::uint64_t rejected = 0;   ///< refused at the door; never `accepted`
  std::uint64_t cancelled = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t batches = 0;  ///< batches started
  std::uint64_t reruns = 0;  ///< further calls of the batch function for batches that had failed (`OnFailure::isolate`)
  std::uint64_t queued = 0;  ///< items waiting now
  std::uint64_t running = 0;  ///< batches running now

  /// Batches by what closed their window.
  struct ClosedBy {
    std::uint64_t size = 0;
    std::uint64_t weight = 0;
    std::uint64_t timeout = 0;
    std::uint64_t idle = 0;
    std::uint64_t flush = 0;
    std::uint64_t close = 0;
  } closed_by{};

  std::uint64_t batched = 0;  ///< items that reached a batch

  /// Items per batch so far; 0 before the first.
  [[nodiscard]] double mean_batch_size() const noexcept {
    return batches == 0 ? 0.0 : static_cast<double>(batched) / static_cast<double>(batches);
  }
};

}  // namespace batching
