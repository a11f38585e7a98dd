// CallOptions: what one call may ask for beside its item.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <optional>

namespace batching {

struct CallOptions {
  /// Longest the whole call may take, running included, on the batcher's clock; then the caller hears
  /// `errc::timed_out`, and an item that still waits never reaches the batch function. Without a value: no limit.
  std::optional<std::chrono::nanoseconds> timeout{};
};

}  // namespace batching
