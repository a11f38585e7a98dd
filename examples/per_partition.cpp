// A model that only one thread at a time may use, and one of them for each partition: no lock anywhere.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <cstddef>
#include <iostream>
#include <span>
#include <string>
#include <vector>

class Model {
 public:
  explicit Model(std::size_t partition) : name_("model " + std::to_string(partition)) {
    std::cout << name_ << " is loaded\n";
  }
  // Not thread-safe: it counts.
  std::vector<std::string> operator()(std::span<const int> inputs) {
    ++runs_;
    std::vector<std::string> outputs;
    for (const int input : inputs) {
      outputs.push_back(std::to_string(input) + " by " + name_ + " in its run " + std::to_string(runs_));
    }
    return outputs;
  }

 private:
  std::string name_;
  int runs_ = 0;
};

int main() {
  batching::Batcher<int, std::string> models(
      batching::per_partition([](std::size_t partition) { return Model(partition); }),
      {.batch_size = 2, .partitions = 2});

  const auto answers = models.dispatch_many({1, 2, 3, 4, 5, 6, 7, 8}).get();
  for (const std::string& answer : answers) std::cout << answer << '\n';
  return answers.size() == 8 && answers.back().starts_with("8 by model ") ? 0 : 1;
}
