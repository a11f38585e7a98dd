// EventStream: what `Stream` and `MappedStream` have in common: all but where their events come from.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>

#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace batching::detail {

/// `State`, which its waiting handlers share, has the events and is told when nobody consumes any more. Move-only.
template <class State>
class EventStream {
 public:
  using Event = typename State::Event;

  /// For the library.
  explicit EventStream(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  EventStream(EventStream&&) noexcept = default;
  EventStream& operator=(EventStream&& other) noexcept {
    if (this != &other) {
      const EventStream old(std::move(*this));
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~EventStream() {
    if (state_) state_->drop();
  }

  /// Waits for the next event; none after the last. Throws the error of an item in its place: after everything that
  /// came before it. Throws `errc::would_deadlock` where it would wait inside the same batcher's batch function,
  /// handler or pool.
  std::optional<Event> next() { return state().next(); }

  /// The same without a waiting thread; any token, completes with `void(std::exception_ptr, std::optional<Event>)`. One
  /// at a time. Cancellation, of any type, through the handler's slot: completes with `errc::cancelled`, and no event
  /// is lost.
  template <net::completion_token_for<void(std::exception_ptr, std::optional<Event>)> Token>
  auto async_next(Token&& token) {
    return net::async_initiate<Token, void(std::exception_ptr, std::optional<Event>)>(
        [](auto handler, std::shared_ptr<State> state) { state->async_next(std::move(handler)); }, token,
        state().shared_from_this());
  }

  /// `for (auto& event : stream)` consumes it by `next`.
  class Iterator {
   public:
    using value_type = Event;
    using difference_type = std::ptrdiff_t;
    using iterator_category = std::input_iterator_tag;

    explicit Iterator(EventStream& stream) : stream_(&stream), event_(stream.next()) {}
    [[nodiscard]] Event& operator*() { return *event_; }
    [[nodiscard]] Event* operator->() { return &*event_; }
    Iterator& operator++() {
      event_ = stream_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !event_; }

   private:
    EventStream* stream_;
    std::optional<Event> event_;
  };
  [[nodiscard]] Iterator begin() { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  [[nodiscard]] State& state() const {
    if (!state_) throw std::logic_error("batching: next event of a stream that was moved from");
    return *state_;
  }

  std::shared_ptr<State> state_;
};

}  // namespace batching::detail
