// How a call gets on its way to the engine, or hears at once that it does not.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/call_options.hpp>
#include <batching/detail/asio.hpp>
#include <batching/detail/audience.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/counters.hpp>
#include <batching/detail/delivery.hpp>
#include <batching/detail/engine.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/sorting.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace batching::detail {

/// A refusal, and the answer of a call without items, comes like any other answer.
template <class L>
void answer_at_the_door(Call& call, BasicCore<L>& core, const std::exception_ptr& refusal = nullptr) {
  Delivery delivery;
  if (refusal) {
    call.fail(refusal, call.size, Answered::rejected, delivery);
  } else {
    call.values(0, nullptr, 0, delivery);
  }
  delivery.commit(core);
  delivery.hand_over(core, false);
}

struct NoSlot {
  void operator()() const noexcept {}
};

/// Instead of `CallOptions` that say nothing: known where the call is compiled, so that nobody looks at them.
struct NoCallOptions {
  static constexpr int priority = 0;
  static constexpr std::optional<std::chrono::nanoseconds> timeout{};
  static constexpr std::nullptr_t on_hook{};
};

/// What a call wishes, and its parts, if it waits in parts.
template <class In, class Clock, class With>
[[gnu::noinline]] void prepare(Call& call, Engine<Clock>& engine, const BasicOptions<In>& options, const With& with) {
  if constexpr (std::same_as<With, CallOptions>) {
    if (with.on_hook) call.wish().listener = std::make_shared<Listener>(with.on_hook);
  }
  if (engine.in_parts()) sort(call, options);
}

/// The engine has not taken it.
template <class Clock>
[[gnu::noinline]] void refuse(Call& call, Engine<Clock>& engine, typename Engine<Clock>::Verdict verdict) {
  using Verdict = typename Engine<Clock>::Verdict;
  const std::uint32_t size = call.size;
  if (engine.in_parts()) Parts::destroy(call);
  switch (verdict) {
    case Verdict::accepted:
      return;
    case Verdict::closed:
      return answer_at_the_door(call, engine, std::make_exception_ptr(Error(errc::closed)));
    case Verdict::full: {
      const auto counts = std::to_string(size) + (size == 1 ? " item" : " items") + " more, and at most " +
                          std::to_string(engine.max_queued()) + " may wait";
      return answer_at_the_door(call, engine, std::make_exception_ptr(Error(errc::queue_full, counts)));
    }
    case Verdict::would_deadlock: {
      const Error error(errc::would_deadlock,
                        "batching::Batcher: dispatch waits for room inside its own batch function, completion handler "
                        "or pool");
      answer_at_the_door(call, engine, std::make_exception_ptr(error));
      throw error;
    }
  }
}

/// Sends a call on its way. `may_block`: this thread may wait for room. `connect`: from here on it may be cancelled.
template <class In, class Clock, class With, class Connect = NoSlot>
[[gnu::always_inline]] inline void launch(Call& call, Engine<Clock>& engine, const BasicOptions<In>& options,
                                          const With& with, bool may_block, Connect connect = {}) {
  using Verdict = typename Engine<Clock>::Verdict;
  if (call.size == 0) return answer_at_the_door(call, engine);
  call.priority = with.priority;
  if (with.on_hook != nullptr || engine.in_parts()) [[unlikely]] {
    try {
      prepare(call, engine, options, with);
    } catch (...) {
      return answer_at_the_door(call, engine, std::current_exception());
    }
  }
  connect();
  const auto verdict = engine.submit(call, with.timeout, may_block);
  if (verdict != Verdict::accepted) [[unlikely]]
    refuse(call, engine, verdict);
}

/// Builds a call around a completion handler and launches it.
template <class CallOf, class Input, class In, class Clock, class Handler, class With>
void launch_async(Handler&& handler, Input&& input, std::size_t size, Engine<Clock>& engine,
                  const BasicOptions<In>& options, const With& with) {
  const bool has_slot = CallOf::has_slot(handler);
  // One item and no way to cancel or to time out: nobody but the batch that runs it will ever look at the call.
  const bool shared = CallOf::many || has_slot || with.timeout || engine.looks_after();
  const auto allocator = net::get_associated_allocator(handler, RecyclingAllocator<void>());
  auto* call =
      create<CallOf>(allocator, std::forward<Input>(input), engine, size, shared, std::forward<Handler>(handler));
  launch(*call, engine, options, with, false, [&] {
    if (has_slot) call->connect_slot(engine);
  });
}

}  // namespace batching::detail
