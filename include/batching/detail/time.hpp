// Time: moments as values, of whatever clock the batcher runs on.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

namespace batching::detail {

/// A moment, as the time since the epoch of whatever clock the batcher runs on.
using Time = std::chrono::nanoseconds;

/// A moment that does not come.
inline constexpr Time never = Time::max();

/// `from + by`, or `never` where that does not fit.
[[nodiscard]] constexpr Time later(Time from, std::chrono::nanoseconds by) noexcept {
  return from > Time::zero() && by > never - from ? never : from + by;
}

}  // namespace batching::detail
