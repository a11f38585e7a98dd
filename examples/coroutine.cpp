// Coroutines: co_await an answer, and give up on it after a while.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <iostream>

#ifdef BATCHING_HAS_COROUTINES
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>

#include <chrono>
#include <span>

using namespace std::chrono_literals;
using Doubler = batching::Batcher<int, int>;

asio::awaitable<bool> caller(Doubler& doubler) {
  const int answer = co_await doubler.async_dispatch(21, {.timeout = 10s}, asio::use_awaitable);
  std::cout << "21 doubled is " << answer << '\n';
  try {
    // Its window would be open for a minute; this caller does not want to wait that long.
    co_await doubler.async_dispatch(1, {.timeout = 20ms}, asio::use_awaitable);
  } catch (const batching::Error& error) {
    std::cout << "the second call: " << error.what() << '\n';
    co_return answer == 42 && error.code() == batching::errc::timed_out;
  }
  co_return false;
}

int main() {
  asio::io_context loop;
  Doubler doubler(loop,
                  [](std::span<int> inputs, std::span<int> outputs) {
                    for (std::size_t i = 0; i < inputs.size(); ++i) outputs[i] = 2 * inputs[i];
                  },
                  {.batch_size = 2, .batch_timeout = 1min});

  auto neighbour = doubler.dispatch(4);  // completes the first window
  auto good = asio::co_spawn(loop, caller(doubler), asio::use_future);
  loop.run();
  return good.get() && neighbour.get() == 8 ? 0 : 1;
}
#else
int main() {
  std::cout << "skipped: this compiler and this Asio have no coroutines together\n";
  return 77;
}
#endif
