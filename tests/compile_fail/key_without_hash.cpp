// Keys are looked up by their hash.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: Options::key must return something with == and std::hash
#include <batching/batcher.hpp>

#include <span>
#include <vector>

struct Shape {
  int rows;
  bool operator==(const Shape&) const = default;
};

int main() {
  const auto function = [](std::span<int> items) { return std::vector<int>(items.begin(), items.end()); };
  batching::Batcher<int, int>::Options options;
#ifdef BATCHING_COMPILE_FAIL
  options.key = [](int item) { return Shape{item}; };
#else
  options.key = [](int item) { return Shape{item}.rows; };
#endif
  const batching::Batcher<int, int> batcher(function, options);
}
