// Options: how a batcher forms its batches.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/adaptive.hpp>
#include <batching/close_reason.hpp>
#include <batching/dedup.hpp>
#include <batching/detail/label.hpp>
#include <batching/observer.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace batching {

/// What happens to a call for which there is no room.
enum class Overflow : std::uint8_t {
  reject,  ///< it is refused with `errc::queue_full`, at once
  block,   ///< it waits for room, first come, first served: `dispatch` on its thread, an asynchronous call without one
  drop_oldest,  ///< it is taken in, and those who have waited longest fail with `errc::queue_full`
};

/// What happens when a batch function throws, or returns the wrong number of outputs. (Types instead of an enumeration,
/// so that asking for copies of what cannot be copied does not compile.)
struct OnFailure {
  struct FailBatch {};
  struct Isolate {};
  static constexpr FailBatch fail_batch{};  ///< everybody in the batch hears the error
  static constexpr Isolate isolate{};       ///< the batch is run again in halves, until the poisoned items stand alone

  constexpr OnFailure(FailBatch) noexcept : isolates(false) {}  // NOLINT(google-explicit-constructor)
  constexpr OnFailure(Isolate) noexcept : isolates(true) {}     // NOLINT(google-explicit-constructor)
  bool isolates;
};

/// Either of the two, as a batcher of `In` takes it.
template <class In>
class FailurePolicy {
 public:
  constexpr FailurePolicy(OnFailure::FailBatch = {}) noexcept {}  // NOLINT(google-explicit-constructor)
  constexpr FailurePolicy(OnFailure::Isolate) noexcept            // NOLINT(google-explicit-constructor)
      : isolates_(true) {
    static_assert(
        std::is_void_v<In> || std::copy_constructible<In>,
        "batching: OnFailure::isolate runs the batch function again on copies of the inputs, but In cannot be "
        "copied");
  }
  /// Where it is known only at run time, a batcher whose `In` cannot be copied refuses it in its constructor.
  constexpr FailurePolicy(OnFailure either) noexcept : isolates_(either.isolates) {}  // NOLINT
  [[nodiscard]] constexpr bool isolates() const noexcept { return isolates_; }
  bool operator==(const FailurePolicy&) const = default;

 private:
  bool isolates_ = false;
};

/// An aggregate: use designated initialisers, in this order. Impossible values throw `std::invalid_argument` from the
/// batcher's constructor, naming the field and the value. With `In` it is `Batcher<In, Out>::Options`; without, it
/// holds all that does not depend on the items, and converts to the options of any batcher.
template <class In = void>
struct BasicOptions {
  using Dedup = typename detail::DedupFor<In>::type;

  /// Items per batch, or their summed `weight`, at least 1.
  std::size_t batch_size = 32;
  /// Longest wait of a window's first item for others to join it, not negative; 0: never wait on purpose (a window
  /// leaves the moment a partition is free); `duration::max()`: windows close by size, `flush()` and `close()` alone.
  std::chrono::nanoseconds batch_timeout = std::chrono::milliseconds(1);
  /// Batches that may run at once, at least 1.
  std::size_t partitions = 1;
  /// Items that may wait, not counting those whose batch has started, at least 1. A call of several items is taken in
  /// whole or not at all; one of more than `max_queued` is refused whatever `overflow` says.
  std::size_t max_queued = std::numeric_limits<std::size_t>::max();
  Overflow overflow = Overflow::reject;
  /// `const In& -> std::size_t`: then `batch_size`, and `min_batch_size`, bound the summed weight of a batch (tokens,
  /// bytes). An item heavier than `batch_size` is refused with `errc::too_heavy`; one that does not fit any more closes
  /// the window before it. Called once per item, on the caller's thread, by several at a time; what it throws is the
  /// answer of that call alone.
  detail::WeightFunction<In> weight = {};
  /// `const In& ->` anything with `std::hash` and `==`, neither of which may throw: only items of equal key share a
  /// batch. Each key has a window and a clock of its own for as long as its items wait; of those that can leave, the
  /// one goes first that has waited longest since it was last served. Called like `weight`.
  detail::KeyFunction<In> key = {};
  /// A window of fewer items does not leave by `batch_timeout`, at least 1 and at most `batch_size` ...
  std::size_t min_batch_size = 1;
  /// ... until its first item has waited so long, at least `batch_timeout`; without a value: not by time at all.
  std::optional<std::chrono::nanoseconds> max_wait = std::nullopt;
  /// `dedup::exact`, `similar`, `embedding` or `hybrid`: of items that are equal, or much alike, and wait at the same
  /// time, one runs, and all get its output, or its error. `batch_size` counts those that run, `max_queued` all.
  /// Nothing is remembered once they have left. Needs a copyable `Out`.
  Dedup dedup = {};
  /// Moves `batch_size` and `batch_timeout`, which are then only where it begins. Not together with `weight`. Each
  /// submission reads the clock, and the strand spends some microseconds for each batch on it.
  std::optional<Adaptive> adaptive = std::nullopt;
  /// What becomes of a batch whose function fails ...
  FailurePolicy<In> on_failure = OnFailure::fail_batch;
  /// ... and with `OnFailure::isolate` how many times, at least 1, the function may be called for one batch. Whoever
  /// has not been tried alone by then hears the last error.
  std::size_t max_runs = 64;
  /// Longest that a batch may run, more than 0: then its callers hear `errc::timed_out`, and `stop_requested` tells its
  /// function. The partition is taken until the function has returned all the same. Without a value: as long as it
  /// likes.
  std::optional<std::chrono::nanoseconds> batch_deadline = std::nullopt;
  /// Is told of every batch. Then each submission reads the clock.
  std::shared_ptr<Observer> observer = nullptr;

  template <class Other>
  requires(std::is_void_v<In> && !std::is_void_v<Other>) operator BasicOptions<Other>() const {  // NOLINT
    BasicOptions<Other> options{.batch_size = batch_size,
                                .batch_timeout = batch_timeout,
                                .partitions = partitions,
                                .max_queued = max_queued,
                                .overflow = overflow,
                                .min_batch_size = min_batch_size,
                                .max_wait = max_wait,
                                .adaptive = adaptive,
                                .max_runs = max_runs,
                                .batch_deadline = batch_deadline,
                                .observer = observer};
    if (on_failure.isolates()) options.on_failure = OnFailure(OnFailure::isolate);
    return options;
  }
};

using Options = BasicOptions<>;

namespace detail {

/// What the stages go by: the numbers, and whether there is a weight or a key.
template <class In>
[[nodiscard]] Options rules(const BasicOptions<In>& options) {
  return {.batch_size = options.batch_size,
          .batch_timeout = options.batch_timeout,
          .partitions = options.partitions,
          .max_queued = options.max_queued,
          .overflow = options.overflow,
          .weight = {static_cast<bool>(options.weight)},
          .key = {static_cast<bool>(options.key)},
          .min_batch_size = options.min_batch_size,
          .max_wait = options.max_wait,
          .dedup = options.dedup.rules(),
          .adaptive = options.adaptive,
          .max_runs = options.max_runs,
          .batch_deadline = options.batch_deadline,
          .observer = options.observer};
}

/// What the tuner may choose has to fit the rest.
template <class In>
void check_adaptive(const BasicOptions<In>& options) {
  const auto& adaptive = *options.adaptive;
  check(adaptive);
  if (options.weight.given) {
    throw std::invalid_argument("batching::Options::adaptive must be empty where weight is given");
  }
  if (options.min_batch_size > adaptive.min_batch_size) {
    throw std::invalid_argument("batching::Options::min_batch_size must be at most adaptive.min_batch_size, which is " +
                                std::to_string(adaptive.min_batch_size) + ", but is " +
                                std::to_string(options.min_batch_size));
  }
  if (options.max_wait && *options.max_wait < adaptive.max_batch_timeout) {
    throw std::invalid_argument("batching::Options::max_wait must be at least adaptive.max_batch_timeout, which is " +
                                std::to_string(adaptive.max_batch_timeout.count()) + " ns, but is " +
                                std::to_string(options.max_wait->count()));
  }
}

template <class In>
void check(const BasicOptions<In>& options) {
  const auto refuse = [](const char* field, const std::string& rule, auto value) {
    throw std::invalid_argument(std::string("batching::Options::") + field + " must be " + rule + ", but is " +
                                std::to_string(value));
  };
  if (options.batch_size == 0) refuse("batch_size", "at least 1", options.batch_size);
  if (options.batch_timeout.count() < 0) {
    refuse("batch_timeout", "0 or more nanoseconds", options.batch_timeout.count());
  }
  if (options.partitions == 0) refuse("partitions", "at least 1", options.partitions);
  if (options.max_queued == 0) refuse("max_queued", "at least 1", options.max_queued);
  if (options.min_batch_size == 0) refuse("min_batch_size", "at least 1", options.min_batch_size);
  if (options.min_batch_size > options.batch_size) {
    refuse("min_batch_size", "at most batch_size, which is " + std::to_string(options.batch_size),
           options.min_batch_size);
  }
  if (options.max_wait && *options.max_wait < options.batch_timeout) {
    refuse("max_wait", "at least batch_timeout, which is " + std::to_string(options.batch_timeout.count()) + " ns",
           options.max_wait->count());
  }
  if (options.adaptive) check_adaptive(options);
  if (options.max_runs == 0) refuse("max_runs", "at least 1", options.max_runs);
  if (options.batch_deadline && options.batch_deadline->count() <= 0) {
    refuse("batch_deadline", "more than 0 nanoseconds", options.batch_deadline->count());
  }
}

}  // namespace detail
}  // namespace batching
