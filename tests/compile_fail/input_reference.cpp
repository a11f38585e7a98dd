// Inputs are values.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: In must be a type of values that can be moved
#include <batching/batcher.hpp>

#include <span>
#include <vector>

#ifdef BATCHING_COMPILE_FAIL
using In = int&;
#else
using In = int;
#endif

int main() {
  using Batcher = batching::Batcher<In, int>;
  return sizeof(Batcher) == 0 ? 1 : 0;
}
