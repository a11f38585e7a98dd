// Tests: once warm, submitting and answering allocate nothing per item.
// SPDX-License-Identifier: BSL-1.0

#include <batching/batching.hpp>

#include <atomic>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <new>
#include <string>

#include "asio_support.hpp"
#include <malloc.h>

namespace {
std::atomic<long> allocations = 0;
std::atomic<long> bytes_in_use = 0;
}  // namespace

// A sanitizer has its own.
#if !defined(BATCHING_TEST_ASAN) && !defined(BATCHING_TEST_TSAN)
#define BATCHING_TEST_COUNTS 1
namespace {
void* counted(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  bytes_in_use += static_cast<long>(malloc_usable_size(memory));
  return memory;
}
void give_back(void* memory) {
  bytes_in_use -= static_cast<long>(malloc_usable_size(memory));
  std::free(memory);
}
}  // namespace
void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void operator delete(void* memory) noexcept { give_back(memory); }
void operator delete[](void* memory) noexcept { give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { give_back(memory); }
void operator delete[](void* memory, std::size_t) noexcept { give_back(memory); }
#endif

namespace {

using namespace asio_support;

const auto in_place = [](std::span<const int> inputs, std::span<int> outputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto n = static_cast<unsigned>(inputs[i]);
    outputs[i] = static_cast<int>(n * n);  // may wrap round
  }
};

/// Allocations per item of `work(items)`, after it has run once.
template <class F>
double per_item(int items, F work) {
#ifndef BATCHING_TEST_COUNTS
  items = std::min(items, 2'000);
#endif
  work(items);
  const long before = allocations.load();
  work(items);
  return static_cast<double>(allocations.load() - before) / items;
}

constexpr double next_to_nothing = 0.05;
constexpr int items = 50'000;

TEST_CASE("Allocations are counted at all") {
#ifdef BATCHING_TEST_COUNTS
  const long before = allocations.load();
  const std::vector<int> some(100);
  CHECK(allocations.load() > before);
#endif
}

TEST_CASE("Callbacks on an io_context allocate nothing per item") {
  asio::io_context io(1);
  Batcher<int, int> batcher(io, in_place, {.batch_size = 32, .batch_timeout = 0ns});
  long sum = 0;
  const double rate = per_item(items, [&](int count) {
    for (int i = 0; i < count; ++i) {
      batcher.async_dispatch(i % 1000, [&](const std::exception_ptr&, int output) { sum += output; });
      if (i % 256 == 255) {
        io.restart();
        io.poll();
      }
    }
    io.restart();
    io.poll();
  });
  CHECK(rate < next_to_nothing);
  CHECK(sum > 0);
}

TEST_CASE("A chain of lone callbacks allocates nothing per item") {
  asio::io_context io(1);
  Batcher<int, int> batcher(io, in_place, {.batch_size = 32, .batch_timeout = 0ns});
  struct Chain {
    Batcher<int, int>& to;
    int left;
    void operator()(const std::exception_ptr&, int) {
      if (--left > 0) to.async_dispatch(left % 1000, Chain(*this));
    }
  };
  const double rate = per_item(items, [&](int count) {
    batcher.async_dispatch(1, Chain{batcher, count});
    io.restart();
    io.run();
  });
  CHECK(rate < next_to_nothing);
}

TEST_CASE("Callbacks bound to another io_context allocate nothing per item") {
  asio::io_context io(1);
  asio::io_context other(1);
  Batcher<int, int> batcher(io, in_place, {.batch_size = 32, .batch_timeout = 0ns});
  long sum = 0;
  const double rate = per_item(items, [&](int count) {
    for (int i = 0; i < count; ++i) {
      batcher.async_dispatch(i % 1000,
                             asio::bind_executor(other, [&](const std::exception_ptr&, int output) { sum += output; }));
      if (i % 256 == 255 || i == count - 1) {
        for (asio::io_context* context : {&io, &other}) {
          context->restart();
          context->poll();
        }
      }
    }
  });
  CHECK(rate < next_to_nothing);
  CHECK(sum > 0);
}

TEST_CASE("Callbacks with a timeout allocate nothing per item") {
  asio::io_context io(1);
  Batcher<int, int> batcher(io, in_place, {.batch_size = 32, .batch_timeout = 0ns});
  const double rate = per_item(items, [&](int count) {
    for (int i = 0; i < count; ++i) {
      batcher.async_dispatch(i % 1000, timeout(10s), [](const std::exception_ptr&, int) {});
      if (i % 256 == 255 || i == count - 1) {
        io.restart();
        io.poll();
      }
    }
  });
  CHECK(rate < next_to_nothing);
}

TEST_CASE("Futures across threads allocate nothing per item") {
  Batcher<int, int> batcher(in_place, {.batch_size = 32, .batch_timeout = 0ns});
  std::vector<Future<int>> pending(256);
  long wrong = 0;
  const double rate = per_item(items, [&](int count) {
    for (int i = 0; i < count; ++i) {
      Future<int>& slot = pending[static_cast<std::size_t>(i) % pending.size()];
      if (slot.valid()) wrong += slot.get() < 0 ? 1 : 0;
      slot = batcher.dispatch(i % 1000);
    }
    for (auto& future : pending) {
      if (future.valid()) wrong += future.get() < 0 ? 1 : 0;
    }
  });
  CHECK(rate < next_to_nothing);
  CHECK(wrong == 0);
}

TEST_CASE("Futures of a lone caller who waits each time allocate nothing per item") {
  Batcher<int, int> batcher(in_place, {.batch_size = 32, .batch_timeout = 0ns});
  const double rate = per_item(items / 10, [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto future = batcher.dispatch(i % 1000);
      (void)future.get();
    }
  });
  CHECK(rate < next_to_nothing);
}

TEST_CASE("With a window of its own for each batch nothing is allocated per item either") {
  Batcher<int, int> batcher(in_place, {.batch_size = 16, .batch_timeout = 100us});
  std::deque<Future<int>> pending;
  const double rate = per_item(items / 5, [&](int count) {
    for (int i = 0; i < count; ++i) {
      pending.push_back(batcher.dispatch(i % 1000));
      if (pending.size() == 40) {
        for (auto& future : pending) (void)future.get();
        pending.clear();
      }
    }
    for (auto& future : pending) (void)future.get();
    pending.clear();
  });
  CHECK(rate < next_to_nothing * 2);  // the deque of this test has a share in it
}

TEST_CASE("With keys that come and go, nothing is allocated per item") {
  asio::io_context io(1);
  Batcher<int, int> batcher(io, in_place,
                            {.batch_size = 32, .batch_timeout = 0ns, .key = [](int item) { return item; }});
  const double rate = per_item(items, [&](int count) {
    for (int i = 0; i < count; ++i) {
      batcher.async_dispatch(i % 10 + i / 100 * 100, [](const std::exception_ptr&, int) {});
      if (i % 100 == 99) {
        io.restart();
        io.poll();
      }
    }
  });
  CHECK(rate < next_to_nothing);
}

TEST_CASE("A million keys, once each, leave no memory behind") {
#ifdef BATCHING_TEST_COUNTS
  constexpr int at_once = 100'000;
#else
  constexpr int at_once = 1'000;
#endif
  asio::io_context io(1);
  Batcher<std::string, int> batcher(
      io,
      [](std::span<const std::string> keys) { return std::vector<int>(keys.size(), static_cast<int>(keys.size())); },
      {.batch_size = 32, .batch_timeout = std::chrono::nanoseconds::max(), .key = [](const std::string& key) {
         return key;
       }});
  long answered = 0;
  const auto come_and_go = [&](int round) {
    for (int i = 0; i < at_once; ++i) {
      batcher.async_dispatch("key number " + std::to_string(round) + "," + std::to_string(i),
                             [&](const std::exception_ptr&, int) { ++answered; });
    }
    batcher.flush();
    io.restart();
    io.poll();
  };
  come_and_go(0);
  const long before = bytes_in_use.load();
  for (int round = 1; round <= 10; ++round) come_and_go(round);
  CHECK(answered == 11L * at_once);
  CHECK(batcher.stats().batches == 11U * at_once);
  CHECK(bytes_in_use.load() - before < 100'000);
  CHECK(bytes_in_use.load() < 2'000'000);
}

}  // namespace
