// Shapes: what a batch function may look like, and the sentence that is shown if it looks otherwise.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/result.hpp>

#include <concepts>
#include <span>
#include <type_traits>
#include <vector>

namespace batching::detail {

template <class T>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<Result<T>> = true;

/// `R` for `awaitable<R>`, otherwise the type itself.
template <class T>
struct Awaited {
  using type = T;
  static constexpr bool is_awaitable = false;
};
#ifdef BATCHING_HAS_COROUTINES
template <class T>
struct Awaited<net::awaitable<T>> {
  using type = T;
  static constexpr bool is_awaitable = true;
};
#endif

/// A range with one `Out`, or one `Result<Out>`, for each input. Its elements are moved if it owns them, else copied.
template <class R, class Out>
concept OutcomeRange = SizedRange<R> && InputRange<R> &&
    (std::same_as<ValueOf<R>, Result<Out>> ||
     (!std::is_void_v<Out> &&
      (std::convertible_to<ReferenceOf<R>, Stored<Out>> ||
       (!BorrowedRange<std::remove_cvref_t<R>> && std::convertible_to<RvalueReferenceOf<R>, Stored<Out>>))));
/// What a batch function may return, or await.
template <class R, class Out>
concept Outcome = (std::is_void_v<R> && std::is_void_v<Out>) || (!std::is_void_v<R> && OutcomeRange<R&, Out>);

enum class Shape { none, span, span_context, in_place, in_place_context, vector, vector_context, batch };

template <class F, class In, class Out>
consteval Shape shape_of() {
  using Span = std::span<In>;
  using Vector = std::vector<In>;
  if constexpr (std::invocable<F&, Span>)
    return Shape::span;
  else if constexpr (!std::is_void_v<Out> && std::invocable<F&, Span, std::span<Stored<Out>>>)
    return Shape::in_place;
  else if constexpr (std::invocable<F&, Span, BatchContext&>)
    return Shape::span_context;
  else if constexpr (!std::is_void_v<Out> && std::invocable<F&, Span, std::span<Stored<Out>>, BatchContext&>)
    return Shape::in_place_context;
  else if constexpr (std::invocable<F&, Vector>)
    return Shape::vector;
  else if constexpr (std::invocable<F&, Vector, BatchContext&>)
    return Shape::vector_context;
  else if constexpr (std::invocable<F&, Batch<In, Out>>)
    return Shape::batch;
  else
    return Shape::none;
}

/// What a function of that shape returns.
template <class F, class In, class Out, Shape shape>
consteval auto result_of() {
  using Span = std::span<In>;
  using Vector = std::vector<In>;
  if constexpr (shape == Shape::span)
    return std::type_identity<std::invoke_result_t<F&, Span>>();
  else if constexpr (shape == Shape::span_context)
    return std::type_identity<std::invoke_result_t<F&, Span, BatchContext&>>();
  else if constexpr (shape == Shape::vector)
    return std::type_identity<std::invoke_result_t<F&, Vector>>();
  else if constexpr (shape == Shape::vector_context)
    return std::type_identity<std::invoke_result_t<F&, Vector, BatchContext&>>();
  else
    return std::type_identity<void>();
}

/// Fails to compile with a sentence if `F` is no batch function from `In` to `Out`; the first that applies is the only
/// one.
template <class F, class In, class Out>
consteval bool check_batch_function() {
  constexpr Shape shape = shape_of<F, In, Out>();
  if constexpr (shape == Shape::none) {
    static_assert(
        shape != Shape::none,
        "batching: this is not a batch function: it must be callable with std::span<In>, std::vector<In>, "
        "(std::span<In>, std::span<Out>), each optionally with a BatchContext& behind, or with Batch<In, Out>");
    return false;
  } else if constexpr (shape == Shape::in_place || shape == Shape::in_place_context) {
    static_assert(std::default_initializable<Stored<Out>>,
                  "batching: a batch function that writes into std::span<Out> needs a default constructible Out; "
                  "return std::vector<Out> instead");
    return std::default_initializable<Stored<Out>>;
  } else if constexpr (shape == Shape::batch) {
    return true;
  } else {
    using R = typename Awaited<typename decltype(result_of<F, In, Out, shape>())::type>::type;
    if constexpr (std::is_void_v<Out>) {
      static_assert(Outcome<R, Out>,
                    "batching: with Out = void the batch function must return void, or one Result<void> per input in a "
                    "sized range such as std::vector");
    } else {
      static_assert(Outcome<R, Out>,
                    "batching: the batch function must return one Out (or one Result<Out>) per input, in a sized range "
                    "such as std::vector<Out>");
    }
    return Outcome<R, Out>;
  }
}

}  // namespace batching::detail
