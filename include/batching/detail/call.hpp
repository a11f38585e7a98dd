// Call: one submission on its way through the stages, and who may answer it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/audience.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/deadlines.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/parking.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/error.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>

namespace batching::detail {

class Call;
struct Wishes;

/// Tells the strand that a caller has withdrawn its call, which waits or runs.
struct Withdrawal final : Mail {
  explicit Withdrawal(Call& of) noexcept : Mail(Kind::withdrawal), call(of) {}
  Call& call;
};

/// Whoever *claims* a call writes its one answer: the batch that ran it, the strand (timeout, stop), or its own caller
/// (cancel). Where nobody but the batcher knows of the call there is nothing to contend for, and no atomic operation is
/// spent; `shared` calls decide by one on `word`, which also counts references:
///
///   - the batcher's, until every item of the call has had its turn (`end`);
///   - a future's, a cancellation slot's, a completion's, a letter's, a deadline's.
///
/// It does not know its batcher: whoever does something with a call knows which one that is, and a call should fit into
/// as few cache lines as can be, since each of them moves from one processor to another and back.
class Call : public Waiting {
 public:
  Call(std::size_t items, bool shared, std::uint32_t references) noexcept
      : Waiting(static_cast<std::uint32_t>(items)), word_(references * reference + (shared ? 0 : lone)) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// The inputs that have not been handed to a batch, as a contiguous array of all (`In*`).
  [[nodiscard]] virtual void* inputs() noexcept = 0;
  /// Items `first`, `first + 1`, ... have these outputs (`Out*`, moved from).
  virtual void values(std::size_t first, void* outputs, std::size_t count, Delivery& delivery) = 0;
  /// `count` items failed, and with them the call.
  virtual void fail(const std::exception_ptr& error, std::size_t count, Answered how, Delivery& delivery) = 0;
  /// `count` items left the row without a turn; the call is answered already.
  virtual void forget(std::size_t count, Delivery& delivery) = 0;
  /// Writes an error as the answer. The call has been claimed by whoever calls this.
  virtual void put_error(std::exception_ptr error) noexcept = 0;
  /// Makes the written answer visible, and gives up one reference.
  virtual void publish(Delivery& delivery) = 0;

  /// True for one caller only: the answer is its to write.
  [[nodiscard]] bool claim() noexcept { return is_lone() || (word_.fetch_or(claimed) & claimed) == 0; }
  [[nodiscard]] bool is_claimed() const noexcept { return (word_.load() & claimed) != 0; }

  /// The caller wants no answer any more: `errc::cancelled` now, and what still waits leaves the window. False if it
  /// was answered before. Any thread that holds a reference.
  template <class L>
  bool cancel(BasicCore<L>& core) {
    if (is_claimed()) return false;
    auto* letter = create<Withdrawal>(RecyclingAllocator<void>(), *this);
    std::uint32_t old = word_.load();
    do {
      if ((old & claimed) != 0) {
        detail::destroy(letter, RecyclingAllocator<void>());
        return false;
      }
    } while (!word_.compare_exchange_weak(old, (old | claimed | withdrawing) + 2 * reference));
    put_error(std::make_exception_ptr(Error(errc::cancelled)));
    BasicDelivery<L> delivery;
    core.counters().answered[static_cast<std::size_t>(Answered::cancelled)].fetch_add(size);
    publish(delivery);
    delivery.hand_over(core, false);
    core.withdraw(*letter);
    return true;
  }

  void add_reference() noexcept { word_.fetch_add(reference); }
  void release() noexcept {
    if (is_lone() || word_.fetch_sub(reference) / reference == 1) destroy();
  }

  /// Every item of the call, answered by somebody else, has had its turn.
  template <class L>
  void end(BasicDelivery<L>& delivery) noexcept {
    if (is_lone()) return destroy();
    const std::uint32_t old = word_.fetch_sub(reference);
    if ((old & withdrawing) != 0) delivery.withdrawn();
    if (old / reference == 1) destroy();
  }

  /// Answers the call with an error before all its items had their turn, if nobody has answered it yet.
  template <class L>
  void answer_early(const std::exception_ptr& error, Answered how, BasicDelivery<L>& delivery) {
    if (!claim()) return;
    put_error(error);
    add_reference();  // to be given up by `publish`: the last turn may come in between
    delivery.add(*this, how);
  }

  /// To be called before it is submitted.
  Wishes& wish();
  /// Is it among those whose deadline will come? On the strand.
  [[nodiscard]] bool is_expected() const noexcept;
  /// Who listens to its hooks; null if nobody does.
  [[nodiscard]] const std::shared_ptr<Listener>* listener() const noexcept;
  Wishes* wishes = nullptr;

 protected:
  ~Call() override;
  virtual void destroy() noexcept = 0;
  [[gnu::cold]] void forget_wishes() noexcept;

  static constexpr std::uint32_t claimed = 1;      // the answer belongs to somebody
  static constexpr std::uint32_t withdrawing = 2;  // namely to the caller, whose letter will come
  static constexpr std::uint32_t visible = 4;      // the answer can be read
  static constexpr std::uint32_t parked = 8;       // somebody sleeps until it can
  static constexpr std::uint32_t lone = 16;        // never more than one reference; the word does not change
  static constexpr std::uint32_t reference = 32;

  [[nodiscard]] bool is_lone() const noexcept { return (word_.load(std::memory_order_relaxed) & lone) != 0; }

  Word word_;
};

/// What only some callers ask for; apart, so that the others' calls stay small.
struct Wishes final : Deadline {
  explicit Wishes(Call& of) noexcept : call(of) {}
  Call& call;
  std::shared_ptr<Listener> listener;
};

inline Call::~Call() {
  if (wishes != nullptr) [[unlikely]]
    forget_wishes();
}
inline void Call::forget_wishes() noexcept { detail::destroy(wishes, RecyclingAllocator<void>()); }
inline Wishes& Call::wish() {
  if (wishes == nullptr) wishes = create<Wishes>(RecyclingAllocator<void>(), *this);
  return *wishes;
}
inline bool Call::is_expected() const noexcept { return wishes != nullptr && wishes->place != Deadline::absent; }
inline const std::shared_ptr<Listener>* Call::listener() const noexcept {
  return wishes != nullptr && wishes->listener ? &wishes->listener : nullptr;
}

template <class L>
void BasicDelivery<L>::add(Call& call, Answered how) {
  answered_.push_back(&call);
  count(how, call.size);
}

template <class L>
void BasicDelivery<L>::commit(Core& core) {
  for (std::size_t how = 0; how < std::size(counts_); ++how) {
    if (const std::uint64_t count = std::exchange(counts_[how], 0)) core.counters().answered[how].fetch_add(count);
  }
  for (Call* call : answered_) call->publish(*this);  // may be its end
  give_back(answered_);
}

template <class L>
void BasicDelivery<L>::submit_all(Core& core, bool here) {
  // Handlers without a place to run are destroyed off the strand: they may own anything, the batcher included.
  if (core.homeless()) return;
  // Moved out first: what is submitted may run here, and submit again.
  CompletionList home(std::move(home_));
  CompletionList away(std::move(away_));
  // One operation for each executor. Past the first few executors only neighbours are looked at, or a batch whose
  // callers have one each would take the square of its size.
  for (int executors = 0; !away.empty(); ++executors) {
    constexpr int many = 8;
    CompletionList group;
    CompletionList rest;
    Completion& first = away.pop();
    group.push(first);
    while (!away.empty()) {
      const bool same = first.same_executor(away.front());
      if (!same && executors >= many) break;
      (same ? group : rest).push(away.pop());
    }
    while (!rest.empty()) away.push(rest.pop());
    unless_refused([&] { first.submit(std::move(group), here); });
  }
  if (!home.empty()) unless_refused([&] { core.complete_at_home(std::move(home), here); });
}

template <class L>
void BasicDelivery<L>::unpark_all() noexcept {
  for (const void* word : parked_) unpark(word);
  parked_.clear();
}

}  // namespace batching::detail
