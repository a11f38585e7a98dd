// A batcher can be moved, not copied.
// SPDX-License-Identifier: BSL-1.0
// expect: (use of deleted function|call to implicitly-deleted copy constructor|call to deleted constructor)
#include <batching/batcher.hpp>

#include <span>
#include <utility>
#include <vector>

int main() {
  batching::Batcher<int, int> batcher(
      [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); });
#ifdef BATCHING_COMPILE_FAIL
  const auto other = batcher;
#else
  const auto other = std::move(batcher);
#endif
}
