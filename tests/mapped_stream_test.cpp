// Tests of mapped streams: replies and hooks by request, in order, whatever batches their items were in.
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>
#include <batching/mapped.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/bind_executor.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <any>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <iterator>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "asio_support.hpp"
#include "catch.hpp"
#include "stream_support.hpp"
#include "support.hpp"

using namespace support;
using batching::Hook;
using batching::Mapped;

namespace {

/// Becomes its numbers, and their squares its sum.
struct Request {
  std::string name;
  std::vector<int> numbers;
};
const std::vector<int>& numbers_of(const Request& request) {
  if (request.name == "bad") throw std::invalid_argument("bad request");
  return request.numbers;
}
std::string sum_of(const std::vector<int>& outputs, const Request& request) {
  if (request.name == "worse") throw std::runtime_error("worse reply");
  return request.name + "=" + std::to_string(std::accumulate(outputs.begin(), outputs.end(), 0));
}

/// "2: c=4 d=5" for the replies to requests from 2 on, "progress@2: 30 40", "phase!@2: text".
template <class Event>
std::string text_of(Event& event) {
  std::string line = event.is_hook() ? event.hook() + (event.is_broadcast() ? "!@" : "@") : "";
  line += std::to_string(event.offset()) + ":";
  for (const auto& output : event.outputs()) line += " " + output;
  for (const std::any& payload : event.payloads()) {
    const int* number = std::any_cast<int>(&payload);
    line += " " + (number != nullptr ? std::to_string(*number) : std::any_cast<std::string>(payload));
  }
  return line;
}

template <class Stream>
struct Reader : EventReader<Stream> {
  Reader(asio::io_context& io, Stream& stream) : EventReader<Stream>(io, stream, text_of<typename Stream::Event>) {}
};

/// A workbench whose batches are answered when told, and the sums over it.
struct Sums : Workbench {
  explicit Sums(std::size_t batch_size, std::size_t partitions = 1)
      : Workbench({.batch_size = batch_size, .batch_timeout = 0ns, .partitions = partitions}, Answers::when_told) {}

  Mapped<decltype(batcher), decltype(&numbers_of), decltype(&sum_of)> sums{batcher, &numbers_of, &sum_of};
};

}  // namespace

TEST_CASE("replies come in the order of the requests, as soon as their last output has") {
  Sums bench(2, 4);
  auto stream =
      bench.sums.dispatch_stream(std::vector<Request>{{"a", {1, 2, 3}}, {"none", {}}, {"b", {4}}, {"c", {5, 6}}});
  Reader reader(bench.io, stream);
  CHECK(reader.read().empty());
  bench.poll();
  bench.finish(1);  // 3 and 4
  CHECK(reader.read().empty());
  bench.finish(0);
  CHECK(joined(reader.read()) == "a=14 none=0 b=16");
  bench.finish(2);
  CHECK(reader.read() == Lines{"3: c=61", "end"});
  audit(bench.batcher);
}

TEST_CASE("a stream of one request: its last output makes the reply, no other request has to come") {
  Sums bench(2);
  auto stream = bench.sums.dispatch_stream(Request{"one", {1, 2, 3}});
  Reader reader(bench.io, stream);
  bench.poll();
  bench.finish(0);
  CHECK(reader.read().empty());
  bench.finish(1);
  CHECK(reader.read() == Lines{"0: one=14", "end"});
}

TEST_CASE("requests without items, at the end too, and no request at all") {
  Sums bench(2);
  auto stream = bench.sums.dispatch_stream(std::vector<Request>{{"x", {}}, {"a", {1}}, {"y", {}}, {"z", {}}});
  Reader reader(bench.io, stream);
  CHECK(reader.read().empty());
  bench.poll();
  bench.finish(0);
  const Lines lines = reader.read();
  CHECK(joined(Lines(lines.begin(), lines.end() - 1)) == "x=0 a=1 y=0 z=0");
  CHECK(lines.back() == "end");

  auto none = bench.sums.dispatch_stream(std::vector<Request>());
  CHECK_FALSE(none.next());
  auto empty = bench.sums.dispatch_stream(std::vector<Request>{{"e", {}}});
  CHECK(Reader(bench.io, empty).read() == Lines{"0: e=0", "end"});
}

TEST_CASE("each request hears the hooks of its own items, also when a batch mixes requests") {
  asio::io_context io;
  Batcher<int, int, ManualClock> batcher(io,
                                         [](std::span<const int> items, BatchContext& context) {
                                           context.emit("progress", std::vector<int>(items.begin(), items.end()));
                                           context.broadcast("phase", std::string("over"));
                                           return squares(items);
                                         },
                                         {.batch_size = 3, .batch_timeout = 0ns});
  const Mapped sums(batcher, &numbers_of, &sum_of);
  auto stream = sums.dispatch_stream(std::vector<Request>{{"a", {1, 2}}, {"b", {3, 4}}, {"c", {5, 6}}});
  io.poll();
  CHECK(Reader(io, stream).read() == Lines{"progress@0: 1 2", "progress@1: 3 4", "progress@2: 5 6", "phase!@0: over",
                                           "0: a=5", "phase!@1: over", "1: b=25 c=61", "end"});
}

TEST_CASE("an item's error comes in its request's place, and ends the stream") {
  Sums bench(2, 3);
  auto stream = bench.sums.dispatch_stream(std::vector<Request>{{"a", {1}}, {"b", {2, 3, 4}}, {"c", {5}}});
  Reader reader(bench.io, stream);
  bench.poll();
  bench.held.at(1).fail(std::make_exception_ptr(std::runtime_error("no squares")));
  bench.finish(0);
  CHECK(reader.read() == Lines{"0: a=1", "no squares", "end"});
  bench.held.clear();
  bench.poll();
  audit(bench.batcher);
}

TEST_CASE("what map_inputs throws comes in its request's place, after what came before") {
  Sums bench(2);
  auto stream = bench.sums.dispatch_stream(std::vector<Request>{{"a", {1}}, {"bad", {2, 3}}, {"c", {5}}});
  Reader reader(bench.io, stream);
  bench.poll();
  bench.finish_all();
  CHECK(reader.read() == Lines{"0: a=1", "bad request", "end"});
  CHECK(bench.batcher.stats().accepted == 1);

  auto nothing = bench.sums.dispatch_stream(Request{"bad", {1}});
  CHECK_THROWS_AS(nothing.next(), std::invalid_argument);
  CHECK_FALSE(nothing.next());
  CHECK(bench.batcher.stats().accepted == 1);
}

TEST_CASE("what map_results throws comes in its place, and what has not started is withdrawn") {
  Sums bench(1);
  auto stream = bench.sums.dispatch_stream(std::vector<Request>{{"a", {1}}, {"worse", {2}}, {"c", {3}}, {"d", {4}}});
  Reader reader(bench.io, stream);
  bench.poll();
  bench.finish(0);
  bench.finish(1);
  const Lines lines = reader.read();
  CHECK(lines == Lines{"0: a=1", "worse reply", "end"});
  bench.finish_all();
  CHECK(bench.batcher.stats().cancelled > 0);
  audit(bench.batcher);
}

/// Requests that are made when they are read; how many were is counted.
struct Pages {
  struct Iterator {
    using value_type = Request;
    using difference_type = std::ptrdiff_t;
    Pages* of = nullptr;
    Request operator*() const { return {std::to_string(of->at), {of->at, of->at + 1}}; }
    Iterator& operator++() {
      *of->read = ++of->at;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return of->at == of->last; }
  };
  Iterator begin() { return {this}; }
  std::default_sentinel_t end() const { return {}; }

  int last;
  std::shared_ptr<int> read = std::make_shared<int>(0);
  int at = 0;
};

TEST_CASE("requests are read as batches have room, never all at once") {
  Sums bench(4);
  Pages pages{500};
  auto stream = bench.sums.dispatch_stream(pages);
  bench.poll();
  CHECK(*pages.read == 3);  // eight items of four requests: those numbered 0 to 3
  bench.finish(0);
  CHECK(*pages.read == 5);
  for (std::size_t next = 1; !bench.held.empty();) bench.finish(next++);
  Reader reader(bench.io, stream);
  const Lines lines = reader.read();
  CHECK(lines.back() == "end");
  CHECK(joined(lines).substr(0, 14) == "0=1 1=5 2=13 3");
  audit(bench.batcher);
}

/// The words of a text, one after the other, as views of it.
struct WordsOf {
  struct Iterator {
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    const std::string* text = nullptr;
    std::size_t at = 0;
    std::string_view operator*() const { return std::string_view(*text).substr(at, text->find(' ', at) - at); }
    Iterator& operator++() {
      const std::size_t space = text->find(' ', at);
      at = space == std::string::npos ? text->size() : space + 1;
      if (at < text->size() && (*text)[at] == '!') throw std::runtime_error("bad word");
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return at == text->size(); }
  };
  Iterator begin() const { return {text}; }
  std::default_sentinel_t end() const { return {}; }
  const std::string* text;
};

TEST_CASE("a lazy range of items may refer to its request, and may throw half-way") {
  asio::io_context io;
  Batcher<std::string, std::size_t, ManualClock> lengths(io,
                                                         [](std::span<const std::string> words) {
                                                           std::vector<std::size_t> outputs;
                                                           for (const auto& word : words)
                                                             outputs.push_back(word.size());
                                                           return outputs;
                                                         },
                                                         {.batch_size = 2, .batch_timeout = 0ns});
  const Mapped texts(
      lengths, [](const std::string& text) { return WordsOf{&text}; },
      [](const std::vector<std::size_t>& outputs, const std::string& text) {
        std::string reply = text.substr(0, 1);
        for (const std::size_t length : outputs) reply += std::to_string(length);
        return reply;
      });
  auto stream = texts.dispatch_stream(Lines{"a bb ccc", "dddd", "e ff !", "ggg"});
  const Lines lines = Reader(io, stream).read();
  REQUIRE(lines.size() >= 3);
  CHECK(joined(Lines(lines.begin(), lines.end() - 2)) == "a123 d4");
  CHECK(Lines(lines.end() - 2, lines.end()) == Lines{"bad word", "end"});
  CHECK(lengths.stats().completed == 6);  // e and ff were sent before

  auto one = texts.dispatch_stream(std::string("one text, itself a range"));
  CHECK(Reader(io, one).read() == Lines{"0: o35615", "end"});
}

TEST_CASE("map_results runs where the handler runs; a second wait is refused; a wait is cancelled, and nothing lost") {
  Sums bench(2);
  asio::io_context elsewhere;
  std::thread::id mapped;
  const Mapped sums(bench.batcher, &numbers_of, [&](const std::vector<int>& outputs, const Request& request) {
    mapped = std::this_thread::get_id();
    return sum_of(outputs, request);
  });
  auto stream = sums.dispatch_stream(std::vector<Request>{{"a", {1, 2, 3}}, {"b", {4}}});
  Lines heard;
  const auto say = [&](const std::exception_ptr& error, auto event) {
    heard.push_back(error ? asio_support::name(error) : text_of(*event));
  };
  asio::cancellation_signal signal;
  stream.async_next(asio::bind_executor(elsewhere, asio::bind_cancellation_slot(signal.slot(), say)));
  stream.async_next(say);
  CHECK_THROWS_AS(stream.next(), std::logic_error);
  bench.poll();
  CHECK(heard == Lines{"batching::MappedStream: async_next while another waits"});
  bench.poll();
  bench.finish(0);  // not all of a: it waits on
  bench.poll();
  elsewhere.poll();
  CHECK(heard.size() == 1);
  signal.emit(asio::cancellation_type::total);
  bench.poll();
  elsewhere.restart();
  elsewhere.poll();
  CHECK(heard.back() == "the call was cancelled");

  stream.async_next(asio::bind_executor(elsewhere, say));
  bench.finish_all();
  bench.poll();
  CHECK(heard.size() == 2);
  CHECK(mapped == std::thread::id());
  std::thread([&] {
    elsewhere.restart();
    elsewhere.poll();
  }).join();
  CHECK(heard.back().substr(0, 7) == "0: a=14");  // b with it, or after
  CHECK(mapped != std::this_thread::get_id());
  CHECK(mapped != std::thread::id());
}

TEST_CASE("cancelling between two events of the stream inside is not lost") {
  Sums bench(1);
  asio::io_context elsewhere;
  auto stream = bench.sums.dispatch_stream(Request{"a", {1, 2}});
  std::string heard;
  asio::cancellation_signal signal;
  stream.async_next(asio::bind_executor(
      elsewhere, asio::bind_cancellation_slot(signal.slot(), [&](const std::exception_ptr& error, auto event) {
        heard = error ? asio_support::name(error) : text_of(*event);
      })));
  bench.poll();
  bench.finish(0);  // the first output is on its way
  bench.poll();
  signal.emit(asio::cancellation_type::terminal);
  elsewhere.poll();
  CHECK(heard == "the call was cancelled");
  bench.finish_all();
  CHECK(Reader(bench.io, stream).read() == Lines{"0: a=5", "end"});
}

TEST_CASE("a mapped stream that is dropped answers who waits, and withdraws what has not started") {
  Sums bench(2);
  std::string heard;
  {
    auto stream = bench.sums.dispatch_stream(std::vector<Request>{{"a", {1, 2, 3}}, {"b", {4, 5, 6}}});
    stream.async_next([&](const std::exception_ptr& error, auto) { heard = asio_support::name(error); });
    auto moved = std::move(stream);
    moved = bench.sums.dispatch_stream(Request{"c", {7}});
    CHECK(heard.empty());
  }
  bench.poll();
  CHECK(heard == "the call was cancelled");
  bench.poll();
  bench.finish_all();
  CHECK(bench.batcher.stats().cancelled > 0);
  audit(bench.batcher);
}

TEST_CASE("a mapped stream over a Mapped") {
  Sums bench(2, 2);
  const Mapped groups(
      bench.sums,
      [](const std::vector<std::string>& names) {
        std::vector<Request> requests;
        for (const auto& name : names) requests.push_back({name, {static_cast<int>(name.size()), 1}});
        return requests;
      },
      [](const Lines& replies) {
        std::string all;
        for (const auto& reply : replies) all += "<" + reply + ">";
        return all;
      });
  auto stream = groups.dispatch_stream(std::vector<Lines>{{"a", "bb"}, {}, {"ccc"}});
  Reader reader(bench.io, stream);
  bench.poll();
  bench.finish_all();
  const Lines lines = reader.read();
  CHECK(joined(Lines(lines.begin(), lines.end() - 1)) == "<a=2><bb=5>  <ccc=10>");
  CHECK(lines.back() == "end");
}

TEST_CASE("without outputs, without replies, with outputs that are bools, and what can only be moved") {
  asio::io_context io;
  int written = 0;
  Batcher<int, void, ManualClock> writer(
      io, [&](std::span<const int> items) { written += static_cast<int>(items.size()); }, {.batch_timeout = 0ns});
  const Mapped requests(
      writer, [](const int& count) { return std::vector<int>(static_cast<std::size_t>(count), 7); },
      [](const int& count) { return std::to_string(count); });
  auto texts = requests.dispatch_stream(std::vector<int>{3, 0, 2});
  const Lines lines = Reader(io, texts).read();
  CHECK(joined(Lines(lines.begin(), lines.end() - 1)) == "3 0 2");
  CHECK(written == 5);

  std::size_t replies = 0;
  const Mapped silent(
      writer, [](const int& count) { return std::vector<int>(static_cast<std::size_t>(count), 7); },
      [&] { ++replies; });
  auto nothing = silent.dispatch_stream(std::vector<int>{1, 1});
  io.restart();
  io.poll();
  std::size_t events = 0;
  while (auto event = nothing.next()) events += event->outputs().size();
  CHECK(events == 2);
  CHECK(replies == 2);

  using Unique = std::unique_ptr<int>;
  Batcher<Unique, bool, ManualClock> odd(io,
                                         [](std::span<Unique> items) {
                                           std::vector<bool> outputs;
                                           for (const Unique& item : items) outputs.push_back(*item % 2 == 1);
                                           return outputs;
                                         },
                                         {.batch_timeout = 0ns});
  const Mapped pairs(
      odd,
      [](Unique& request) {
        std::vector<Unique> items;
        items.push_back(std::make_unique<int>(*request));
        items.push_back(std::make_unique<int>(*request + 1));
        return items;
      },
      [](const std::vector<bool>& outputs, Unique& request) {
        return outputs.at(0) != outputs.at(1) ? std::move(request) : nullptr;
      });
  std::vector<Unique> both;
  both.push_back(std::make_unique<int>(5));
  both.push_back(std::make_unique<int>(8));
  auto stream = pairs.dispatch_stream(std::move(both));
  io.restart();
  io.poll();
  int sum = 0;
  for (auto& event : stream) {
    for (Unique& reply : event.outputs()) sum += *reply;
  }
  CHECK(sum == 13);
}

TEST_CASE("many mapped streams at once, some dropped half-way: everybody gets their own, in order") {
  Batcher<int, int> batcher([](std::span<const int> items) { return squares(items); },
                            {.batch_size = 16, .batch_timeout = 0ns, .partitions = 2});
  const Mapped sums(batcher, &numbers_of, &sum_of);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> users;
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&, user] {
      for (int round = 0; round < 20; ++round) {
        std::vector<Request> requests;
        for (int i = 0; i < 30; ++i) {
          requests.push_back(
              {std::to_string(user), std::vector<int>(static_cast<std::size_t>((i * 7 + round) % 5), i)});
        }
        auto stream = sums.dispatch_stream(requests);
        std::size_t next = 0;
        while (auto event = stream.next()) {
          if (event->offset() != next) ++wrong;
          for (const std::string& reply : event->outputs()) {
            const auto i = static_cast<int>(next++);
            if (reply != std::to_string(user) + "=" + std::to_string((i * 7 + round) % 5 * i * i)) ++wrong;
          }
          if (round % 4 == 3 && next > 10) break;
        }
        if (round % 4 != 3 && next != requests.size()) ++wrong;
      }
    });
  }
  for (auto& user : users) user.join();
  CHECK(wrong == 0);
  batcher.close();
  audit(batcher);
}
