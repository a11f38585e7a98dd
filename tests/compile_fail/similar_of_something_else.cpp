// Options::dedup with a function that does not say how similar two items are.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: dedup::similar needs a function \(const In&, const In&\) -> double
#include <batching/batching.hpp>

#ifdef BATCHING_COMPILE_FAIL
double similarity(const int& item) { return item; }
#else
double similarity(const int& one, const int& other) { return one == other ? 1 : 0; }
#endif

int main() {
  const batching::Batcher<int, int>::Options options{.dedup = batching::dedup::similar(similarity, 0.9)};
  return options.dedup ? 0 : 1;
}
