// WhenUsed: why so much here is a template that need not be one.
// SPDX-License-Identifier: BSL-1.0
#pragma once

namespace batching::detail {

/// `template <class> class BasicRow { ... }; using Row = BasicRow<WhenUsed>;`: so its functions, with all that they
/// take from the standard library, are compiled where a batcher is made. As a plain class they would be in every
/// translation unit that only includes the header, and that would take it half as long again.
struct WhenUsed;

template <class T, class Used>
struct LateType {
  using type = T;
};
/// `T`, which depends on `Used`: as the type of a member it keeps what is done with it from being compiled (GCC and
/// Clang compile what is `constexpr`, as all of `std::vector` is, as soon as they read a call) before a batcher is
/// made.
template <class T, class Used>
using Late = typename LateType<T, Used>::type;

}  // namespace batching::detail
