// A completion handler is given an output in case of an error, too.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: async_dispatch completes with void.std::exception_ptr, Out. and needs a default constructible Out
// expect: default constructible Out for the error case; use dispatch instead
#include <batching/batcher.hpp>

#include <exception>
#include <span>
#include <vector>

struct Output {
  explicit Output(int) {}
};

int main() {
  batching::Batcher<int, Output> batcher(
      [](std::span<int> items) { return std::vector<Output>(items.begin(), items.end()); });
#ifdef BATCHING_COMPILE_FAIL
  batcher.async_dispatch(1, [](std::exception_ptr, const Output&) {});
#else
  batcher.async_dispatch_many(std::vector{1}, [](std::exception_ptr, const std::vector<Output>&) {});
  (void)batcher.dispatch(1);
#endif
}
