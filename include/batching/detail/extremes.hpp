// Extremes: the smaller and the larger of two values.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace batching::detail {

/// `std::min` and its kin, without <algorithm>: no header here but <future> would take the compiler longer, and little
/// else of it would be used.
template <class T>
[[nodiscard]] constexpr const T& smaller(const T& one, const T& other) noexcept {
  return other < one ? other : one;
}
template <class T>
[[nodiscard]] constexpr const T& larger(const T& one, const T& other) noexcept {
  return one < other ? other : one;
}
template <class T>
[[nodiscard]] constexpr const T& clamped(const T& value, const T& lowest, const T& highest) noexcept {
  return value < lowest ? lowest : smaller(value, highest);
}

}  // namespace batching::detail
