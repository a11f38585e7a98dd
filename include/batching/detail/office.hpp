// Office: all that only the thread on the strand does: it reads the mail, keeps the books, sets the alarm.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/admission.hpp>
#include <batching/detail/alarm.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/boarding.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/closing.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/dispatcher.hpp>
#include <batching/detail/door.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/order.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/detail/window.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>
#include <batching/stats.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace batching::detail {

/// One thread at a time, but for `alarm().rang` and `admission()`. Whoever is on the strand reads all mail, then sees
/// to what time it is, starts what can start, and settles.
template <class Clock>
class Office {
 public:
  Office(Core& core, std::shared_ptr<Workshop> workshop, const Options& options)
      : core_(core),
        made_(Alarm<Clock>::now()),
        dispatcher_(core, std::move(workshop), options),
        alarm_(core.executor()) {}

  [[nodiscard]] Admission& admission() noexcept { return dispatcher_.admission(); }
  [[nodiscard]] Alarm<Clock>& alarm() noexcept { return alarm_; }
  [[nodiscard]] Window& window() noexcept { return dispatcher_.window(); }
  [[nodiscard]] const Window& window() const noexcept { return dispatcher_.window(); }

  [[gnu::always_inline]] void read(Mail& mail, Delivery& delivery) {
    if (mail.kind != Mail::Kind::submission) [[unlikely]]
      return read_letter(mail, delivery);
    Call& call = call_of(static_cast<Waiting&>(mail), window().in_parts());
    // Without a time of its own it came together with the one before, or after: that can only hurry it.
    if (call.arrived == Waiting::unknown) call.arrived = last_arrived_;
    last_arrived_ = call.arrived;
    dispatcher_.accept(call, delivery);
  }
  /// The time, if it matters: then those whose time is up hear of it. Whoever waits at the door is let in.
  [[nodiscard]] Time see_to_time(Delivery& delivery) {
    const bool ask = dispatcher_.looks_at_clock();
    const Time now = ask ? Alarm<Clock>::now() : Time::zero();
    if (ask) dispatcher_.expire(now, delivery);
    dispatcher_.admit(delivery);
    return now;
  }
  /// The batch that leaves now, if one can.
  [[nodiscard]] Running* start(Time now, Delivery& delivery) {
    Running* batch = dispatcher_.start(now);
    dispatcher_.admit(delivery);
    return batch;
  }
  /// No thread can be had that would take what waits.
  void fail_waiting(const std::exception_ptr& error, Delivery& delivery) {
    dispatcher_.fail_waiting(error, delivery);
    dispatcher_.admit(delivery);
  }
  void settle(Delivery& delivery);
  /// For when something has to happen although no mail comes; `owner()` is who will be rung up.
  template <class Owner>
  void set_alarm(Time now, Owner owner) {
    const Time at = window().ready(now) ? never : window().wake_at();  // if it is, a runner is on its way
    if (const Time wake = smaller(at, dispatcher_.next_deadline()); wake != never) {
      alarm_.set(wake, owner());
    } else if (window().waiting() == 0 && window().running() == 0) {
      alarm_.cancel();
    }
  }
  [[nodiscard]] Intake::Until sleeps_until(Time now) const noexcept;

 private:
  [[gnu::noinline]] void read_letter(Mail& mail, Delivery& delivery);
  void obey(Order& order, Delivery& delivery);
  void measure(Stats& stats);
  template <class Executor>
  static Executor kept_busy(const Executor& executor) {
    return net::prefer(executor, net::execution::outstanding_work.tracked);
  }

  Core& core_;
  const Time made_;
  Late<Dispatcher, Clock> dispatcher_;
  Alarm<Clock> alarm_;
  Late<std::vector<Closing*>, Clock> closings_;
  Time last_arrived_{};  // of the last submission read
  bool closed_ = false;
  /// While somebody waits, nobody else may be there to keep the batcher alive and the executor at work.
  std::shared_ptr<Core> kept_;
  net::any_io_executor busy_;
};

template <class Clock>
void Office<Clock>::read_letter(Mail& mail, Delivery& delivery) {
  switch (mail.kind) {
    case Mail::Kind::submission:
      return;  // is no letter
    case Mail::Kind::application:
      dispatcher_.apply(static_cast<Applicant&>(mail));
      if (closed_) dispatcher_.close_door(delivery);
      return;
    case Mail::Kind::withdrawal:
      return dispatcher_.withdraw(static_cast<Withdrawal&>(mail), delivery);
    case Mail::Kind::kept:
      return dispatcher_.keep(static_cast<Running&>(static_cast<Kept&>(mail)));
    case Mail::Kind::finished:
      return dispatcher_.finish(static_cast<Running&>(static_cast<Finished&>(mail)), delivery);
    case Mail::Kind::closing:
      closings_.push_back(static_cast<Closing*>(&mail));
      return;
    case Mail::Kind::order:
      return obey(static_cast<Order&>(mail), delivery);
  }
}

template <class Clock>
void Office<Clock>::obey(Order& order, Delivery& delivery) {
  switch (order.what) {
    case Order::What::read:
      if (order.stats) measure(*order.stats);
      break;
    case Order::What::flush:
      dispatcher_.flush();
      break;
    case Order::What::close:
      closed_ = true;
      dispatcher_.close_door(delivery);
      window().close();
      break;
    case Order::What::abandon:
      alarm_.abandon();
      busy_ = {};
      [[fallthrough]];
    case Order::What::stop:
      closed_ = true;
      dispatcher_.close_door(delivery);
      dispatcher_.fail_waiting(std::make_exception_ptr(Error(errc::closed)), delivery);
      break;
  }
  delivery.commit(core_);  // before whoever gave the order goes on
  order.done(delivery);
}

template <class Clock>
void Office<Clock>::measure(Stats& stats) {
  const Time now = Alarm<Clock>::now();
  stats.elapsed = now - made_;
  dispatcher_.measure(now, stats);
}

/// Shows the answers, tells those who wait for the end, and sees to what has to live on.
template <class Clock>
void Office<Clock>::settle(Delivery& delivery) {
  delivery.commit(core_);
  dispatcher_.committed(delivery);
  delivery.submit(core_, false);
  const std::size_t kept = dispatcher_.kept_by_users();
  const auto told = [&](Closing* closing) {
    const bool over =
        closing->until == Closing::Until::delivered ? closed_ && dispatcher_.at_rest() : window().running() == kept;
    if (over) closing->closed(kept, delivery);
    return over;
  };
  std::erase_if(closings_, told);
  delivery.submit(core_, false);
  const bool held = dispatcher_.expects();
  if (held == (kept_ != nullptr)) return;
  if (held) {
    kept_ = core_.shared_from_this();
    if (!core_.homeless()) busy_ = kept_busy(core_.executor());
  } else {
    busy_ = {};
    kept_.reset();  // whoever is on the strand holds another
  }
}

/// What the strand may sleep until, its clock aside.
template <class Clock>
Intake::Until Office<Clock>::sleeps_until(Time now) const noexcept {
  if (dispatcher_.boarding().joins_running()) return Intake::Until::next;  // whoever comes may have nothing to wait for
  if (window().busy() || window().ready(now)) return Intake::Until::urgent;  // if ready, a runner is on its way
  return window().fills_by_count() ? Intake::Until::full : Intake::Until::next;
}

}  // namespace batching::detail
