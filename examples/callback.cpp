// Callbacks instead of futures, and everything on an event loop of yours: no thread but this one.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <asio/io_context.hpp>

#include <cstddef>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <vector>

int main() {
  asio::io_context loop;
  batching::Batcher<std::string, std::size_t> lengths(loop,
                                                      [](std::span<std::string> words) {
                                                        std::vector<std::size_t> sizes;
                                                        for (const std::string& word : words)
                                                          sizes.push_back(word.size());
                                                        return sizes;
                                                      },
                                                      {.batch_size = 8, .batch_timeout = std::chrono::milliseconds(1)});

  std::size_t sum = 0;
  for (const std::string word : {"one", "three", "fifteen"}) {
    lengths.async_dispatch(word, [&sum, word](const std::exception_ptr& error, std::size_t length) {
      if (error) return;
      std::cout << word << " has " << length << " letters\n";
      sum += length;
    });
  }
  loop.run();  // returns when the last callback has run
  return sum == 15 && lengths.stats().batches == 1 ? 0 : 1;
}
