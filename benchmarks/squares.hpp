// What most workloads have in common: x*x as the batch function, and the window.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "floor.hpp"
#include "textbook.hpp"

using Number = std::uint64_t;

const batching::Options usual{.batch_size = 64, .batch_timeout = std::chrono::milliseconds(1)};

struct Square {
  void operator()(std::span<Number> inputs, std::span<Number> outputs) const {
    for (std::size_t i = 0; i < inputs.size(); ++i) outputs[i] = inputs[i] * inputs[i];
  }
};
struct Squares {
  std::vector<Number> operator()(std::span<Number> inputs) const {
    std::vector<Number> outputs(inputs.size());
    Square()(inputs, outputs);
    return outputs;
  }
};

using Squaring = batching::Batcher<Number, Number>;
using SlotFloor = baselines::Floor<Number, Number, Square, baselines::Slot<Number>*>;
using CallbackFloor = baselines::Floor<Number, Number, Square, baselines::Callback<Number>>;
using SquaringTextbook = baselines::Textbook<Number, Number, Squares>;
