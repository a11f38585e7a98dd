// What takes one item is no batch function.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: this is not a batch function: it must be callable with std::span<In>, std::vector<In>,
// expect: std::vector<In>, .std::span<In>, std::span<Out>., each optionally with a BatchContext& behind,
// expect: BatchContext& behind, or with Batch<In, Out>
#include <batching/batcher.hpp>

#include <span>
#include <vector>

int main() {
#ifdef BATCHING_COMPILE_FAIL
  const auto function = [](int item) { return item; };
#else
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
#endif
  const batching::Batcher<int, int> batcher(function);
}
