// Running: a batch from its start until its last answer.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_info.hpp>
#include <batching/detail/audience.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/deadlines.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/report.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/waiting.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

namespace batching::detail {

/// The two letters that a batch sends to the strand are parts of it.
struct Finished : Mail {
  Finished() noexcept : Mail(Kind::finished) {}
};
struct Kept : Mail {
  Kept() noexcept : Mail(Kind::kept) {}
};

template <class>
class BasicSharedCall;
using SharedCall = BasicSharedCall<WhenUsed>;

/// What the strand knows of a batch. Recycled: it is used again once it is over and no handle refers to it.
template <class Used>
class BasicRunning : public Finished, public Kept, public Deadline {
 public:
  BasicRunning() = default;
  BasicRunning(const BasicRunning&) = delete;
  BasicRunning& operator=(const BasicRunning&) = delete;
  ~BasicRunning() override {
    if (within_ != nullptr && within_->release()) delete within_;
  }

  /// Calls the batch function with it. Nothing leaves here; what was thrown has been given to the callers.
  virtual void run() noexcept = 0;

  Late<std::vector<Slice>, Used> slices;
  BatchInfo info;
  /// The calls to be seen to when it is over, each with a reference: those with a deadline, all of them if the batch
  /// itself has one, and those of which items still waited when it left; if they fail, the others need not run.
  Late<std::vector<Call*>, Used> watched;
  Late<std::vector<SharedCall*>, Used> joinables;  // of it
  Late<Audience, Used> audience;                   // who listens to its hooks
  Time oldest{};                                   // when the first of its items came
  Time started{};                                  // when it left
  Time ended{};                                    // when its last answer was given
  Late<Owned<Report>, Used> report;                // if there is an observer

  void start(Core& core) noexcept { start(core, core); }
  void start(Core& core, Owner& owner) noexcept {
    core_ = &core;
    owner_ = &owner;
    failed_as_a_whole_.store(false, std::memory_order_relaxed);
    overdue_.store(false, std::memory_order_relaxed);
    kept_ = false;
    driven_ = false;
    withdrawn_.store(0, std::memory_order_relaxed);
    sleepers_.store(0, std::memory_order_relaxed);
    pending_.store(info.size + 1, std::memory_order_relaxed);
    references_.store(1, std::memory_order_relaxed);
  }

  /// As a part of a larger batch, which it keeps.
  void start_within(BasicRunning& whole, Owner& owner) noexcept {
    whole.add_reference();
    within_ = &whole;
    start(whole.core(), owner);
  }

  [[nodiscard]] Core& core() const noexcept { return *core_; }
  /// Answers of the thread that runs the function, for it to hand over when the function has returned.
  [[nodiscard]] Delivery& delivery() noexcept { return delivery_; }

  /// Its deadline has come.
  void set_overdue() noexcept { overdue_.store(true); }
  [[nodiscard]] bool stop_requested() const noexcept {
    return overdue_.load() || core_->stop_requested() || (within_ != nullptr && within_->stop_requested());
  }

  /// What fails from now on fails because the batch does, not by itself.
  void fail_as_a_whole() noexcept { failed_as_a_whole_.store(true); }
  [[nodiscard]] bool failed_as_a_whole() const noexcept { return failed_as_a_whole_.load(); }

  /// `count` items of the call have failed: the batch's function has failed them.
  void fail(Call& call, const std::exception_ptr& error, std::size_t count, Delivery& delivery) {
    if (report) report->fail(count, error);
    call.fail(error, count, Answered::failed, delivery);
  }

  /// So many more items are answered; if that was the last of it, the batch is finished.
  void settle(std::size_t count) {
    if (pending_.fetch_sub(count) == count) owner_->finish(*this);
  }
  /// The function has returned. True: the batch is over, and whoever asked has to report it finished. What is not
  /// answered yet will be through a handle, whenever that is.
  [[nodiscard]] bool returned() {
    if (pending_.load() > 1) {
      kept_ = true;
      owner_->keep(*this);
    }
    return pending_.fetch_sub(1) == 1;
  }
  /// Has the function returned while answers are still to come? `by_user`: through a handle that the user has, which no
  /// destructor waits for; otherwise a coroutine is at it.
  [[nodiscard]] bool kept() const noexcept { return kept_; }
  [[nodiscard]] bool by_user() const noexcept { return !driven_; }
  void drive() noexcept { driven_ = true; }

  /// Callers who slept when their answers came.
  [[nodiscard]] std::size_t sleepers() const noexcept { return sleepers_.load(std::memory_order_relaxed); }
  void add_sleepers(std::size_t callers) noexcept {
    if (callers > 0) sleepers_.fetch_add(callers, std::memory_order_relaxed);
  }

  /// Calls that their callers had withdrawn by the time their turn was over.
  [[nodiscard]] std::int64_t withdrawn() const noexcept { return withdrawn_.load(); }
  void add_withdrawn(std::int64_t calls) noexcept { withdrawn_.fetch_add(calls); }

  /// One reference is the strand's, one the handle's.
  void add_reference() noexcept { references_.fetch_add(1); }
  [[nodiscard]] bool release() noexcept { return references_.fetch_sub(1) == 1; }

 protected:
  /// Shows the answers to their callers, and counts what was withdrawn.
  template <class L>
  void commit(BasicDelivery<L>& delivery) {
    delivery.commit(*core_);
    if (const std::int64_t withdrawn = delivery.take_withdrawn()) withdrawn_.fetch_add(withdrawn);
  }

 private:
  Core* core_ = nullptr;
  Owner* owner_ = nullptr;
  BasicRunning* within_ = nullptr;  // with a reference
  Late<Delivery, Used> delivery_;
  std::atomic<bool> overdue_ = false;
  std::atomic<bool> failed_as_a_whole_ = false;
  std::atomic<std::size_t> pending_ = 0;
  std::atomic<std::int64_t> withdrawn_ = 0;
  std::atomic<std::size_t> sleepers_ = 0;
  std::atomic<int> references_ = 0;
  bool kept_ = false;
  bool driven_ = false;
};

}  // namespace batching::detail
