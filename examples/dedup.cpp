// Deduplication: many ask the same question at once, and it is asked once.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <span>
#include <string>
#include <vector>

using namespace std::chrono_literals;

int main() {
  std::size_t asked = 0;
  batching::Batcher<std::string, std::size_t> lengths(
      [&](std::span<const std::string> words) {
        asked += words.size();  // one partition: never two at a time
        std::vector<std::size_t> outputs;
        for (const std::string& word : words) outputs.push_back(word.size());
        return outputs;
      },
      {.batch_size = 64, .batch_timeout = 5ms, .dedup = batching::dedup::exact{}});

  auto first = lengths.dispatch_many({std::string("popular"), std::string("rare"), std::string("popular")});
  auto second = lengths.dispatch("popular");
  const bool right = first.get() == std::vector<std::size_t>{7, 4, 7} && second.get() == 7;

  const batching::Stats stats = lengths.stats();
  std::cout << stats.accepted << " questions, " << asked << " asked, " << 100 * stats.dedup_rate() << " % saved\n";
  // Two batches on a machine that was very slow in between; then each of them asks.
  return right && asked + stats.deduplicated == 4 ? 0 : 1;
}
