// StreamSource: takes a stream's items from their range, a few ahead of the batches, and submits them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/call_options.hpp>
#include <batching/detail/alarm.hpp>
#include <batching/detail/answer.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/batch_workshop.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/engine.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/launch.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/ranges.hpp>
#include <batching/detail/stream_state.hpp>
#include <batching/detail/time.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

/// Each item is a call of its own, so that each has its own error in its own place, and batches are filled as ever. As
/// many are in flight as fill every partition and one more window; whoever of them is answered makes room for the next,
/// which is then taken from the range on the batcher's executor.
template <class In, class Out, class Clock, class Range>
class StreamSource final : public StreamState<Out> {
 public:
  StreamSource(std::shared_ptr<Engine<Clock>> engine, std::shared_ptr<BatchWorkshop<In, Out>> workshop, Range&& range,
               const CallOptions& options)
      : StreamState<Out>(engine),
        engine_(*engine),
        workshop_(std::move(workshop)),
        options_(options),
        range_(std::move(range)),
        most_(most_in_flight(workshop_->options)) {
    if (options.timeout) deadline_ = later(Alarm<Clock>::now(), *options.timeout);
  }

  ~StreamSource() override {
    for (const Place& place : places_) {
      if (place.call != nullptr) place.call->release();
    }
  }

  /// One thread at a time takes from the range and submits, so that items go out in order; others leave it to that one.
  /// What is answered meanwhile makes room for more: not without end, it may be the caller's thread.
  void pull() {
    for (std::size_t pulled = 0;; ++pulled) {
      {
        const std::lock_guard lock(pull_mutex_);
        if (pulling_ || done_ || in_flight_ >= most_) return;
        pulling_ = pulled < most_;
      }
      if (pulled == most_) return pull_elsewhere();
      std::optional<In> input;
      std::exception_ptr error;
      try {
        // No further than to the item itself: reading the next one may take long, or throw.
        if (at_) {
          ++*at_;
        } else {
          at_.emplace(std::ranges::begin(range_));
        }
        if (*at_ != std::ranges::end(range_)) input.emplace(static_cast<In>(element<Range>(*at_)));
      } catch (...) {
        input.reset();
        error = std::current_exception();
      }
      const auto number = input ? this->add() : std::nullopt;
      if (number) {
        try {
          submit(std::move(*input), *number);
        } catch (...) {
          failed(*number, std::current_exception());
        }
      }
      {
        const std::lock_guard lock(pull_mutex_);
        pulling_ = false;
        if (!number) done_ = true;
      }
      if (!input) return this->exhausted(std::move(error));
    }
  }

 private:
  /// Of a call that has not been answered, with a reference. Before it is launched it cannot be cancelled.
  struct Place {
    Call* call = nullptr;
    bool launched = false;
    std::size_t next_free = 0;
  };

  struct Answer {
    Answer(std::shared_ptr<StreamSource> of, std::size_t item, std::size_t at) noexcept
        : source(std::move(of)), number(item), place(at) {}
    Answer(Answer&&) noexcept = default;
    Answer& operator=(Answer&&) = delete;
    ~Answer() {
      if (!source) return;
      // Destroyed uncalled: the executor is no more. Or it has never been a call's.
      if (source->forget(place)) source->failed(number, std::make_exception_ptr(Error(errc::closed)));
    }

    using TakesAddress = void;
    void operator()(const std::exception_ptr& error, Stored<Out>* output) {
      const auto its = std::move(source);
      if (error) {
        its->failed(number, error);
      } else {
        its->answered(number, nullptr, output);
      }
      (void)its->forget(place);
      its->pull();
    }

    std::shared_ptr<StreamSource> source;
    std::size_t number;
    std::size_t place;
  };

  static std::size_t most_in_flight(const BasicOptions<In>& options) {
    const std::size_t batch = options.adaptive ? options.adaptive->max_batch_size : options.batch_size;
    constexpr std::size_t most = 1 << 20;
    return smaller(smaller(options.max_queued, most), smaller(batch, most) * (smaller(options.partitions, most) + 1));
  }

  void pull_elsewhere() {
    try {
      if (engine_.homeless()) throw Error(errc::closed);
      net::post(engine_.executor(),
                [self = std::static_pointer_cast<StreamSource>(this->shared_from_this())] { self->pull(); });
    } catch (...) {
      const auto number = this->add();
      if (number) failed(*number, std::current_exception());
    }
  }
  void submit(In&& input, std::size_t number) {
    using CallOf = OneCall<In, Out, HandlerAnswer<Out, Answer>>;
    const auto self = std::static_pointer_cast<StreamSource>(this->shared_from_this());
    CallOptions options;
    options.priority = options_.priority;
    if (deadline_ != never) options.timeout = larger(Time::zero(), deadline_ - Alarm<Clock>::now());
    options.on_hook = [self, number](const HookEvent& event) {
      self->heard(number, event);
      if (!self->options_.on_hook) return;
      HookEvent its = event;
      its.offset = number;
      self->options_.on_hook(its);
    };
    const std::size_t place = take_place();
    auto* call = create<CallOf>(RecyclingAllocator<void>(), std::move(input), engine_, std::size_t{1}, true,
                                Answer(self, number, place));
    call->add_reference();  // for its place
    call->add_reference();  // for this function
    {
      const std::lock_guard lock(pull_mutex_);
      places_[place].call = call;
    }
    launch(*call, engine_, workshop_->options, options, false);
    {
      const std::lock_guard lock(pull_mutex_);
      if (places_[place].call == call) places_[place].launched = true;
    }
    if (this->over()) call->cancel(this->core());
    call->release();
  }
  std::size_t take_place() {
    const std::lock_guard lock(pull_mutex_);
    if (free_ == places_.size()) places_.push_back({.next_free = free_ + 1});
    const std::size_t place = free_;
    free_ = places_[place].next_free;
    ++in_flight_;
    return place;
  }
  /// Nobody will get past that item: no other is read.
  void failed(std::size_t number, const std::exception_ptr& error) {
    {
      const std::lock_guard lock(pull_mutex_);
      done_ = true;
    }
    this->answered(number, error, nullptr);
  }
  /// Gives its place back. False: no call has had it.
  bool forget(std::size_t place) {
    Call* call = nullptr;
    {
      const std::lock_guard lock(pull_mutex_);
      call = places_[place].call;
      places_[place] = {.next_free = free_};
      free_ = place;
      --in_flight_;
    }
    if (call != nullptr) call->release();
    return call != nullptr;
  }

  void withdraw() override {
    std::vector<Call*> calls;
    {
      const std::lock_guard lock(pull_mutex_);
      for (const Place& place : places_) {
        if (!place.launched) continue;  // it is free, or whoever launches it will look
        place.call->add_reference();
        calls.push_back(place.call);
      }
    }
    for (Call* call : calls) {
      call->cancel(this->core());
      call->release();
    }
  }

  Engine<Clock>& engine_;  // the state holds it
  const std::shared_ptr<BatchWorkshop<In, Out>> workshop_;
  const CallOptions options_;
  Range range_;
  std::optional<IteratorOf<Range>> at_;
  const std::size_t most_;
  Time deadline_ = never;
  std::mutex pull_mutex_;
  bool pulling_ = false;
  bool done_ = false;
  std::vector<Place> places_;
  std::size_t free_ = 0;  // the first free one; behind the last: there is none
  std::size_t in_flight_ = 0;
};

}  // namespace batching::detail
