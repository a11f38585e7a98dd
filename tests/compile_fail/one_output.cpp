// A batch function returns one output for each input, not one for all.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: the batch function must return one Out .or one Result<Out>. per input,
// expect: per input, in a sized range such as std::vector<Out>
#include <batching/batcher.hpp>

#include <span>
#include <vector>

int main() {
#ifdef BATCHING_COMPILE_FAIL
  const auto function = [](std::span<int> items) { return items.front(); };
#else
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
#endif
  const batching::Batcher<int, int> batcher(function);
}
