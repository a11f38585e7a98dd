// Weights: a batch is bounded by its tokens, not by its number of prompts.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <algorithm>
#include <cstddef>
#include <iostream>
#include <span>
#include <sstream>
#include <string>
#include <vector>

/// Words stand for tokens.
std::size_t tokens(const std::string& prompt) {
  std::istringstream words(prompt);
  std::string word;
  std::size_t count = 0;
  while (words >> word) ++count;
  return count;
}

int main() {
  std::size_t most = 0;
  batching::Batcher<std::string, std::size_t> model(
      [&](std::span<const std::string> prompts) {
        std::vector<std::size_t> lengths;
        std::size_t all = 0;
        for (const std::string& prompt : prompts) lengths.push_back(tokens(prompt));
        for (const std::size_t length : lengths) all += length;
        most = std::max(most, all);
        return lengths;
      },
      {.batch_size = 8, .weight = tokens});

  auto fits = model.dispatch_many({"why is the sky blue", "who are you", "one two three four five six seven", "yes"});
  auto heavy = model.dispatch("a prompt that has far too many words for this model");
  for (const std::size_t length : fits.get()) std::cout << length << " tokens\n";
  try {
    heavy.get();
  } catch (const batching::Error& error) {
    std::cout << error.what() << '\n';
    return most == 8 && error.code() == batching::errc::too_heavy ? 0 : 1;
  }
  return 1;
}
