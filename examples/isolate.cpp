// Isolation: one bad record in a batch of 256, and 255 that are stored all the same.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <exception>
#include <iostream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

int main() {
  batching::Batcher<std::string, void> store(
      [](std::span<const std::string> records) {
        for (const std::string& record : records) {
          if (record.empty()) throw std::invalid_argument("a record is empty");  // the whole transaction is undone
        }
      },
      {.batch_size = 256, .on_failure = batching::OnFailure::isolate, .max_runs = 64});

  std::vector<batching::Future<void>> stored;
  stored.reserve(256);
  for (int i = 0; i < 256; ++i) stored.push_back(store.dispatch(i == 99 ? "" : "record " + std::to_string(i)));
  int good = 0;
  for (auto& future : stored) {
    try {
      future.get();
      ++good;
    } catch (const std::exception& error) {
      std::cout << "not stored: " << error.what() << '\n';
    }
  }
  const batching::Stats stats = store.stats();
  std::cout << good << " stored, in " << stats.batches + stats.reruns << " runs\n";
  return good == 255 ? 0 : 1;
}
