// The handler of async_close takes nothing.
// SPDX-License-Identifier: BSL-1.0
// expect: ClosingToken
#include <batching/batcher.hpp>

#include <span>
#include <vector>

int main() {
  batching::Batcher<int, int> batcher(
      [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); });
#ifdef BATCHING_COMPILE_FAIL
  batcher.async_close([](int) {});
#else
  batcher.async_close([] {});
#endif
}
