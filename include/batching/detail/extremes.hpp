// Extremes: the smaller and the larger of two values.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace batching::detail {

/// `std::min` and its kin: nothing else of <algorithm> is needed here, and it takes the compiler longer than any other
/// header that is included.
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
