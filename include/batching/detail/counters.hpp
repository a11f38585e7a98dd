// Counters: what every stage counts, from which `Stats` is made.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>
#include <batching/detail/extremes.hpp>
#include <batching/detail/prefetch.hpp>
#include <batching/stats.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace batching::detail {

/// How a call was answered.
enum class Answered : std::uint8_t { completed, failed, cancelled, timed_out, rejected };

/// On cache lines of its own: what is next to it is read by all who submit, some of it is written for each item.
struct alignas(cache_line) Counters {
  using Count = std::atomic<std::uint64_t>;

  Count accepted = 0;               // items whose submission the strand has read
  std::array<Count, 5> answered{};  // by `Answered`
  Count left = 0;                   // items that wait no more
  Count at_door = 0;                // items among the accepted that wait for room
  Count batches = 0;
  Count batched = 0;
  Count deduplicated = 0;
  Count running = 0;
  Count reruns = 0;
  std::array<Count, 6> closed_by{};  // by `CloseReason`

  /// For counters that only one thread at a time writes.
  [[gnu::always_inline]] static void add(Count& count, std::uint64_t by) noexcept {
    count.store(count.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  static void subtract(Count& count, std::uint64_t by) noexcept { add(count, -by); }

  /// The answers so far: to be read before the rest, so that no part is larger than its whole.
  [[nodiscard]] std::array<std::uint64_t, 5> read_answers() const noexcept {
    std::array<std::uint64_t, 5> answers{};
    for (std::size_t how = 0; how < answers.size(); ++how) answers[how] = answered[how].load();
    return answers;
  }
  void write(Stats& stats, const std::array<std::uint64_t, 5>& answers) const noexcept {
    const auto how = [&](Answered which) { return answers[static_cast<std::size_t>(which)]; };
    const auto closed = [&](CloseReason reason) { return closed_by[static_cast<std::size_t>(reason)].load(); };
    stats.completed = how(Answered::completed);
    stats.failed = how(Answered::failed);
    stats.cancelled = how(Answered::cancelled);
    stats.timed_out = how(Answered::timed_out);
    stats.rejected = how(Answered::rejected);
    const std::uint64_t elsewhere = left.load() + at_door.load();
    stats.accepted = accepted.load();
    stats.queued = stats.accepted - smaller(stats.accepted, elsewhere);
    stats.batches = batches.load();
    stats.batched = batched.load();
    stats.deduplicated = deduplicated.load();
    stats.reruns = reruns.load();
    stats.running = running.load();
    stats.closed_by = {closed(CloseReason::size), closed(CloseReason::weight), closed(CloseReason::timeout),
                       closed(CloseReason::idle), closed(CloseReason::flush),  closed(CloseReason::close)};
  }
};

}  // namespace batching::detail
