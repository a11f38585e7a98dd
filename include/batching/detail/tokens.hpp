// What callers bring along: completion tokens, executors and contexts.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>

#include <concepts>
#include <exception>
#include <type_traits>

namespace batching::detail {

template <class T>
struct SignatureOf {
  using type = void(std::exception_ptr, T);
};
template <>
struct SignatureOf<void> {
  using type = void(std::exception_ptr);
};
template <class T>
using Signature = typename SignatureOf<T>::type;

/// A completion token for a call that is answered with a `T`.
template <class Token, class T>
concept TokenFor = net::completion_token_for<std::decay_t<Token>, Signature<T>>;
template <class Token>
concept ClosingToken = net::completion_token_for < std::decay_t<Token>,
void() > ;

template <class T>
concept ExecutorOrContext = std::derived_from<std::remove_cvref_t<T>, net::execution_context> ||
    net::execution::is_executor<std::remove_cvref_t<T>>::value;

template <class T>
[[nodiscard]] net::any_io_executor to_executor(T& executor_or_context) {
  if constexpr (std::derived_from<std::remove_cvref_t<T>, net::execution_context>) {
    return executor_or_context.get_executor();
  } else {
    return executor_or_context;
  }
}

}  // namespace batching::detail
