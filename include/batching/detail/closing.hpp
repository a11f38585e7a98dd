// Closing: those who wait for a batcher to have delivered everything, or to have no function running.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/completion.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/parking.hpp>
#include <batching/detail/when_used.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace batching::detail {

/// Owns itself; told once.
class Closing : public Mail {
 public:
  /// What is waited for: the last delivery, or that every batch function has returned. The answers of some may then
  /// still be to come, through handles that the user keeps.
  enum class Until : std::uint8_t { delivered, returned };

  explicit Closing(Until what) noexcept : Mail(Kind::closing), until(what) {}
  /// On the strand. `kept`: batches that users keep.
  virtual void closed(std::size_t kept, Delivery& delivery) = 0;

  const Until until;

 protected:
  ~Closing() override = default;
};

/// A blocked thread, which may give up before.
template <class>
class BasicBlockedClosing final : public Closing {
 public:
  using Closing::Closing;
  /// The waiter's half; the other is the strand's.
  [[nodiscard]] static std::shared_ptr<BasicBlockedClosing> make(Until until) {
    auto closing = std::make_shared<BasicBlockedClosing>(until);
    closing->itself_ = closing;
    return closing;
  }
  bool wait(std::chrono::steady_clock::time_point limit) noexcept {
    while (done_.load() == 0) {
      if (limit != no_limit && std::chrono::steady_clock::now() >= limit) return false;
      park(done_, 0, limit);
    }
    return true;
  }
  [[nodiscard]] std::size_t kept() const noexcept { return kept_; }
  void closed(std::size_t kept, Delivery& delivery) override {
    const auto alive = std::move(itself_);
    kept_ = kept;
    done_.store(1);
    delivery.wake(done_);
  }

 private:
  std::shared_ptr<BasicBlockedClosing> itself_;
  std::size_t kept_ = 0;
  Word done_ = 0;
};
using BlockedClosing = BasicBlockedClosing<WhenUsed>;

/// A handler of signature `void()`.
template <class Handler>
class HandlerClosing final : public Closing, public HandlerCompletion<Handler> {
 public:
  HandlerClosing(Handler&& handler, const net::any_io_executor& home)
      : Closing(Until::delivered), HandlerCompletion<Handler>(std::move(handler), home) {}

  void closed(std::size_t, Delivery& delivery) override { delivery.call(*this, holder_.home()); }
  void complete() override {
    HandlerHolder<Handler> holder(std::move(holder_));
    free(holder);
    std::move(holder.handler())();
  }
  void discard() noexcept override {
    const HandlerHolder<Handler> holder(std::move(holder_));
    free(holder);
  }

 private:
  void free(const HandlerHolder<Handler>& holder) noexcept { detail::destroy(this, holder.allocator()); }

  using HandlerCompletion<Handler>::holder_;
};

}  // namespace batching::detail
