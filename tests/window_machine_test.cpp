// The window's decisions, told as stories and then checked against a plain model in every order of events.
// SPDX-License-Identifier: BSL-1.0

#include <batching/detail/window.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "catch.hpp"

namespace {

using namespace std::chrono_literals;
using batching::CloseReason;
using batching::Options;
using batching::detail::never;
using batching::detail::Part;
using batching::detail::Slice;
using batching::detail::Time;
using batching::detail::Waiting;
using batching::detail::Window;

/// Calls that are told apart by their letter, and a window to put them into.
struct Story {
  explicit Story(const Options& options) : window(options) {}

  Waiting& submit(std::uint32_t items, Time now, int priority = 0) {
    calls.push_back(std::make_unique<Waiting>(items));
    calls.back()->arrived = now;
    calls.back()->priority = priority;
    window.submit(*calls.back());
    return *calls.back();
  }
  /// The batch that leaves now, as "a0 a1 b0"; empty if none does.
  std::string next(Time now) {
    const auto departure = window.next(now, slices);
    if (!departure) return "";
    reason = departure->reason;
    partition = departure->partition;
    std::string text;
    for (const Slice& slice : slices) {
      const auto call = std::find_if(calls.begin(), calls.end(), [&](const auto& c) { return c.get() == slice.call; });
      const char letter = static_cast<char>('a' + (call - calls.begin()));
      for (std::uint32_t i = 0; i < slice.count; ++i) {
        text += (text.empty() ? "" : " ") + std::string(1, letter) + std::to_string(slice.first + i);
      }
    }
    return text;
  }

  Window window;
  std::vector<std::unique_ptr<Waiting>> calls;
  std::vector<Slice> slices;
  CloseReason reason{};
  std::size_t partition = 0;
};

/// These leave at this time, one after the other; each gives its partition back.
template <class AnyStory>
void check_batches(AnyStory& story, Time now, std::initializer_list<const char*> batches) {
  for (const char* expected : batches) {
    CHECK(story.next(now) == expected);
    story.window.release(story.partition);
  }
}

}  // namespace

TEST_CASE("a full window leaves at once, a lone item when its time has come") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  s.submit(1, 0ms);
  CHECK(s.next(0ms).empty());
  CHECK(s.window.wake_at() == 10ms);
  s.submit(1, 4ms);
  CHECK(s.next(4ms) == "a0 b0");
  CHECK(s.reason == CloseReason::size);
  CHECK(s.window.wake_at() == never);
  s.window.release(s.partition);
  s.submit(1, 20ms);
  CHECK(s.next(29ms).empty());
  CHECK(s.next(30ms) == "c0");
  CHECK(s.reason == CloseReason::timeout);
}

TEST_CASE("the clock runs from the first item, later ones do not restart it") {
  Story s({.batch_size = 100, .batch_timeout = 50ms});
  for (auto now = 0ms; now < 50ms; now += 2ms) {
    s.submit(1, now);
    CHECK(s.window.wake_at() == 50ms);
    CHECK(s.next(now).empty());
  }
  CHECK_FALSE(s.next(50ms).empty());
}

TEST_CASE("a large call fills what is left of the open window and goes on in the next") {
  Story s({.batch_size = 4, .batch_timeout = 10ms, .partitions = 3});
  s.submit(1, 0ms);
  s.submit(5, 3ms);
  CHECK(s.next(3ms) == "a0 b0 b1 b2");
  CHECK(s.next(3ms).empty());
  CHECK(s.window.wake_at() == 13ms);
  CHECK(s.next(13ms) == "b3 b4");
}

TEST_CASE("an expired window keeps growing while no partition is free") {
  Story s({.batch_size = 3, .batch_timeout = 10ms});
  s.submit(3, 0ms);
  CHECK(s.next(0ms) == "a0 a1 a2");
  s.submit(1, 1ms);
  CHECK(s.next(50ms).empty());
  CHECK(s.window.wake_at() == never);  // whoever frees the partition asks again
  s.submit(1, 60ms);
  s.window.release(s.partition);
  CHECK(s.next(60ms) == "b0 c0");
  CHECK(s.reason == CloseReason::timeout);
}

TEST_CASE("with no timeout a window leaves whenever a partition is free") {
  Story s({.batch_size = 8, .batch_timeout = 0ns});
  s.submit(1, 0ms);
  CHECK(s.next(0ms) == "a0");
  CHECK(s.reason == CloseReason::idle);
  s.submit(1, 0ms);
  s.submit(2, 0ms);
  CHECK(s.next(0ms).empty());
  s.window.release(s.partition);
  CHECK(s.next(0ms) == "b0 c0 c1");
}

TEST_CASE("with the longest timeout there is no clock") {
  Story s({.batch_size = 2, .batch_timeout = std::chrono::nanoseconds::max()});
  s.submit(1, 5ms);
  CHECK(s.window.wake_at() == never);
  CHECK(s.next(never - 1ns).empty());
  s.window.flush();
  CHECK(s.next(5ms) == "a0");
  CHECK(s.reason == CloseReason::flush);
}

TEST_CASE("a flush is a boundary: nobody who comes later travels with those before it") {
  Story s({.batch_size = 4, .batch_timeout = 10ms});
  s.submit(4, 0ms);
  CHECK(s.next(0ms) == "a0 a1 a2 a3");
  s.submit(2, 0ms);
  s.window.flush();
  s.window.flush();  // of nothing
  s.submit(1, 1ms);
  s.window.flush();
  s.submit(1, 2ms);
  for (const char* expected : {"b0 b1", "c0"}) {
    s.window.release(s.partition);
    CHECK(s.next(2ms) == expected);
    CHECK(s.reason == CloseReason::flush);
  }
  s.window.release(s.partition);
  CHECK(s.next(2ms).empty());
  CHECK(s.window.wake_at() == 12ms);
}

TEST_CASE("exactly full closes as size, also when it was flushed") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  s.submit(2, 0ms);
  s.window.flush();
  CHECK(s.next(0ms) == "a0 a1");
  CHECK(s.reason == CloseReason::size);
  s.window.release(s.partition);
  s.submit(1, 0ms);
  CHECK(s.next(0ms).empty());  // nothing is left of the flush
}

TEST_CASE("who withdraws leaves no gap, and the clock runs from the oldest who stays") {
  Story s({.batch_size = 3, .batch_timeout = 50ms});
  Waiting& a = s.submit(1, 0ms);
  s.submit(1, 20ms);
  CHECK(s.window.withdraw(a) == 1);
  CHECK(s.window.withdraw(a) == 0);
  CHECK(s.window.wake_at() == 70ms);
  s.submit(1, 30ms);
  CHECK(s.next(30ms).empty());
  s.submit(1, 40ms);
  CHECK(s.next(40ms) == "b0 c0 d0");
}

TEST_CASE("a call that was partly taken withdraws the rest only") {
  Story s({.batch_size = 2, .batch_timeout = 50ms});
  Waiting& a = s.submit(5, 0ms);
  CHECK(s.next(0ms) == "a0 a1");
  CHECK(s.window.withdraw(a) == 3);
  CHECK(s.window.waiting() == 0);
  s.window.release(s.partition);
  CHECK(s.next(100ms).empty());
}

TEST_CASE("a flushed window stays flushed when its last call withdraws") {
  Story s({.batch_size = 9, .batch_timeout = 50ms});
  s.submit(1, 0ms);
  Waiting& b = s.submit(1, 0ms);
  s.window.flush();
  s.submit(1, 0ms);
  s.window.withdraw(b);
  CHECK(s.next(0ms) == "a0");
  CHECK(s.reason == CloseReason::flush);
}

TEST_CASE("stopping sends everybody home in order") {
  Story s({.batch_size = 2, .batch_timeout = 50ms});
  s.submit(3, 0ms);
  CHECK(s.next(0ms) == "a0 a1");
  s.submit(1, 0ms);
  std::vector<std::uint32_t> left;
  while (s.window.waiting() > 0) left.push_back(s.window.withdraw(s.window.oldest()));
  CHECK(left == std::vector<std::uint32_t>{1, 1});
  CHECK(s.window.waiting() == 0);
  CHECK(s.window.running() == 1);
}

namespace {

/// What the window should do, in the plainest terms: a list of items.
class Model {
 public:
  struct Item {
    std::size_t call;
    Time arrived;
    std::optional<CloseReason> sealed{};
  };

  explicit Model(const Options& options) : options_(options) {}

  void submit(std::size_t call, std::uint32_t items, Time now) { waiting.insert(waiting.end(), items, {call, now}); }
  void withdraw(std::size_t call) {
    for (std::size_t i = waiting.size(); i-- > 0;) {
      if (waiting[i].call != call) continue;
      if (waiting[i].sealed && i > 0 && !waiting[i - 1].sealed) waiting[i - 1].sealed = waiting[i].sealed;
      waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  void seal(CloseReason reason) {
    if (!waiting.empty() && !waiting.back().sealed) waiting.back().sealed = reason;
  }

  /// The first window: up to a seal or a full batch, and why it may leave at `now`, if it may.
  struct First {
    std::size_t items = 0;
    std::optional<CloseReason> reason{};
  };
  [[nodiscard]] First first(Time now) const {
    First window;
    for (const Item& item : waiting) {
      ++window.items;
      if (window.items == options_.batch_size) window.reason = CloseReason::size;
      if (!window.reason && item.sealed) window.reason = item.sealed;
      if (window.reason) return window;
    }
    if (window.items > 0 && patience() == 0ns) window.reason = enough() ? CloseReason::idle : CloseReason::timeout;
    if (window.items > 0 && patience() > 0ns && due() <= now) window.reason = CloseReason::timeout;
    return window;
  }
  [[nodiscard]] Time due() const {
    if (waiting.empty() || patience() == std::chrono::nanoseconds::max()) return never;
    return waiting.front().arrived + patience();
  }
  [[nodiscard]] bool enough() const { return waiting.size() >= options_.min_batch_size; }
  /// How long the first in the row waits for others.
  [[nodiscard]] std::chrono::nanoseconds patience() const {
    return enough() ? options_.batch_timeout : options_.max_wait.value_or(std::chrono::nanoseconds::max());
  }

  std::vector<Item> waiting;

 private:
  Options options_;
};

enum class Event {
  submit_1,
  submit_2,
  submit_many,  // one more than fit into a batch
  time_passes,
  oldest_done,
  newest_done,
  oldest_fails,  // what still waits of the call that was split is withdrawn
  cancel_oldest,
  cancel_newest,
  flush,
  close,
  stop,
};
constexpr int events = 12;

/// The window and the model side by side, and a shell around them like the engine: it starts whatever can start.
class Pair {
 public:
  explicit Pair(const Options& options) : options_(options), window_(options), model_(options) {}

  /// False if the event cannot happen now.
  bool happen(Event event) {
    switch (event) {
      case Event::submit_1:
        return submit(1);
      case Event::submit_2:
        return submit(2);
      case Event::submit_many:
        return submit(static_cast<std::uint32_t>(options_.batch_size + 1));
      case Event::time_passes:
        now_ += 1ms;
        return true;
      case Event::oldest_done:
        return done(0, false);
      case Event::newest_done:
        return running_.size() > 1 && done(running_.size() - 1, false);
      case Event::oldest_fails:
        return done(0, true);
      case Event::cancel_oldest:
        return !model_.waiting.empty() && withdraw(model_.waiting.front().call);
      case Event::cancel_newest:
        return !model_.waiting.empty() && withdraw(model_.waiting.back().call);
      case Event::flush:
        if (closed_ || model_.waiting.empty()) return false;
        window_.flush();
        model_.seal(CloseReason::flush);
        return true;
      case Event::close:
        if (closed_) return false;
        closed_ = true;
        window_.close();
        model_.seal(CloseReason::close);
        return true;
      case Event::stop: {
        if (model_.waiting.empty()) return false;
        closed_ = true;
        std::size_t items = 0;
        while (window_.waiting() > 0) {
          Waiting& call = window_.oldest();
          items += window_.withdraw(call);
          // In order, each once.
          if (model_.waiting.empty() || &call != calls_[model_.waiting.front().call].get()) fail("stop: order");
          model_.withdraw(model_.waiting.front().call);
        }
        if (!model_.waiting.empty()) fail("stop: somebody stayed");
        answered_ += items;
        return true;
      }
    }
    return false;
  }

  /// Starts what can start, and compares everything there is to see.
  void check() {
    for (;;) {
      const Model::First first = model_.first(now_);
      const bool expected = first.reason.has_value() && running_.size() < options_.partitions;
      if (window_.ready(now_) != expected) return fail("ready");
      const auto departure = window_.next(now_, slices_);
      if (departure.has_value() != expected) return fail("next");
      if (!departure) break;
      if (departure->items != first.items || departure->reason != *first.reason) return fail("items or reason");
      Batch batch{departure->partition, slices_};
      for (const Batch& other : running_) {
        if (other.partition == batch.partition) return fail("partition taken twice");
      }
      if (batch.partition >= options_.partitions) return fail("no such partition");
      std::size_t items = 0;
      for (const Slice& slice : slices_) {
        for (std::uint32_t i = 0; i < slice.count; ++i, ++items) {
          // First in, first out, each item once and in its place.
          const Model::Item& item = model_.waiting[items];
          if (calls_[item.call].get() != slice.call) return fail("order");
          if (started_[item.call]++ != slice.first + i) return fail("index");
        }
      }
      if (items != departure->items) return fail("slices");
      model_.waiting.erase(model_.waiting.begin(), model_.waiting.begin() + static_cast<std::ptrdiff_t>(items));
      running_.push_back(std::move(batch));
    }
    if (window_.waiting() != model_.waiting.size()) return fail("waiting");
    if (window_.fills_by_count() && model_.waiting.empty()) return fail("the next would not be looked at");
    if (window_.running() != running_.size() || running_.size() > options_.partitions) return fail("running");
    if (window_.busy() != (running_.size() == options_.partitions)) return fail("busy");
    // Nothing is ready any more: a clock is armed exactly when somebody waits for time alone.
    const bool clock = running_.size() < options_.partitions && model_.patience() > 0ns;
    if (window_.wake_at() != (clock ? model_.due() : never)) return fail("clock");
    std::size_t running = 0;
    for (const Batch& batch : running_) running += batch.items();
    if (submitted_ != model_.waiting.size() + running + answered_) return fail("lost or twice");
  }

  /// Lets everything end: close, then each batch.
  void drain() {
    (void)happen(Event::close);
    check();
    while (!running_.empty()) {
      (void)done(0, false);
      check();
    }
    if (submitted_ != answered_) fail("not everybody was answered");
  }

  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  struct Batch {
    std::size_t partition;
    std::vector<Slice> slices;
    [[nodiscard]] std::size_t items() const {
      std::size_t items = 0;
      for (const Slice& slice : slices) items += slice.count;
      return items;
    }
  };

  bool submit(std::uint32_t items) {
    if (closed_) return false;
    calls_.push_back(std::make_unique<Waiting>(items));
    calls_.back()->arrived = now_;
    started_.push_back(0);
    window_.submit(*calls_.back());
    model_.submit(calls_.size() - 1, items, now_);
    submitted_ += items;
    return true;
  }
  bool withdraw(std::size_t call) {
    const std::size_t before = model_.waiting.size();
    model_.withdraw(call);
    if (window_.withdraw(*calls_[call]) != before - model_.waiting.size()) fail("withdraw");
    answered_ += before - model_.waiting.size();
    return true;
  }
  bool done(std::size_t index, bool failed) {
    if (running_.size() <= index) return false;
    const Batch batch = running_[index];
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
    window_.release(batch.partition);
    answered_ += batch.items();
    if (failed) {
      const auto split = std::find_if(calls_.begin(), calls_.end(),
                                      [&](const auto& call) { return call.get() == batch.slices.back().call; });
      withdraw(static_cast<std::size_t>(split - calls_.begin()));
    }
    return true;
  }
  void fail(const std::string& what) {
    if (error_.empty()) error_ = what;
  }

  Options options_;
  Window window_;
  Model model_;
  Time now_ = 0ms;
  std::vector<std::unique_ptr<Waiting>> calls_;
  std::vector<std::uint32_t> started_;  // items of each call
  std::vector<Batch> running_;
  std::vector<Slice> slices_;
  std::size_t submitted_ = 0;
  std::size_t answered_ = 0;
  bool closed_ = false;
  std::string error_;
};

/// Every sequence of `depth` events. Returns how many there were; stops at the first that goes wrong.
class Everything {
 public:
  Everything(const Options& options, std::size_t depth) : options_(options), depth_(depth) {}

  std::size_t run() {
    std::vector<Event> story;
    extend(story);
    return stories_;
  }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  void extend(std::vector<Event>& story) {
    for (int event = 0; event < events && error_.empty(); ++event) {
      story.push_back(static_cast<Event>(event));
      if (replay(story) && story.size() < depth_) extend(story);
      story.pop_back();
    }
  }
  /// False if the story makes no sense: its last event cannot happen there.
  bool replay(const std::vector<Event>& story) {
    Pair pair(options_);
    for (const Event event : story) {
      if (!pair.happen(event)) return false;
      pair.check();
    }
    ++stories_;
    pair.drain();
    if (pair.error().empty()) return true;
    error_ = pair.error() + " after";
    for (const Event event : story) error_ += " " + std::to_string(static_cast<int>(event));
    return false;
  }

  Options options_;
  std::size_t depth_;
  std::size_t stories_ = 0;
  std::string error_;
};

}  // namespace

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t under_sanitizer = 1;  // ten times slower, and nothing here that it could find deeper down
#else
constexpr std::size_t under_sanitizer = 0;
#endif

TEST_CASE("with fewer than min_batch_size a window waits until max_wait, with as many it leaves by batch_timeout") {
  Story s({.batch_size = 4, .batch_timeout = 10ms, .min_batch_size = 2, .max_wait = 50ms});
  s.submit(1, 0ms);
  CHECK(s.window.wake_at() == 50ms);
  CHECK(s.next(49ms).empty());
  CHECK(s.next(50ms) == "a0");
  CHECK(s.reason == CloseReason::timeout);
  s.window.release(s.partition);
  s.submit(1, 100ms);
  CHECK(s.next(120ms).empty());
  s.submit(1, 120ms);  // now there are enough, and the first has waited long enough
  CHECK(s.next(120ms) == "b0 c0");
  CHECK(s.reason == CloseReason::timeout);
}

TEST_CASE("with min_batch_size and no timeout a window leaves when there are enough") {
  Story s({.batch_size = 4, .batch_timeout = 0ms, .min_batch_size = 2});
  s.submit(1, 0ms);
  CHECK(s.window.wake_at() == never);
  CHECK(s.next(1h).empty());
  s.submit(1, 0ms);
  CHECK(s.next(0ms) == "a0 b0");
  CHECK(s.reason == CloseReason::idle);
}

TEST_CASE("the higher priority goes first, then who came first") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  s.submit(1, 0ms, 0);
  s.submit(1, 1ms, 5);
  s.submit(1, 2ms, -1);
  s.submit(1, 3ms, 5);
  s.submit(1, 4ms, 0);
  CHECK(s.next(4ms) == "b0 d0");
  s.window.release(s.partition);
  CHECK(s.next(4ms) == "a0 e0");
  s.window.release(s.partition);
  CHECK(s.window.wake_at() == 12ms);
  CHECK(s.next(12ms) == "c0");
}

TEST_CASE("the clock runs from the oldest, whatever its priority") {
  Story s({.batch_size = 9, .batch_timeout = 10ms});
  s.submit(1, 0ms, 1);
  Waiting& b = s.submit(1, 2ms, 0);
  s.submit(1, 4ms, 2);
  CHECK(s.window.wake_at() == 10ms);
  CHECK(&s.window.oldest() != &b);
  CHECK(s.next(10ms) == "c0 a0 b0");
}

TEST_CASE("a call of many that was split is overtaken in the middle") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  s.submit(4, 0ms, 0);
  CHECK(s.next(0ms) == "a0 a1");
  s.submit(1, 0ms, 1);
  s.window.release(s.partition);
  CHECK(s.next(0ms) == "b0 a2");
  s.window.release(s.partition);
  CHECK(s.next(10ms) == "a3");
}

TEST_CASE("who came before a flush leaves before whoever came after it, whatever the priorities") {
  Story s({.batch_size = 9, .batch_timeout = 10ms});
  s.submit(1, 0ms, 0);
  s.submit(1, 0ms, 1);
  s.window.flush();
  s.submit(1, 0ms, 7);
  s.window.flush();
  s.submit(1, 0ms, 9);
  check_batches(s, 10ms, {"b0 a0", "c0", "d0"});
}

TEST_CASE("nobody starves: after 64 batches of higher priorities the next begins with the lower one") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  Waiting& low = s.submit(1, 0ms, 0);
  Waiting& lower = s.submit(1, 0ms, -1);
  const auto batches_until_gone = [&](const Waiting& call) {
    int batches = 0;
    for (; call.left() > 0; ++batches) {
      s.submit(3, 1ms, 1);  // more than a batch takes
      REQUIRE_FALSE(s.next(1ms).empty());
      s.window.release(s.partition);
    }
    return batches;
  };
  CHECK(batches_until_gone(low) == 65);
  CHECK(batches_until_gone(lower) == 1);
}

TEST_CASE("a large call leaves half of each batch to those behind it, and takes what they do not need") {
  Story s({.batch_size = 4, .batch_timeout = 10ms});
  s.submit(100, 0ms);
  s.submit(1, 0ms);
  s.submit(50, 0ms);  // large as well: behind the first
  s.submit(3, 0ms);
  check_batches(s, 0ms, {"a0 a1 b0 d0", "a2 a3 d1 d2"});
  s.submit(1, 0ms);
  check_batches(s, 0ms, {"a4 a5 a6 e0", "a7 a8 c0 c1"});
}

TEST_CASE("with one item per batch, a large call and those behind it take turns") {
  Story s({.batch_size = 1, .batch_timeout = 0ms});
  s.submit(9, 0ms);
  s.submit(1, 0ms);
  s.submit(1, 0ms);
  check_batches(s, 0ms, {"a0", "b0", "a1", "c0", "a2", "a3"});
}

TEST_CASE("a call of less than four batches is not large, and nobody overtakes in a window that was flushed") {
  Story s({.batch_size = 2, .batch_timeout = 10ms});
  s.submit(7, 0ms);
  s.submit(1, 0ms);
  CHECK(s.next(0ms) == "a0 a1");
  Story flushed({.batch_size = 2, .batch_timeout = 10ms});
  flushed.submit(99, 0ms);
  flushed.submit(1, 0ms);
  flushed.window.flush();
  CHECK(flushed.next(0ms) == "a0 a1");
}

namespace {

/// A key that is a letter.
batching::detail::Label::Ptr key(char letter) { return batching::detail::LabelOf<char>::make(char(letter)); }

/// Items with a weight or a key, each its own call, told apart by a name.
struct SortedStory {
  explicit SortedStory(const Options& options) : window(options) {}

  Part& submit(std::string name, Time now, std::size_t weight, char letter = 0, int priority = 0) {
    names.push_back(std::move(name));
    parts.push_back(std::make_unique<Part>());
    Part& part = *parts.back();
    part.arrived = now;
    part.weight = weight;
    part.priority = priority;
    if (letter != 0) part.label = key(letter);
    window.submit(part);
    return part;
  }
  Part& submit(const std::string& name, Time now) { return submit(name, now, 1, name.front()); }
  std::string next(Time now) {
    const auto departure = window.next(now, slices);
    if (!departure) return "";
    reason = departure->reason;
    partition = departure->partition;
    std::string text;
    for (const Slice& slice : slices) {
      const auto part = std::find_if(parts.begin(), parts.end(), [&](const auto& p) { return p.get() == slice.call; });
      text += (text.empty() ? "" : " ") + names[static_cast<std::size_t>(part - parts.begin())];
    }
    return text;
  }

  Window window;
  std::vector<std::string> names;
  std::vector<std::unique_ptr<Part>> parts;
  std::vector<Slice> slices;
  CloseReason reason{};
  std::size_t partition = 0;
};

Options weighted(std::size_t batch_size, std::chrono::nanoseconds timeout, std::size_t partitions = 1) {
  return {.batch_size = batch_size, .batch_timeout = timeout, .partitions = partitions, .weight = {true}};
}
Options keyed(std::size_t batch_size, std::chrono::nanoseconds timeout, std::size_t partitions = 1) {
  return {.batch_size = batch_size, .batch_timeout = timeout, .partitions = partitions, .key = {true}};
}

}  // namespace

TEST_CASE("weights: exactly full closes as size, what does not fit closes the window before it") {
  SortedStory s(weighted(10, 5ms));
  s.submit("a", 0ms, 6);
  CHECK(s.next(0ms).empty());
  s.submit("b", 1ms, 4);
  CHECK(s.next(1ms) == "a b");
  CHECK(s.reason == CloseReason::size);
  s.window.release(s.partition);
  s.submit("c", 2ms, 7);
  s.submit("d", 3ms, 4);
  CHECK(s.next(3ms) == "c");
  CHECK(s.reason == CloseReason::weight);
  s.window.release(s.partition);
  CHECK(s.window.wake_at() == 8ms);  // a clock of its own
  CHECK(s.next(8ms) == "d");
  CHECK(s.reason == CloseReason::timeout);
}

TEST_CASE("weights: what weighs nothing fits anywhere, and who withdraws makes room") {
  SortedStory s(weighted(4, 5ms));
  s.submit("a", 0ms, 3);
  s.submit("b", 0ms, 0);
  Part& c = s.submit("c", 0ms, 2);
  CHECK(s.window.withdraw(c) == 1);
  CHECK(s.next(0ms).empty());
  s.submit("d", 0ms, 1);
  CHECK(s.next(0ms) == "a b d");
}

TEST_CASE("weights: their sum may be more than a number holds") {
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  SortedStory s(weighted(most, std::chrono::nanoseconds::max()));
  s.submit("a", 0ms, most / 2 + 1);
  CHECK(s.next(0ms).empty());
  s.submit("b", 0ms, most / 2 + 1);
  CHECK(s.next(0ms) == "a");
  CHECK(s.reason == CloseReason::weight);
  s.window.release(s.partition);
  Part& c = s.submit("c", 0ms, most);
  CHECK(s.window.ready(0ms));
  CHECK(s.window.withdraw(c) == 1);
  CHECK(s.next(0ms).empty());
  s.submit("d", 0ms, most / 2);
  CHECK(s.next(0ms) == "b d");
  CHECK(s.reason == CloseReason::size);
}

TEST_CASE("weights: who never fits behind higher priorities does not starve either") {
  SortedStory s(weighted(10, 0ns));
  Part& heavy = s.submit("heavy", 0ms, 5, 0, 0);
  int batches = 0;
  for (; heavy.left() > 0; ++batches) {
    REQUIRE(batches < 100);
    s.submit("light", 0ms, 6, 0, 1);
    REQUIRE_FALSE(s.next(0ms).empty());
    s.window.release(s.partition);
  }
  CHECK(batches == 65);
}

TEST_CASE("keys: each has its own window and its own clock") {
  SortedStory s(keyed(2, 10ms, 2));
  s.submit("a1", 0ms);
  s.submit("b1", 4ms);
  CHECK(s.next(4ms).empty());
  CHECK(s.window.wake_at() == 10ms);
  s.submit("b2", 5ms);
  CHECK(s.next(5ms) == "b1 b2");
  CHECK(s.reason == CloseReason::size);
  CHECK(s.window.wake_at() == 10ms);
  CHECK(s.next(10ms) == "a1");
  CHECK(s.reason == CloseReason::timeout);
  CHECK(s.window.keys() == 0);
}

TEST_CASE("keys: those that have just begun leave in the order of their oldest item") {
  SortedStory s(keyed(2, 10ms));
  s.submit("x1", 0ms);
  s.submit("x2", 0ms);
  CHECK(s.next(0ms) == "x1 x2");
  s.submit("a1", 1ms);
  s.submit("b1", 2ms);
  s.submit("b2", 3ms);  // full, but a is older
  s.window.release(s.partition);
  CHECK(s.next(20ms) == "a1");
  s.window.release(s.partition);
  CHECK(s.next(20ms) == "b1 b2");
}

TEST_CASE("keys: a rare one leaves on time beside one that floods") {
  SortedStory s(keyed(2, 10ms));
  for (int i = 0; i < 100; ++i) s.submit("f" + std::to_string(i), 0ms);
  CHECK(s.next(0ms) == "f0 f1");
  s.submit("r", 1ms);
  s.window.release(s.partition);
  CHECK(s.next(2ms) == "f2 f3");
  s.window.release(s.partition);
  CHECK(s.next(11ms) == "r");  // its time has come, and the other has just been served
  s.window.release(s.partition);
  CHECK(s.next(11ms) == "f4 f5");
}

TEST_CASE("keys: flush closes every window, and who withdraws as the last of a key leaves nothing behind") {
  SortedStory s(keyed(9, 10ms));
  Part& a = s.submit("a1", 0ms);
  s.submit("b1", 0ms);
  s.submit("c1", 0ms);
  CHECK(s.window.withdraw(a) == 1);
  CHECK(s.window.keys() == 2);
  s.window.flush();
  CHECK(s.next(0ms) == "b1");
  CHECK(s.reason == CloseReason::flush);
  s.window.release(s.partition);
  CHECK(s.next(0ms) == "c1");
  CHECK(s.window.keys() == 0);
  CHECK(s.window.wake_at() == never);
}

namespace {

/// Rows by key and weights in the plainest terms, to be compared with after every one of many random events.
class KeysModel {
 public:
  struct Item {
    const Waiting* part;
    std::size_t weight;
    int priority;
    Time arrived;
  };
  struct Keyed {
    std::vector<Item> items;
    std::size_t served = 0;
  };

  KeysModel(std::size_t batch_size, std::chrono::nanoseconds timeout) : batch_size_(batch_size), timeout_(timeout) {}

  void submit(char key, const Item& item) {
    Keyed& row = rows[key];
    if (row.items.empty()) row.served = ++turn_;
    auto at = row.items.end();
    while (at != row.items.begin() && std::prev(at)->priority < item.priority) --at;
    row.items.insert(at, item);
  }
  void withdraw(const Waiting* part) {
    for (auto row = rows.begin(); row != rows.end();) {
      std::erase_if(row->second.items, [&](const Item& item) { return item.part == part; });
      row = row->second.items.empty() ? rows.erase(row) : std::next(row);
    }
  }
  [[nodiscard]] Time due(const Keyed& row) const {
    std::size_t weight = 0;
    Time oldest = never;
    for (const Item& item : row.items) {
      weight += item.weight;
      oldest = std::min(oldest, item.arrived);
    }
    return weight >= batch_size_ ? Time::min() : oldest + timeout_;
  }
  /// Who leaves at `now`.
  std::vector<const Waiting*> next(Time now) {
    auto first = rows.end();
    for (auto row = rows.begin(); row != rows.end(); ++row) {
      if (due(row->second) > now) continue;
      if (first == rows.end() || row->second.served < first->second.served) first = row;
    }
    std::vector<const Waiting*> batch;
    if (first == rows.end()) return batch;
    Keyed& row = first->second;
    std::size_t weight = 0;
    while (!row.items.empty() && weight < batch_size_ && weight + row.items.front().weight <= batch_size_) {
      weight += row.items.front().weight;
      batch.push_back(row.items.front().part);
      row.items.erase(row.items.begin());
    }
    row.served = ++turn_;
    if (row.items.empty()) rows.erase(first);
    return batch;
  }

  std::map<char, Keyed> rows;

 private:
  std::size_t batch_size_;
  std::chrono::nanoseconds timeout_;
  std::size_t turn_ = 0;
};

}  // namespace

TEST_CASE("keys, weights and priorities together do as a plain model does, whatever happens") {
  std::size_t batches = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto draw = [&](unsigned below) { return static_cast<int>(random() % below); };
    const std::size_t batch_size = 1 + random() % 6;
    const auto timeout = std::chrono::milliseconds(draw(4));
    const bool weighs = draw(2) == 0;
    Options options{
        .batch_size = batch_size, .batch_timeout = timeout, .partitions = 2, .weight = {weighs}, .key = {true}};
    SortedStory s(options);
    KeysModel model(batch_size, timeout);
    std::vector<std::size_t> running;
    std::vector<Part*> waiting;
    Time now = 0ms;
    for (int step = 0; step < 200; ++step) {
      const int event = draw(10);
      if (event < 5) {
        const char letter = static_cast<char>('a' + draw(4));
        const std::size_t weight = weighs ? random() % (batch_size + 1) : 1;
        Part& part = s.submit("x", now, weight, letter, draw(3));
        model.submit(letter, {&part, weight, part.priority, now});
        waiting.push_back(&part);
      } else if (event < 7) {
        now += 1ms;
      } else if (event < 9 && !running.empty()) {
        const std::size_t which = random() % running.size();
        s.window.release(running[which]);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(which));
      } else if (!waiting.empty()) {
        Part* part = waiting[random() % waiting.size()];
        model.withdraw(part);
        s.window.withdraw(*part);
      }
      while (running.size() < 2) {
        const auto expected = model.next(now);
        const bool left = !s.next(now).empty();
        REQUIRE(left == !expected.empty());
        if (!left) break;
        ++batches;
        running.push_back(s.partition);
        std::vector<const Waiting*> batch;
        for (const Slice& slice : s.slices) batch.push_back(slice.call);
        REQUIRE(batch == expected);
      }
      std::erase_if(waiting, [](const Part* part) { return part->left() == 0; });
      REQUIRE(s.window.waiting() == waiting.size());
      REQUIRE(s.window.keys() == model.rows.size());
      Time wake = never;
      for (const auto& [letter, row] : model.rows) wake = std::min(wake, model.due(row));
      REQUIRE(s.window.wake_at() == (running.size() == 2 ? never : wake));
    }
  }
  CHECK(batches > 10'000);
}

TEST_CASE("in every order of events nothing is lost, doubled, out of order or without a clock") {
  std::size_t stories = 0;
  for (const auto timeout : {0ns, std::chrono::nanoseconds(2ms), std::chrono::nanoseconds::max()}) {
    for (const std::size_t batch_size : {1U, 2U, 3U}) {
      for (const std::size_t partitions : {1U, 2U}) {
        // Two events deeper where most can happen.
        const std::size_t depth = (timeout == 2ms && batch_size == 2 ? 6 : 5) - under_sanitizer;
        Everything everything({.batch_size = batch_size, .batch_timeout = timeout, .partitions = partitions}, depth);
        stories += everything.run();
        INFO("batch_size " << batch_size << ", partitions " << partitions << ", timeout " << timeout.count());
        REQUIRE(everything.error() == "");
      }
    }
  }
  for (const auto timeout : {0ns, std::chrono::nanoseconds(1ms)}) {
    for (const auto max_wait : {std::optional<std::chrono::nanoseconds>(), {timeout}, {2ms}}) {
      const Options options{.batch_size = 3, .batch_timeout = timeout, .min_batch_size = 2, .max_wait = max_wait};
      Everything everything(options, 5 - under_sanitizer);
      stories += everything.run();
      INFO("min_batch_size 2, timeout " << timeout.count() << ", max_wait " << (max_wait ? max_wait->count() : -1));
      REQUIRE(everything.error() == "");
    }
  }
  CHECK(stories > (under_sanitizer == 0 ? 500'000 : 50'000));
}
