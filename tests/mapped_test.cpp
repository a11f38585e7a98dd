// Tests of Mapped: requests to items and outputs to replies, with every verb, over a batcher or another Mapped.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>
#include <batching/mapped.hpp>

#include <asio/bind_executor.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>
#include <asio/use_future.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <future>
#include <memory>
#include <numeric>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "asio_support.hpp"
#include "catch.hpp"
#include "support.hpp"

using namespace support;
using batching::Mapped;

namespace {

/// A document becomes its words, and the lengths of them its summary.
struct Document {
  std::string title;
  std::string text;
};
std::vector<std::string> words(const Document& document) {
  if (document.title == "bad") throw std::invalid_argument("a bad document");
  std::istringstream stream(document.text);
  std::vector<std::string> all;
  for (std::string word; stream >> word;) all.push_back(word);
  return all;
}
std::string summary(const std::vector<std::size_t>& lengths, const Document& document) {
  if (document.title == "worse") throw std::runtime_error("no summary");
  return document.title + ": " + std::to_string(std::accumulate(lengths.begin(), lengths.end(), std::size_t{0})) +
         " letters in " + std::to_string(lengths.size()) + " words";
}

/// A batcher of words, whose batches are remembered.
struct Words {
  using Lengths = Batcher<std::string, std::size_t, ManualClock>;

  void poll() {
    io.restart();
    io.poll();
  }

  asio::io_context io;
  std::vector<std::vector<std::string>> batches;
  Lengths batcher{io,
                  [this](std::span<std::string> items) {
                    batches.emplace_back(items.begin(), items.end());
                    std::vector<std::size_t> lengths;
                    for (const std::string& item : items) lengths.push_back(item.size());
                    return lengths;
                  },
                  {.batch_size = 4, .batch_timeout = 0ns}};
  Mapped<Lengths, decltype(&words), decltype(&summary)> documents{batcher, &words, &summary};
};

TEST_CASE("a request becomes items, and their outputs its reply") {
  Words bench;
  auto one = bench.documents.dispatch(Document{"one", "a bb ccc"});
  auto other = bench.documents.dispatch(Document{"other", "dddd e"});
  CHECK(one.valid());
  CHECK(one.wait_for(0s) == std::future_status::timeout);
  bench.poll();
  CHECK(one.get() == "one: 6 letters in 3 words");
  CHECK(other.get() == "other: 5 letters in 2 words");
  CHECK_FALSE(one.valid());
  CHECK(bench.batches == std::vector<std::vector<std::string>>{{"a", "bb", "ccc", "dddd"}, {"e"}});
}

TEST_CASE("a request without items has its reply at once") {
  Words bench;
  auto empty = bench.documents.dispatch(Document{"empty", ""});
  CHECK(empty.get() == "empty: 0 letters in 0 words");
  CHECK(bench.batches.empty());
}

TEST_CASE("what map_inputs throws is its own call's, and nothing is submitted") {
  Words bench;
  auto good = bench.documents.dispatch(Document{"good", "a"});
  CHECK_THROWS_WITH(bench.documents.dispatch(Document{"bad", "b"}), "a bad document");
  CHECK_THROWS_WITH(bench.documents.inline_one(Document{"bad", "b"}), "a bad document");
  std::string heard;
  bench.documents.async_dispatch(Document{"bad", "b"}, [&](const std::exception_ptr& error, const std::string& reply) {
    heard = asio_support::name(error) + reply;
  });
  CHECK(heard.empty());  // never inside the initiating call
  bench.poll();
  CHECK(heard == "a bad document");
  CHECK(good.get() == "good: 1 letters in 1 words");
  CHECK(bench.batches == std::vector<std::vector<std::string>>{{"a"}});
  audit(bench.batcher);
}

TEST_CASE("what map_results throws is its own call's") {
  Words bench;
  auto worse = bench.documents.dispatch(Document{"worse", "a"});
  auto good = bench.documents.dispatch(Document{"good", "b"});
  std::string heard;
  bench.documents.async_dispatch(Document{"worse", "c"}, [&](const std::exception_ptr& error, const std::string&) {
    heard = asio_support::name(error);
  });
  bench.poll();
  CHECK_THROWS_WITH(worse.get(), "no summary");
  CHECK(good.get() == "good: 1 letters in 1 words");
  CHECK(heard == "no summary");
}

TEST_CASE("what the batch function throws arrives unchanged, and map_results does not run") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(
      io, [](std::span<int>) -> std::vector<int> { throw std::runtime_error("no disk"); }, {.batch_timeout = 0ns});
  int finished = 0;
  const Mapped mapped(
      batcher, [](int& number) { return std::vector<int>(3, number); },
      [&](const std::vector<int>&) { return ++finished; });
  auto future = mapped.dispatch(1);
  auto std_future = mapped.async_dispatch(2, asio::use_future);
  io.poll();
  CHECK_THROWS_WITH(future.get(), "no disk");
  CHECK_THROWS_WITH(std_future.get(), "no disk");
  CHECK(finished == 0);
}

TEST_CASE("inline_one and inline_many run at once, on this thread") {
  Words bench;
  CHECK(bench.documents.inline_one(Document{"one", "a bb"}) == "one: 3 letters in 2 words");
  const std::vector<Document> documents{{"one", "a"}, {"two", ""}, {"three", "b c d e f"}};
  CHECK(bench.documents.inline_many(documents) == std::vector<std::string>{"one: 1 letters in 1 words",
                                                                           "two: 0 letters in 0 words",
                                                                           "three: 5 letters in 5 words"});
}

TEST_CASE("many requests are one call, each with its own reply in order") {
  Words bench;
  auto many = bench.documents.dispatch_many(std::vector<Document>{{"one", "a bb"}, {"two", ""}, {"three", "c"}});
  bench.poll();
  CHECK(many.get() == std::vector<std::string>{"one: 3 letters in 2 words", "two: 0 letters in 0 words",
                                               "three: 1 letters in 1 words"});
}

TEST_CASE("a lazy range of items is read on the calling thread") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io, squares, {.batch_size = 100, .batch_timeout = 0ns});
  struct Count {
    struct Iterator {
      using value_type = int;
      using difference_type = std::ptrdiff_t;
      int at = 0;
      std::vector<std::thread::id>* read_by = nullptr;
      int operator*() const {
        read_by->push_back(std::this_thread::get_id());
        return at;
      }
      Iterator& operator++() { return ++at, *this; }
      void operator++(int) { ++at; }
      bool operator==(int end) const { return at == end; }
    };
    [[nodiscard]] Iterator begin() const { return {0, read_by}; }
    [[nodiscard]] int end() const { return last; }
    int last;
    std::vector<std::thread::id>* read_by;
  };
  std::vector<std::thread::id> read_by;
  const Mapped sums(
      batcher,
      [&](const int& last) {
        return Count{last, &read_by};
      },
      [](const std::vector<int>& outputs) { return std::accumulate(outputs.begin(), outputs.end(), 0); });
  auto future = sums.dispatch(4);
  CHECK(read_by == std::vector<std::thread::id>(4, std::this_thread::get_id()));
  io.poll();
  CHECK(future.get() == 0 + 1 + 4 + 9);
}

TEST_CASE("a Mapped of a Mapped") {
  Words bench;
  // A library becomes its documents, and their summaries one text.
  using Library = std::vector<Document>;
  const Mapped libraries(
      bench.documents, [](Library& library) { return std::move(library); },
      [](const std::vector<std::string>& summaries) {
        std::string all;
        for (const std::string& one : summaries) all += one + "; ";
        return all;
      });
  const Library library{{"one", "a bb"}, {"two", "c"}};
  const std::string expected = "one: 3 letters in 2 words; two: 1 letters in 1 words; ";
  auto future = libraries.dispatch(library);
  auto std_future = libraries.async_dispatch(library, asio::use_future);
  bench.poll();
  CHECK(future.get() == expected);
  CHECK(std_future.get() == expected);
  CHECK(libraries.inline_one(library) == expected);
  CHECK(bench.batches.front().size() == 4);  // they travel together
  CHECK_THROWS_WITH(libraries.dispatch(Library{{"good", "a"}, {"bad", "b"}}), "a bad document");
}

TEST_CASE("a request's state is kept until its reply; move-only requests, items and outputs will do") {
  using Unique = std::unique_ptr<int>;
  asio::io_context io;
  Batcher<Unique, Unique, ManualClock> batcher(io,
                                               [](std::span<Unique> items) {
                                                 std::vector<Unique> outputs;
                                                 for (Unique& item : items) outputs.push_back(std::move(item));
                                                 return outputs;
                                               },
                                               {.batch_timeout = 0ns});
  struct Request {
    Unique number;
    int factor;
  };
  const Mapped mapped(
      batcher,
      [](Request& request) {
        std::vector<Unique> items;
        items.push_back(std::move(request.number));
        return items;
      },
      [](std::vector<Unique> outputs, Request& request) {
        return std::make_unique<int>(*outputs[0] * request.factor);
      });
  auto future = mapped.dispatch(Request{std::make_unique<int>(6), 7});
  io.poll();
  CHECK(*future.get() == 42);
  CHECK(*mapped.inline_one(Request{std::make_unique<int>(5), 2}) == 10);
}

TEST_CASE("without outputs, map_results gets the request alone, or nothing") {
  asio::io_context io;
  int written = 0;
  Batcher<int, void, ManualClock> batcher(
      io, [&](std::span<const int> items) { written += static_cast<int>(items.size()); }, {.batch_timeout = 0ns});
  const auto three = [](const int& number) { return std::vector<int>(3, number); };
  const Mapped with_request(batcher, three, [](int& number) { return number + 1; });
  const Mapped with_nothing(batcher, three, [] {});
  auto one = with_request.dispatch(1);
  auto two = with_nothing.dispatch(2);
  bool done = false;
  with_nothing.async_dispatch(3, [&](const std::exception_ptr& error) { done = error == nullptr; });
  io.poll();
  CHECK(one.get() == 2);
  two.get();
  CHECK(done);
  CHECK(written == 9);
  with_nothing.inline_one(4);
  CHECK(written == 12);
}

TEST_CASE("map_results runs where the handler runs, and the handler's executor is the one that was bound") {
  asio::io_context io;
  asio::io_context elsewhere;
  auto strand = asio::make_strand(elsewhere);
  Batcher<int, int, ManualClock> batcher(io, squares, {.batch_timeout = 0ns});
  bool mapped_there = false;
  bool called_there = false;
  const Mapped mapped(
      batcher, [](int& number) { return std::vector<int>{number}; },
      [&](const std::vector<int>& outputs) {
        mapped_there = strand.running_in_this_thread();
        return outputs[0];
      });
  mapped.async_dispatch(3, asio::bind_executor(strand, [&](const std::exception_ptr&, int reply) {
                          called_there = strand.running_in_this_thread() && reply == 9;
                        }));
  io.poll();
  CHECK_FALSE(called_there);
  elsewhere.poll();
  CHECK(mapped_there);
  CHECK(called_there);
}

TEST_CASE("time limits and cancelling are those of the items") {
  Words bench;
  auto busy = bench.documents.dispatch(Document{"one", "a"}, {.timeout = 1ms});
  ManualClock::advance(2ms);
  bench.poll();
  CHECK_THROWS_AS(busy.get(), Error);
  auto cancelled = bench.documents.dispatch(Document{"two", "a"});
  CHECK(cancelled.cancel());
  CHECK_THROWS_AS(cancelled.get(), Error);
  bench.poll();
  CHECK(bench.batches.empty());
  audit(bench.batcher);
}

}  // namespace
