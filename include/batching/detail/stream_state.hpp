// StreamState: what a stream's items have come to so far, and who waits for it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/next_waiter.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/queue.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/error.hpp>
#include <batching/hook.hpp>
#include <batching/stream_event.hpp>

#include <any>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace batching::detail {

/// Items are known by their number; those that the consumer has not got yet are `slots_`. All of it under one lock,
/// which no user code runs under, but for the moves of outputs.
template <class Out>
class StreamState : public std::enable_shared_from_this<StreamState<Out>> {
 public:
  using Event = StreamEvent<Out>;
  using Value = Stored<Out>;

  explicit StreamState(std::shared_ptr<Core> core) noexcept : core_(std::move(core)) {}
  StreamState(const StreamState&) = delete;
  StreamState& operator=(const StreamState&) = delete;
  virtual ~StreamState() = default;

  // --- The consumer. ---

  [[nodiscard]] std::optional<Event> next() {
    std::unique_lock lock(mutex_);
    while (!can_take()) {
      if (Inside::any(core_.get())) {
        throw Error(errc::would_deadlock,
                    "batching::Stream: wait inside the same batcher's batch function, handler or pool");
      }
      changed_.wait(lock);
    }
    std::exception_ptr error;
    std::optional<Event> event = take(error);
    lock.unlock();
    if (!error) return event;
    withdraw();
    std::rethrow_exception(std::move(error));
  }

  template <class Handler>
  void async_next(Handler handler);

  /// Nobody consumes any more.
  void drop() {
    NextWaiter<Out>* waiter = nullptr;
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter != nullptr) waiter->answer(std::make_exception_ptr(Error(errc::cancelled)), std::nullopt, *core_);
    withdraw();
  }

  // --- The items. Any thread. ---

  void answered(std::size_t item, const std::exception_ptr& error, Value* output) {
    change([&] {
      if (item < first_ || ended_) return;
      Slot& slot = *slots_[item - first_];
      if (error) {
        slot.error = error;
      } else {
        try {
          slot.output.emplace(std::move(*output));
        } catch (...) {
          slot.error = std::current_exception();
        }
      }
      slot.done = true;
    });
  }
  void heard(std::size_t item, const HookEvent& event) {
    change([&] {
      if (item < first_ || ended_) return;
      if (event.is_broadcast && !is_first_to_hear(event.batch, item)) return;
      slots_[item - first_]->hooks.push(
          {std::string(event.hook), std::any(event.payloads.front()), event.is_broadcast});
    });
  }

 protected:
  /// One more item is on its way; its number. Nothing if the stream is over.
  [[nodiscard]] std::optional<std::size_t> add() {
    const std::lock_guard lock(mutex_);
    if (ended_) return std::nullopt;
    slots_.push(make_owned<Slot>());
    return first_ + slots_.size() - 1;
  }
  /// No more will come, or this is why.
  void exhausted(std::exception_ptr error) {
    change([&] {
      exhausted_ = true;
      end_error_ = std::move(error);
    });
  }
  [[nodiscard]] bool over() {
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  [[nodiscard]] Core& core() const noexcept { return *core_; }
  /// What has not started is not wanted any more.
  virtual void withdraw() = 0;

 private:
  struct Told {
    std::string hook;
    std::any payload;
    bool is_broadcast;
  };
  struct Slot {
    Queue<Told> hooks;
    std::optional<Value> output;
    std::exception_ptr error;
    bool done = false;
  };

  /// Each item hears a broadcast, and the stream is one caller: of each batch the first of its items counts.
  bool is_first_to_hear(std::uint64_t batch, std::size_t item) {
    constexpr std::size_t many = 64;
    for (const auto& [number, hears] : broadcasts_) {
      if (number == batch) return hears == item;
    }
    broadcasts_.push({batch, item});
    if (broadcasts_.size() > many) broadcasts_.pop();
    return true;
  }

  template <class F>
  void change(F f) {
    NextWaiter<Out>* waiter = nullptr;
    std::exception_ptr error;
    std::optional<Event> event;
    {
      const std::lock_guard lock(mutex_);
      f();
      if (waiter_ != nullptr && can_take()) {
        waiter = std::exchange(waiter_, nullptr);
        try {
          event = take(error);
        } catch (...) {
          error = std::current_exception();
        }
      }
    }
    changed_.notify_one();
    if (waiter == nullptr) return;
    const bool failed = error != nullptr;
    waiter->answer(std::move(error), std::move(event), *core_);
    if (failed) withdraw();
  }

  [[nodiscard]] bool can_take() const noexcept {
    if (ended_) return true;
    return slots_.empty() ? exhausted_ : !slots_.front()->hooks.empty() || slots_.front()->done;
  }
  /// The next event, or nothing if there is none any more; or the error.
  [[nodiscard]] std::optional<Event> take(std::exception_ptr& error) {
    if (ended_) return std::nullopt;
    if (slots_.empty()) {
      ended_ = true;
      error = std::move(end_error_);
      return std::nullopt;
    }
    if (!slots_.front()->hooks.empty()) return take_hook();
    const std::size_t offset = first_;
    Array<Value> outputs = take_outputs();
    if (outputs.size() > 0) return Event(offset, std::move(outputs));
    ended_ = true;
    error = std::move(slots_.front()->error);
    slots_.clear();
    return std::nullopt;
  }
  /// An output that cannot be moved is an error in its place.
  [[nodiscard]] Array<Value> take_outputs() {
    const auto has_output = [](const Slot& slot) { return slot.output && slot.hooks.empty(); };
    Array<Value> outputs;
    std::size_t count = 0;
    while (count < slots_.size() && has_output(*slots_[count])) ++count;
    outputs.reserve(count);
    for (; count > 0; --count) {
      Slot& slot = *slots_.front();
      try {
        outputs.push_back(std::move(*slot.output));
      } catch (...) {
        slot.error = std::current_exception();
        slot.output.reset();
        break;
      }
      slots_.pop();
      ++first_;
    }
    return outputs;
  }
  /// Neighbours that have been told the same thing are one event.
  [[nodiscard]] Event take_hook() {
    Told told = slots_.front()->hooks.pop();
    std::vector<std::any> payloads;
    payloads.push_back(std::move(told.payload));
    for (std::size_t i = 1; !told.is_broadcast && i < slots_.size() && !slots_[i]->hooks.empty(); ++i) {
      const Told& other = slots_[i]->hooks.front();
      if (other.hook != told.hook || other.is_broadcast) break;
      payloads.push_back(slots_[i]->hooks.pop().payload);
    }
    return Event(first_, std::move(told.hook), std::move(payloads), told.is_broadcast);
  }

  /// The handler wants no event any more.
  void give_up(NextWaiter<Out>* waiter) {
    {
      const std::lock_guard lock(mutex_);
      if (waiter_ != waiter) return;  // it has its answer
      waiter_ = nullptr;
    }
    waiter->answer(std::make_exception_ptr(Error(errc::cancelled)), std::nullopt, *core_);
  }

  const std::shared_ptr<Core> core_;
  std::mutex mutex_;
  std::condition_variable changed_;
  Queue<Owned<Slot>> slots_;
  std::size_t first_ = 0;  // item that the consumer has not got
  bool exhausted_ = false;
  bool ended_ = false;
  std::exception_ptr end_error_;
  Queue<std::pair<std::uint64_t, std::size_t>> broadcasts_;
  NextWaiter<Out>* waiter_ = nullptr;
};

template <class Out>
template <class Handler>
void StreamState<Out>::async_next(Handler handler) {
  const auto allocator = net::get_associated_allocator(handler, RecyclingAllocator<void>());
  auto* waiter = create<HandlerNextWaiter<Out, Handler>>(allocator, std::move(handler), core_->executor());
  auto slot = waiter->slot();
  if (slot.is_connected()) {
    slot.assign([state = this->weak_from_this(), waiter](net::cancellation_type type) {
      const auto alive = state.lock();
      if (alive && type != net::cancellation_type::none) alive->give_up(waiter);
    });
  }
  bool second = false;
  change([&] {
    second = waiter_ != nullptr;
    if (!second) waiter_ = waiter;
  });
  if (second) {
    waiter->answer(std::make_exception_ptr(std::logic_error("batching::Stream: async_next while another waits")),
                   std::nullopt, *core_);
  }
}

}  // namespace batching::detail
