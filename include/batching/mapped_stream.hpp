// MappedStream: the replies to requests of many items as they come, and what their items' hooks tell.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/event_iterator.hpp>
#include <batching/detail/mapped_stream_state.hpp>

#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace batching {

/// What `Mapped::dispatch_stream` returns: to be used as a `Stream` is. Its events are those of the requests: outputs
/// are replies, offsets and hooks are by request, and a hook has a payload for each item of that request that was told
/// the same. `map_results` runs on the thread that asks, or where the handler of `async_next` runs; what it throws ends
/// the stream, in its place. Move-only.
template <class State>
class MappedStream {
 public:
  using Event = typename State::Event;
  using Iterator = detail::EventIterator<MappedStream>;

  /// For the library.
  explicit MappedStream(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  MappedStream(MappedStream&&) noexcept = default;
  MappedStream& operator=(MappedStream&& other) noexcept {
    if (this != &other) {
      const MappedStream old(std::move(*this));
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~MappedStream() {
    if (state_) state_->drop();
  }

  /// As `Stream::next`. Throws `std::logic_error` while another waits.
  std::optional<Event> next() { return state().next(); }

  /// As `Stream::async_next`.
  template <net::completion_token_for<void(std::exception_ptr, std::optional<Event>)> Token>
  auto async_next(Token&& token) {
    return net::async_initiate<Token, void(std::exception_ptr, std::optional<Event>)>(
        [](auto handler, std::shared_ptr<State> state) { state->async_next(std::move(handler)); }, token,
        state().shared_from_this());
  }

  [[nodiscard]] Iterator begin() { return Iterator(*this); }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  [[nodiscard]] State& state() const {
    if (!state_) throw std::logic_error("batching::MappedStream: next of a stream that was moved from");
    return *state_;
  }

  std::shared_ptr<State> state_;
};

}  // namespace batching
