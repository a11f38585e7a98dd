// More callers than can be served: a bounded queue says so at once, instead of growing until nobody is served in time.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <iostream>
#include <span>
#include <thread>
#include <vector>

int main() {
  batching::Batcher<int, int> slow(
      [](std::span<const int> numbers) {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        return std::vector<int>(numbers.begin(), numbers.end());
      },
      {.batch_size = 8, .max_queued = 16, .overflow = batching::Overflow::reject});

  std::vector<batching::Future<int>> answers;
  answers.reserve(1000);
  for (int i = 0; i < 1000; ++i) answers.push_back(slow.dispatch(i));
  int served = 0;
  int refused = 0;
  for (auto& answer : answers) {
    try {
      answer.get();
      ++served;
    } catch (const batching::Error& error) {
      if (error.code() == batching::errc::queue_full) ++refused;
    }
  }
  std::cout << served << " served, " << refused << " told at once that there is no room\n";
  return served >= 16 && refused > 0 && served + refused == 1000 ? 0 : 1;
}
