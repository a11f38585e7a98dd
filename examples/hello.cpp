// The smallest program: four callers, one call of the batch function.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <iostream>
#include <span>
#include <vector>

int main() {
  batching::Batcher<int, int> squares(
      [](std::span<int> inputs) {
        std::cout << "a batch of " << inputs.size() << '\n';
        std::vector<int> outputs;
        for (const int input : inputs) outputs.push_back(input * input);
        return outputs;
      },
      {.batch_size = 4});

  std::vector<batching::Future<int>> futures;
  for (const int input : {1, 2, 3, 4}) futures.push_back(squares.dispatch(input));  // any thread, never blocks

  int sum = 0;
  for (auto& future : futures) sum += future.get();
  std::cout << "sum of squares: " << sum << '\n';
  return sum == 30 ? 0 : 1;
}
