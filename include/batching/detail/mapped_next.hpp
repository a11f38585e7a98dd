// MappedNext: a handler that waits for the next event of a mapped stream.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/error.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace batching::detail {

/// It waits for as many events of the stream inside as that takes.
template <class State, class Handler>
class MappedNext {
 public:
  MappedNext(std::shared_ptr<State> state, Handler&& handler)
      : state_(std::move(state)),
        handler_(std::move(handler)),
        cancellation_(net::get_associated_cancellation_slot(handler_), net::enable_total_cancellation()) {}

  [[nodiscard]] const Handler& handler() const noexcept { return handler_; }
  /// It will complete with this.
  void refuse(std::exception_ptr error) noexcept { refusal_ = std::move(error); }

  template <class Inner>
  void wait_for(Inner& inner) {
    const auto slot = cancellation_.slot();
    inner.async_next(net::bind_cancellation_slot(slot, std::move(*this)));
  }
  /// There is something to tell already.
  void operator()() {
    if (refusal_) return std::move(handler_)(std::move(refusal_), std::optional<typename State::Event>());
    std::exception_ptr error;
    std::optional<typename State::Event> event;
    (void)state_->take(error, event);
    complete(std::move(error), std::move(event));
  }
  /// An event of the stream inside.
  void operator()(std::exception_ptr error, std::optional<typename State::InnerEvent> inner) {
    std::optional<typename State::Event> event;
    if (!error) {
      try {
        state_->absorb(std::move(inner));
        if (!state_->take(error, event)) {
          // What it was is kept. Who cancelled while it came had no slot to reach.
          if (cancellation_.cancelled() != net::cancellation_type::none) return cancelled();
          const auto state = state_;
          return state->wait(std::move(*this));
        }
      } catch (...) {
        error = std::current_exception();
      }
    }
    complete(std::move(error), std::move(event));
  }
  void cancelled() { complete(std::make_exception_ptr(Error(errc::cancelled)), std::nullopt); }

 private:
  void complete(std::exception_ptr error, std::optional<typename State::Event> event) {
    std::exchange(state_, nullptr)->answered();
    std::move(handler_)(std::move(error), std::move(event));
  }

  std::shared_ptr<State> state_;
  Handler handler_;
  net::cancellation_state cancellation_;
  std::exception_ptr refusal_;
};

}  // namespace batching::detail

namespace BATCHING_NET_NAMESPACE {

template <template <class, class> class Associator, class State, class Handler, class DefaultCandidate>
struct associator<Associator, ::batching::detail::MappedNext<State, Handler>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
  using Next = ::batching::detail::MappedNext<State, Handler>;
  static auto get(const Next& next) noexcept { return Associator<Handler, DefaultCandidate>::get(next.handler()); }
  static auto get(const Next& next, const DefaultCandidate& candidate) noexcept {
    return Associator<Handler, DefaultCandidate>::get(next.handler(), candidate);
  }
};

}  // namespace BATCHING_NET_NAMESPACE
