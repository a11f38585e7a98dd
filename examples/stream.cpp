// Stream: thousands of chunks from a lazy range, with outputs and progress as they come.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <cstddef>
#include <iostream>
#include <iterator>
#include <span>
#include <string>
#include <vector>

/// The lines of a file, say: read when they are needed.
struct Chunks {
  struct Iterator {
    using value_type = std::string;
    using difference_type = std::ptrdiff_t;
    std::size_t at = 0;
    std::string operator*() const { return "chunk " + std::to_string(at); }
    Iterator& operator++() { return ++at, *this; }
    void operator++(int) { ++at; }
    bool operator==(std::size_t last) const { return at == last; }
  };
  [[nodiscard]] Iterator begin() const { return {}; }
  [[nodiscard]] std::size_t end() const { return count; }
  std::size_t count;
};

constexpr batching::Hook<std::size_t> tokens{"tokens"};

int main() {
  batching::Batcher<std::string, double> embedder(
      [](std::span<const std::string> chunks, batching::BatchContext& context) {
        std::vector<double> outputs;
        for (std::size_t i = 0; i < chunks.size(); ++i) {
          context.emit(i, tokens, chunks[i].size());
          outputs.push_back(static_cast<double>(chunks[i].size()));
        }
        return outputs;
      },
      {.batch_size = 64, .partitions = 2});

  std::size_t embedded = 0;
  std::size_t cost = 0;
  auto stream = embedder.dispatch_stream(Chunks{1000});  // a few windows of them are read now
  for (auto& event : stream) {
    if (event.is_hook()) {
      for (std::size_t i = 0; i < event.payloads().size(); ++i) cost += event.payload(tokens, i);
    } else {
      embedded += event.outputs().size();  // those from event.offset() on
    }
  }
  std::cout << embedded << " chunks of " << cost << " tokens\n";
  return embedded == 1000 && cost == 8890 ? 0 : 1;
}
