// A completion handler takes an exception pointer and an output.
// SPDX-License-Identifier: BSL-1.0
// expect: TokenFor
#include <batching/batcher.hpp>

#include <exception>
#include <span>
#include <vector>

int main() {
  batching::Batcher<int, int> batcher(
      [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); });
#ifdef BATCHING_COMPILE_FAIL
  batcher.async_dispatch(1, [](int) {});
#else
  batcher.async_dispatch(1, [](std::exception_ptr, int) {});
#endif
}
