// prefetch: asks for memory that will be written soon and is in the cache of another processor.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace batching::detail {

/// Two cache lines. Only a hint: the address may be null, or of memory that is gone.
inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  __builtin_prefetch(address, 1);
  __builtin_prefetch(static_cast<const char*>(address) + 64, 1);
#endif
}

}  // namespace batching::detail
