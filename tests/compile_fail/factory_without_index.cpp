// The factory of per_partition is told which partition it works for.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: the factory given to per_partition must be callable with a partition index
#include <batching/batcher.hpp>

#include <cstddef>
#include <span>
#include <vector>

int main() {
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
#ifdef BATCHING_COMPILE_FAIL
  const auto factory = [=] { return function; };
#else
  const auto factory = [=](std::size_t) { return function; };
#endif
  const batching::Batcher<int, int> batcher(batching::per_partition(factory));
}
