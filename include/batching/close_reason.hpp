// CloseReason: why a window closed.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

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

/// Their names, in order: `close_reason_names[i]` is that of `CloseReason(i)`.
inline constexpr std::array<std::string_view, 6> close_reason_names = {"size", "weight", "timeout",
                                                                       "idle", "flush",  "close"};

[[nodiscard]] constexpr std::string_view to_string(CloseReason reason) noexcept {
  return close_reason_names[static_cast<std::size_t>(reason)];
}

}  // namespace batching
