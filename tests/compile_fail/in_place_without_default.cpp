// Outputs that are written in place exist before they are written.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: a batch function that writes into std::span<Out> needs a default constructible Out;
// expect: default constructible Out; return std::vector<Out> instead
#include <batching/batcher.hpp>

#include <cstddef>
#include <span>

struct Output {
#ifdef BATCHING_COMPILE_FAIL
  explicit Output(int) {}
#endif
};

int main() {
  const batching::Batcher<int, Output> batcher([](std::span<int>, std::span<Output>) {});
}
