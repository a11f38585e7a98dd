// A batch function as services have them: most of its time goes into being called at all.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <span>
#include <thread>
#include <vector>

#include "squares.hpp"

struct Sleeping {
  [[nodiscard]] static std::chrono::nanoseconds cost(std::size_t items) noexcept {
    return std::chrono::milliseconds(5) + items * std::chrono::microseconds(100);
  }
  std::vector<Number> operator()(std::span<Number> inputs) const {
    std::this_thread::sleep_for(cost(inputs.size()));
    return Squares()(inputs);
  }
};

using SleepingBatcher = batching::Batcher<Number, Number>;
using SleepingTextbook = baselines::Textbook<Number, Number, Sleeping>;
