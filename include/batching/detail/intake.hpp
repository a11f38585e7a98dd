// Intake: the lock-free list on which everybody leaves mail for the strand, and the strand itself.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

namespace batching::detail {

/// One message to the strand. Aligned so that four bits of its address are free for the strand's own state.
struct alignas(16) Mail {
  enum class Kind : std::uint8_t { submission, withdrawal, finished, kept, flush, close, stop, abandon, closing };

  explicit Mail(Kind what) noexcept : kind(what) {}
  Mail(const Mail&) = delete;
  Mail& operator=(const Mail&) = delete;

  Mail* next = nullptr;
  Kind kind;

 protected:
  ~Mail() = default;
};

/// Many threads push, one at a time is *inside*: that is the whole strand. One word holds the list and what its owner
/// is doing:
///
///     idle       nobody is inside; the next submission must wake the strand
///     parked     nobody is inside and submissions may pile up: every partition is busy, or a clock is running and
///                the window is not full yet; the submission that fills it wakes the strand
///     scheduled  a wake-up is on its way
///     inside     somebody is at it and will look again before leaving
///
/// so that a burst of submissions costs one wake-up, and most cost none.
class Intake {
 public:
  enum class Submitted { refused, stored, wake };

  explicit Intake(std::uint64_t window = 1) noexcept : window_(window) {}

  /// Leaves a submission of so many items. `urgent`: the strand must look at it although it is parked. `wake`: it is
  /// for the caller to schedule somebody who calls `enter`. Any thread.
  ///
  /// `stamp()` is called, before, if the time of this submission may matter: it is the first since the strand took its
  /// mail, or has the item that opens a window. (A reading of the clock costs as much as all the rest of this.)
  ///
  /// `hold()` is called, before, if this submission may wake the strand: from then on its handler may run at any time,
  /// and destroy whatever the caller does not hold on to.
  template <class Stamp, class Hold>
  [[nodiscard]] Submitted submit(Mail& mail, std::uint64_t items, bool urgent, Stamp stamp, Hold hold) noexcept {
    if ((word_.load() & closed) != 0) return Submitted::refused;
    const std::uint64_t ticket = accepted_.fetch_add(items) + items;
    bool stamped = false;
    std::uintptr_t old = word_.load();
    for (;;) {
      if ((old & closed) != 0) {
        accepted_.fetch_sub(items);
        return Submitted::refused;
      }
      mail.next = list(old);
      if (!stamped && (opens(ticket) || mail.next == nullptr)) {
        stamp();
        stamped = true;
      }
      const bool wake = status(old) == idle || (status(old) == parked && (urgent || fills(ticket, items)));
      if (wake) hold();
      const std::uintptr_t next =
          address(mail) | (old & urgent_bit) | (urgent ? urgent_bit : 0) | (wake ? scheduled : status(old));
      if (word_.compare_exchange_weak(old, next)) return wake ? Submitted::wake : Submitted::stored;
    }
  }

  /// Leaves mail that must be read soon. True: nobody was inside, now this thread is. Any thread.
  [[nodiscard]] bool send(Mail& mail) noexcept {
    std::uintptr_t old = word_.load();
    do {
      mail.next = list(old);
    } while (!word_.compare_exchange_weak(old, address(mail) | (old & closed) | urgent_bit | inside));
    return status(old) != inside;
  }

  /// Steps inside, or makes whoever is there look again. True: now this thread is. Any thread.
  [[nodiscard]] bool enter() noexcept {
    std::uintptr_t old = word_.load();
    while (
        !word_.compare_exchange_weak(old, status(old) == inside ? old | urgent_bit : (old & ~status_bits) | inside)) {
    }
    return status(old) != inside;
  }

  /// All mail so far, first in first out. Only inside.
  [[nodiscard]] Mail* take() noexcept {
    Mail* newest = list(word_.fetch_and(closed | status_bits));
    Mail* oldest = nullptr;
    while (newest != nullptr) {
      Mail* next = newest->next;
      newest->next = oldest;
      oldest = newest;
      newest = next;
    }
    return oldest;
  }

  /// Submissions until which the strand may sleep, counted over the batcher's life.
  static constexpr std::uint64_t until_next = 0;                                            // the very next one
  static constexpr std::uint64_t until_urgent = std::numeric_limits<std::uint64_t>::max();  // however many

  /// Steps outside, to be woken by the submission of the `until`th item; the `opener`th is the next that opens a
  /// window. False: there is mail, still inside.
  [[nodiscard]] bool leave(std::uint64_t until, std::uint64_t opener = 0) noexcept {
    wake_at_.store(until);
    opener_.store(opener, std::memory_order_relaxed);
    // Tickets are drawn before the push: the one that fills the window may be pushed before those that came before it,
    // and nobody would wake the strand for them. So once such a ticket is out, every push wakes.
    const std::uintptr_t rest = until != until_next && accepted_.load() < until ? parked : idle;
    std::uintptr_t old = word_.load();
    do {
      if ((old & urgent_bit) != 0) return false;
      if (list(old) != nullptr && !(rest == parked && until == until_urgent)) return false;
    } while (!word_.compare_exchange_weak(old, (old & ~status_bits) | rest));
    return true;
  }

  /// From now on every submission is refused; what was stored before stays. Any thread.
  void close() noexcept { word_.fetch_or(closed); }
  [[nodiscard]] bool is_closed() const noexcept { return (word_.load() & closed) != 0; }

  /// Items submitted and not refused.
  [[nodiscard]] std::uint64_t accepted() const noexcept { return accepted_.load(); }

 private:
  static constexpr std::uintptr_t idle = 0;
  static constexpr std::uintptr_t parked = 1;
  static constexpr std::uintptr_t scheduled = 2;
  static constexpr std::uintptr_t inside = 3;
  static constexpr std::uintptr_t status_bits = 3;
  static constexpr std::uintptr_t urgent_bit = 4;
  static constexpr std::uintptr_t closed = 8;

  static std::uintptr_t status(std::uintptr_t word) noexcept { return word & status_bits; }
  static Mail* list(std::uintptr_t word) noexcept {
    return reinterpret_cast<Mail*>(word & ~std::uintptr_t{15});  // NOLINT(performance-no-int-to-ptr): it was one
  }
  static std::uintptr_t address(Mail& mail) noexcept { return reinterpret_cast<std::uintptr_t>(&mail); }

  bool fills(std::uint64_t ticket, std::uint64_t items) const noexcept {
    const std::uint64_t at = wake_at_.load();
    return ticket >= at && ticket - items < at;
  }

  /// Has this submission an item that opens a window? In doubt it has.
  bool opens(std::uint64_t ticket) noexcept {
    const std::uint64_t opener = opener_.load(std::memory_order_relaxed);
    if (ticket < opener) return false;
    opener_.store(opener + ((ticket - opener) / window_ + 1) * window_, std::memory_order_relaxed);
    return true;
  }

  const std::uint64_t window_;  // items
  std::atomic<std::uintptr_t> word_ = idle;
  std::atomic<std::uint64_t> accepted_ = 0;
  std::atomic<std::uint64_t> wake_at_ = until_next;
  std::atomic<std::uint64_t> opener_ = 0;
};

}  // namespace batching::detail
