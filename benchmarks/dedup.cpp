// W6, deduplication: what it saves where items repeat, and what it costs where they do not.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "meter.hpp"
#include "squares.hpp"
#include "suite.hpp"
#include <benchmark/benchmark.h>
#include <fmt/core.h>

namespace {

using std::chrono::microseconds;
namespace dedup = batching::dedup;

constexpr std::size_t outstanding = 1024;
constexpr std::size_t different = 10'000;
constexpr std::size_t dimensions = 384;

/// Item k of `different` comes with a probability in proportion to 1 / k^exponent; 0: all alike.
std::vector<Number> zipf(double exponent, std::size_t items) {
  std::vector<double> below(different);
  double sum = 0;
  for (std::size_t k = 0; k < different; ++k) below[k] = sum += std::pow(static_cast<double>(k + 1), -exponent);
  std::mt19937_64 random(1);
  std::vector<Number> stream(items);
  for (Number& item : stream) {
    const double at = sum * (static_cast<double>(random() >> 11U) * 0x1p-53);
    item = static_cast<Number>(std::lower_bound(below.begin(), below.end(), at) - below.begin());
  }
  return stream;
}

/// Takes 20 µs, and 2 µs for each item, of processor time.
struct Working {
  void operator()(std::span<Number> inputs, std::span<Number> outputs) const {
    const auto end = std::chrono::steady_clock::now() + microseconds(20 + 2 * inputs.size());
    Square()(inputs, outputs);
    while (std::chrono::steady_clock::now() < end) {
    }
  }
};

template <class Function>
Sample stream(const std::vector<Number>& items, Function function, const Squaring::Options& options) {
  Squaring batcher(function, options);
  std::vector<batching::Future<Number>> ring(outstanding);
  Meter meter;
  for (std::size_t sent = 0; sent < items.size() + outstanding; ++sent) {
    auto& place = ring[sent % outstanding];
    if (sent >= outstanding) benchmark::DoNotOptimize(place.get());
    if (sent < items.size()) place = batcher.dispatch(items[sent]);
  }
  const auto stats = batcher.stats();
  Sample sample = meter.per_item(items.size());
  sample.resize(1);
  sample.push_back({"dedup rate", stats.dedup_rate()});
  sample.push_back(
      {"batches per 1000 items", 1e3 * static_cast<double>(stats.batches) / static_cast<double>(items.size())});
  return sample;
}

Squaring::Options options(Squaring::Options::Dedup how) {
  Squaring::Options options{.batch_size = 64, .batch_timeout = std::chrono::milliseconds(1)};
  options.dedup = std::move(how);
  return options;
}
dedup::exact<> joining() {
  dedup::exact exact;
  exact.join_running = true;
  return exact;
}

void repeats(Suite& suite) {
  const std::size_t items = suite.items(200'000);
  for (const double exponent : suite.is_quick() ? std::vector<double>{1.0} : std::vector<double>{0.8, 1.0, 1.2}) {
    const std::vector<Number> input = zipf(exponent, items);
    const Table& table = suite.compare(
        fmt::format("W6 a Zipf stream of {} different items, exponent {:.1f}, 1024 in flight; 20 µs + 2 µs per item",
                    different, exponent),
        {{"no deduplication", [&] { return stream(input, Working(), options({})); }, true},
         {"exact", [&] { return stream(input, Working(), options(dedup::exact{})); }},
         {"exact, join_running", [&] { return stream(input, Working(), options(joining())); }}});
    if (exponent == 1.0) {
      suite.add({"W6 Zipf stream, exponent 1.0: exact deduplication", Bar::Kind::at_most, 0.7,
                 table.ratio("exact", "no deduplication"), "x none"});
    }
  }
}

void nothing_repeats(Suite& suite) {
  std::vector<Number> input(suite.items(1'000'000));
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = i;
  Squaring::Options in_parts = options({});
  in_parts.weight = [](const Number&) { return std::size_t{1}; };
  suite.compare("W6 nothing repeats: x*x, 1024 in flight",
                {{"no deduplication", [&] { return stream(input, Square(), options({})); }, true},
                 {"a weight of 1", [&] { return stream(input, Square(), in_parts); }},
                 {"exact", [&] { return stream(input, Square(), options(dedup::exact{})); }},
                 {"exact, join_running", [&] { return stream(input, Square(), options(joining())); }}});
}

/// A window that is full: each search goes past all of it.
void embeddings(Suite& suite) {
  std::mt19937 random(1);
  const auto vector_of = [&](std::size_t) {
    std::vector<float> vector(dimensions);
    for (float& x : vector) x = static_cast<float>(random() >> 8U) * 0x1p-24F - 0.5F;
    return batching::detail::normalized(std::move(vector));
  };
  constexpr std::size_t window = 256;
  std::vector<float> all;
  for (std::size_t i = 0; i < window; ++i) {
    const auto one = vector_of(i);
    all.insert(all.end(), one.begin(), one.end());
  }
  const std::vector<float> query = vector_of(window);
  const std::size_t times = suite.items(2'000);
  const auto measure = [&](const std::function<float(const float*, const float*)>& cosine) {
    return [&, cosine]() -> Sample {
      const Meter meter;
      for (std::size_t i = 0; i < times; ++i) {
        float best = -1;
        for (std::size_t slot = 0; slot < window; ++slot) {
          best = std::max(best, cosine(&all[slot * dimensions], query.data()));
        }
        benchmark::DoNotOptimize(best);
      }
      return {{"µs per search", 1e6 * meter.seconds() / static_cast<double>(times)}};
    };
  };
  const Table& table = suite.compare("W6 embedding search: 256 waiting, 384 dimensions",
                                     {{"sum by sum", measure([](const float* one, const float* other) {
                                         float sum = 0;
                                         for (std::size_t i = 0; i < dimensions; ++i) sum += one[i] * other[i];
                                         return sum;
                                       }),
                                       true},
                                      {"sixteen sums side by side", measure([](const float* one, const float* other) {
                                         return batching::detail::cosine(one, other, dimensions);
                                       })}});
  suite.add({"W6 embedding search, 256 x 384", Bar::Kind::at_most, 0.5,
             table.ratio("sixteen sums side by side", "sum by sum"), "x a plain loop"});
}

void run(Suite& suite) {
  repeats(suite);
  nothing_repeats(suite);
  embeddings(suite);
}

const Workload workload("W6", "deduplication: a Zipf stream, nothing that repeats, embeddings", run);

}  // namespace
