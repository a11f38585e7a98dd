// Intake: the lock-free list on which everybody leaves mail for the strand, and the strand itself.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/prefetch.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// One message to the strand. Aligned so that four bits of its address are free for the strand's own state. What is
/// sent has virtual functions anyway; with one here, no call needs a second pointer to its table.
struct alignas(16) Mail {
  enum class Kind : std::uint8_t { submission, application, withdrawal, finished, kept, order, closing };

  explicit Mail(Kind what) noexcept : kind(what) {}
  Mail(const Mail&) = delete;
  Mail& operator=(const Mail&) = delete;

  Mail* next = nullptr;
  /// On its way: another that its reader should fetch meanwhile; never looked at, it may be gone. Then free for who
  /// has read it.
  Mail* back = nullptr;
  Kind kind;

 protected:
  virtual ~Mail() = default;
};

/// Many threads push, one at a time is *inside*: that is the whole strand. One word holds the list, what its owner is
/// doing, and how much the window at the end of the row lacks; so a submission is one atomic operation, and it knows
/// whether it has to wake the strand and whether its time matters:
///
///     idle       nobody is inside; the next submission must wake the strand
///     filling    nobody is inside and submissions may pile up until one fills the window: its clock is running
///     busy       likewise, however many come: no partition is free
///     watched    nobody is inside, but somebody looks out for a moment: the next submission need not wake anybody
///     overseen   likewise, nor need the one that fills the window
///     scheduled  a wake-up is on its way, or who looks out will see this
///     inside     somebody is at it and will look again before leaving
///
/// so that a burst of submissions costs one wake-up, and most cost none.
class Intake {
 public:
  enum class Submitted { refused, stored, wake };
  /// What the strand sleeps until: the next submission, the one that fills the window, or an urgent one only.
  enum class Until : std::uint8_t { next, full, urgent };

  /// `window`: its size in items.
  explicit Intake(std::uint64_t window = 1) noexcept : window_(smaller(window, most_lacking)), word_(lack(window_)) {}

  /// What most submissions are: one behind another, into a window that is open and stays open. Then nobody has to be
  /// woken, and the time does not matter. False: it is another case, or somebody else was faster: `submit` it. Any
  /// thread.
  [[nodiscard, gnu::always_inline]] bool try_append(Mail& mail, std::uint64_t items) noexcept {
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    const std::uint64_t lacking = old >> lacking_shift;  // when closed: more than any window has
    if (list(old) == nullptr || items >= lacking || lacking >= window_) return false;
    remember(mail);
    mail.next = list(old);
    return word_.compare_exchange_weak(old, ((old & ~address_bits) | address(mail)) - lack(items));
  }

  /// Leaves a submission of so many items. `urgent`: the strand must look at it although it sleeps. `wake`: it is for
  /// the caller to schedule somebody who calls `enter`. Any thread.
  ///
  /// `stamp()` is called, before, if the time of this submission may matter: it is the first since the strand took its
  /// mail, or has the item that opens a window. (A reading of the clock costs as much as all the rest of this.)
  ///
  /// `hold()` is called, before, if this submission may wake the strand: from then on its handler may run at any time,
  /// and destroy whatever the caller does not hold on to.
  template <class Stamp, class Hold>
  [[nodiscard, gnu::noinline]] Submitted submit(Mail& mail, std::uint64_t items, bool urgent, Stamp stamp,
                                                Hold hold) noexcept {
    remember(mail);
    bool stamped = false;
    std::uint64_t old = word_.load(std::memory_order_relaxed);
    for (;;) {
      if ((old & closed) != 0) return Submitted::refused;
      mail.next = list(old);
      const std::uint64_t lacking = old >> lacking_shift & most_lacking;
      const bool fills = items >= lacking;
      if (!stamped && (mail.next == nullptr || lacking == window_ || items > lacking)) {
        stamp();
        stamped = true;
      }
      const bool seen = status(old) == watched || (status(old) == overseen && (fills || urgent));
      const bool wake = urgent ? is_asleep(old) : status(old) == idle || (status(old) == filling && fills);
      if (wake) hold();
      const std::uint64_t then = items < lacking    ? lacking - items
                                 : items == lacking ? window_
                                                    : window_ - (items - lacking) % window_;
      const std::uint64_t next = address(mail) | (old & urgent_bit) | (urgent ? urgent_bit : 0) | lack(then) |
                                 (wake || seen ? scheduled : status(old));
      if (word_.compare_exchange_weak(old, next)) return wake ? Submitted::wake : Submitted::stored;
    }
  }

  /// Leaves mail that must be read soon. True: nobody was inside, now this thread is. Any thread.
  [[nodiscard]] bool send(Mail& mail) noexcept {
    std::uint64_t old = word_.load();
    do {
      mail.next = list(old);
    } while (!word_.compare_exchange_weak(old, address(mail) | (old & (closed | lacking_bits)) | urgent_bit | inside));
    return status(old) != inside;
  }

  /// Steps inside, or makes whoever is there look again. True: now this thread is. Any thread.
  [[nodiscard]] bool enter() noexcept {
    std::uint64_t old = word_.load();
    while (
        !word_.compare_exchange_weak(old, status(old) == inside ? old | urgent_bit : (old & ~status_bits) | inside)) {
    }
    return status(old) != inside;
  }

  /// All mail so far, first in first out. Only inside.
  [[nodiscard]] Mail* take() noexcept {
    Mail* newest = list(word_.fetch_and(closed | lacking_bits | status_bits));
    Mail* oldest = nullptr;
    while (newest != nullptr) {
      Mail* next = newest->next;
      prefetch(newest->back);
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  /// Steps outside. `lacking`: how many items the window at the end of the row lacks; as many as it has room for if the
  /// next item opens one. `watch`: this thread will look out for what it would else sleep until (not for what is
  /// urgent): `is_watched`, then `stop_watching`. False: there is mail, still inside.
  [[nodiscard]] bool leave(Until until, std::uint64_t lacking, bool watch = false) noexcept {
    const std::uint64_t rest = until == Until::urgent ? busy
                               : until == Until::full ? (watch ? overseen : filling)
                                                      : (watch ? watched : idle);
    std::uint64_t old = word_.load();
    std::uint64_t next = 0;
    do {
      const bool empty = list(old) == nullptr;
      if ((old & urgent_bit) != 0 || (!empty && until != Until::urgent)) return false;
      // What has been pushed since is not in `lacking` yet; its pushers have kept count.
      next = empty ? (old & closed) | lack(smaller(lacking, window_)) | rest : (old & ~status_bits) | rest;
    } while (!word_.compare_exchange_weak(old, next));
    return true;
  }

  /// Does whoever looks out still have to? Any thread.
  [[nodiscard]] bool is_watched() const noexcept { return is_watched(word_.load(std::memory_order_relaxed)); }
  /// Nobody looks out any more. True: something has come meanwhile, and now this thread is inside.
  [[nodiscard]] bool stop_watching() noexcept {
    std::uint64_t old = word_.load();
    while (is_watched(old)) {
      const std::uint64_t rest = status(old) == watched ? idle : filling;
      if (word_.compare_exchange_weak(old, (old & ~status_bits) | rest)) return false;
    }
    return enter();
  }

  /// From now on every submission is refused; what was stored before stays. Any thread.
  void close() noexcept { word_.fetch_or(closed); }
  [[nodiscard]] bool is_closed() const noexcept { return (word_.load() & closed) != 0; }

 private:
  // From the lowest bit: 3 of status, 1 for urgent mail; the address without its four lowest bits, which are 0, up to
  // the 48th, above which no user's address on x86-64 or AArch64 goes unasked; 15 for what the window lacks; 1: closed.
  static constexpr std::uint64_t idle = 0;
  static constexpr std::uint64_t filling = 1;
  static constexpr std::uint64_t busy = 2;
  static constexpr std::uint64_t scheduled = 3;
  static constexpr std::uint64_t inside = 4;
  static constexpr std::uint64_t watched = 5;
  static constexpr std::uint64_t overseen = 6;
  static constexpr std::uint64_t status_bits = 7;
  static constexpr std::uint64_t urgent_bit = 8;
  static constexpr std::uint64_t address_bits = ((std::uint64_t{1} << 48U) - 1) & ~std::uint64_t{15};
  static constexpr unsigned lacking_shift = 48;
  static constexpr std::uint64_t most_lacking = (std::uint64_t{1} << 15U) - 1;  // of a larger window: at least so many
  static constexpr std::uint64_t lacking_bits = most_lacking << lacking_shift;
  static constexpr std::uint64_t closed = std::uint64_t{1} << 63U;

  static std::uint64_t status(std::uint64_t word) noexcept { return word & status_bits; }
  static bool is_asleep(std::uint64_t word) noexcept { return status(word) <= busy; }
  static bool is_watched(std::uint64_t word) noexcept { return status(word) >= watched; }
  static std::uint64_t lack(std::uint64_t items) noexcept { return items << lacking_shift; }
  static Mail* list(std::uint64_t word) noexcept {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it was one
    return reinterpret_cast<Mail*>(static_cast<std::uintptr_t>(word & address_bits));
  }
  static std::uint64_t address(Mail& mail) noexcept { return reinterpret_cast<std::uintptr_t>(&mail); }

  /// The strand walks the list from the newest to the oldest, and each comes from the cache of another processor: it
  /// would wait for one after the other. So each carries the address of one further back, which its own thread has sent
  /// (jump pointers: Roth and Sohi, "Effective Jump-Pointer Prefetching for Linked Data Structures", ISCA 1999).
  [[gnu::always_inline]] static void remember(Mail& mail) noexcept {
    constexpr std::size_t distance = 8;
    static constinit thread_local Mail* sent[distance]{};
    static constinit thread_local std::size_t next = 0;
    mail.back = sent[next];
    sent[next] = &mail;
    next = (next + 1) % distance;
  }

  const std::uint64_t window_;
  std::atomic<std::uint64_t> word_;
};

}  // namespace batching::detail
