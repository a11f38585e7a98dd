// Tests of Options::adaptive: the batcher's window follows its tuner. (The tuner itself: tuner_test.cpp.)
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using batching::Adaptive;
using IntOptions = Batcher<int, int, ManualClock>::Options;

namespace {

Adaptive additive(std::chrono::nanoseconds target) {
  Adaptive adaptive;
  adaptive.target_latency = target;
  adaptive.min_batch_size = 2;
  adaptive.max_batch_size = 20;
  adaptive.policy = Adaptive::Policy::additive;
  return adaptive;
}

/// So many batches of two, each of which takes this long.
void batches_of_two(Workbench& bench, int count, std::chrono::nanoseconds each) {
  for (int i = 0; i < count; ++i) {
    auto two = bench.batcher.dispatch_many({1, 2});
    bench.batcher.flush();
    bench.poll();
    ManualClock::advance(each);
    bench.finish_all();
  }
}

[[nodiscard]] std::string refusal(const std::function<void(IntOptions&)>& spoil) {
  IntOptions options{.adaptive = Adaptive{}};
  spoil(options);
  try {
    const Workbench bench(options);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("it begins with batch_size and batch_timeout, brought within the bounds, and stats show what they are now") {
  IntOptions options{.batch_size = 100, .batch_timeout = 1s, .adaptive = additive(10ms)};
  Workbench bench(options, Answers::when_told);
  CHECK(bench.batcher.stats().batch_size == 20);
  CHECK(bench.batcher.stats().batch_timeout == 20ms);
  batches_of_two(bench, 64, 20ms);
  CHECK(bench.batcher.stats().batch_size == 16);
  batches_of_two(bench, 64, 20ms);
  CHECK(bench.batcher.stats().batch_size == 12);
  batches_of_two(bench, 128, 10ms);
  CHECK(bench.batcher.stats().batch_size == 12);  // on target
  batches_of_two(bench, 64, 5ms);
  CHECK(bench.batcher.stats().batch_size == 16);
  audit(bench.batcher);
}

TEST_CASE("windows are as large as the tuner says, for whoever waits already as well") {
  IntOptions options{.batch_size = 6, .batch_timeout = 5ms, .adaptive = additive(10ms)};
  const bool keyed = GENERATE(false, true);
  if (keyed) options.key = [](const int& item) { return item > 100; };
  Workbench bench(options, Answers::when_told);
  batches_of_two(bench, 63, 20ms);
  auto last = bench.batcher.dispatch_many({1, 2});
  bench.batcher.flush();
  bench.poll();
  auto waiting = bench.batcher.dispatch_many({101, 102, 103, 104, 105});
  bench.poll();
  ManualClock::advance(20ms);
  bench.answer(63);
  bench.poll();  // from 6 to 2
  CHECK(bench.batcher.stats().batch_size == 2);
  bench.finish_all();
  CHECK(Batches(bench.batches.begin() + 64, bench.batches.end()) == Batches{{101, 102}, {103, 104}, {105}});
  audit(bench.batcher);
}

TEST_CASE(
    "under the default policy, slow batches and many callers, it comes to larger batches and everybody is answered") {
  Adaptive adaptive;
  adaptive.target_latency = 20ms;
  Batcher<int, int> batcher(
      [](std::span<const int> items) {
        std::this_thread::sleep_for(200us);  // whatever their number
        return squares(items);
      },
      {.batch_size = 1, .batch_timeout = 0ns, .adaptive = adaptive});
  std::vector<Future<int>> flying;
  int wrong = 0;
  for (int i = 0; i < 30'000; ++i) {
    flying.push_back(batcher.dispatch(i % 1000));
    if (flying.size() < 64) continue;
    for (std::size_t j = 0; j < flying.size(); ++j) {
      const int item = (i - static_cast<int>(flying.size()) + 1 + static_cast<int>(j)) % 1000;
      if (get_within(flying[j]) != item * item) ++wrong;
    }
    flying.clear();
    if (i > 2'000 && batcher.stats().batch_size > 8) break;
  }
  CHECK(wrong == 0);
  CHECK(batcher.stats().batch_size > 8);
  batcher.close();
  audit(batcher);
}

TEST_CASE("impossible adaptive options are refused with a sentence") {
  CHECK(refusal([](IntOptions& options) { options.adaptive->target_latency = -5ns; }) ==
        "batching::Options::adaptive.target_latency must be more than 0 nanoseconds, but is -5");
  CHECK(refusal([](IntOptions& options) { options.min_batch_size = 2; }) ==
        "batching::Options::min_batch_size must be at most adaptive.min_batch_size, which is 1, but is 2");
  CHECK(
      refusal([](IntOptions& options) { options.max_wait = 1ms; }) ==
      "batching::Options::max_wait must be at least adaptive.max_batch_timeout, which is 20000000 ns, but is 1000000");
  CHECK(refusal([](IntOptions& options) { options.weight = [](const int&) -> std::size_t { return 1; }; }) ==
        "batching::Options::adaptive must be empty where weight is given");
  CHECK(refusal([](IntOptions&) {}).empty());
}

}  // namespace
