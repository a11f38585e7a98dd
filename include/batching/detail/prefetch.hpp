// prefetch: asks for cache lines that will be written soon and are in the cache of another processor; their size.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

namespace batching::detail {

/// What goes from one processor to another at a time: at least so much is to be between what different threads write.
inline constexpr std::size_t cache_line = 64;

/// Two cache lines. Only a hint: the address may be null, or of memory that is gone.
///
/// On x86-64 the compilers' own function asks for a copy to read, unless told of a newer processor; to write there, the
/// line has to be asked for once more. So by name, which every such processor takes, if only to ignore it.
inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__x86_64__) && defined(__GNUC__)
  asm volatile("prefetchw (%0)" : : "r"(address));
  asm volatile("prefetchw 64(%0)" : : "r"(address));
#elif defined(__GNUC__)
  __builtin_prefetch(address, 1);
  __builtin_prefetch(static_cast<const char*>(address) + 64, 1);
#endif
}

}  // namespace batching::detail
