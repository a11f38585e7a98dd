// Tests of streams: events in the order of the items, errors in their place, and who holds up whom: nobody.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>

#include <any>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "asio_support.hpp"
#include "catch.hpp"
#include "stream_support.hpp"
#include "support.hpp"

using namespace support;
using batching::Hook;
using batching::Stream;
using batching::StreamEvent;
using Numbers = Batcher<int, int, ManualClock>;

namespace {

/// "3: 9 16" for outputs from item 3 on, "progress@3: 30 40", "phase!: text".
std::string text_of(StreamEvent<int>& event) {
  std::string line = event.is_hook() ? event.hook() + (event.is_broadcast() ? "!" : "@") : "";
  if (!event.is_broadcast()) line += std::to_string(event.offset());
  line += ":";
  for (const int output : event.outputs()) line += " " + std::to_string(output);
  for (const std::any& payload : event.payloads()) {
    const int* number = std::any_cast<int>(&payload);
    line += " " + (number != nullptr ? std::to_string(*number) : std::any_cast<std::string>(payload));
  }
  return line;
}

struct Reader : EventReader<Stream<int>> {
  Reader(asio::io_context& io, Stream<int>& stream) : EventReader(io, stream, text_of) {}
};

TEST_CASE("outputs come in the order of the items, whatever batch comes first") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns, .partitions = 2}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream({1, 2, 3, 4, 5});
  Reader reader(bench.io, stream);
  CHECK(reader.read().empty());
  bench.finish(1);
  CHECK(reader.read().empty());  // the first two are not there yet
  bench.finish(0);
  CHECK(joined(reader.read()) == "1 4 9 16");
  bench.finish_all();
  CHECK(reader.read() == Lines{"4: 25", "end"});
  audit(bench.batcher);
}

TEST_CASE("an error comes in its place, after everything before it, and ends the stream") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns, .partitions = 3}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream({1, 2, 3, 4, 5, 6});
  Reader reader(bench.io, stream);
  (void)reader.read();
  bench.held.at(1).set_value(0, 33);
  bench.held.at(1).set_error(1, std::make_exception_ptr(std::runtime_error("four")));
  bench.finish(2);
  CHECK(reader.read().empty());
  bench.finish(0);
  const Lines lines = reader.read();
  CHECK(joined(Lines(lines.begin(), lines.end() - 2)) == "1 4 33");
  CHECK(Lines(lines.end() - 2, lines.end()) == Lines{"four", "end"});
  bench.held.clear();
  bench.poll();
  audit(bench.batcher);
}

TEST_CASE("a range-based for consumes a stream on a thread; an error is thrown there") {
  Batcher<int, int> batcher(
      [](std::span<const int> items) {
        std::vector<Result<int>> results;
        for (const int item : items) {
          if (item == 50) {
            results.emplace_back(std::make_exception_ptr(std::runtime_error("fifty")));
          } else {
            results.emplace_back(item * item);
          }
        }
        return results;
      },
      {.batch_size = 8, .batch_timeout = 0ns, .partitions = 2});
  std::vector<int> outputs;
  auto stream = batcher.dispatch_stream(from_to(0, 99));
  const auto consume = [&] {
    for (auto& event : stream) {
      CHECK(event.offset() == outputs.size());
      outputs.insert(outputs.end(), event.outputs().begin(), event.outputs().end());
    }
  };
  CHECK_THROWS_WITH(consume(), "fifty");
  CHECK(outputs == squares(from_to(0, 49)));
  CHECK_FALSE(stream.next());
  batcher.close();
  audit(batcher);
}

TEST_CASE("work starts at submission, nobody has to consume, and a slow consumer holds up nobody") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns});
  auto stream = bench.batcher.dispatch_stream(from_to(1, 100));
  bench.poll();
  CHECK(bench.batcher.stats().completed == 100);
  auto other = bench.batcher.dispatch(5);
  bench.poll();
  CHECK(get_within(other) == 25);
  int items = 0;
  while (auto event = stream.next()) items += static_cast<int>(event->outputs().size());
  CHECK(items == 100);
}

TEST_CASE("a stream that is dropped withdraws what has not started, and disturbs nobody") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto stream = std::make_optional(bench.batcher.dispatch_stream(from_to(1, 100)));
  bench.poll();
  auto other = bench.batcher.dispatch(7);
  stream.reset();
  bench.poll();
  bench.finish_all();
  CHECK(bench.batches == Batches{{1, 2}, {7}});
  CHECK(get_within(other) == 49);
  CHECK(bench.batcher.stats().cancelled <= 4);  // no more were ever in flight
  audit(bench.batcher);
}

TEST_CASE("no items, no events") {
  Workbench bench({});
  auto stream = bench.batcher.dispatch_stream(std::vector<int>());
  CHECK_FALSE(stream.next());
  CHECK(bench.batcher.stats().accepted == 0);
}

/// Counts how far it has been read; throws at some number, or on the way to it, if that is not negative.
struct Generator {
  struct Iterator {
    using value_type = int;
    using difference_type = std::ptrdiff_t;
    Generator* of = nullptr;
    int operator*() const {
      if (of->at == of->bad) throw std::runtime_error("bad line");
      return of->at;
    }
    Iterator& operator++() {
      if (of->at + 1 == of->bad_step) throw std::runtime_error("bad step");
      *of->read = ++of->at;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return of->at == of->last; }
  };
  Iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }

  int last;
  int bad;
  std::shared_ptr<int> read;
  int bad_step = -1;
  int at = 0;
};

TEST_CASE("a lazy range is read as batches have room, never all at once") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns}, Answers::when_told);
  const auto read = std::make_shared<int>(0);
  auto stream = bench.batcher.dispatch_stream(Generator{1000, -1, read});
  CHECK(*read == 7);  // steps: nothing is read before it can be sent
  bench.poll();
  CHECK(*read == 7);
  bench.finish(0);
  CHECK(*read == 11);
  std::size_t next = 1;
  while (!bench.held.empty()) bench.finish(next++);
  CHECK(*read == 1000);
  int sum = 0;
  while (auto event = stream.next()) {
    for (const int output : event->outputs()) sum += output > 0 ? 1 : 0;
  }
  CHECK(sum == 999);
  for (const auto& batch : bench.batches) CHECK(batch.size() == 4);
}

TEST_CASE("an input that throws half-way ends the stream after what came before it") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns});
  auto stream = bench.batcher.dispatch_stream(Generator{1000, 10, std::make_shared<int>(0)});
  Reader reader(bench.io, stream);
  Lines lines = reader.read();
  REQUIRE(lines.size() >= 3);
  CHECK(lines.back() == "end");
  CHECK(lines[lines.size() - 2] == "bad line");
  CHECK(bench.batcher.stats().completed == 10);
  audit(bench.batcher);
}

TEST_CASE("an input that throws on the way to an item loses none before it") {
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns});
  auto stream = bench.batcher.dispatch_stream(Generator{1000, -1, std::make_shared<int>(0), 3});
  Reader reader(bench.io, stream);
  const Lines lines = reader.read();
  REQUIRE(lines.size() >= 2);
  CHECK(joined(Lines(lines.begin(), lines.end() - 2)) == "0 1 4");
  CHECK(Lines(lines.end() - 2, lines.end()) == Lines{"bad step", "end"});
  audit(bench.batcher);
}

TEST_CASE("hooks come before the outputs of their items, those of neighbours as one event, a broadcast once") {
  asio::io_context io;
  Numbers batcher(io,
                  [](std::span<const int> items, BatchContext& context) {
                    context.broadcast("phase", std::string("begun"));
                    std::vector<int> payloads;
                    for (const int item : items) payloads.push_back(10 * item);
                    context.emit("progress", payloads);
                    if (items.size() > 1) context.emit(1, Hook<int>{"special"}, 7);
                    return squares(items);
                  },
                  {.batch_size = 4, .batch_timeout = 0ns});
  auto other = batcher.dispatch(9);
  auto stream = batcher.dispatch_stream({1, 2, 3, 4});
  Reader reader(io, stream);
  Lines lines;
  for (int i = 0; i < 3; ++i) {
    const Lines more = reader.read();
    lines.insert(lines.end(), more.begin(), more.end());
  }
  CHECK(lines == Lines{"phase!: begun", "progress@0: 10 20 30", "special@0: 7", "0: 1 4 9", "phase!: begun",
                       "progress@3: 40", "3: 16", "end"});
}

TEST_CASE("waiting for an event can be cancelled, and no event is lost") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream({1, 2});
  bench.poll();
  asio::cancellation_signal signal;
  std::string heard;
  stream.async_next(asio::bind_cancellation_slot(
      signal.slot(), [&](const std::exception_ptr& error, const std::optional<StreamEvent<int>>&) {
        heard = asio_support::name(error);
      }));
  bench.poll();
  CHECK(heard.empty());
  signal.emit(asio::cancellation_type::terminal);
  bench.poll();
  CHECK(heard == make_error_code(errc::cancelled).message());
  bench.finish(0);
  Reader reader(bench.io, stream);
  CHECK(reader.read() == Lines{"0: 1 4", "end"});
}

TEST_CASE("outputs need no default constructor and may be move-only, or there may be none") {
  struct Square {
    explicit Square(int of) : value(std::make_unique<int>(of * of)) {}
    std::unique_ptr<int> value;
  };
  Batcher<int, Square> batcher(
      [](std::span<const int> items) {
        std::vector<Result<Square>> results;
        for (const int item : items) {
          if (item == 4) {
            results.emplace_back(std::make_exception_ptr(std::runtime_error("four")));
          } else {
            results.emplace_back(Square(item));
          }
        }
        return results;
      },
      {.batch_size = 2, .batch_timeout = 0ns});
  std::vector<int> outputs;
  auto stream = batcher.dispatch_stream({1, 2, 3, 4, 5});
  const auto consume = [&] {
    for (auto& event : stream) {
      for (Square& output : event.outputs()) outputs.push_back(*output.value);
    }
  };
  CHECK_THROWS_WITH(consume(), "four");
  CHECK(outputs == std::vector<int>{1, 4, 9});

  int written = 0;
  Batcher<int, void> writer([&](std::span<const int> items) { written += static_cast<int>(items.size()); });
  std::size_t done = 0;
  for (auto& event : writer.dispatch_stream({1, 2, 3})) done += event.outputs().size();
  CHECK(done == 3);
  CHECK(written == 3);
}

TEST_CASE("nothing is read any more once an item has failed, or the batcher or its context is no more") {
  const auto read = std::make_shared<int>(0);
  Workbench bench({.batch_size = 4, .batch_timeout = 0ns}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream(Generator{1'000'000, -1, read});
  bench.poll();
  bench.batcher.stop();
  bench.poll();
  CHECK(*read < 20);
  bench.finish_all();
  CHECK(*read < 20);
  auto late = bench.batcher.dispatch_stream(Generator{1'000'000, -1, read});
  bench.poll();
  CHECK(*read < 20);
  CHECK_THROWS_AS(late.next(), Error);

  auto io = std::make_unique<asio::io_context>();
  Numbers homeless(*io, squares, {.batch_size = 4});
  io.reset();
  auto stuck = homeless.dispatch_stream(Generator{1'000'000, -1, read});
  CHECK(*read < 20);
  CHECK_THROWS_AS(stuck.next(), Error);
}

TEST_CASE("the caller's thread reads no more than has room at once, however fast answers make room for more") {
  Batcher<int, int> batcher([](std::span<const int> items) { return squares(items); },
                            {.batch_size = 4, .batch_timeout = 0ns});
  const auto caller = std::this_thread::get_id();
  struct Slow {
    struct Iterator {
      using value_type = int;
      using difference_type = std::ptrdiff_t;
      Slow* of;
      int at;
      int operator*() const {
        if (std::this_thread::get_id() == of->caller) ++*of->by_caller;
        std::this_thread::sleep_for(1ms);
        return at;
      }
      Iterator& operator++() { return ++at, *this; }
      void operator++(int) { ++at; }
      bool operator==(std::default_sentinel_t) const { return at == 100; }
    };
    Iterator begin() { return {this, 0}; }
    std::default_sentinel_t end() const { return {}; }
    std::thread::id caller;
    std::shared_ptr<int> by_caller;
  };
  const auto by_caller = std::make_shared<int>(0);
  auto stream = batcher.dispatch_stream(Slow{caller, by_caller});
  CHECK(*by_caller == 8);
  std::vector<int> outputs;
  for (auto& event : stream) outputs.insert(outputs.end(), event.outputs().begin(), event.outputs().end());
  CHECK(outputs == squares(from_to(0, 99)));
  CHECK(*by_caller == 8);
}

TEST_CASE("items and outputs whose move throws are an error in their place") {
  struct Mine {
    Mine(int of, int bad) : number(of), fuse(bad) {}
    Mine(Mine&& other) : number(other.number), fuse(other.fuse - 1) {
      if (fuse == 0) throw std::runtime_error("cannot move " + std::to_string(number));
    }
    Mine& operator=(Mine&&) = delete;
    ~Mine() = default;
    int number;
    int fuse;
  };
  // However late it comes, and whether it is the item or its output: what came before, the error, then nothing.
  for (int fuse = 1; fuse < 20; ++fuse) {
    for (const bool is_item : {true, false}) {
      INFO((is_item ? "item, fuse " : "output, fuse ") << fuse);
      asio::io_context io;
      Batcher<Mine, Mine, ManualClock> batcher(io,
                                               [&](std::span<Mine> items) {
                                                 std::vector<Result<Mine>> results;
                                                 results.reserve(items.size());
                                                 for (const Mine& item : items) {
                                                   const bool bad = item.number == 2 && !is_item;
                                                   results.emplace_back(Mine(item.number, bad ? fuse : -1));
                                                 }
                                                 return results;
                                               },
                                               {.batch_size = 4, .batch_timeout = 0ns});
      struct Items {
        struct Iterator {
          using value_type = Mine;
          using difference_type = std::ptrdiff_t;
          int at;
          int fuse;
          Mine operator*() const { return {at, at == 2 ? fuse : -1}; }
          Iterator& operator++() { return ++at, *this; }
          void operator++(int) { ++at; }
          bool operator==(std::default_sentinel_t) const { return at == 4; }
        };
        [[nodiscard]] Iterator begin() const { return {0, fuse}; }
        [[nodiscard]] std::default_sentinel_t end() const { return {}; }
        int fuse;
      };
      auto stream = batcher.dispatch_stream(Items{is_item ? fuse : -1});
      std::vector<int> got;
      std::string error;
      bool over = false;
      for (int i = 0; i < 10 && !over; ++i) {
        stream.async_next([&](const std::exception_ptr& what, std::optional<StreamEvent<Mine>> event) {
          if (what) {
            error = asio_support::name(what);
          } else if (!event) {
            over = true;
          } else {
            for (const Mine& output : event->outputs()) got.push_back(output.number);
          }
        });
        io.restart();
        io.poll();
      }
      CHECK(over);
      if (error.empty()) {
        CHECK(got == std::vector<int>{0, 1, 2, 3});
      } else {
        const bool fails_the_batch = is_item ? fuse == 3 : fuse <= 2;  // on the way into the function, or within it
        CHECK(got == (fails_the_batch ? std::vector<int>() : std::vector<int>{0, 1}));
        CHECK(error == "cannot move 2");
      }
      audit(batcher);
    }
  }
}

TEST_CASE("a C array is taken whole; of a stream that was moved from there is no next event") {
  Batcher<int, int> batcher([](std::span<const int> items) { return squares(items); });
  int numbers[] = {1, 2, 3};
  auto stream = batcher.dispatch_stream(numbers);
  int sum = 0;
  for (auto& event : stream) {
    for (const int output : event.outputs()) sum += output;
  }
  CHECK(sum == 14);
  auto other = std::move(stream);
  CHECK_THROWS_AS(stream.next(), std::logic_error);  // NOLINT(bugprone-use-after-move): on purpose
  CHECK_FALSE(other.next());
}

TEST_CASE("a wait inside the batch function is refused") {
  std::optional<Stream<int>> stream;
  std::optional<Batcher<int, int>> batcher;
  std::atomic<bool> refused = false;
  batcher.emplace(
      [&](std::span<const int> items) {
        if (items.front() == 1) {
          auto inner = batcher->dispatch_stream({2});
          try {
            (void)inner.next();
          } catch (const Error& error) {
            refused = error.code() == errc::would_deadlock;
          }
        }
        return squares(items);
      },
      Options{.batch_size = 1, .batch_timeout = 0ns});
  auto one = batcher->dispatch(1);
  CHECK(get_within(one) == 1);
  CHECK(refused);
}

TEST_CASE("stopping ends a stream with closed, in its place") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream({1, 2, 3, 4});
  bench.poll();
  bench.batcher.stop();
  bench.finish_all();
  Reader reader(bench.io, stream);
  const Lines lines = reader.read();
  CHECK(lines == Lines{"0: 1 4", make_error_code(errc::closed).message(), "end"});
}

TEST_CASE("the context goes away under a stream: it ends with closed") {
  auto io = std::make_unique<asio::io_context>();
  Numbers batcher(*io, squares, {.batch_size = 2, .batch_timeout = 0ns});
  auto stream = batcher.dispatch_stream({1, 2, 3, 4});
  io.reset();
  CHECK_THROWS_AS(stream.next(), Error);
  CHECK_FALSE(stream.next());
}

TEST_CASE("a time limit is that of the whole stream") {
  Workbench bench({.batch_size = 2, .batch_timeout = 0ns}, Answers::when_told);
  auto stream = bench.batcher.dispatch_stream({1, 2, 3, 4, 5, 6, 7, 8}, {.timeout = 10ms});
  bench.poll();
  ManualClock::advance(6ms);
  bench.finish(0);
  bench.pass(4ms);
  Reader reader(bench.io, stream);
  const Lines lines = reader.read();
  CHECK(lines == Lines{"0: 1 4", make_error_code(errc::timed_out).message(), "end"});
  bench.finish_all();
  audit(bench.batcher);
}

TEMPLATE_TEST_CASE("many streams at once, some dropped half-way: everybody gets their own, in order", "", OnItsOwnPool,
                   OnAContext, OnAThreadPool) {
  TestType place;
  auto batcher = place.template make<Batcher<int, int>>(
      [](std::span<const int> items, BatchContext& context) {
        context.emit("progress", std::vector<int>(items.begin(), items.end()));
        context.broadcast("phase", 1);
        return squares(items);
      },
      Options{.batch_size = 8, .batch_timeout = 50us, .partitions = 2});
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 40; ++round) {
        const int first = 1000 * t + 10 * round;
        const std::vector<int> items = from_to(first, first + 60);
        auto stream = batcher.dispatch_stream(items);
        std::size_t outputs = 0;
        std::size_t hooks = 0;
        const bool drops = round % 4 == 3;
        while (auto event = stream.next()) {
          for (const int output : event->outputs()) {
            if (output != items[outputs] * items[outputs]) ++wrong;
            ++outputs;
          }
          if (event->is_hook() && !event->is_broadcast()) {
            for (std::size_t i = 0; i < event->payloads().size(); ++i, ++hooks) {
              if (event->template payload<int>(i) != items[event->offset() + i]) ++wrong;
            }
          }
          if (drops && outputs > 10) break;
        }
        if (!drops && (outputs != items.size() || hooks != items.size())) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  batcher.close();
  CHECK(wrong == 0);
  audit(batcher);
}

}  // namespace
