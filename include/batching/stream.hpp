// Stream: the answers of one call as they come, and what its hooks tell, in the order of its items.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/event_iterator.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/stream_state.hpp>

#include <any>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace batching {

/// What `Batcher::dispatch_stream` returns: events in the order of the caller's items, which may be consumed from any
/// thread, one at a time. Work starts at once, whether anybody consumes or not, and is never held up by who does so
/// slowly: what has come waits here. After an error nothing more comes, and what has not started is withdrawn, as it is
/// when the stream is destroyed. Move-only.
template <class Out>
class Stream {
 public:
  using Event = StreamEvent<Out>;
  using Iterator = detail::EventIterator<Stream>;

  /// For the library.
  explicit Stream(std::shared_ptr<detail::StreamState<Out>> state) noexcept : state_(std::move(state)) {}
  Stream(Stream&&) noexcept = default;
  Stream& operator=(Stream&& other) noexcept {
    if (this != &other) {
      const Stream old(std::move(*this));
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~Stream() {
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
        [](auto handler, std::shared_ptr<detail::StreamState<Out>> state) { state->async_next(std::move(handler)); },
        token, state().shared_from_this());
  }

  /// `for (auto& event : stream)` consumes it by `next`.
  [[nodiscard]] Iterator begin() { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  [[nodiscard]] detail::StreamState<Out>& state() const {
    if (!state_) throw std::logic_error("batching::Stream: next of a stream that was moved from");
    return *state_;
  }

  std::shared_ptr<detail::StreamState<Out>> state_;
};

}  // namespace batching
