// What this thread is in the middle of: the batchers whose user code it runs, and the pool it belongs to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace batching::detail {

/// While one lives, its thread runs user code of the batcher `of` (a batch function or a completion handler), or is a
/// thread of the pool which that batcher owns. A blocking wait for the same batcher could then never end.
class Inside {
 public:
  explicit Inside(const void* of) noexcept : of_(of), outer_(innermost_) { innermost_ = this; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
  ~Inside() { innermost_ = outer_; }

  [[nodiscard]] static bool any(const void* of) noexcept {
    const Inside* inside = innermost_;
    while (inside != nullptr && inside->of_ != of) inside = inside->outer_;
    return inside != nullptr;
  }

 private:
  const void* of_;
  const Inside* outer_;
  static inline constinit thread_local const Inside* innermost_ = nullptr;
};

}  // namespace batching::detail
