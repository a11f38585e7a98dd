// MappedHandler: a completion handler that makes the reply first, with all that is associated with the one inside.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/mapping.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace batching::detail {

template <class Handler, class Finish, class Outputs>
struct MappedHandler {
  Handler handler;
  Finish finish;
  std::exception_ptr refusal;  // of `map_inputs`

  void operator()(std::exception_ptr error) requires std::is_void_v<Outputs> { complete(std::move(error), Nothing()); }
  void operator()(std::exception_ptr error, Stored<Outputs> outputs) requires(!std::is_void_v<Outputs>) {
    complete(std::move(error), std::move(outputs));
  }

 private:
  template <class Values>
  void complete(std::exception_ptr error, Values values) {
    using Reply = decltype(finish(std::move(values)));
    if (refusal) error = refusal;
    if constexpr (std::is_void_v<Reply>) {
      try {
        if (!error) finish(std::move(values));
      } catch (...) {
        error = std::current_exception();
      }
      std::move(handler)(std::move(error));
    } else {
      Reply reply{};
      try {
        if (!error) reply = finish(std::move(values));
      } catch (...) {
        error = std::current_exception();
      }
      std::move(handler)(std::move(error), std::move(reply));
    }
  }
};

}  // namespace batching::detail

namespace BATCHING_NET_NAMESPACE {

template <template <class, class> class Associator, class Handler, class Finish, class Outputs, class DefaultCandidate>
struct associator<Associator, ::batching::detail::MappedHandler<Handler, Finish, Outputs>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
  using Mapped = ::batching::detail::MappedHandler<Handler, Finish, Outputs>;
  static auto get(const Mapped& mapped) noexcept { return Associator<Handler, DefaultCandidate>::get(mapped.handler); }
  static auto get(const Mapped& mapped, const DefaultCandidate& candidate) noexcept {
    return Associator<Handler, DefaultCandidate>::get(mapped.handler, candidate);
  }
};

}  // namespace BATCHING_NET_NAMESPACE
