// A window that waits for company: fewer than three do not leave before ten seconds have passed, three do at once.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <iostream>
#include <span>
#include <vector>

using namespace std::chrono_literals;

int main() {
  batching::Batcher<int, int> doubled(
      [](std::span<const int> numbers) {
        std::vector<int> outputs;
        for (const int number : numbers) outputs.push_back(2 * number);
        return outputs;
      },
      {.batch_size = 64, .batch_timeout = 1ms, .min_batch_size = 3, .max_wait = 10s});

  auto first = doubled.dispatch(1);
  auto second = doubled.dispatch(2);
  const bool alone = first.wait_for(20ms) == std::future_status::timeout;
  std::cout << (alone ? "two are not enough\n" : "two have left\n");
  auto third = doubled.dispatch(3);
  std::cout << "three are: " << first.get() << ' ' << second.get() << ' ' << third.get() << '\n';
  return alone && doubled.stats().batches == 1 ? 0 : 1;
}
