// Tests of Options::dedup: items that are equal or alike run once, and everybody gets the answer.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
namespace dedup = batching::dedup;
using batching::BatchFinished;
using batching::Observer;
using batching::OnFailure;
using batching::Overflow;
using Numbers = Batcher<int, int, ManualClock>;
using IntOptions = Numbers::Options;

namespace {

constexpr auto by_size_alone = std::chrono::nanoseconds::max();

IntOptions exactly(std::size_t batch_size, std::chrono::nanoseconds timeout = 10ms) {
  return {.batch_size = batch_size, .batch_timeout = timeout, .dedup = dedup::exact{}};
}

/// A direction in the plane, in degrees.
std::vector<float> direction(int degrees) {
  const double angle = degrees * std::acos(-1.0) / 180;
  return {static_cast<float>(7 * std::cos(angle)), static_cast<float>(7 * std::sin(angle))};
}

// --- equal items ---

TEST_CASE("equal items run once, and everybody gets the output in their own order") {
  Workbench bench(exactly(8));
  auto three = bench.batcher.dispatch_many({3, 1, 3});
  auto one = bench.batcher.dispatch(1);
  auto two = bench.batcher.dispatch_many({2, 3});
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{3, 1, 2}});
  CHECK(get_within(three) == std::vector<int>{9, 1, 9});
  CHECK(get_within(one) == 1);
  CHECK(get_within(two) == std::vector<int>{4, 9});
  const Stats stats = bench.batcher.stats();
  CHECK(stats.accepted == 6);
  CHECK(stats.completed == 6);
  CHECK(stats.deduplicated == 3);
  CHECK(stats.batched == 3);
  CHECK(stats.mean_batch_size() == 3.0);
  CHECK(stats.dedup_rate() == 0.5);
  CHECK(stats.saved_runs() == 5);
  audit(bench.batcher);
}

TEST_CASE("duplicates take no room in the batch") {
  Workbench bench(exactly(2, by_size_alone));
  std::vector<Future<int>> same;
  for (int i = 0; i < 50; ++i) same.push_back(bench.batcher.dispatch(7));
  bench.poll();
  CHECK(bench.batches.empty());
  CHECK(bench.batcher.stats().queued == 50);
  auto other = bench.batcher.dispatch(8);
  bench.poll();
  CHECK(bench.batches == Batches{{7, 8}});
  CHECK(bench.reasons == Reasons{CloseReason::size});
  for (auto& future : same) CHECK(get_within(future) == 49);
  audit(bench.batcher);
}

TEST_CASE("a duplicate does not restart the clock, and nothing is remembered after the window") {
  Workbench bench(exactly(8));
  auto first = bench.batcher.dispatch(5);
  bench.pass(6ms);
  auto second = bench.batcher.dispatch(5);
  bench.pass(4ms);
  CHECK(is_ready(first));
  CHECK(is_ready(second));
  auto third = bench.batcher.dispatch(5);
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{5}, {5}});
}

TEST_CASE("an item joins any equal one that waits, however far ahead") {
  Workbench bench(exactly(2, 0ns), Answers::when_told);
  auto busy = bench.batcher.dispatch(0);
  bench.poll();
  auto many = bench.batcher.dispatch_many(from_to(1, 6));
  auto again = bench.batcher.dispatch_many({6, 1});
  bench.poll();
  bench.finish_all();
  CHECK(bench.batches == Batches{{0}, {1, 2}, {3, 4}, {5, 6}});
  CHECK(get_within(again) == std::vector<int>{36, 1});
}

TEST_CASE("whoever comes after a flush does not join those before it") {
  Workbench bench(exactly(4, by_size_alone), Answers::when_told);
  auto busy = bench.batcher.dispatch_many({0, 1, 2, 3});
  bench.poll();
  auto before = bench.batcher.dispatch(5);
  bench.batcher.flush();
  auto after = bench.batcher.dispatch(5);
  bench.poll();
  bench.finish(0);
  bench.finish(1);
  CHECK(is_ready(before));
  CHECK_FALSE(is_ready(after));
  bench.batcher.flush();
  bench.poll();
  bench.finish_all();
  CHECK(bench.batches == Batches{{0, 1, 2, 3}, {5}, {5}});
  audit(bench.batcher);
}

TEST_CASE("cancelling one of several equal items does not cancel the others") {
  Workbench bench(exactly(8));
  std::vector<Future<int>> futures;
  for (int i = 0; i < 4; ++i) futures.push_back(bench.batcher.dispatch(5));
  auto other = bench.batcher.dispatch(6);
  bench.poll();
  const std::size_t gone = GENERATE(0U, 1U, 3U);
  CHECK(futures[gone].cancel());
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{5, 6}});  // in its old place
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (i == gone) {
      CHECK(error_of(futures[i]) == errc::cancelled);
    } else {
      CHECK(get_within(futures[i]) == 25);
    }
  }
  audit(bench.batcher);
}

TEST_CASE("when all of several equal items are cancelled, it does not run") {
  Workbench bench(exactly(8));
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.push_back(bench.batcher.dispatch(5));
  bench.poll();
  for (auto& future : futures) CHECK(future.cancel());
  bench.poll();
  auto again = bench.batcher.dispatch(5);  // finds none of them
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{5}});
  CHECK(get_within(again) == 25);
  audit(bench.batcher);
}

TEST_CASE("an heir of a cancelled item can be joined, also after the flush it was part of can not") {
  Workbench bench(exactly(8, by_size_alone), Answers::when_told);
  auto first = bench.batcher.dispatch(5);
  auto second = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(first.cancel());
  auto third = bench.batcher.dispatch(5);
  bench.poll();
  bench.batcher.flush();
  bench.poll();
  bench.finish(0);
  CHECK(bench.batches == Batches{{5}});
  CHECK(get_within(second) == 25);
  CHECK(get_within(third) == 25);

  auto busy = bench.batcher.dispatch(0);
  bench.batcher.flush();
  bench.poll();
  auto sealed = bench.batcher.dispatch(5);
  auto sealed_too = bench.batcher.dispatch(5);
  bench.batcher.flush();
  bench.poll();
  CHECK(sealed.cancel());
  auto late = bench.batcher.dispatch(5);
  bench.poll();
  bench.finish_all();
  CHECK(get_within(sealed_too) == 25);
  CHECK_FALSE(is_ready(late));
  bench.batcher.close_for(0ns);
  bench.poll();
}

TEST_CASE("a duplicate with a time limit of its own hears that alone") {
  Workbench bench(exactly(8));
  auto patient = bench.batcher.dispatch(5);
  auto hasty = bench.batcher.dispatch(5, {.timeout = 2ms});
  auto first_hasty = bench.batcher.dispatch(6, {.timeout = 2ms});
  auto second = bench.batcher.dispatch(6);
  bench.pass(2ms);
  CHECK(error_of(hasty, 0s) == errc::timed_out);
  CHECK(error_of(first_hasty, 0s) == errc::timed_out);
  bench.pass(8ms);
  CHECK(bench.batches == Batches{{5, 6}});
  CHECK(get_within(patient) == 25);
  CHECK(get_within(second) == 36);
  audit(bench.batcher);
}

TEST_CASE("a time limit holds also while the shared item runs") {
  Workbench bench(exactly(8, 0ns), Answers::when_told);
  auto patient = bench.batcher.dispatch(5);
  auto hasty = bench.batcher.dispatch(5, {.timeout = 2ms});
  bench.poll();
  REQUIRE(bench.batches == Batches{{5}});
  bench.pass(2ms);
  CHECK(error_of(hasty, 0s) == errc::timed_out);
  CHECK_FALSE(is_ready(patient));
  bench.finish(0);
  CHECK(get_within(patient) == 25);
  audit(bench.batcher);
}

TEST_CASE("with the batch deadline, all who share hear it") {
  IntOptions options = exactly(8, 0ns);
  options.batch_deadline = 5ms;
  Workbench bench(options, Answers::when_told);
  auto one = bench.batcher.dispatch(5);
  auto other = bench.batcher.dispatch(5);
  bench.pass(0ns);
  bench.pass(5ms);
  CHECK(error_of(one, 0s) == errc::timed_out);
  CHECK(error_of(other, 0s) == errc::timed_out);
  bench.finish(0);
  audit(bench.batcher);
}

TEST_CASE("an error goes to all who share") {
  asio::io_context io;
  Numbers batcher(
      io,
      [](std::span<const int> items) {
        std::vector<Result<int>> results;
        for (const int item : items) {
          if (item == 5) {
            results.emplace_back(std::make_exception_ptr(std::runtime_error("five")));
          } else {
            results.emplace_back(item);
          }
        }
        return results;
      },
      exactly(3, by_size_alone));
  auto many = batcher.dispatch_many({5, 6, 5});
  auto bad = batcher.dispatch(5);
  auto good = batcher.dispatch(7);
  io.poll();
  CHECK(what_of(many) == "five");
  CHECK(what_of(bad) == "five");
  CHECK(get_within(good) == 7);
  CHECK(batcher.stats().failed == 4);
  audit(batcher);
}

TEST_CASE("isolated, a poisoned item fails all who share it, and nobody else") {
  asio::io_context io;
  IntOptions options = exactly(4, by_size_alone);
  options.on_failure = OnFailure::isolate;
  Numbers batcher(
      io,
      [](std::span<const int> items) {
        if (std::count(items.begin(), items.end(), 5) > 0) throw std::runtime_error("five");
        return squares(items);
      },
      options);
  auto bad = batcher.dispatch_many({5, 5});
  auto good = batcher.dispatch_many({6, 7, 6, 8});
  io.poll();
  CHECK(what_of(bad) == "five");
  CHECK(get_within(good) == std::vector<int>{36, 49, 36, 64});
  audit(batcher);
}

TEST_CASE("the one copy of an output that throws fails its own caller") {
  struct Fragile {
    explicit Fragile(int number = 0) : value(number) {}
    Fragile(const Fragile& other) : value(other.value) {
      if (++copies() == 2) throw std::runtime_error("no copy");
    }
    Fragile(Fragile&&) = default;
    Fragile& operator=(const Fragile&) = default;
    Fragile& operator=(Fragile&&) = default;
    static int& copies() {
      static int count = 0;
      return count;
    }
    int value;
  };
  asio::io_context io;
  Batcher<int, Fragile, ManualClock> batcher(
      io,
      [](std::span<const int> items) {
        std::vector<Fragile> outputs;
        outputs.reserve(items.size());
        for (const int item : items) outputs.emplace_back(item);
        Fragile::copies() = 0;
        return outputs;
      },
      exactly(2, by_size_alone));
  std::vector<Future<Fragile>> futures;
  for (int i = 0; i < 4; ++i) futures.push_back(batcher.dispatch(5));
  auto other = batcher.dispatch(6);
  io.poll();
  CHECK(get_within(futures[0]).value == 5);
  CHECK(what_of(futures[1]) == "no copy");
  CHECK(get_within(futures[2]).value == 5);
  CHECK(get_within(futures[3]).value == 5);
  CHECK(get_within(other).value == 6);
  audit(batcher);
}

TEST_CASE("without an output, all who share hear that it is done") {
  asio::io_context io;
  int runs = 0;
  Batcher<std::string, void, ManualClock> batcher(
      io, [&](std::span<const std::string> items) { runs += static_cast<int>(items.size()); },
      {.batch_size = 2, .batch_timeout = by_size_alone, .dedup = dedup::exact{}});
  auto many = batcher.dispatch_many({std::string("a"), std::string("b"), std::string("a")});
  io.poll();
  get_within(many);
  CHECK(runs == 2);
}

TEST_CASE("a batch function that answers later answers all who share") {
  Workbench bench(exactly(8, 0ns), Answers::when_told);
  auto one = bench.batcher.dispatch(5);
  auto many = bench.batcher.dispatch_many({4, 5});
  bench.poll();
  REQUIRE(bench.batches == Batches{{5, 4}});
  Batch<int, int> batch = std::move(bench.held.at(0));
  batch.set_value(0, 55);
  CHECK(get_within(one, 0s) == 55);
  batch.set_value(1, 44);
  bench.poll();
  CHECK(get_within(many, 0s) == std::vector<int>{44, 55});
}

// --- together with everything else ---

TEST_CASE("a duplicate of higher priority takes the item along") {
  Workbench bench(exactly(2, 0ns), Answers::when_told);
  auto busy = bench.batcher.dispatch(0);
  bench.poll();
  auto low = bench.batcher.dispatch_many(from_to(1, 4));
  ManualClock::advance(1ms);
  auto middle = bench.batcher.dispatch(5, {.priority = 1});
  ManualClock::advance(1ms);
  auto high = bench.batcher.dispatch(4, {.priority = 1});
  bench.poll();
  bench.finish_all();
  CHECK(bench.batches == Batches{{0}, {4, 5}, {1, 2}, {3}});  // in order of arrival among its new priority
  CHECK(get_within(high) == 16);
  CHECK(get_within(low) == std::vector<int>{1, 4, 9, 16});
}

TEST_CASE("only items of equal key share, whatever the equality says") {
  IntOptions options{.batch_size = 8, .batch_timeout = 10ms};
  options.key = [](const int& item) { return item < 0; };
  options.dedup = dedup::exact{[](const int& item) { return std::abs(item); }};
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({3, -3, 3, -3, 4});
  bench.pass(10ms);
  auto batches = bench.batches;
  std::sort(batches.begin(), batches.end());
  CHECK(batches == Batches{{-3}, {3, 4}});
  CHECK(get_within(many) == std::vector<int>{9, 9, 9, 9, 16});
  CHECK(bench.batcher.stats().deduplicated == 2);
}

TEST_CASE("a duplicate weighs nothing") {
  IntOptions options = exactly(10, by_size_alone);
  options.weight = [](const int& item) { return static_cast<std::size_t>(item); };
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({6, 6, 6});
  bench.poll();
  CHECK(bench.batches.empty());
  auto four = bench.batcher.dispatch(4);
  bench.poll();
  CHECK(bench.batches == Batches{{6, 4}});
}

TEST_CASE("max_queued counts duplicates, too") {
  IntOptions options = exactly(8, by_size_alone);
  options.max_queued = 3;
  SECTION("reject") {
    Workbench bench(options);
    auto three = bench.batcher.dispatch_many({5, 5, 5});
    auto fourth = bench.batcher.dispatch(5);
    CHECK(error_of(fourth, 0s) == errc::queue_full);
  }
  SECTION("drop_oldest: the one that leads goes, the next takes its place") {
    options.overflow = Overflow::drop_oldest;
    Workbench bench(options);
    auto first = bench.batcher.dispatch(5);
    auto second = bench.batcher.dispatch(5);
    auto third = bench.batcher.dispatch(6);
    auto fourth = bench.batcher.dispatch(5);
    bench.poll();
    CHECK(error_of(first, 0s) == errc::queue_full);
    bench.batcher.flush();
    bench.poll();
    CHECK(bench.batches == Batches{{5, 6}});
    CHECK(get_within(second) == 25);
    CHECK(get_within(fourth) == 25);
    audit(bench.batcher);
  }
}

TEST_CASE("stop answers everybody who shares an item that waits") {
  Workbench bench(exactly(8, by_size_alone));
  auto many = bench.batcher.dispatch_many({5, 5, 6});
  auto one = bench.batcher.dispatch(6);
  bench.poll();
  bench.batcher.stop();
  CHECK(error_of(many, 0s) == errc::closed);
  CHECK(error_of(one, 0s) == errc::closed);
  audit(bench.batcher);
}

TEST_CASE("an observer hears of duplicates, and of their callers") {
  struct Last : Observer {
    void batch_finished(const BatchFinished& event) override {
      size = event.size;
      deduplicated = event.deduplicated;
      callers = event.callers;
    }
    std::size_t size = 0;
    std::size_t deduplicated = 0;
    std::size_t callers = 0;
  };
  const auto last = std::make_shared<Last>();
  IntOptions options = exactly(8, 0ns);
  options.observer = last;
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({5, 5, 6});
  auto one = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(last->size == 2);
  CHECK(last->deduplicated == 2);
  CHECK(last->callers == 2);
}

// --- how equal is defined ---

TEST_CASE("equality is what the user says: a hash and an equality, or a key") {
  const auto last_digit = [](const int& item) { return item % 10; };
  IntOptions options{.batch_size = 8, .batch_timeout = 0ns};
  SECTION("hash and equality") {
    options.dedup = dedup::exact{[=](const int& item) { return std::hash<int>()(last_digit(item)); },
                                 [=](const int& a, const int& b) { return last_digit(a) == last_digit(b); }};
  }
  SECTION("key") { options.dedup = dedup::exact{last_digit}; }
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({13, 4, 3, 14});
  bench.poll();
  CHECK(bench.batches == Batches{{13, 4}});
  CHECK(get_within(many) == std::vector<int>{169, 16, 169, 16});
}

TEST_CASE("equal hashes do not make items equal") {
  IntOptions options{.batch_size = 8, .batch_timeout = 0ns};
  options.dedup = dedup::exact{[](const int&) { return std::size_t{1}; }, std::equal_to<int>()};
  Workbench bench(options);
  auto many = bench.batcher.dispatch_many({1, 2, 1, 3});
  bench.poll();
  CHECK(bench.batches == Batches{{1, 2, 3}});
}

TEST_CASE("what the hash throws is the answer of that call alone, and where the equality throws two are different") {
  IntOptions options{.batch_size = 8, .batch_timeout = 10ms};
  options.dedup = dedup::exact{[](const int& item) -> std::size_t {
                                 if (item == 13) throw std::runtime_error("thirteen");
                                 return 1;
                               },
                               [](const int&, const int&) -> bool { throw std::runtime_error("equality"); }};
  Workbench bench(options);
  auto unlucky = bench.batcher.dispatch_many({1, 13});
  REQUIRE(is_ready(unlucky));
  CHECK(what_of(unlucky) == "thirteen");
  auto twice = bench.batcher.dispatch_many({1, 1});
  bench.pass(10ms);
  CHECK(get_within(twice) == std::vector<int>{1, 1});
  CHECK(bench.batches == Batches{{1, 1}});
  audit(bench.batcher);
}

// --- items that are alike ---

TEST_CASE("an item shares the answer of the most similar one, if it is similar enough") {
  const auto closeness = [](const int& a, const int& b) { return 1.0 - std::abs(a - b) / 100.0; };
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .dedup = dedup::similar(closeness, 0.95)});
  auto many = bench.batcher.dispatch_many({10, 20, 14, 16, 25, 26});
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{10, 20, 26}});
  CHECK(get_within(many) == std::vector<int>{100, 400, 100, 400, 400, 676});
}

TEST_CASE("the threshold can be changed while items wait") {
  const auto closeness = [](const int& a, const int& b) { return 1.0 - std::abs(a - b) / 100.0; };
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .dedup = dedup::similar(closeness, 0.95)});
  auto first = bench.batcher.dispatch(10);
  bench.poll();
  bench.batcher.set_dedup_threshold(0.99);
  auto second = bench.batcher.dispatch(14);
  bench.poll();
  bench.batcher.set_dedup_threshold(0.9);
  auto third = bench.batcher.dispatch(2);
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{10, 14}});
  CHECK(get_within(third) == 100);
}

TEST_CASE("embeddings are compared by their cosine") {
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .dedup = dedup::embedding(direction, 0.98)});
  auto many = bench.batcher.dispatch_many({0, 90, 8, 85, 45});  // cos 8 = 0.990, cos 12 = 0.978
  bench.pass(10ms);
  CHECK(bench.batches == Batches{{0, 90, 45}});
  CHECK(get_within(many) == std::vector<int>{0, 8100, 0, 8100, 45 * 45});
}

TEST_CASE("embeddings that are the same reach a threshold of 1") {
  Workbench bench({.batch_size = 8,
                   .batch_timeout = 10ms,
                   .dedup = dedup::embedding([](const int& item) { return direction(item % 7); }, 1)});
  auto many = bench.batcher.dispatch_many(from_to(0, 20));
  bench.pass(10ms);
  CHECK(bench.batches == Batches{from_to(0, 6)});
}

TEST_CASE("an embedding without a direction is similar to nothing") {
  const auto embed = [](const int& item) {
    return std::vector<float>(3, item == 0 ? 0.0F : std::numeric_limits<float>::quiet_NaN());
  };
  Workbench bench({.batch_size = 8, .batch_timeout = 0ns, .dedup = dedup::embedding(embed, 0.01)});
  auto many = bench.batcher.dispatch_many({0, 0, 1, 1});
  bench.poll();
  CHECK(bench.batches == Batches{{0, 0, 1, 1}});
}

TEST_CASE("an embedding of another length is refused with both numbers") {
  const auto embed = [](const int& item) { return std::vector<float>(static_cast<std::size_t>(item), 1.0F); };
  Workbench bench({.batch_size = 8, .batch_timeout = 10ms, .dedup = dedup::embedding(embed, 0.9)});
  auto good = bench.batcher.dispatch(3);
  auto bad = bench.batcher.dispatch(4);
  REQUIRE(is_ready(bad));
  CHECK(what_of(bad) ==
        "batching::Options::dedup: all embeddings must have as many floats as the first, 3, but one has 4");
  auto empty = bench.batcher.dispatch(0);
  CHECK(what_of(empty) == "batching::Options::dedup: an embedding must have at least 1 float");
  bench.pass(10ms);
  CHECK(get_within(good) == 9);
}

TEST_CASE("hybrid looks for equal items however far ahead, then for similar ones") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns, .dedup = dedup::hybrid(direction, 0.98)}, Answers::when_told);
  auto busy = bench.batcher.dispatch_many({200, 300});
  bench.poll();
  auto many = bench.batcher.dispatch_many({0, 30, 60, 90});
  auto equal = bench.batcher.dispatch(0);     // four ahead
  auto similar = bench.batcher.dispatch(91);  // of the latest two
  bench.poll();
  bench.finish_all();
  CHECK(bench.batches == Batches{{200, 300}, {0, 30}, {60, 90}});
  CHECK(get_within(equal) == 0);
  CHECK(get_within(similar) == 8100);
}

TEST_CASE("two that are alike never run in one batch, whatever waits before them") {
  // Many more wait than are compared; batches are cut from the front.
  Workbench bench({.batch_size = 5, .batch_timeout = 0ns, .dedup = dedup::embedding(direction, 0.9999)},
                  Answers::when_told);
  auto busy = bench.batcher.dispatch(179);
  bench.poll();
  std::vector<Future<int>> futures;
  unsigned state = 1;
  for (int i = 0; i < 300; ++i) {
    state = state * 1664525U + 1013904223U;
    futures.push_back(bench.batcher.dispatch(static_cast<int>(state >> 16U) % 12 * 10));
    if (i % 7 == 3) CHECK(futures[futures.size() - 2].cancel());
  }
  bench.poll();
  bench.finish_all();
  for (const auto& batch : bench.batches) {
    CHECK(std::set<int>(batch.begin(), batch.end()).size() == batch.size());
  }
  audit(bench.batcher);
}

// --- joining what runs ---

IntOptions joining() {
  dedup::exact exact;
  exact.join_running = true;
  return {.batch_size = 4, .batch_timeout = 0ns, .dedup = exact};
}

TEST_CASE("with join_running, an item shares the answer of an equal one that runs") {
  Workbench bench(joining(), Answers::when_told);
  auto first = bench.batcher.dispatch(5);
  bench.poll();
  auto second = bench.batcher.dispatch(5);
  auto many = bench.batcher.dispatch_many({5, 6, 5});
  bench.poll();
  CHECK(bench.batcher.stats().queued == 1);
  bench.finish(0);
  CHECK(get_within(first) == 25);
  CHECK(get_within(second) == 25);
  CHECK_FALSE(is_ready(many));
  bench.finish(1);
  CHECK(bench.batches == Batches{{5}, {6}});
  CHECK(get_within(many) == std::vector<int>{25, 36, 25});
  CHECK(bench.batcher.stats().deduplicated == 3);
  audit(bench.batcher);
}

TEST_CASE("who is let in at the door joins what runs, and needs its place no more") {
  IntOptions options = joining();
  options.max_queued = 1;
  options.overflow = Overflow::block;
  Workbench bench(options, Answers::when_told);
  auto first = bench.batcher.dispatch(5);
  bench.poll();
  auto waits = bench.batcher.dispatch(6);
  std::vector<int> answers;
  const auto note = [&](const std::exception_ptr& error, int answer) { answers.push_back(error ? -1 : answer); };
  bench.batcher.async_dispatch(5, note);
  bench.batcher.async_dispatch(5, note);
  bench.batcher.async_dispatch(7, note);
  bench.poll();
  CHECK(waits.cancel());  // makes room for all three: two of them only pass through
  bench.poll();
  CHECK(bench.batcher.stats().queued == 1);
  bench.finish(0);
  CHECK(get_within(first) == 25);
  CHECK(answers == std::vector<int>{25, 25});
  bench.finish(1);
  CHECK(answers == std::vector<int>{25, 25, 49});
  CHECK(bench.batches == Batches{{5}, {7}});
  audit(bench.batcher);
}

TEST_CASE("once it is answered, nobody joins it any more") {
  Workbench bench(joining(), Answers::when_told);
  auto two = bench.batcher.dispatch_many({5, 6});
  bench.poll();
  Batch<int, int> batch = std::move(bench.held.at(0));
  batch.set_value(0, 1);
  auto late = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(bench.batcher.stats().queued == 1);
  batch.set_value(1, 2);
  bench.held.erase(0);
  bench.poll();
  bench.finish(1);
  CHECK(get_within(late) == 25);
  auto later = bench.batcher.dispatch(5);
  bench.poll();
  bench.finish(2);
  CHECK(bench.batches == Batches{{5, 6}, {5}, {5}});
}

TEST_CASE("who has joined what runs can be cancelled, time out, and hears its error and its deadline") {
  IntOptions options = joining();
  SECTION("cancelled, timed out") {
    Workbench bench(options, Answers::when_told);
    auto first = bench.batcher.dispatch(5);
    bench.poll();
    auto cancelled = bench.batcher.dispatch(5);
    auto late = bench.batcher.dispatch(5, {.timeout = 2ms});
    auto patient = bench.batcher.dispatch(5, {.timeout = 20ms});
    bench.poll();
    CHECK(cancelled.cancel());
    bench.pass(2ms);
    CHECK(error_of(late, 0s) == errc::timed_out);
    bench.finish(0);
    CHECK(get_within(first) == 25);
    CHECK(get_within(patient) == 25);
    bench.pass(20ms);
    audit(bench.batcher);
  }
  SECTION("error") {
    Workbench bench(options, Answers::when_told);
    auto first = bench.batcher.dispatch(5);
    bench.poll();
    auto second = bench.batcher.dispatch(5);
    bench.poll();
    bench.held.at(0).fail(std::make_exception_ptr(std::runtime_error("five")));
    CHECK(what_of(second) == "five");
    bench.held.clear();
    bench.poll();
    audit(bench.batcher);
  }
  SECTION("batch deadline: then it is not joined either") {
    options.batch_deadline = 5ms;
    options.partitions = 2;
    Workbench bench(options, Answers::when_told);
    auto first = bench.batcher.dispatch(5);
    bench.poll();
    auto second = bench.batcher.dispatch(5);
    bench.poll();
    bench.pass(5ms);
    CHECK(error_of(second, 0s) == errc::timed_out);
    auto third = bench.batcher.dispatch(5);
    bench.poll();
    CHECK(bench.batches == Batches{{5}, {5}});
    bench.finish_all();
    CHECK(get_within(third) == 25);
    audit(bench.batcher);
  }
}

TEST_CASE("join_running compares with what came in, although the batch function moves from its inputs") {
  asio::io_context io;
  dedup::exact exact;
  exact.join_running = true;
  std::vector<Batch<std::string, std::string>> held;
  Batcher<std::string, std::string, ManualClock> batcher(
      io, [&](Batch<std::string, std::string> batch) { held.push_back(std::move(batch)); },
      {.batch_size = 4, .batch_timeout = 0ns, .dedup = exact});
  const std::string text(100, 'x');
  auto first = batcher.dispatch(text);
  io.poll();
  const std::string taken = std::move(held.at(0).inputs()[0]);
  auto second = batcher.dispatch(text);
  io.poll();
  held.at(0).set_value(0, taken);
  held.clear();
  CHECK(get_within(first) == text);
  CHECK(get_within(second) == text);
  CHECK(batcher.stats().deduplicated == 1);
}

// --- wrong values, and threads ---

TEST_CASE("impossible dedup options are refused with a sentence") {
  const auto embed = [](const int&) { return std::vector<float>(2, 1.0F); };
  CHECK_THROWS_WITH((IntOptions{.dedup = dedup::embedding(embed, 1.5)}),
                    "batching::Options::dedup: threshold must be above 0 and at most 1, but is 1.500000");
  CHECK_THROWS_AS((IntOptions{.dedup = dedup::similar([](const int&, const int&) { return 1.0; }, 0.0)}),
                  std::invalid_argument);
  Workbench exact(exactly(2));
  CHECK_THROWS_AS(exact.batcher.set_dedup_threshold(0.5), std::logic_error);
  Workbench alike({.dedup = dedup::embedding(embed, 0.5)});
  CHECK_THROWS_AS(alike.batcher.set_dedup_threshold(-1), std::invalid_argument);
  using Unique = std::unique_ptr<int>;
  asio::io_context io;
  const auto make = [&] {
    Batcher<int, Unique> batcher(io, [](std::span<const int> items) { return std::vector<Unique>(items.size()); },
                                 {.dedup = dedup::exact{}});
  };
  CHECK_THROWS_WITH(make(), "batching::Options::dedup must be empty where Out cannot be copied");
}

TEMPLATE_TEST_CASE("under many threads everybody gets the answer to their own item, once", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  const bool join = GENERATE(false, true);
  dedup::exact exact;
  exact.join_running = join;
  Batcher<int, int>::Options options{.batch_size = 8, .batch_timeout = 50us, .partitions = 2, .dedup = exact};
  TestType place;
  std::atomic<bool> twice = false;
  const auto function = [&](std::span<const int> items) {
    if (std::set<int>(items.begin(), items.end()).size() != items.size()) twice = true;
    return squares(items);
  };
  Batcher<int, int> batcher = [&] {
    if constexpr (std::is_same_v<TestType, OnItsOwnPool>) {
      return Batcher<int, int>(function, options);
    } else if constexpr (std::is_same_v<TestType, OnAContext>) {
      return Batcher<int, int>(place.context, function, options);
    } else {
      return Batcher<int, int>(place.pool, function, options);
    }
  }();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      unsigned state = t + 1;
      const auto random = [&](unsigned below) { return (state = state * 1664525U + 1013904223U) / 65536U % below; };
      std::vector<std::pair<int, Future<int>>> flying;
      for (int i = 0; i < 3000; ++i) {
        const int item = static_cast<int>(random(20));
        CallOptions with{.priority = static_cast<int>(random(3))};
        if (random(10) == 0) with.timeout = std::chrono::microseconds(random(200));
        flying.emplace_back(item, batcher.dispatch(item, with));
        if (random(10) == 0) flying[random(static_cast<unsigned>(flying.size()))].second.cancel();
        if (flying.size() < 30) continue;
        for (auto& [number, future] : flying) {
          try {
            if (get_within(future) != number * number) ++wrong;
          } catch (const Error& error) {
            if (error.code() != errc::cancelled && error.code() != errc::timed_out) ++wrong;
          }
        }
        flying.clear();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher.close();
  CHECK(wrong == 0);
  CHECK_FALSE(twice);
  CHECK(batcher.stats().deduplicated > 0);
  audit(batcher);
}

}  // namespace
