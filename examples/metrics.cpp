// Observers: a batcher's metrics for Prometheus, and a trace of the same batches: metrics [TRACE.json]
// SPDX-License-Identifier: BSL-1.0
#include <batching/batching.hpp>
#include <batching/observers/chrome_trace.hpp>
#include <batching/observers/prometheus.hpp>
#include <batching/observers/several.hpp>

#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

int main(int count, char** arguments) {
  const std::string file = count > 1 ? arguments[1] : "metrics_trace.json";
  const auto metrics = std::make_shared<batching::PrometheusObserver>("squares");
  const auto trace = std::make_shared<batching::ChromeTraceObserver>("squares", 100'000);
  {
    batching::Batcher<int, int> squares(
        [](std::span<const int> inputs) {
          std::this_thread::sleep_for(1ms);
          std::vector<int> outputs;
          for (const int input : inputs) outputs.push_back(input * input);
          return outputs;
        },
        {.batch_size = 16,
         .batch_timeout = 500us,
         .partitions = 2,
         .observer = std::make_shared<batching::SeveralObservers>(
             std::vector<std::shared_ptr<batching::Observer>>{metrics, trace})});

    std::vector<std::thread> callers;
    callers.reserve(20);
    for (int caller = 0; caller < 20; ++caller) {
      callers.emplace_back([&squares, caller] {
        for (int round = 0; round < 10; ++round) (void)squares.dispatch(100 * caller + round).get();
      });
    }
    for (auto& caller : callers) caller.join();
  }  // the last batch has been reported

  metrics->write(std::cout);  // what a program would answer to GET /metrics, as PrometheusObserver::content_type
  std::ofstream out(file);
  trace->write(out);
  std::cout << "# Open " << file << " in https://ui.perfetto.dev or chrome://tracing.\n";
  const bool all_there = metrics->text().find("\nbatching_items_total{batcher=\"squares\"} 200\n") != std::string::npos;
  return all_there && trace->dropped() == 0 && out.flush() ? 0 : 1;
}
