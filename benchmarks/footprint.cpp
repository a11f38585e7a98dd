// What a batcher costs that does nothing, and what an item costs that waits.
// SPDX-License-Identifier: BSL-1.0
#include <asio/thread_pool.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"

namespace {

using namespace std::chrono_literals;

/// How often each other thread of this process has lost or given up its processor.
std::map<std::string, double> switches_of_other_threads() {
  std::map<std::string, double> result;
  const auto me = std::filesystem::read_symlink("/proc/thread-self").filename().string();
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == me) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string word; status >> word;) {
      double count = 0;
      if (word.ends_with("ctxt_switches:") && status >> count) result[thread.path().filename().string()] += count;
    }
  }
  return result;
}

/// Looks at the process while it does nothing. A first look may still see the last of the work before.
Sample idle(std::chrono::milliseconds time) {
  double least_switches = 0;
  double least_processor = 0;
  for (int look = 0; look < 3; ++look) {
    std::this_thread::sleep_for(50ms);
    const auto before = switches_of_other_threads();
    const Usage begin = Usage::now();
    std::this_thread::sleep_for(time);
    const double processor = (Usage::now().processor_seconds - begin.processor_seconds) * 1e6;
    double switches = 0;
    for (const auto& [thread, count] : switches_of_other_threads()) {
      const auto found = before.find(thread);
      switches += count - (found == before.end() ? 0 : found->second);
    }
    if (look == 0 || switches < least_switches) least_switches = switches;
    if (look == 0 || processor < least_processor) least_processor = processor;
    if (least_switches == 0) break;
  }
  return {{"switches", least_switches}, {"processor time in us", least_processor}};
}

void run_idle(Suite& suite) {
  const auto nothing_at_all = [] { return idle(2s); };
  const auto worked = [] {
    Squaring batcher(Square(), usual);
    for (Number i = 0; i < 1000; ++i) (void)batcher.dispatch(i);
    (void)batcher.dispatch(1).get();
    return idle(2s);
  };
  const Table& table = suite.compare("Two seconds with nothing to do",
                                     {{"no batcher", nothing_at_all, true}, {"a batcher that has worked", worked}});
  suite.add({"idle batcher", Bar::Kind::at_most, 0, table.row("a batcher that has worked").median(), "wake-ups", true});
}

Sample many_idle(bool have_worked) {
  constexpr std::size_t count = 10'000;
  asio::thread_pool pool(2);
  std::vector<std::unique_ptr<Squaring>> batchers(count);
  const auto number_of_threads = [] { return static_cast<double>(switches_of_other_threads().size()); };
  const double threads = number_of_threads();
  const std::size_t before = live_bytes();
  for (auto& batcher : batchers) {
    batcher = std::make_unique<Squaring>(pool.get_executor(), Square(), usual);
    if (!have_worked) continue;
    for (Number i = 0; i + 1 < usual.batch_size; ++i) (void)batcher->dispatch(i);
    (void)batcher->dispatch(1).get();
  }
  Sample sample{{"bytes each", static_cast<double>(live_bytes() - before) / static_cast<double>(count)},
                {"threads", number_of_threads() - threads}};
  const Sample rest = idle(500ms);
  sample.insert(sample.end(), rest.begin(), rest.end());
  return sample;
}

void run_many(Suite& suite) {
  const Table& table =
      suite.compare("10,000 idle batchers on one pool of two threads",
                    {{"new", [] { return many_idle(false); }}, {"have worked", [] { return many_idle(true); }}});
  suite.add({"idle batcher, new", Bar::Kind::at_most, 4096, table.row("new").median("bytes each"), "bytes", true});
  suite.add({"idle batcher, has worked", Bar::Kind::at_most, 4096, table.row("have worked").median("bytes each"),
             "bytes", true});
  suite.add({"threads of an idle batcher", Bar::Kind::at_most, 0, table.row("have worked").median("threads"),
             "on a given pool", true});
}

/// The only partition is busy, and a million items wait.
template <class Dispatch>
Sample waiting(std::size_t items, Dispatch dispatch) {
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  Squaring batcher(
      [&](std::span<Number> inputs, std::span<Number> outputs) {
        gone.wait();
        Square()(inputs, outputs);
      },
      usual);
  for (std::size_t i = 0; i < usual.batch_size; ++i)
    batcher.async_dispatch(i, [](const std::exception_ptr&, Number) {});
  while (batcher.stats().running == 0) std::this_thread::yield();
  const std::size_t before = live_bytes();
  dispatch(batcher, items);
  while (batcher.stats().queued < items) std::this_thread::yield();
  const std::size_t after = live_bytes();
  go.set_value();
  return {{"bytes per item", static_cast<double>(after - before) / static_cast<double>(items)}};
}

void run_memory(Suite& suite) {
  const auto futures = [](Squaring& batcher, std::size_t items) {
    for (std::size_t i = 0; i < items; ++i) (void)batcher.dispatch(i);
  };
  const auto callbacks = [](Squaring& batcher, std::size_t items) {
    for (std::size_t i = 0; i < items; ++i) batcher.async_dispatch(i, [](const std::exception_ptr&, Number) {});
  };
  const std::size_t items = suite.items(1'000'000);
  const auto textbook = [=] {
    std::promise<void> go;
    const auto function = [gone = go.get_future().share()](std::span<Number> inputs) {
      gone.wait();
      return Squares()(inputs);
    };
    baselines::Textbook<Number, Number, decltype(function)> batcher(function, usual);
    const std::size_t before = live_bytes();
    for (std::size_t i = 0; i < items; ++i) (void)batcher.dispatch(i);
    const std::size_t after = live_bytes();
    go.set_value();
    return Sample{{"bytes per item", static_cast<double>(after - before) / static_cast<double>(items)}};
  };
  const Table& table = suite.compare("Items that wait, In and Out of 8 bytes each",
                                     {{"textbook", textbook, true},
                                      {"futures", [=] { return waiting(items, futures); }},
                                      {"callbacks", [=] { return waiting(items, callbacks); }}});
  for (const char* way : {"futures", "callbacks"}) {
    suite.add({std::string("memory per waiting item, ") + way, Bar::Kind::at_most, 128 + 2 * sizeof(Number),
               table.row(way).median(), "bytes", true});
  }
}

const Workload workload_idle("idle", "what a batcher costs that does nothing", run_idle);
const Workload workload_many("idle10000", "ten thousand of them on one pool", run_many);
const Workload workload_memory("memory", "what an item costs that waits", run_memory);

}  // namespace
