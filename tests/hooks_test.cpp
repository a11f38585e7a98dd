// Tests of hooks: what a batch function emits reaches each caller for its own items, and nobody else.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <asio/io_context.hpp>

#include <any>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using namespace support;
using batching::Hook;
using batching::HookEvent;
using batching::OnFailure;
using Numbers = Batcher<int, int, ManualClock>;

namespace {

constexpr Hook<int> progress{"progress"};

/// What a caller has heard, as text: "progress@2: 30 40", or "phase!3: loading" with the number of its items.
class Ear {
 public:
  [[nodiscard]] CallOptions options() {
    CallOptions options;
    options.on_hook = [heard = heard_](const HookEvent& event) {
      std::string line(event.hook);
      line += event.is_broadcast ? "!" + std::to_string(event.items) + ":" : "@" + std::to_string(event.offset) + ":";
      if (!event.is_broadcast && event.items != event.payloads.size()) line += " (wrong number)";
      for (const std::any& payload : event.payloads) {
        if (const int* number = std::any_cast<int>(&payload)) {
          line += " " + std::to_string(*number);
        } else {
          line += " " + std::any_cast<std::string>(payload);
        }
      }
      heard->push_back(line);
    };
    return options;
  }
  [[nodiscard]] const std::vector<std::string>& heard() const { return *heard_; }

 private:
  std::shared_ptr<std::vector<std::string>> heard_ = std::make_shared<std::vector<std::string>>();
};
using Heard = std::vector<std::string>;

/// Ten times the item, for each.
[[nodiscard]] std::vector<int> tenfold(std::span<const int> items) {
  std::vector<int> payloads;
  for (const int item : items) payloads.push_back(10 * item);
  return payloads;
}

std::vector<int> telling(std::span<const int> items, BatchContext& context) {
  context.broadcast("phase", std::string("begun"));
  context.emit("progress", tenfold(items));
  return squares(items);
}

TEST_CASE("every caller hears of its own items only, although a batch mixes callers") {
  asio::io_context io;
  Numbers batcher(io, telling, {.batch_size = 4, .batch_timeout = 0ns});
  Ear first;
  Ear third;
  auto two = batcher.dispatch_many({1, 2}, first.options());
  auto deaf = batcher.dispatch(3);
  auto one = batcher.dispatch(4, third.options());
  io.poll();
  CHECK(first.heard() == Heard{"phase!2: begun", "progress@0: 10 20"});
  CHECK(third.heard() == Heard{"phase!1: begun", "progress@0: 40"});
  CHECK(get_within(two) == std::vector<int>{1, 4});
  CHECK(get_within(deaf) == 9);
}

TEST_CASE("a call that is split hears of each part with its offset, and batches are filled as ever") {
  asio::io_context io;
  std::vector<std::size_t> sizes;
  Numbers batcher(io,
                  [&](std::span<const int> items, BatchContext& context) {
                    sizes.push_back(items.size());
                    return telling(items, context);
                  },
                  {.batch_size = 4, .batch_timeout = 0ns});
  Ear ear;
  auto one = batcher.dispatch(1);
  auto five = batcher.dispatch_many({2, 3, 4, 5, 6}, ear.options());
  io.poll();
  CHECK(sizes == std::vector<std::size_t>{4, 2});
  CHECK(ear.heard() == Heard{"phase!3: begun", "progress@0: 20 30 40", "phase!2: begun", "progress@3: 50 60"});
}

TEST_CASE("item by item, as it goes, also from a handle on another thread") {
  asio::io_context io;
  std::vector<Batch<int, int>> held;
  Numbers batcher(io, [&](Batch<int, int> batch) { held.push_back(std::move(batch)); },
                  {.batch_size = 3, .batch_timeout = 0ns});
  Ear ear;
  auto one = batcher.dispatch(7);
  auto two = batcher.dispatch_many({8, 9}, ear.options());
  io.poll();
  std::thread([&] {
    held[0].emit(2, "done", 99);
    held[0].emit(1, progress, 88);
    held[0].emit(0, progress, 77);
    held[0].broadcast(progress, 5);
    held[0].complete(std::vector<int>{1, 2, 3});
  }).join();
  CHECK(ear.heard() == Heard{"done@1: 99", "progress@0: 88", "progress!2: 5"});
  CHECK(get_within(two) == std::vector<int>{2, 3});
  held[0].emit("late", std::vector<int>{1, 2, 3});  // harmless, as long as there is the handle
  io.poll();
  held[0].emit("later", std::vector<int>{1, 2, 3});
  held.clear();
}

TEST_CASE("typed hooks are read as what they are, or there is a clear error") {
  asio::io_context io;
  Numbers batcher(io,
                  [](std::span<const int> items, BatchContext& context) {
                    context.emit(progress, std::vector<short>(items.size(), 3));  // becomes the hook's type
                    return squares(items);
                  },
                  {.batch_timeout = 0ns});
  CallOptions options;
  int number = 0;
  std::string complaint;
  std::string out_of_range;
  options.on_hook = [&](const HookEvent& event) {
    CHECK(event.is(progress));
    CHECK(event.is("progress"));
    CHECK_FALSE(event.is("phase"));
    number = event.payload(progress);
    try {
      (void)event.payload<double>();
    } catch (const std::invalid_argument& error) {
      complaint = error.what();
    }
    try {
      (void)event.payload(progress, 1);
    } catch (const std::out_of_range& error) {
      out_of_range = error.what();
    }
  };
  auto one = batcher.dispatch(1, options);
  io.poll();
  CHECK(number == 3);
  CHECK(complaint == "batching::HookEvent::payload: \"progress\" has a payload of type i, not d");
  CHECK(out_of_range == "batching::HookEvent::payload: index is 1, but there are 1 payloads");
}

TEST_CASE("another number of payloads than items, or an item out of range, is an error of the batch function's") {
  asio::io_context io;
  std::string complaint;
  Numbers batcher(io,
                  [&](std::span<const int> items, BatchContext& context) -> std::vector<int> {
                    try {
                      context.emit(5, "progress", 1);
                    } catch (const std::out_of_range& error) {
                      complaint = error.what();
                    }
                    context.emit("progress", std::vector<int>(items.size() + 1));
                    return {};
                  },
                  {.batch_timeout = 0ns});
  Ear ear;
  auto two = batcher.dispatch_many({1, 2}, ear.options());
  io.poll();
  CHECK(complaint == "batching: emit(\"progress\"): item is 5, but the batch has 2 items");
  CHECK(what_of(two) == "batching: emit(\"progress\"): payloads must be one for each of the 2 items, but are 3");
  CHECK(ear.heard().empty());
}

TEST_CASE("where nobody listens, nothing is looked at") {
  asio::io_context io;
  int copies = 0;
  struct Payload {
    explicit Payload(int& count) : copies(&count) {}
    Payload(const Payload& other) : copies(other.copies) { ++*copies; }
    int* copies;
  };
  Numbers batcher(io,
                  [&](std::span<const int> items, BatchContext& context) {
                    const Payload payload(copies);
                    context.broadcast("phase", payload);
                    context.emit(0, "progress", payload);
                    return squares(items);
                  },
                  {.batch_timeout = 0ns});
  auto one = batcher.dispatch(1);
  io.poll();
  CHECK(get_within(one) == 1);
  CHECK(copies <= 2);  // at most the argument's own
}

TEST_CASE("a caller who had to wait at the door hears of its items, too") {
  Numbers::Options options{.batch_size = 1, .batch_timeout = 0ns, .max_queued = 1};
  options.overflow = batching::Overflow::block;
  asio::io_context io;
  Numbers batcher(io, telling, options);
  Ear ear;
  auto first = batcher.dispatch(1);
  int answer = 0;
  batcher.async_dispatch(2, ear.options(), [&](const std::exception_ptr&, int output) { answer = output; });
  io.poll();
  CHECK(answer == 4);
  CHECK(ear.heard() == std::vector<std::string>{"phase!1: begun", "progress@0: 20"});
  audit(batcher);
}

TEST_CASE("what a listener throws changes nothing") {
  asio::io_context io;
  Numbers batcher(io, telling, {.batch_size = 2, .batch_timeout = 0ns});
  CallOptions options;
  options.on_hook = [](const HookEvent&) { throw std::runtime_error("deaf"); };
  Ear ear;
  auto one = batcher.dispatch(1, options);
  auto other = batcher.dispatch(2, ear.options());
  io.poll();
  CHECK(get_within(one) == 1);
  CHECK(ear.heard().size() == 2);
  audit(batcher);
}

TEST_CASE("a listener that cannot be copied when it is needed is the answer of its own call") {
  struct Delicate {
    explicit Delicate(std::shared_ptr<bool> breaks) : breaks_(std::move(breaks)) {}
    Delicate(const Delicate& other) : breaks_(other.breaks_) {
      if (*breaks_) throw std::runtime_error("broken");
    }
    void operator()(const HookEvent&) const {}
    std::shared_ptr<bool> breaks_;
  };
  asio::io_context io;
  Numbers batcher(io, telling, {.batch_size = 1});
  auto breaks = std::make_shared<bool>(false);
  CallOptions options;
  options.on_hook = Delicate(breaks);
  *breaks = true;
  auto one = batcher.dispatch(1, options);
  CHECK(what_of(one, 0s) == "broken");
  bool heard = false;
  batcher.async_dispatch(2, options, [&](const std::exception_ptr& error, int) { heard = error != nullptr; });
  io.poll();
  CHECK(heard);
  CHECK(batcher.stats().rejected == 2);
  audit(batcher);
}

TEST_CASE("with keys and weights, a caller with several parts in a batch hears a broadcast once") {
  asio::io_context io;
  Numbers::Options options{.batch_size = 10, .batch_timeout = 0ns};
  SECTION("weights") {
    options.weight = [](const int&) { return std::size_t{2}; };
  }
  SECTION("keys") {
    options.key = [](const int&) { return 0; };
  }
  Numbers batcher(io, telling, options);
  Ear ear;
  auto many = batcher.dispatch_many({1, 2, 3}, ear.options());
  io.poll();
  std::vector<std::string> broadcasts;
  std::vector<std::string> payloads;
  for (const std::string& line : ear.heard())
    (line.find('!') != std::string::npos ? broadcasts : payloads).push_back(line);
  CHECK(broadcasts == Heard{"phase!3: begun"});
  CHECK((payloads == Heard{"progress@0: 10 20 30"} ||
         payloads == Heard{"progress@0: 10", "progress@1: 20", "progress@2: 30"}));
}

TEST_CASE("deduplicated, everybody hears of the item that is theirs, too") {
  asio::io_context io;
  Numbers batcher(io, telling, {.batch_size = 8, .batch_timeout = 0ns, .dedup = batching::dedup::exact{}});
  Ear first;
  Ear second;
  auto many = batcher.dispatch_many({1, 2, 1}, first.options());
  auto one = batcher.dispatch(2, second.options());
  io.poll();
  CHECK(first.heard() == Heard{"phase!3: begun", "progress@0: 10", "progress@2: 10", "progress@1: 20"});
  CHECK(second.heard() == Heard{"phase!1: begun", "progress@0: 20"});
}

TEST_CASE("isolated, each run tells those whose items are in it") {
  asio::io_context io;
  Numbers::Options options{.batch_size = 4, .batch_timeout = 0ns};
  options.on_failure = OnFailure::isolate;
  Numbers batcher(
      io,
      [](std::span<const int> items, BatchContext& context) {
        context.emit("progress", tenfold(items));
        for (const int item : items) {
          if (item == 3) throw std::runtime_error("three");
        }
        return squares(items);
      },
      options);
  Ear ear;
  Ear other;
  auto two = batcher.dispatch_many({1, 2}, ear.options());
  auto bad = batcher.dispatch_many({3, 4}, other.options());
  io.poll();
  CHECK(get_within(two) == std::vector<int>{1, 4});
  CHECK(ear.heard() == Heard{"progress@0: 10", "progress@1: 20", "progress@0: 10", "progress@1: 20"});
  CHECK(other.heard().size() == 2 + 2 + 2);
}

TEMPLATE_TEST_CASE("under many threads everybody hears of their own items, in order", "", OnItsOwnPool, OnAContext,
                   OnAThreadPool) {
  TestType place;
  auto batcher = place.template make<Batcher<int, int>>(
      [](std::span<const int> items, BatchContext& context) {
        for (std::size_t i = 0; i < items.size(); ++i) context.emit(i, progress, items[i]);
        context.emit("again", std::vector<int>(items.begin(), items.end()));
        return squares(items);
      },
      Options{.batch_size = 5, .batch_timeout = 50us, .partitions = 2});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 300; ++round) {
        const int size = 1 + (round + t) % 7;
        const std::vector<int> items = from_to(1000 * t + round, 1000 * t + round + size - 1);
        const auto heard = std::make_shared<std::pair<int, int>>();  // by one thread at a time
        CallOptions options;
        options.on_hook = [=, &wrong](const HookEvent& event) {
          for (std::size_t i = 0; i < event.payloads.size(); ++i) {
            if (event.payload<int>(i) != items[event.offset + i]) ++wrong;
            ++(event.is(progress) ? heard->first : heard->second);
          }
        };
        auto future = batcher.dispatch_many(items, options);
        (void)get_within(future);
        if (*heard != std::pair(size, size)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace
