// What the library asks of ranges.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <iterator>
#include <utility>

namespace batching::detail {

/// The concepts and types of <ranges>, in terms of its access functions, which <iterator> has as well: its views would
/// take the compiler longer than anything else that is included here.
template <class Range>
using IteratorOf = decltype(std::ranges::begin(std::declval<Range&>()));
template <class Range>
using ValueOf = std::iter_value_t<IteratorOf<Range>>;
template <class Range>
using ReferenceOf = std::iter_reference_t<IteratorOf<Range>>;
template <class Range>
using RvalueReferenceOf = std::iter_rvalue_reference_t<IteratorOf<Range>>;

template <class Range>
concept InputRange = requires(Range& range) {
  std::ranges::end(range);
  requires std::input_iterator<IteratorOf<Range>>;
};
template <class Range>
concept SizedRange = InputRange<Range> && requires(Range& range) {
  std::ranges::size(range);
};
template <class Range>
concept ContiguousRange = InputRange<Range> && std::contiguous_iterator<IteratorOf<Range>> && requires(Range& range) {
  std::ranges::data(range);
};
/// Whose elements outlive it: an lvalue, or a view. (No other rvalue has a `begin`.)
template <class Range>
concept BorrowedRange = InputRange<Range> && requires {
  std::ranges::begin(std::declval<Range>());
};

}  // namespace batching::detail
