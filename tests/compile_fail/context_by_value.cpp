// A BatchContext is taken by reference.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: this is not a batch function
#include <batching/batcher.hpp>

#include <span>
#include <vector>

int main() {
#ifdef BATCHING_COMPILE_FAIL
  const auto function = [](std::span<int> items, batching::BatchContext) {
    return std::vector<int>(items.begin(), items.end());
  };
#else
  const auto function = [](std::span<int> items, batching::BatchContext&) {
    return std::vector<int>(items.begin(), items.end());
  };
#endif
  const batching::Batcher<int, int> batcher(function);
}
