// CloseReason: why a window closed.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

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

}  // namespace batching
