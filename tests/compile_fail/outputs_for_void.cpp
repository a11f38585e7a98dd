// A batch function without outputs returns none.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: with Out = void the batch function must return void, or one Result<void> per input
// expect: per input in a sized range such as std::vector
#include <batching/batcher.hpp>

#include <span>
#include <vector>

int main() {
#ifdef BATCHING_COMPILE_FAIL
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
#else
  const auto function = [](std::span<int> items) { return std::vector<batching::Result<void>>(items.size()); };
#endif
  const batching::Batcher<int, void> batcher(function);
}
