// CallOptions: what one call may ask for beside its item.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>

namespace batching {

struct CallOptions {
  /// The higher goes first among all who wait, then who came first; not with whoever came before a `flush`. Nobody
  /// starves: when 64 batches in a row have left without anybody of some priority who waits, the next begins with
  /// those.
  int priority = 0;
  /// Longest the whole call may take, running included, on the batcher's clock; then the caller hears
  /// `errc::timed_out`, and an item that still waits never reaches the batch function. Without a value: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
};

}  // namespace batching
