// Answers: what a call of one or many items ends in, a future or a completion handler.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/answer_slot.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/completion.hpp>
#include <batching/detail/lookout.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/recycling.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <type_traits>
#include <utility>

namespace batching::detail {

/// The answer is left here for a `Future<T>`, which holds the second reference.
template <class T>
class FutureAnswer : public Call {
 public:
  explicit FutureAnswer(std::size_t items) noexcept : Call(items, true, 2) {}

  [[nodiscard]] bool ready() const noexcept { return (word_.load(std::memory_order_acquire) & visible) != 0; }

  /// Sleeps until the answer is there, or the limit; true if it is there. `look_out`: it may come in a moment.
  bool wait(std::chrono::steady_clock::time_point limit, bool look_out) noexcept {
    static constinit thread_local Lookout lookout;
    if (look_out && lookout.is_promising() && Lookout::wait([this]() noexcept { return ready(); }, limit)) {
      lookout.found();
      return true;
    }
    for (;;) {
      std::uint32_t word = word_.load(std::memory_order_acquire);
      if ((word & visible) != 0) return true;
      if (limit != no_limit && std::chrono::steady_clock::now() >= limit) return false;
      if ((word & parked) == 0 && !word_.compare_exchange_weak(word, word | parked)) continue;
      park(word_, word | parked, limit);
    }
  }

  /// Moves the answer out, or throws it. Only when ready.
  Stored<T> take() {
    if (outcome_.failed()) std::rethrow_exception(std::move(outcome_.error()));
    return std::move(outcome_.value());
  }

  /// The future lets go.
  void release_future() noexcept {
    // Answered and ended: nobody else knows of this call any more.
    if ((word_.load(std::memory_order_acquire) & ~parked) == (claimed | visible | reference)) {
      destroy();
    } else {
      release();
    }
  }

  void put_error(std::exception_ptr error) noexcept final { outcome_.put_error(std::move(error)); }
  void publish(Delivery& delivery) final {
    const Word& word = word_;
    const std::uint32_t old = word_.fetch_add(visible - reference);
    // The word may be gone by now; its address is all that waking takes.
    if ((old & parked) != 0) [[unlikely]]
      delivery.wake(word);
    if (old / reference == 1) destroy();
  }

 protected:
  ~FutureAnswer() override = default;
  void put(Stored<T>&& value) { outcome_.put(std::move(value)); }
  /// The answer is written.
  void deliver(Answered how, Delivery& delivery) { delivery.add(*this, how); }

 private:
  AnswerSlot<Stored<T>> outcome_;
};

/// The answer is given to a handler of signature `void(std::exception_ptr, T)`, or `void(std::exception_ptr)`. One of
/// the library's own may be a `TakesAddress`, so that there need not be a `T` beside an error.
template <class T, class Handler>
class HandlerAnswer : public Call, public HandlerCompletion<Handler> {
 public:
  HandlerAnswer(const Core& core, std::size_t items, bool shared, Handler&& handler)
      : Call(items, shared, 1), HandlerCompletion<Handler>(std::move(handler), core.executor()) {}

  /// Lets the handler's cancellation slot cancel this call.
  void connect_slot(Core& core) {
    auto slot = net::get_associated_cancellation_slot(holder_.handler());
    if (slot.is_connected()) slot.template emplace<Cancel>(*this, core);
  }
  [[nodiscard]] static bool has_slot(const Handler& handler) noexcept {
    return net::get_associated_cancellation_slot(handler).is_connected();
  }

  void put_error(std::exception_ptr error) noexcept final { outcome_.put_error(std::move(error)); }
  void publish(Delivery& delivery) final { delivery.call(*this, holder_.home()); }  // with the reference

  void complete() final {
    holder_.clear_slot();
    // All is moved out and the memory given back before the handler runs, which may submit again.
    HandlerHolder<Handler> holder(std::move(holder_));
    AnswerSlot<Stored<T>> outcome;
    outcome.take(outcome_);
    this->release();
    if (outcome.failed()) [[unlikely]] {
      invoke(std::move(holder.handler()), std::move(outcome.error()), nullptr);
    } else {
      invoke(std::move(holder.handler()), std::exception_ptr(), &outcome.value());
    }
  }
  void discard() noexcept final {
    holder_.clear_slot();
    // Not left to the last reference: the handler may own what holds that.
    { [[maybe_unused]] const HandlerHolder<Handler> holder(std::move(holder_)); }
    this->release();
  }

  [[nodiscard]] const auto& allocator() const noexcept { return holder_.allocator(); }

 protected:
  ~HandlerAnswer() override = default;
  void put(Stored<T>&& value) { outcome_.put(std::move(value)); }
  /// The answer is written; nobody sees it before the handler is called, which is after all have been counted.
  void deliver(Answered how, Delivery& delivery) noexcept {
    delivery.count(how, size);
    publish(delivery);
  }

 private:
  /// `value`: null beside an error.
  static void invoke(Handler&& handler, std::exception_ptr error, [[maybe_unused]] Stored<T>* value) {
    if constexpr (requires { typename Handler::TakesAddress; }) {
      std::move(handler)(error, value);
    } else if constexpr (std::is_void_v<T>) {
      std::move(handler)(std::move(error));
    } else if (value == nullptr) {
      std::move(handler)(std::move(error), T());
    } else {
      std::move(handler)(std::move(error), std::move(*value));
    }
  }

  /// Lives in the slot. Emitting is the handler's executor's business, and may come at any time, also too late.
  class Cancel {
   public:
    Cancel(Call& call, Core& core) noexcept : call_(call), core_(core) { call_.add_reference(); }
    Cancel(const Cancel&) = delete;
    Cancel& operator=(const Cancel&) = delete;
    ~Cancel() { call_.release(); }
    void operator()(net::cancellation_type type) {
      if (type != net::cancellation_type::none) call_.cancel(core_);
    }

   private:
    Call& call_;
    Core& core_;  // there as long as the call is unanswered
  };

  using HandlerCompletion<Handler>::holder_;
  AnswerSlot<Stored<T>> outcome_;
};

/// The allocator a call's memory came from.
template <class T>
[[nodiscard]] RecyclingAllocator<void> allocator_of(const FutureAnswer<T>&) noexcept {
  return {};
}
template <class T, class Handler>
[[nodiscard]] auto allocator_of(const HandlerAnswer<T, Handler>& answer) noexcept {
  return answer.allocator();
}

/// A call of one item.
template <class In, class Out, class Answer>
class OneCall final : public Answer {
 public:
  static constexpr bool many = false;

  template <class... Args>
  explicit OneCall(In&& input, Args&&... args) : Answer(std::forward<Args>(args)...), input_(std::move(input)) {}

  [[nodiscard]] void* inputs() noexcept override { return &input_; }
  void values(std::size_t, void* outputs, std::size_t, Delivery& delivery) override {
    if (!this->claim()) return this->end(delivery);
    Answered how = Answered::completed;
    try {
      this->put(std::move(*static_cast<Stored<Out>*>(outputs)));
    } catch (...) {
      this->put_error(std::current_exception());
      how = Answered::failed;
    }
    this->deliver(how, delivery);
  }
  void fail(const std::exception_ptr& error, std::size_t, Answered how, Delivery& delivery) override {
    if (!this->claim()) return this->end(delivery);
    this->put_error(error);
    this->deliver(how, delivery);
  }
  void forget(std::size_t, Delivery& delivery) override { this->end(delivery); }

 private:
  void destroy() noexcept override {
    const auto allocator = allocator_of(*this);
    detail::destroy(this, allocator);
  }

  In input_;
};

/// A call of many items, which may be spread over several batches that run at once.
template <class In, class Out, class Answer>
class ManyCall final : public Answer {
 public:
  static constexpr bool many = true;

  template <class... Args>
  explicit ManyCall(Array<In>&& inputs, Args&&... args)
      : Answer(std::forward<Args>(args)...),
        inputs_(std::move(inputs)),
        outputs_(inputs_.size()),
        left_(static_cast<std::uint32_t>(inputs_.size())) {}

  [[nodiscard]] void* inputs() noexcept override { return inputs_.data(); }
  void values(std::size_t first, void* outputs, std::size_t count, Delivery& delivery) override {
    auto* output = static_cast<Stored<Out>*>(outputs);
    try {
      for (std::size_t i = 0; i < count; ++i) outputs_.put(first + i, std::move(output[i]));
    } catch (...) {
      return fail(std::current_exception(), count, Answered::failed, delivery);
    }
    if (!last(count)) return;
    if (!this->claim()) return this->end(delivery);
    Answered how = Answered::completed;
    try {
      this->put(outputs_.take());
    } catch (...) {
      this->put_error(std::current_exception());
      how = Answered::failed;
    }
    this->deliver(how, delivery);
  }
  void fail(const std::exception_ptr& error, std::size_t count, Answered how, Delivery& delivery) override {
    this->answer_early(error, how, delivery);
    forget(count, delivery);
  }
  void forget(std::size_t count, Delivery& delivery) override {
    if (last(count)) this->end(delivery);
  }

 private:
  bool last(std::size_t count) noexcept { return left_.fetch_sub(static_cast<std::uint32_t>(count)) == count; }
  void destroy() noexcept override {
    const auto allocator = allocator_of(*this);
    detail::destroy(this, allocator);
  }

  Array<In> inputs_;
  Outputs<Stored<Out>> outputs_;
  std::atomic<std::uint32_t> left_;  // items that have not had their turn
};

}  // namespace batching::detail
