// W1, pipelined: one producer of single items with 1024 outstanding, as futures and as callbacks, across threads and on
// one, against the textbook in the same run. Time per item.
// SPDX-License-Identifier: BSL-1.0

#include <batching/batching.hpp>

#include <asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "textbook.hpp"
#include <benchmark/benchmark.h>

namespace {

using Number = std::uint64_t;
using namespace std::chrono_literals;

constexpr std::size_t outstanding = 1024;
constexpr std::size_t batch_size = 64;
constexpr auto batch_timeout = 1ms;

void square(std::span<Number> inputs, std::span<Number> outputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) outputs[i] = inputs[i] * inputs[i];
}
std::vector<Number> squares(std::span<Number> inputs) {
  std::vector<Number> outputs(inputs.size());
  square(inputs, outputs);
  return outputs;
}

/// Keeps `outstanding` futures in flight; `poll` lets a batcher without threads of its own proceed.
template <class Dispatch, class Poll>
void run_futures(benchmark::State& state, Dispatch dispatch, Poll poll) {
  using Future = decltype(dispatch(Number()));
  std::vector<Future> ring(outstanding);
  std::size_t sent = 0;
  std::size_t received = 0;
  const auto receive = [&] {
    Future& oldest = ring[received++ % outstanding];
    while (!poll(oldest)) {
    }
    benchmark::DoNotOptimize(oldest.get());
  };
  for (auto _ : state) {
    if (sent - received == outstanding) receive();
    ring[sent % outstanding] = dispatch(sent);
    ++sent;
  }
  while (received != sent) receive();
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

const auto blocking = [](auto&) { return true; };

void textbook_futures_across_threads(benchmark::State& state) {
  baselines::Textbook<Number, Number, decltype(&squares)> batcher(&squares, batch_size, batch_timeout);
  run_futures(
      state, [&](Number n) { return batcher.dispatch(n); }, blocking);
}

void futures_across_threads(benchmark::State& state) {
  batching::Batcher<Number, Number> batcher(square, {.batch_size = batch_size, .batch_timeout = batch_timeout});
  run_futures(
      state, [&](Number n) { return batcher.dispatch(n); }, blocking);
}

void futures_on_one_thread(benchmark::State& state) {
  asio::io_context io(1);
  batching::Batcher<Number, Number> batcher(io, square, {.batch_size = batch_size, .batch_timeout = batch_timeout});
  run_futures(
      state, [&](Number n) { return batcher.dispatch(n); },
      [&](auto& future) {
        if (future.wait_for(0s) == std::future_status::ready) return true;
        io.restart();
        io.poll();
        return false;
      });
}

void callbacks_across_threads(benchmark::State& state) {
  std::atomic<std::size_t> received = 0;
  batching::Batcher<Number, Number> batcher(square, {.batch_size = batch_size, .batch_timeout = batch_timeout});
  std::size_t sent = 0;
  const auto wait_for_room = [&](std::size_t room) {
    while (sent - received.load(std::memory_order_acquire) > outstanding - room) std::this_thread::yield();
  };
  for (auto _ : state) {
    wait_for_room(1);
    batcher.async_dispatch(sent, [&](const std::exception_ptr&, Number n) {
      benchmark::DoNotOptimize(n);
      // One writer: the only partition.
      received.store(received.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    });
    ++sent;
  }
  batcher.flush();
  wait_for_room(outstanding);
  state.SetItemsProcessed(static_cast<std::int64_t>(sent));
}

/// Each of the `outstanding` chains submits its next item from its handler.
void callbacks_on_one_thread(benchmark::State& state) {
  asio::io_context io(1);
  batching::Batcher<Number, Number> batcher(io, square, {.batch_size = batch_size, .batch_timeout = batch_timeout});
  struct Chain {
    batching::Batcher<Number, Number>& batcher;
    std::size_t left;
    std::size_t flying = 0;
    void next() {
      if (left == 0) return;
      --left;
      ++flying;
      batcher.async_dispatch(left, [this](const std::exception_ptr&, Number n) {
        benchmark::DoNotOptimize(n);
        --flying;
        next();
      });
    }
  };
  while (state.KeepRunningBatch(1 << 16)) {
    Chain chain{batcher, 1 << 16};
    for (std::size_t i = 0; i < outstanding; ++i) chain.next();
    while (chain.flying > 0) {
      io.restart();
      io.poll();
      if (chain.left == 0) batcher.flush();
    }
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}

BENCHMARK(textbook_futures_across_threads)->UseRealTime();
BENCHMARK(futures_across_threads)->UseRealTime();
BENCHMARK(callbacks_across_threads)->UseRealTime();
BENCHMARK(futures_on_one_thread)->UseRealTime();
BENCHMARK(callbacks_on_one_thread)->UseRealTime();

}  // namespace
