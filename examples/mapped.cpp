// Mapped: a document is many chunks, and their embeddings one summary.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <cstddef>
#include <iostream>
#include <numeric>
#include <span>
#include <sstream>
#include <string>
#include <vector>

struct Document {
  std::string title;
  std::string text;
};

int main() {
  batching::Batcher<std::string, std::size_t> lengths(
      [](std::span<const std::string> words) {
        std::vector<std::size_t> outputs;
        for (const std::string& word : words) outputs.push_back(word.size());
        return outputs;
      },
      {.batch_size = 8});

  const batching::Mapped documents(
      lengths,
      [](const Document& document) {
        std::istringstream text(document.text);
        std::vector<std::string> words;
        for (std::string word; text >> word;) words.push_back(word);
        return words;
      },
      [](const std::vector<std::size_t>& outputs, const Document& document) {
        return document.title + " has " + std::to_string(std::accumulate(outputs.begin(), outputs.end(), 0UL)) +
               " letters in " + std::to_string(outputs.size()) + " words";
      });

  auto proverb = documents.dispatch(Document{"The proverb", "many hands make light work"});
  auto answer = documents.dispatch(Document{"The answer", "too many cooks"});
  const std::string first = proverb.get();
  std::cout << first << '\n' << answer.get() << '\n';

  // Or as many as there are, each as soon as it is there, in order.
  std::size_t replies = 0;
  for (auto& event : documents.dispatch_stream(std::vector<Document>{{"This", "a b c"}, {"That", ""}, {"It", "dd"}})) {
    for (const std::string& reply : event.outputs()) std::cout << ++replies << ". " << reply << '\n';
  }
  return first == "The proverb has 22 letters in 5 words" && replies == 3 ? 0 : 1;
}
