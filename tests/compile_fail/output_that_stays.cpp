// Outputs can be moved to their callers.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: Out must be void, or a type of values that can be moved
#include <batching/batcher.hpp>

#include <span>
#include <vector>

struct Output {
  Output() = default;
#ifdef BATCHING_COMPILE_FAIL
  Output(const Output&) = delete;
#endif
};

int main() {
  using Batcher = batching::Batcher<int, Output>;
  return sizeof(Batcher) == 0 ? 1 : 0;
}
