// Inline runs: the batch function at once, on the calling thread, beside the machinery.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/answer.hpp>
#include <batching/detail/batch_state.hpp>
#include <batching/detail/core.hpp>
#include <batching/detail/this_thread.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/future.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace batching::detail {

/// Nobody's batcher: nothing is counted, nobody waits for a partition.
template <class>
class BasicAside final : public Core {
 public:
  explicit BasicAside(const Core& beside) : Core(beside.executor(), nullptr, &beside) {}
  void withdraw(Withdrawal& letter) override { detail::destroy(&letter, RecyclingAllocator<void>()); }
  void keep(Running&) override {}
  void finish(Running&) override {}
};
using Aside = BasicAside<WhenUsed>;

/// Runs one batch of these inputs and waits for its answers, wherever the function gives them.
template <class In, class Out>
Many<Out> run_inline(const Core& core, BatchFunction<In, Out>& function, Array<In>&& inputs, std::size_t place) {
  using CallOf = ManyCall<In, Out, FutureAnswer<Many<Out>>>;
  const auto lock = function.lock_inline();
  const auto aside = std::make_shared<Aside>(core);
  const std::size_t size = inputs.size();
  auto batch = std::make_unique<BatchState<In, Out>>(function);
  batch->slices.push_back({nullptr, 0, static_cast<std::uint32_t>(size)});
  auto* call = create<CallOf>(RecyclingAllocator<void>(), std::move(inputs), size);
  Future<Many<Out>> future(*call, *aside);
  batch->slices.front().call = call;
  batch->info = {0, place, size, CloseReason::size, std::nullopt};
  batch->start(*aside);
  {
    const Inside inside(&core);
    batch->run();
  }
  (void)batch->returned();
  // A handle that is still held keeps the batch.
  if (!batch->release()) (void)batch.release();
  if (future.wait_for(std::chrono::seconds(0)) != std::future_status::ready && Inside::any(&core)) {
    throw Error(errc::would_deadlock, "batching::Batcher: an inline call would wait inside the batch function");
  }
  return future.get();
}

}  // namespace batching::detail
