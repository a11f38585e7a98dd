// Isolation: a batch whose function fails is run again in halves, until the poisoned items stand alone.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/batch_state.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/inside_executor.hpp>
#include <batching/error.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace batching::detail {

/// One batch on its way through as many runs as it takes. What a run answers goes to the callers at once; those who
/// only heard that the run as a whole has failed are run again, in halves. Each run is a batch of its own, whose calls
/// are *trials* and whose owner is this; the runs come one after the other, on copies of the inputs.
///
/// A function that answers before it returns is run again on the same thread. For one that answers later, and may do so
/// from any thread, the next run is posted to the executor.
template <class In, class Out>
class Isolation final : public Owner, public std::enable_shared_from_this<Isolation<In, Out>> {
 public:
  using State = BatchState<In, Out>;

  /// `function` outlives the batcher's core.
  Isolation(BatchFunction<In, Out>& function, std::size_t max_runs, State& whole)
      : function_(function), runs_left_(max_runs), whole_(whole) {
    (void)whole.gather(false);
    handle_ = std::make_unique<Batch<In, Out>>(whole);
    std::vector<std::size_t> everybody(whole.info.size);
    for (std::size_t i = 0; i < everybody.size(); ++i) everybody[i] = i;
    to_run_.push_back(std::move(everybody));
  }

  /// On the thread that runs the whole batch.
  void start() { run_on(true); }

  void keep(Running&) override {}
  /// The last answer of a run has come after its function had returned.
  void finish(Running&) override {
    const auto self = std::move(itself_);
    end_run();
    if (to_run_.empty()) return over();
    if (whole_.core().homeless()) return give_up();
    net::post(InsideExecutor(whole_.core().executor(), whole_.core().inside()), Next(self));
  }

 private:
  /// One item of one run.
  class Trial final : public Call {
   public:
    Trial(Isolation& of, std::size_t which, const In& input) : Call(1, false, 1), item(which), of_(of), input_(input) {}

    [[nodiscard]] void* inputs() noexcept override { return &input_; }
    void values(std::size_t, void* outputs, std::size_t, Delivery& delivery) override {
      of_.answer(item, delivery, [&](Call& call, std::size_t at, Delivery& to) { call.values(at, outputs, 1, to); });
    }
    void fail(const std::exception_ptr& error, std::size_t, Answered, Delivery& delivery) override {
      if (of_.run_->failed_as_a_whole()) {
        failure = error;
      } else {
        of_.answer(item, delivery, [&](Call& call, std::size_t, Delivery& to) { of_.whole_.fail(call, error, 1, to); });
      }
    }
    void forget(std::size_t, Delivery&) override {}
    void put_error(std::exception_ptr) noexcept override {}
    void publish(Delivery&) override {}

    const std::size_t item;        // of the whole batch
    std::exception_ptr failure{};  // the run's

   private:
    void destroy() noexcept override {}  // the list does
    Isolation& of_;
    In input_;
  };

  /// The executor may let go of it uncalled, when its context ends.
  class Next {
   public:
    explicit Next(std::shared_ptr<Isolation> of) noexcept : isolation_(std::move(of)) {}
    Next(Next&&) noexcept = default;
    Next& operator=(Next&&) = delete;
    ~Next() {
      if (isolation_) isolation_->give_up();
    }
    void operator()() { std::exchange(isolation_, nullptr)->run_on(false); }

   private:
    std::shared_ptr<Isolation> isolation_;
  };

  /// Run after run, as long as each is over when its function returns.
  void run_on(bool first) {
    const auto self = this->shared_from_this();
    for (; !to_run_.empty(); first = false) {
      if (runs_left_ == 0 || (!first && whole_.stop_requested())) return give_up();
      --runs_left_;
      if (!begin_run()) continue;
      if (!first) whole_.core().counters().reruns.fetch_add(1);
      itself_ = self;
      run_->run();
      run_->delivery().hand_over(whole_.core(), false);
      if (first && !run_->by_user()) whole_.drive();
      if (!run_->returned()) return;  // `finish` will come
      itself_.reset();
      end_run();
    }
    over();
  }

  /// False if no item could be copied.
  bool begin_run() {
    const std::vector<std::size_t> items = std::move(to_run_.back());
    to_run_.pop_back();
    trials_.clear();
    run_ = std::make_unique<State>(function_);
    for (const std::size_t item : items) {
      std::exception_ptr error;
      try {
        trials_.push_back(std::make_unique<Trial>(*this, item, whole_.inputs()[item]));
      } catch (...) {
        error = std::current_exception();
      }
      if (error) {
        handle_->set_error(item, std::move(error));
      } else {
        if (!whole_.audience.empty()) run_->audience.add(run_->slices.size(), whole_.audience, item);
        run_->slices.push_back({trials_.back().get(), 0, 1});
      }
    }
    if (trials_.empty()) return false;
    run_->info = whole_.info;
    run_->info.size = trials_.size();
    run_->start_within(whole_, *this);
    return true;
  }
  /// Who was not answered is to run again, in halves; who stood alone hears why.
  void end_run() {
    std::vector<std::size_t> failed;
    for (const auto& trial : trials_) {
      if (!trial->failure) continue;
      failed.push_back(trial->item);
      last_ = trial->failure;
    }
    if (trials_.size() == 1 && !failed.empty()) {
      handle_->set_error(failed.front(), last_);
    } else if (!failed.empty()) {
      const auto half = failed.begin() + static_cast<std::ptrdiff_t>((failed.size() + 1) / 2);
      if (half != failed.end()) to_run_.emplace_back(half, failed.end());
      to_run_.emplace_back(failed.begin(), half);
    }
    whole_.add_withdrawn(run_->withdrawn());
    State* run = run_.release();
    if (run->release()) delete run;  // else a handle that is still held will
  }
  /// The rest hears the last error.
  void give_up() {
    to_run_.clear();
    handle_->fail(last_);
    over();
  }
  void over() {
    handle_.reset();  // first, so that the whole batch can be used again
    if (const std::size_t answered = answered_.exchange(0); answered > 0) whole_.settle(answered);
  }

  template <class F>
  void answer(std::size_t item, Delivery& delivery, F f) {
    if (whole_.answer(item, delivery, f)) answered_.fetch_add(1);
  }

  BatchFunction<In, Out>& function_;
  std::size_t runs_left_;
  State& whole_;
  std::unique_ptr<Batch<In, Out>> handle_;        // keeps the whole batch and its core
  std::vector<std::vector<std::size_t>> to_run_;  // the next one is the last
  std::vector<std::unique_ptr<Trial>> trials_;    // of the run
  std::unique_ptr<State> run_;
  std::exception_ptr last_;
  std::atomic<std::size_t> answered_ = 0;  // by runs; the whole batch is told at the end
  std::shared_ptr<Isolation> itself_;      // while a run is on
};

/// A batch function that does that with another.
template <class In, class Out>
class IsolatingFunction final : public BatchFunction<In, Out> {
 public:
  IsolatingFunction(std::unique_ptr<BatchFunction<In, Out>> function, std::size_t max_runs)
      : function_(std::move(function)), max_runs_(max_runs) {}
  void run(BatchState<In, Out>& batch) override {
    std::make_shared<Isolation<In, Out>>(*function_, max_runs_, batch)->start();
  }
  std::shared_ptr<void> lock_inline() override { return function_->lock_inline(); }

 private:
  std::unique_ptr<BatchFunction<In, Out>> function_;
  std::size_t max_runs_;
};

}  // namespace batching::detail
