// A batch function returns what converts to Out.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: the batch function must return one Out .or one Result<Out>. per input,
// expect: per input, in a sized range such as std::vector<Out>
#include <batching/batcher.hpp>

#include <span>
#include <string>
#include <vector>

int main() {
#ifdef BATCHING_COMPILE_FAIL
  const auto function = [](std::span<int> items) { return std::vector<std::string>(items.size()); };
#else
  const auto function = [](std::span<int> items) { return std::vector<short>(items.size()); };
#endif
  const batching::Batcher<int, int> batcher(function);
}
