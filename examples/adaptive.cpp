// Adaptive: the batcher finds out by itself how large its batches should be, and how long to wait.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <chrono>
#include <cstddef>
#include <iostream>
#include <span>
#include <vector>

using namespace std::chrono_literals;

int main() {
  batching::Batcher<int, int> model(
      [](std::span<const int> inputs) {
        const auto end = std::chrono::steady_clock::now() + 100us;  // whatever their number
        std::vector<int> outputs(inputs.begin(), inputs.end());
        while (std::chrono::steady_clock::now() < end) {
        }
        return outputs;
      },
      {.batch_size = 1,
       .batch_timeout = 1ms,
       .adaptive = batching::Adaptive{.target_latency = 20ms, .max_batch_size = 64, .max_batch_timeout = 5ms}});

  std::vector<batching::Future<int>> flying(64);
  std::size_t last = 0;
  for (int item = 0; item < 20'000; ++item) {
    auto& place = flying[static_cast<std::size_t>(item) % flying.size()];
    if (place.valid()) (void)place.get();
    place = model.dispatch(item);
    const batching::Stats stats = model.stats();
    if (stats.batch_size == last) continue;
    last = stats.batch_size;
    std::cout << "after " << stats.batches << " batches: batch_size " << last << ", batch_timeout "
              << std::chrono::duration<double, std::milli>(stats.batch_timeout).count() << " ms\n";
  }
  for (auto& future : flying) (void)future.get();
  return last > 1 ? 0 : 1;
}
