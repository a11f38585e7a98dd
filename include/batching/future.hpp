// Future: what a caller holds until its answer comes.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/answer.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/error.hpp>

#include <chrono>
#include <future>
#include <type_traits>
#include <utility>

namespace batching {

/// `std::future`'s interface, and `cancel`. Ready when its call has been answered, with a value or an error; a batcher
/// never leaves one unanswered. Move-only; one thread at a time may use it. Dropping it neither waits nor cancels: its
/// item still runs.
///
/// A wait that would block on a thread which runs the same batcher's batch function or completion handlers, or which
/// belongs to the pool that the batcher owns, could never end: it throws `Error` with `errc::would_deadlock` and leaves
/// the future as it was. What is ready can be had anywhere. Without a state (moved from, or after `get`) every function
/// but `valid` and `cancel` throws `std::future_error`.
///
/// Where few threads sleep for their answers, a wait may look out for one for some microseconds before it sleeps: as
/// often as that has paid.
template <class T>
class Future {
 public:
  Future() = default;
  /// For the library: takes over one reference. The core is there as long as the answer is not.
  Future(detail::FutureAnswer<T>& answer, detail::Core& core) noexcept
      : answer_(&answer), core_(&core), few_sleepers_(core.few_sleepers()) {}
  Future(Future&& other) noexcept
      : answer_(std::exchange(other.answer_, nullptr)), core_(other.core_), few_sleepers_(other.few_sleepers_) {}
  Future& operator=(Future&& other) noexcept {
    if (this != &other) {
      reset();
      answer_ = std::exchange(other.answer_, nullptr);
      core_ = other.core_;
      few_sleepers_ = other.few_sleepers_;
    }
    return *this;
  }
  ~Future() { reset(); }

  [[nodiscard]] bool valid() const noexcept { return answer_ != nullptr; }

  /// Waits, then returns the value or throws the error; afterwards `valid()` is false.
  T get() {
    wait();
    const Future last(std::move(*this));  // lets go also when this throws
    if constexpr (std::is_void_v<T>) {
      (void)last.answer_->take();
    } else {
      return last.answer_->take();
    }
  }

  void wait() const {
    if (!is_ready()) (void)wait_until_steady(detail::no_limit);
  }

  template <class Rep, class Period>
  std::future_status wait_for(const std::chrono::duration<Rep, Period>& duration) const {
    if (is_ready()) return std::future_status::ready;
    return wait_until_steady(duration > duration.zero() ? after(duration) : at_once);
  }

  template <class Clock, class Duration>
  std::future_status wait_until(const std::chrono::time_point<Clock, Duration>& time) const {
    // Another clock may be set while this sleeps, so it is looked at again; and far away only floating point can tell
    // the difference without overflowing.
    using Hour = std::chrono::hours;
    for (;;) {
      const auto left = seconds(time.time_since_epoch()) - seconds(Clock::now().time_since_epoch());
      const bool near = left < Hour(1) && left > Hour(-1);
      const auto status = near ? wait_for(time - Clock::now()) : left < Hour(0) ? wait_for(Hour(0)) : wait_for(Hour(1));
      if (status == std::future_status::ready) return status;
      if (near ? Clock::now() >= time : left < Hour(0)) return status;
    }
  }

  /// The caller wants no answer any more: the future is ready with `errc::cancelled` when this returns, and an item
  /// that still waits leaves its window. Neighbours notice nothing. False, and without effect, if the answer came
  /// first. Callable from any thread, unlike the rest, as long as the future stays in place.
  bool cancel() { return answer_ != nullptr && answer_->cancel(*core_); }

 private:
  using Steady = std::chrono::steady_clock;
  static constexpr auto at_once = Steady::time_point::min();

  template <class Rep, class Period>
  static std::chrono::duration<double> seconds(const std::chrono::duration<Rep, Period>& duration) {
    return duration;
  }
  template <class Rep, class Period>
  static Steady::time_point after(const std::chrono::duration<Rep, Period>& duration) {
    const auto now = Steady::now();
    if (seconds(duration) >= seconds(detail::no_limit - now)) return detail::no_limit;
    return now + std::chrono::ceil<Steady::duration>(duration);
  }

  [[nodiscard]] bool is_ready() const noexcept { return answer_ != nullptr && answer_->ready(); }
  /// It was not ready just now.
  std::future_status wait_until_steady(Steady::time_point limit) const {
    if (answer_ == nullptr) throw std::future_error(std::future_errc::no_state);
    if (limit == at_once) return std::future_status::timeout;  // does not block
    if (detail::Inside::any(core_)) {
      throw Error(errc::would_deadlock,
                  "batching::Future: wait inside the same batcher's batch function, handler or pool");
    }
    return answer_->wait(limit, few_sleepers_) ? std::future_status::ready : std::future_status::timeout;
  }

  void reset() noexcept {
    if (answer_ != nullptr) std::exchange(answer_, nullptr)->release_future();
  }

  detail::FutureAnswer<T>* answer_ = nullptr;
  detail::Core* core_ = nullptr;
  bool few_sleepers_ = false;  // has the batcher, at the time of the call
};

}  // namespace batching
