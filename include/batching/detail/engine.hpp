// Engine: who gets onto the strand, and what becomes of a thread there: it runs a batch, looks out, or leaves.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/admission.hpp>
#include <batching/detail/alarm.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/boarding.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/closing.hpp>
#include <batching/detail/context_watch.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/door.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/lookout.hpp>
#include <batching/detail/office.hpp>
#include <batching/detail/order.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/prefetch.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/window.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>
#include <batching/stats.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace batching::detail {

/// A *runner* is the one operation that is posted: it steps onto the strand, reads the mail, takes a batch if one can
/// leave, steps off the strand, runs the batch, hands its answers over and reports it finished. So the batch function
/// never runs on the strand, a batch is formed at the very moment it starts, and a lone call costs one post.
///
/// Any other thread may step onto the strand as well (to cancel, to flush, to stop), so that these take effect at once,
/// also when the executor runs no more; it just never takes a batch.
template <class Clock>
class Engine final : public Core {
 public:
  Engine(net::any_io_executor executor, std::shared_ptr<void> pool, std::shared_ptr<Workshop> workshop,
         const Options& options)
      : Core(std::move(executor), pool),
        intake_(options.batch_size),
        in_parts_(WindowRules::in_parts(options)),
        weighted_(options.weight.given),
        looks_after_(Late<Boarding, Clock>::looks_after(options)),
        stamps_all_((WindowRules::timed(options) && options.key.given) || options.overflow == Overflow::drop_oldest ||
                    options.observer != nullptr || options.adaptive ||
                    !std::is_same_v<Clock, std::chrono::steady_clock>),
        plain_(!in_parts_ && !stamps_all_ && !Admission::bounded(options)),
        owns_pool_(pool != nullptr),
        observer_(options.observer),
        office_(*this, std::move(workshop), options) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() override {
    if (watch_) watch_->leave(this, [this] { office_.alarm().abandon(); });
  }

  /// To be called once, by whoever has put it into its `shared_ptr`.
  void watch_context() { watch_ = Late<ContextWatch, Clock>::of(this->executor(), std::weak_ptr(self())); }

  // --- What callers do. Any thread. ---

  enum class Verdict : std::uint8_t { accepted, closed, full, would_deadlock };

  /// Takes the call in, or says why not. `may_block`: where there is no room, this thread may wait for it.
  [[nodiscard, gnu::always_inline]] Verdict submit(Call& call, const std::optional<std::chrono::nanoseconds>& timeout,
                                                   bool may_block) {
    if (plain_ && !timeout && intake_.try_append(call, call.size)) [[likely]]
      return Verdict::accepted;
    return submit_with_care(call, timeout, may_block);
  }
  /// Do items have weights or keys?
  [[nodiscard]] bool in_parts() const noexcept { return in_parts_; }
  [[nodiscard]] bool looks_after() const noexcept { return looks_after_; }
  /// For all who come later.
  void set_dedup_threshold(double threshold) {
    tell(Order::What::read)->wait(on_strand());
    office_.window().set_threshold(threshold);
  }
  [[nodiscard]] std::size_t max_queued() noexcept { return office_.admission().most(); }

  void flush() { (void)tell(Order::What::flush); }
  /// Refuses new work and runs what was accepted.
  void close() {
    intake_.close();
    (void)tell(Order::What::close);
  }
  /// Refuses new work and fails what has not started, now.
  void stop() {
    intake_.close();
    request_stop();
    tell(Order::What::stop)->wait(on_strand());
  }
  /// Likewise, because the context of the executor goes away.
  void abandon() {
    intake_.close();
    lose_executor();
    tell(Order::What::abandon)->wait(on_strand());
  }
  /// `closing` will be told when what it waits for has come; the last delivery comes only once the batcher is closed.
  void when_closed(Closing& closing) { send(closing); }

  /// Reads the mail first, so that whatever the caller has submitted is counted.
  [[nodiscard]] Stats stats();

  // --- What batches, calls and the timer report. Any thread. ---

  void withdraw(Withdrawal& letter) override { send(letter); }
  void keep(Running& running) override { send(static_cast<Kept&>(running)); }
  void finish(Running& running) override {
    ended(running, Alarm<Clock>::now());
    send(static_cast<Finished&>(running));
  }
  void on_alarm(std::uint64_t number) {
    office_.alarm().rang(number);
    if (intake_.enter()) run(process(Role::runner));
  }

 private:
  /// Who is on the strand: a runner may leave it with a batch to run, a visitor summons a runner for that, and so does
  /// a runner that is passing: it has just run a batch, and others want to use its thread.
  enum class Role { runner, passing, visitor };
  /// What is to be done by whoever has left the strand: to run a batch, or to look out.
  struct Left {
    Running* batch = nullptr;
    Lookout* lookout = nullptr;
  };

  struct Runner {
    using allocator_type = RecyclingAllocator<void>;
    std::shared_ptr<Engine> engine;
    bool summoned;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    void operator()() const {
      if (summoned) engine->summoned_.store(false);
      if (engine->intake_.enter()) engine->run(engine->process(Role::runner));
    }
  };

  std::shared_ptr<Engine> self() { return std::static_pointer_cast<Engine>(shared_from_this()); }
  static bool on_strand() noexcept { return strand_of_this_thread_ != nullptr; }

  /// Whatever the call and the options ask for.
  [[nodiscard, gnu::noinline]] Verdict submit_with_care(Call& call,
                                                        const std::optional<std::chrono::nanoseconds>& timeout,
                                                        bool may_block) {
    const auto stamp = [&]() noexcept { call.arrived = Alarm<Clock>::now(); };
    if (timeout || stamps_all_) stamp();
    if (timeout) call.wish().deadline = later(call.arrived, *timeout);
    Admission& admission = office_.admission();
    if (!admission.bounded() || admission.try_enter(call.size)) return push(call, timeout.has_value());
    if (intake_.is_closed()) return Verdict::closed;
    if (admission.never_fits(call.size) || admission.overflow() == Overflow::reject) return Verdict::full;
    if (admission.overflow() == Overflow::block) return come_to_door(call, may_block);
    const auto alive = self();
    admission.force_entry(call.size);
    const Verdict verdict = push(call, timeout.has_value());
    if (verdict == Verdict::accepted) (void)tell(Order::What::read);  // so that the oldest leave now
    return verdict;
  }
  /// Leaves the call, for which there is room, to the strand.
  Verdict push(Call& call, bool urgent) {
    const std::uint32_t size = call.size;
    std::shared_ptr<Engine> alive;
    Mail& mail = in_parts_ ? static_cast<Mail&>(*Part::of(call)) : call;
    const auto submitted = intake_.submit(
        mail, weighted_ ? Part::weight_of(call) : size, urgent,
        [&]() noexcept {
          if (call.arrived == Waiting::unknown) call.arrived = Alarm<Clock>::now();
        },
        [&]() noexcept {
          if (!alive) alive = self();
        });
    if (submitted == Intake::Submitted::refused) {
      if (office_.admission().bounded()) office_.admission().give_back(size);
      return Verdict::closed;
    }
    if (submitted == Intake::Submitted::wake) alive->wake();
    return Verdict::accepted;
  }
  /// There is no room: the call waits for it, and this thread with it, if it may.
  Verdict come_to_door(Call& call, bool may_block) {
    if (may_block && Inside::any(this)) return Verdict::would_deadlock;
    if (call.arrived == Waiting::unknown) call.arrived = Alarm<Clock>::now();
    const auto alive = self();
    Word through = 0;
    auto* applicant = create<Applicant>(RecyclingAllocator<void>(), call, may_block ? &through : nullptr);
    office_.admission().come_to_door();
    send(*applicant);
    while (may_block && through.load() == 0) park(through, 0, no_limit);
    return Verdict::accepted;
  }

  /// The strand is to read the mail. An executor that throws is asked once more, by the strand itself.
  void wake() {
    try {
      post_runner(false);
    } catch (...) {
      if (intake_.enter()) (void)process(Role::visitor);
    }
  }
  void post_runner(bool summoned) {
    if (!homeless()) net::post(executor(), Runner{self(), summoned});
  }
  /// Likewise, but nobody has to be woken: this thread will be back at its executor in a moment.
  void defer_runner(bool summoned) {
    if (!homeless()) net::defer(executor(), Runner{self(), summoned});
  }
  void send(Mail& mail) {
    const auto alive = self();
    if (intake_.send(mail)) (void)process(Role::visitor);
  }
  std::shared_ptr<Order> tell(Order::What what, Owned<Stats> stats = nullptr) {
    auto order = std::make_shared<Order>(what);
    order->itself = order;
    order->stats = std::move(stats);
    send(*order);
    return order;
  }

  /// Runs a batch on this thread, off the strand, and then the next one: on a pool of its own always at once, elsewhere
  /// for a moment; after that, what else the executor has to do comes first.
  void run(Left left) {
    using std::chrono::steady_clock;
    constexpr std::chrono::nanoseconds moment{50'000};
    if (left.batch == nullptr && left.lookout == nullptr) return;
    const Inside inside(this);
    const auto enough = owns_pool_ ? steady_clock::time_point::max() : steady_clock::now() + moment;
    for (;;) {
      if (left.batch == nullptr) {
        if (left.lookout == nullptr || !look_out(*left.lookout)) return;
        left = process(Role::runner);
        continue;
      }
      Running& batch = *left.batch;
      began(batch);
      batch.run();
      const Time end = Alarm<Clock>::now();
      batch.add_sleepers(batch.delivery().sleepers());
      batch.delivery().hand_over(*this, true);
      if (!batch.returned()) return;
      ended(batch, end);
      if (!intake_.send(static_cast<Finished&>(batch))) return;
      left = process(owns_pool_ || steady_clock::now() < enough ? Role::runner : Role::passing);
    }
  }
  /// The strand was left watched. True: something has come, and this thread is on it again.
  bool look_out(Lookout& lookout) noexcept {
    Lookout::wait([this]() noexcept { return !intake_.is_watched(); });
    if (!intake_.stop_watching()) return false;
    lookout.found();
    return true;
  }
  /// Whoever is on the strand would leave it without a batch: had it better look out?
  [[nodiscard]] Lookout* lookout(Intake::Until until, Time now) noexcept {
    if (!owns_pool_ || !this->few_sleepers() || until == Intake::Until::urgent) return nullptr;
    if (until == Intake::Until::next) return for_next_.is_promising() ? &for_next_ : nullptr;
    // It may be the only thread there is to hear the window's alarm.
    const bool has_time = office_.window().wake_at() > later(now, Lookout::moment);
    return has_time && for_full_.is_promising() ? &for_full_ : nullptr;
  }

  void began(Running& batch) noexcept {
    if (!batch.report) return;
    batch.report->tell_closed(*observer_);
    batch.started = Alarm<Clock>::now();
  }
  void ended(Running& batch, Time now) noexcept {
    batch.ended = now;
    if (batch.report) batch.report->tell_finished(*observer_, batch.started, now);
  }

  // --- On the strand: one thread at a time. ---

  /// What throws here, and that is memory that cannot be had, ends the process: half a decision is nothing to go on
  /// from, and whoever waits would wait for ever.
  [[nodiscard]] Left process(Role role) noexcept;
  /// All of it that is done on the strand; what has to be woken and called comes after.
  void step(Role role, Left& left, Delivery& delivery) noexcept;
  [[nodiscard]] bool summon(Role role, Delivery& delivery);

  // Cache lines of their own: all that a thread reads which submits, and then all that the strand writes.
  alignas(cache_line) Intake intake_;
  const bool in_parts_;     // do calls wait in parts?
  const bool weighted_;     // do items have weights?
  const bool looks_after_;  // may the strand look at a call that nobody can cancel, and that has no deadline?
  const bool stamps_all_;   // does it matter for everybody when exactly they came? Or is a clock cheap, a test's?
  const bool plain_;        // is there nothing to see to when a call comes?
  const bool owns_pool_;
  const std::shared_ptr<Observer> observer_;
  std::shared_ptr<ContextWatch> watch_;
  alignas(cache_line) std::atomic<bool> summoned_ = false;  // a runner is on its way to take a batch
  Office<Clock> office_;
  Lookout for_next_;  // submission
  Lookout for_full_;  // window

  static inline constinit thread_local const Engine* strand_of_this_thread_ = nullptr;
};

/// Reads all mail, decides, and steps off.
template <class Clock>
typename Engine<Clock>::Left Engine<Clock>::process(Role role) noexcept {
  Left left;
  Delivery delivery;
  step(role, left, delivery);
  delivery.hand_over(*this, false);
  return left;
}

template <class Clock>
void Engine<Clock>::step(Role role, Left& left, Delivery& delivery) noexcept {
  const Engine* outer = std::exchange(strand_of_this_thread_, this);
  const Inside inside(this);  // destructors of the user's run here
  do {
    for (Mail* mail = intake_.take(); mail != nullptr;) {
      Mail* next = mail->next;
      office_.read(*mail, delivery);
      mail = next;
    }
    const auto& window = office_.window();
    const Time now = office_.see_to_time(delivery);
    if (left.batch == nullptr && role == Role::runner) left.batch = office_.start(now, delivery);
    while (window.ready(now) && !summoned_.exchange(true) && !summon(role, delivery)) {
    }
    office_.settle(delivery);
    office_.set_alarm(now, [this] { return std::weak_ptr(self()); });
    const Intake::Until until = office_.sleeps_until(now);
    left.lookout = role == Role::runner && left.batch == nullptr ? lookout(until, now) : nullptr;
    if (intake_.leave(until, window.lacking_behind(), left.lookout != nullptr)) break;
    if (left.lookout != nullptr) left.lookout->found();
  } while (true);
  strand_of_this_thread_ = outer;
}

/// A batch can leave, and somebody has to take it. False: the executor takes nothing, and nobody will come back from a
/// batch that runs; those who waited have heard so.
template <class Clock>
bool Engine<Clock>::summon(Role role, Delivery& delivery) {
  try {
    role == Role::passing ? defer_runner(true) : post_runner(true);
  } catch (...) {
    summoned_.store(false);
    if (office_.window().running() > 0) return true;
    office_.fail_waiting(std::current_exception(), delivery);
    return false;
  }
  return true;
}

template <class Clock>
Stats Engine<Clock>::stats() {
  const auto answers = counters().read_answers();  // callers may cancel what the strand has not read yet
  const auto order = tell(Order::What::read, make_owned<Stats>());
  order->wait(on_strand());
  Stats stats = order->is_done() ? std::move(*order->stats) : Stats();
  counters().write(stats, answers);
  return stats;
}

}  // namespace batching::detail
