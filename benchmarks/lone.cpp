// W3, a lone caller: one item, wait, the next: what the way through the batcher costs when there is nothing to batch.
// SPDX-License-Identifier: BSL-1.0
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <optional>

#include "chains.hpp"
#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>
#include <sched.h>

namespace {

const batching::Options size_one{.batch_size = 1, .batch_timeout = std::chrono::milliseconds(1)};
const batching::Options timeout_zero{.batch_size = 64, .batch_timeout = std::chrono::nanoseconds(0)};

/// This thread, and those that it starts meanwhile, run on one core: what is left is the work itself, without the
/// time that a core takes to wake up.
class Pinned {
 public:
  Pinned() {
    sched_getaffinity(0, sizeof(before_), &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof(one), &one);
  }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { sched_setaffinity(0, sizeof(before_), &before_); }

 private:
  cpu_set_t before_{};
};

template <class Ask>
Sample run_alone(std::size_t items, Ask ask) {
  Meter meter;
  for (std::size_t i = 0; i < items; ++i) {
    if (i == items / 4) meter.steady(i);
    benchmark::DoNotOptimize(ask(i));
  }
  return meter.per_item(items);
}

Sample floor(std::size_t items, const batching::Options& options) {
  SlotFloor batcher(Square(), options);
  baselines::Slot<Number> slot;
  return run_alone(items, [&](Number n) {
    batcher.dispatch(n, &slot);
    return slot.get();
  });
}
Sample textbook(std::size_t items, const batching::Options& options) {
  SquaringTextbook batcher(Squares(), options);
  return run_alone(items, [&](Number n) { return batcher.dispatch(n).get(); });
}
Sample futures(std::size_t items, const batching::Options& options) {
  Squaring batcher(Square(), options);
  return run_alone(items, [&](Number n) { return batcher.dispatch(n).get(); });
}

/// `has_timer`: as the context of every service, it has a reactor, which is asked for events between two handlers.
Sample bare_post(std::size_t items, bool has_timer) {
  asio::io_context io(1);
  std::optional<asio::steady_timer> timer;
  if (has_timer) timer.emplace(io);
  return bare_posts(io, 1, items);
}
Sample callbacks(std::size_t items, const batching::Options& options) {
  return callbacks_on_one_thread(1, items, options);
}

void run(Suite& suite) {
  using Run = Sample (*)(std::size_t, const batching::Options&);
  const std::size_t items = suite.items(100'000);
  const auto pinned = [=](Run function, const batching::Options& options) {
    return [=] {
      const Pinned here;
      return function(items, options);
    };
  };
  const auto free = [=](Run function, const batching::Options& options) {
    return [=] { return function(items, options); };
  };
  const Table& on_one_core = suite.compare("W3 lone caller, across threads, pinned to one core",
                                           {{"floor, size 1", pinned(floor, size_one), true},
                                            {"textbook, size 1", pinned(textbook, size_one), true},
                                            {"futures, size 1", pinned(futures, size_one)},
                                            {"futures, timeout 0", pinned(futures, timeout_zero)}});
  suite.add({"W3 across threads, pinned", Bar::Kind::at_most, 1.4,
             on_one_core.ratio("futures, size 1", "floor, size 1"), "x floor"});
  const Table& on_two_cores =
      suite.compare("W3 lone caller, across threads", {{"floor, size 1", free(floor, size_one), true},
                                                       {"textbook, size 1", free(textbook, size_one), true},
                                                       {"futures, size 1", free(futures, size_one)},
                                                       {"futures, timeout 0", free(futures, timeout_zero)}});
  suite.add(
      {"W3 across threads", Bar::Kind::at_most, 1, on_two_cores.ratio("futures, size 1", "floor, size 1"), "x floor"});
  const std::size_t many = suite.items(1'000'000);
  const Table& on_one_thread = suite.compare(
      "W3 lone caller, one thread", {{"bare post", [=] { return bare_post(many, true); }, true},
                                     {"bare post, nothing but posts", [=] { return bare_post(many, false); }, true},
                                     {"callbacks, size 1", [=] { return callbacks(many, size_one); }},
                                     {"callbacks, timeout 0", [=] { return callbacks(many, timeout_zero); }}});
  suite.add({"W3 one thread, size 1", Bar::Kind::at_most, 2, on_one_thread.ratio("callbacks, size 1", "bare post"),
             "x a bare post"});
  suite.add({"W3 allocations for a callback", Bar::Kind::at_most, 0.01,
             on_one_thread.row("callbacks, size 1").median("allocations"), "per item", true});
}

const Workload workload("W3", "a lone caller", run);

}  // namespace
