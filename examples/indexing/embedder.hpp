// Embedder: the batcher that all users share, and what it tells them of the cost.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batcher.hpp>
#include <batching/hook.hpp>

#include <cstddef>
#include <string>

#include "embedding.hpp"
#include "settings.hpp"

/// The cost of an item, told to whoever submitted it.
struct Usage {
  std::size_t tokens = 0;
  double dollars = 0;
};
inline constexpr batching::Hook<Usage> usage_hook{"usage"};

using Embedder = batching::Batcher<std::string, Embedding>;

/// Equal chunks that wait at the same time are embedded once; each of their users hears of the cost.
[[nodiscard]] Embedder make_embedder(const Settings& settings);
