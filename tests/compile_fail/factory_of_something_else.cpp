// What the factory of per_partition makes is a batch function.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: this is not a batch function
#include <batching/batcher.hpp>

#include <cstddef>
#include <span>
#include <vector>

int main() {
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
#ifdef BATCHING_COMPILE_FAIL
  const auto factory = [=](std::size_t partition) { return partition; };
#else
  const auto factory = [=](std::size_t) { return function; };
#endif
  const batching::Batcher<int, int> batcher(batching::per_partition(factory));
}
