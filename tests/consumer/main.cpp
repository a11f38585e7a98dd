// What each outside project builds and runs: one item through a batcher.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <span>
#include <vector>

int main() {
  batching::Batcher<int, int> squares(
      [](std::span<int> xs) {
        std::vector<int> out;
        for (int x : xs) out.push_back(x * x);
        return out;
      },
      {.batch_size = 4});
  return squares.dispatch(7).get() == 49 ? 0 : 1;
}
