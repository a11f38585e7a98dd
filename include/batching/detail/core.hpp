// Core: what calls, batches and deliveries may know of the batcher they belong to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/asio.hpp>
#include <batching/detail/completion.hpp>
#include <batching/detail/counters.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/lookout.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/error.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace batching::detail {

struct Withdrawal;
template <class>
class BasicRunning;
using Running = BasicRunning<WhenUsed>;

/// Who is told how a batch goes: its batcher, or a larger batch of which it is a part. Any thread.
class Owner {
 public:
  Owner() = default;
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  /// Every item of the batch is answered and its function has returned.
  virtual void finish(Running& running) = 0;
  /// The batch function has returned without having answered everybody.
  virtual void keep(Running& running) = 0;

 protected:
  ~Owner() = default;
};

/// The shared heart of one batcher; lives until the batcher and all its calls are gone.
template <class L>
class BasicCore : public Owner, public std::enable_shared_from_this<BasicCore<L>> {
 public:
  /// `pool`: what is under the executor, if the batcher owns it; kept to the end. `beside`: another, of which it runs
  /// the functions.
  BasicCore(net::any_io_executor executor, std::shared_ptr<void> pool, const BasicCore* beside = nullptr)
      : inside_(beside != nullptr ? beside->inside_ : this),
        pool_(std::move(pool)),
        executor_(std::move(executor)),
        surfaces_exceptions_(pool_ == nullptr && detail::surfaces_exceptions(executor_)) {}
  virtual ~BasicCore() = default;

  [[nodiscard]] const net::any_io_executor& executor() const noexcept { return executor_; }
  [[nodiscard]] Counters& counters() noexcept { return counters_; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

  /// A caller has withdrawn its call, which has been answered: the strand hears of it. Any thread.
  virtual void withdraw(Withdrawal& letter) = 0;
  /// Is the context of the executor gone? Handlers are then destroyed uncalled, as those are that were queued on it.
  [[nodiscard]] bool homeless() const noexcept { return homeless_.load(); }
  /// Has the batcher been stopped?
  [[nodiscard]] bool stop_requested() const noexcept { return stopped_.load(std::memory_order_relaxed); }
  /// What those hear whose batch was let go of.
  [[nodiscard]] errc dropped() const noexcept { return homeless() ? errc::closed : errc::dropped; }

  /// Had so few callers to be woken for the latest batch that threads which wait had better look out than sleep? Any
  /// thread.
  [[nodiscard]] bool few_sleepers() const noexcept { return few_sleepers_.load(std::memory_order_relaxed); }
  /// So many have been, of the batch that is over. On the strand.
  void woken(std::size_t callers) noexcept {
    const bool few = callers <= Lookout::few;
    if (few != few_sleepers()) few_sleepers_.store(few, std::memory_order_relaxed);
  }

  /// What a thread is `Inside` of that runs its functions and handlers.
  [[nodiscard]] const void* inside() const noexcept { return inside_; }

  /// Calls the handlers at home: on this thread if it is `here`, else from a post.
  void complete_at_home(CompletionList list, bool here) {
    if (here) {
      complete_all(list, executor_, surfaces_exceptions_);
    } else {
      net::post(executor_,
                AtHome{this->shared_from_this(),
                       CompletionGroup(std::move(list), executor_, surfaces_exceptions_, RecyclingAllocator<void>())});
    }
  }

 protected:
  void lose_executor() noexcept { homeless_.store(true); }
  void request_stop() noexcept { stopped_.store(true, std::memory_order_relaxed); }

 private:
  /// Inside the batcher, wherever it runs.
  struct AtHome {
    using allocator_type = RecyclingAllocator<void>;
    std::shared_ptr<BasicCore> core;
    CompletionGroup<net::any_io_executor, RecyclingAllocator<void>> group;

    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
    void operator()() {
      const Inside inside(core->inside());
      group();
    }
  };

  const void* const inside_;
  const std::shared_ptr<void> pool_;
  net::any_io_executor executor_;
  const bool surfaces_exceptions_;
  std::atomic<bool> homeless_ = false;
  std::atomic<bool> stopped_ = false;
  std::atomic<bool> few_sleepers_ = false;
  Counters counters_;
};
using Core = BasicCore<WhenUsed>;

}  // namespace batching::detail
