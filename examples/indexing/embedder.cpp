// The batch function, and the options it runs with.
// SPDX-License-Identifier: BSL-1.0
#include "embedder.hpp"

#include <batching/batch.hpp>
#include <batching/dedup.hpp>

#include <algorithm>
#include <chrono>
#include <span>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr double dollars_per_million_tokens = 0.1;

/// Sleeps, but not when nobody wants the answers any more.
void wait(std::chrono::milliseconds delay, const batching::BatchContext& context) {
  const auto until = std::chrono::steady_clock::now() + delay;
  for (auto now = until - delay; now < until && !context.stop_requested(); now = std::chrono::steady_clock::now()) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(until - now, std::chrono::milliseconds(20)));
  }
}

}  // namespace

Embedder make_embedder(const Settings& settings) {
  const auto model = [delay = settings.model_delay](std::span<const std::string> texts,
                                                    batching::BatchContext& context) {
    wait(delay, context);
    std::vector<Embedding> embeddings;
    embeddings.reserve(texts.size());
    for (const std::string& text : texts) {
      Embedded embedded = embed(text);
      const auto tokens = static_cast<double>(embedded.tokens);
      context.emit(embeddings.size(), usage_hook, Usage{embedded.tokens, tokens * dollars_per_million_tokens / 1e6});
      embeddings.push_back(std::move(embedded.embedding));
    }
    return embeddings;
  };
  return Embedder(model, {.batch_size = 64, .partitions = settings.partitions, .dedup = batching::dedup::exact{}});
}
