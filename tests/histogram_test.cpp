// Tests of Histogram: its buckets, its quantiles, and how far they are off.
// SPDX-License-Identifier: BSL-1.0
#include <batching/detail/timings.hpp>
#include <batching/histogram.hpp>
#include <batching/stats.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "catch.hpp"
#include "support.hpp"

using batching::Histogram;
using namespace support;

namespace {

TEST_CASE("the buckets of a histogram follow one another without a gap") {
  for (std::size_t bucket = 0; bucket < Histogram::buckets; ++bucket) {
    const auto first = Histogram::lower_bound(bucket);
    CHECK(Histogram::bucket_of(first) == bucket);
    if (bucket > 0) CHECK(Histogram::bucket_of(first - 1ns) == bucket - 1);
  }
  CHECK(Histogram::bucket_of(-1ns) == 0);
  CHECK(Histogram::bucket_of(std::chrono::nanoseconds::max()) == Histogram::buckets - 1);
}

TEST_CASE("an empty histogram has no quantiles") {
  CHECK(Histogram().count() == 0);
  CHECK(Histogram().quantile(0.5) == 0ns);
}

TEST_CASE("every quantile is off by less than five percent") {
  std::mt19937_64 random(7);
  std::vector<std::chrono::nanoseconds> all;
  Histogram histogram;
  for (int i = 0; i < 20'000; ++i) {
    // From 256 ns to 17 minutes, all magnitudes alike.
    const double power = 8 + 31.9 * static_cast<double>(random()) / static_cast<double>(random.max());
    all.emplace_back(static_cast<std::int64_t>(std::exp2(power)));
    histogram.record(all.back());
  }
  std::sort(all.begin(), all.end());
  CHECK(histogram.count() == all.size());
  for (std::size_t i = 1; i <= all.size(); ++i) {
    const double q = (static_cast<double>(i) - 0.5) / static_cast<double>(all.size());
    const auto exact = static_cast<double>(all[i - 1].count());
    const double off = std::abs(static_cast<double>(histogram.quantile(q).count()) - exact) / exact;
    if (off >= 0.05) FAIL("quantile " << q << " is off by " << off);
  }
}

TEST_CASE("short durations are off by less than 128 ns") {
  for (int duration = 0; duration < 256; ++duration) {
    Histogram histogram;
    histogram.record(std::chrono::nanoseconds(duration));
    CHECK(std::abs((histogram.quantile(1) - std::chrono::nanoseconds(duration)).count()) <= 128);
  }
}

TEST_CASE("a quantile out of range is the nearest in range") {
  Histogram histogram;
  histogram.record(1ms);
  histogram.record(1s);
  CHECK(histogram.quantile(-1) == histogram.quantile(0));
  CHECK(histogram.quantile(2) == histogram.quantile(1));
  CHECK(histogram.quantile(std::numeric_limits<double>::quiet_NaN()) == histogram.quantile(0));
  CHECK(histogram.quantile(0) < 2ms);
  CHECK(histogram.quantile(1) > 900ms);
}

TEST_CASE("histograms add up, and an earlier one can be taken away") {
  Histogram one;
  one.record(1ms, 3);
  Histogram other;
  other.record(1s, 2);
  Histogram both = one;
  both += other;
  CHECK(both.count() == 5);
  CHECK(both.quantile(0.6) == one.quantile(1));
  CHECK(both.quantile(0.61) == other.quantile(1));
  both -= one;
  CHECK(both == other);
}

TEST_CASE("what the strand records is the histogram of it, also when there is more than its small counters hold") {
  constexpr std::uint32_t many = 3'000'000'000;
  batching::detail::Recorder recorder;
  recorder.record(1ms, many);
  recorder.record(1s, 1);
  recorder.record(1ms, many);  // would overflow
  recorder.record(1ms, 5);
  Histogram same;
  same.record(1ms, std::uint64_t{2} * many + 5);
  same.record(1s);
  CHECK(recorder.histogram() == same);
}

TEST_CASE("what the strand records may grow in both directions") {
  batching::detail::Recorder recorder;
  Histogram same;
  for (const auto duration :
       {std::chrono::nanoseconds(1ms), std::chrono::nanoseconds(2us), std::chrono::nanoseconds(3s),
        std::chrono::nanoseconds(0), std::chrono::nanoseconds(24h), std::chrono::nanoseconds(5ms)}) {
    recorder.record(duration, 2);
    same.record(duration, 2);
    CHECK(recorder.histogram() == same);
  }
}

}  // namespace
