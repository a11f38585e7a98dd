// Chains: callers on one thread, each of which submits its next item from the handler of the last.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <cstddef>
#include <exception>

#include "meter.hpp"
#include "squares.hpp"
#include <benchmark/benchmark.h>

/// `send(number, done)` calls `done()` when the answer is there.
template <class Send>
Sample run_chains(asio::io_context& io, std::size_t callers, std::size_t items, Send send) {
  struct Chains {
    Send& send;
    Meter meter;
    std::size_t items;
    std::size_t sent = 0;
    void next() {
      if (sent == items) return;
      if (sent == items / 4) meter.steady(sent);
      send(sent++, [this] { next(); });
    }
  } chains{send, {}, items};
  for (std::size_t i = 0; i < callers; ++i) chains.next();
  io.run();
  return chains.meter.per_item(items);
}

inline Sample callbacks_on_one_thread(std::size_t callers, std::size_t items, const batching::Options& options) {
  asio::io_context io(1);
  Squaring batcher(io, Square(), options);
  return run_chains(io, callers, items, [&](Number n, auto done) {
    batcher.async_dispatch(n, [done](const std::exception_ptr&, Number square) {
      benchmark::DoNotOptimize(square);
      done();
    });
  });
}

/// Without any batcher: the same callers, each item a post.
inline Sample bare_posts(asio::io_context& io, std::size_t callers, std::size_t items) {
  return run_chains(io, callers, items, [&](Number n, auto done) {
    asio::post(io, [n, done] {
      benchmark::DoNotOptimize(n * n);
      done();
    });
  });
}
