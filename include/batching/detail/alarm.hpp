// Alarm: the one timer of a batcher, set anew only when it would ring too late.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/time.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace batching::detail {

/// How Asio waits for this clock: the clock's own word if it has one (a manual clock), else the usual.
template <class Clock>
struct WaitTraits : net::wait_traits<Clock> {};
template <class Clock>
requires requires(typename Clock::duration d) { Clock::to_wait_duration(d); }
struct WaitTraits<Clock> {
  static auto to_wait_duration(const typename Clock::duration& d) { return Clock::to_wait_duration(d); }
  static auto to_wait_duration(const typename Clock::time_point& t) { return Clock::to_wait_duration(t); }
};

/// Rings at the wanted time or before; whoever is woken looks at the clock, so an early ring, or one that was already
/// on its way when the alarm was set anew, does no harm. That saves cancelling and arming a timer for every window:
/// under load one ring serves many of them. Everything but `rang` belongs to the strand.
template <class Clock>
class Alarm {
 public:
  explicit Alarm(const net::any_io_executor& executor) : timer_(std::in_place, executor) {}

  [[nodiscard]] static Time now() noexcept { return std::chrono::duration_cast<Time>(Clock::now().time_since_epoch()); }

  /// `owner->on_alarm(number)` is called at `at` or before, if the owner is still there.
  template <class Owner>
  void set(Time at, const std::weak_ptr<Owner>& owner) {
    if (rang_.load() >= number_) at_ = never;
    if (!timer_ || at_ <= at) return;
    at_ = at;
    ++number_;
    timer_->expires_at(typename Clock::time_point(std::chrono::ceil<typename Clock::duration>(at)));
    timer_->async_wait(Ring<Owner>{owner, number_});
  }

  void cancel() {
    if (timer_ && at_ != never && rang_.load() < number_) timer_->cancel();
    at_ = never;
  }
  /// The executor's context is being destroyed.
  void abandon() noexcept { timer_.reset(); }

  /// The ring of that number has been heard. Any thread.
  void rang(std::uint64_t number) noexcept {
    std::uint64_t old = rang_.load();
    while (old < number && !rang_.compare_exchange_weak(old, number)) {
    }
  }

 private:
  using Timer = net::basic_waitable_timer<Clock, WaitTraits<Clock>, net::any_io_executor>;

  /// Holds no reference: an armed timer must not keep its batcher alive.
  template <class Owner>
  struct Ring {
    using allocator_type = RecyclingAllocator<void>;
    std::weak_ptr<Owner> owner;
    std::uint64_t number;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    template <class ErrorCode>
    void operator()(const ErrorCode& error) const {
      if (error) return;
      if (const auto alive = owner.lock()) alive->on_alarm(number);
    }
  };

  std::optional<Timer> timer_;
  Time at_ = never;           // the ring that is set
  std::uint64_t number_ = 0;  // of that ring
  std::atomic<std::uint64_t> rang_ = 0;
};

}  // namespace batching::detail
