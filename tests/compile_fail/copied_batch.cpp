// A batch is answered through one handle.
// SPDX-License-Identifier: BSL-1.0
// expect: (use of deleted function|call to implicitly-deleted copy constructor|call to deleted constructor)
#include <batching/batcher.hpp>

#include <utility>

int main() {
  const batching::Batcher<int, int> batcher([](batching::Batch<int, int> batch) {
#ifdef BATCHING_COMPILE_FAIL
    auto other = batch;
#else
    auto other = std::move(batch);
#endif
    other.fail(nullptr);
  });
}
