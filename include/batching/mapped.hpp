// Mapped: one request becomes many items, and their outputs one reply, over any batcher.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/call_options.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/mapped_handler.hpp>
#include <batching/detail/mapped_items.hpp>
#include <batching/detail/mapped_stream_state.hpp>
#include <batching/detail/mapping.hpp>
#include <batching/detail/open_requests.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/detail/tokens.hpp>
#include <batching/mapped_stream.hpp>

#include <array>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching {

/// What `Mapped::dispatch` returns: a future of the batcher's, whose outputs become the reply when it is asked for, on
/// the thread that asks. For the rest, see `Future`.
template <class Inner, class Finish>
class MappedFuture {
 public:
  MappedFuture() = default;
  MappedFuture(Inner future, Finish finish) : future_(std::move(future)), finish_(std::move(finish)) {}

  /// Waits, then returns the reply or throws the error, be it the batch function's or `map_results`'; afterwards
  /// `valid()` is false.
  auto get() {
    if (!future_.valid()) (void)future_.get();  // throws
    return detail::finish_with(future_, *finish_);
  }
  void wait() const { future_.wait(); }
  template <class Rep, class Period>
  auto wait_for(const std::chrono::duration<Rep, Period>& duration) const {
    return future_.wait_for(duration);
  }
  template <class Clock, class Duration>
  auto wait_until(const std::chrono::time_point<Clock, Duration>& time) const {
    return future_.wait_until(time);
  }
  [[nodiscard]] bool valid() const noexcept { return future_.valid(); }
  bool cancel() { return future_.cancel(); }

 private:
  Inner future_;
  std::optional<Finish> finish_;
};

/// A batcher of requests over a batcher of items, which outlives it. `map_inputs(Request&)` gives a range of items; it
/// runs on the calling thread, and its range, which may be lazy, is read there. `map_results(outputs, Request&)`, or
/// `map_results(outputs)`, makes the reply of a `std::vector` of their outputs, in order, and of the request (where
/// there are no outputs, of the request alone, or of nothing): on the thread that asks the future for it, or where the
/// completion handler runs. Both are shared by all callers and called by several at once.
///
/// What a mapper throws is the answer of its own call: `map_inputs` throws from `dispatch` and `inline_one`, and
/// nothing has been submitted; from `async_dispatch` it is delivered like any refusal. Cancellation, time limits and
/// priorities are those of the items. Thread-safe, as the batcher is.
///
/// The batcher may be a `Mapped` itself.
template <class Batcher, class MapInputs, class MapResults>
class Mapped {
 public:
  Mapped(Batcher& batcher, MapInputs map_inputs, MapResults map_results)
      : batcher_(&batcher),
        map_inputs_(std::make_shared<const MapInputs>(std::move(map_inputs))),
        map_results_(std::make_shared<const MapResults>(std::move(map_results))) {}

  template <class Request>
  [[nodiscard]] auto dispatch(Request request, const CallOptions& options = {}) const {
    detail::One<Request> state{std::move(request)};
    auto future = batcher_->dispatch_many(detail::items_of(*map_inputs_, state), options);
    return MappedFuture(std::move(future), finish(std::move(state)));
  }
  /// Many requests at once: the items of all are one call of the batcher, and fail together.
  template <detail::InputRange Requests>
  [[nodiscard]] auto dispatch_many(Requests&& requests, const CallOptions& options = {}) const {
    auto state = detail::Several(std::forward<Requests>(requests));
    auto future = batcher_->dispatch_many(detail::items_of(*map_inputs_, state), options);
    return MappedFuture(std::move(future), finish(std::move(state)));
  }

  /// Any completion token; the signature is `void(std::exception_ptr, Reply)`, which needs a default constructible
  /// reply (without one, `void(std::exception_ptr)`). The handler's executor, allocator and cancellation slot are
  /// those of the token.
  template <class Request, class Token>
  auto async_dispatch(Request request, const CallOptions& options, Token&& token) const {
    return async(detail::One<Request>{std::move(request)}, options, std::forward<Token>(token));
  }
  template <class Request, class Token>
  requires(!std::convertible_to<Token, const CallOptions&>) auto async_dispatch(Request request, Token&& token) const {
    return async(detail::One<Request>{std::move(request)}, CallOptions(), std::forward<Token>(token));
  }
  template <detail::InputRange Requests, class Token>
  auto async_dispatch_many(Requests&& requests, const CallOptions& options, Token&& token) const {
    return async(detail::Several(std::forward<Requests>(requests)), options, std::forward<Token>(token));
  }
  template <detail::InputRange Requests, class Token>
  requires(!std::convertible_to<Token, const CallOptions&>) auto async_dispatch_many(Requests&& requests,
                                                                                     Token&& token) const {
    return async(detail::Several(std::forward<Requests>(requests)), CallOptions(), std::forward<Token>(token));
  }

  /// The requests of a range, which may be lazy, as one stream of their replies: taken, and read, as by
  /// `Batcher::dispatch_stream`, and so are the items that `map_inputs` makes: it runs at first on this thread, later
  /// on the batcher's executor. What it gives is read one item ahead: its items own what they hold, or refer to the
  /// request. What it throws ends the stream, in its place.
  template <detail::RequestsFor<MapInputs> Requests>
  [[nodiscard]] auto dispatch_stream(Requests&& requests, const CallOptions& options = {}) const {
    return stream(std::decay_t<Requests>(std::forward<Requests>(requests)), options);
  }
  /// One request: its hooks as they come, then its reply.
  template <class Request>
  requires(!detail::RequestsFor<Request, MapInputs>)
      [[nodiscard]] auto dispatch_stream(Request request, const CallOptions& options = {}) const {
    return stream(std::array<Request, 1>{std::move(request)}, options);
  }

  template <class Request>
  auto inline_one(Request request) const {
    return run_inline(detail::One<Request>{std::move(request)});
  }
  template <detail::InputRange Requests>
  auto inline_many(Requests&& requests) const {
    return run_inline(detail::Several(std::forward<Requests>(requests)));
  }

  [[nodiscard]] auto get_executor() const { return batcher_->get_executor(); }

 private:
  template <class State>
  auto finish(State state) const {
    return detail::Finish<MapResults, State>{map_results_, std::move(state)};
  }
  template <class State>
  auto run_inline(State state) const {
    auto items = detail::items_of(*map_inputs_, state);
    auto run = [&] { return batcher_->inline_many(std::move(items)); };
    return detail::finish_after(run, finish(std::move(state)));
  }
  template <class Requests>
  auto stream(Requests requests, const CallOptions& options) const {
    using Request = detail::ValueOf<Requests>;
    using Items = detail::MappedItems<MapInputs, Requests>;
    auto open = std::make_shared<detail::OpenRequests<Request>>();
    auto inner = batcher_->dispatch_stream(Items(map_inputs_, std::move(requests), open), options);
    using Out = detail::OutputOf<decltype(batcher_->inline_many(std::declval<Items>()))>;
    using State = detail::MappedStreamState<decltype(inner), Out, MapResults, Request>;
    return MappedStream<State>(
        std::make_shared<State>(std::move(inner), map_results_, std::move(open), batcher_->get_executor()));
  }
  template <class State, class Token>
  auto async(State state, const CallOptions& options, Token&& token) const {
    using FinishOf = detail::Finish<MapResults, State>;
    using Outputs = decltype(batcher_->inline_many(detail::items_of(*map_inputs_, state)));
    using Reply = decltype(detail::reply_of<Outputs>(std::declval<FinishOf&>()));
    static_assert(std::is_void_v<Reply> || std::default_initializable<detail::Stored<Reply>>,
                  "batching: async_dispatch completes with void(std::exception_ptr, Reply) and needs a default "
                  "constructible Reply for the error case; use dispatch instead");
    return net::async_initiate<Token, detail::Signature<Reply>>(
        [](auto handler, Mapped self, State request, const CallOptions& with) {
          using HandlerOf = detail::MappedHandler<decltype(handler), FinishOf, Outputs>;
          std::exception_ptr error;
          decltype(detail::items_of(*self.map_inputs_, request)) items;
          try {
            items = detail::items_of(*self.map_inputs_, request);
          } catch (...) {
            error = std::current_exception();
          }
          // Without items it comes like any other answer; then the error takes its place.
          self.batcher_->async_dispatch_many(
              std::move(items), with, HandlerOf{std::move(handler), self.finish(std::move(request)), std::move(error)});
        },
        token, *this, std::move(state), options);
  }

  Batcher* batcher_;
  std::shared_ptr<const MapInputs> map_inputs_;
  std::shared_ptr<const MapResults> map_results_;
};

}  // namespace batching
