// BatchWorkshop: makes the batches of one batcher, and the calls in them that stand for several.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/batch_state.hpp>
#include <batching/detail/boarding.hpp>
#include <batching/detail/call.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/recycling.hpp>
#include <batching/detail/running.hpp>
#include <batching/detail/shared_call.hpp>
#include <batching/options.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace batching::detail {

template <class In, class Out>
class BatchWorkshop final : public Workshop {
 public:
  BatchWorkshop(std::unique_ptr<BatchFunction<In, Out>> made, const BasicOptions<In>& with)
      : function(std::move(made)), options(with) {}
  [[nodiscard]] Owned<Running> make() override { return make_owned<BatchState<In, Out>>(*function); }
  [[nodiscard]] SharedCall& share(Call& call, std::uint32_t item, bool joinable) override {
    return *create<SharedCallOf<In, Out>>(RecyclingAllocator<void>(), static_cast<In*>(call.inputs())[item], joinable);
  }

  const std::unique_ptr<BatchFunction<In, Out>> function;
  const BasicOptions<In> options;  // here, they stay in place when the batcher is moved
};

}  // namespace batching::detail
