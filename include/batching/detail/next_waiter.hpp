// NextWaiter: a handler that waits for the next event of a stream.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/completion.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/stream_event.hpp>

#include <exception>
#include <optional>
#include <utility>

namespace batching::detail {

/// Owns itself; answered once.
template <class Out>
class NextWaiter {
 public:
  NextWaiter() = default;
  NextWaiter(const NextWaiter&) = delete;
  NextWaiter& operator=(const NextWaiter&) = delete;
  virtual void answer(std::exception_ptr error, std::optional<StreamEvent<Out>> event, Core& core) = 0;

 protected:
  ~NextWaiter() = default;
};

template <class Out, class Handler>
class HandlerNextWaiter final : public NextWaiter<Out>, public HandlerCompletion<Handler> {
 public:
  HandlerNextWaiter(Handler&& handler, const net::any_io_executor& home)
      : HandlerCompletion<Handler>(std::move(handler), home) {}

  [[nodiscard]] auto slot() noexcept { return net::get_associated_cancellation_slot(holder_.handler()); }
  void answer(std::exception_ptr error, std::optional<StreamEvent<Out>> event, Core& core) override {
    error_ = std::move(error);
    event_ = std::move(event);
    Delivery delivery;
    delivery.call(*this, holder_.home());
    delivery.hand_over(core, false);
  }
  void complete() override {
    holder_.clear_slot();
    HandlerHolder<Handler> holder(std::move(holder_));
    std::exception_ptr error = std::move(error_);
    std::optional<StreamEvent<Out>> event = std::move(event_);
    detail::destroy(this, holder.allocator());
    std::move(holder.handler())(std::move(error), std::move(event));
  }
  void discard() noexcept override {
    holder_.clear_slot();
    const HandlerHolder<Handler> holder(std::move(holder_));
    detail::destroy(this, holder.allocator());
  }

 private:
  using HandlerCompletion<Handler>::holder_;
  std::exception_ptr error_;
  std::optional<StreamEvent<Out>> event_;
};

}  // namespace batching::detail
