// Writes a sample of what an observer makes, for parsers that are not ours: observers_sample metrics|trace
// SPDX-License-Identifier: BSL-1.0
#include <batching/observers/chrome_trace.hpp>
#include <batching/observers/prometheus.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "told.hpp"

namespace {

using namespace std::chrono_literals;

/// Two partitions that take what waits, in turns or at once; more calls than a trace may nest; some errors, with
/// messages that need escaping.
void tell_of_a_busy_hour(batching::Observer& observer) {
  constexpr std::size_t partitions = 2;
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same sample every time
  std::vector<told::Call> waiting;
  std::array<std::chrono::nanoseconds, partitions> free{};
  std::chrono::nanoseconds now{};
  for (std::uint64_t id = 1; id <= 200; ++id) {
    for (std::size_t calls = id == 100 ? 700 : random() % 20 + 1; calls > 0; --calls) {
      waiting.push_back({now, random() % 3 + 1});
      now += std::chrono::nanoseconds(random() % 100'000);
    }
    const std::size_t partition = id % partitions;
    told::Batch batch{.id = id, .partition = partition};
    // Some are left behind, and wait while the next batch leaves.
    const std::size_t left_behind = random() % 3 == 0 ? waiting.size() / 2 : 0;
    batch.calls.assign(waiting.begin(), waiting.end() - static_cast<std::ptrdiff_t>(left_behind));
    waiting.erase(waiting.begin(), waiting.end() - static_cast<std::ptrdiff_t>(left_behind));
    now = std::max(now, free[partition]);
    batch.left = now;
    batch.run_time = std::chrono::nanoseconds(random() % 2'000'000);
    free[partition] = now + batch.run_time;
    batch.reason = static_cast<batching::CloseReason>(id % batching::close_reason_names.size());
    batch.queued = left_behind;
    if (id % 50 == 0) {
      batch.failed = 1;
      batch.error = std::make_exception_ptr(std::runtime_error("\"no\"\n\tC:\\path \x01 \xC3\xA9 \xFF"));
    }
    batch.tell(observer);
  }
}

}  // namespace

int main(int count, char** arguments) {
  const std::string_view what = count == 2 ? arguments[1] : "";
  if (what == "metrics") {
    batching::PrometheusObserver busy("a \"busy\" \\one\nof two lines");
    batching::PrometheusObserver idle("idle");
    tell_of_a_busy_hour(busy);
    write_prometheus(std::cout, std::array<const batching::PrometheusObserver*, 2>{&busy, &idle});
  } else if (what == "trace") {
    batching::ChromeTraceObserver trace("a \"busy\" \\one\nof two lines");
    tell_of_a_busy_hour(trace);
    trace.write(std::cout);
  } else {
    std::cerr << "usage: observers_sample metrics|trace\n";
    return 1;
  }
  return std::cout.flush() ? 0 : 1;
}
