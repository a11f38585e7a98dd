// A batch function that is a coroutine: while its batch waits for I/O it holds no thread.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <iostream>

#ifdef BATCHING_HAS_COROUTINES
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>
#include <string>
#include <vector>

using namespace std::chrono_literals;

// Stands for a remote call that answers many questions at once, after 50 ms.
asio::awaitable<std::vector<std::string>> ask(std::vector<int> ids) {
  asio::steady_timer reply(co_await asio::this_coro::executor, 50ms);
  co_await reply.async_wait(asio::use_awaitable);
  std::vector<std::string> names;
  for (const int id : ids) names.push_back("user " + std::to_string(id));
  co_return names;
}

int main() {
  asio::io_context loop;
  batching::Batcher<int, std::string> names(loop, ask, {.batch_size = 10, .partitions = 4});

  std::vector<batching::Future<std::string>> answers;
  for (int id = 0; id < 40; ++id) answers.push_back(names.dispatch(id));
  const auto begin = std::chrono::steady_clock::now();
  loop.run();  // one thread, and four remote calls under way at once

  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  std::cout << names.stats().batches << " remote calls of 50 ms took " << time.count() << " ms\n";
  bool good = names.stats().batches == 4;
  for (int id = 0; id < 40; ++id) good &= answers[static_cast<std::size_t>(id)].get() == "user " + std::to_string(id);
  return good ? 0 : 1;
}
#else
int main() {
  std::cout << "skipped: this compiler and this Asio have no coroutines together\n";
  return 77;
}
#endif
