// Tests of the examples' live view: what it counts, and the lines that show it.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "../examples/support/live_statistics.hpp"
#include "catch.hpp"
#include "observers/told.hpp"

namespace {

using namespace std::chrono_literals;
using batching::CloseReason;
using Lines = std::vector<std::string>;

told::Batch batch_of(std::size_t items, std::chrono::nanoseconds left, std::chrono::nanoseconds run_time = 1ms) {
  return {.calls = {{left, items}}, .left = left, .run_time = run_time};
}

TEST_CASE("nothing has happened yet, and that can be shown") {
  const LiveStatistics statistics;
  const LiveSnapshot snapshot = statistics.snapshot(told::at(5s));
  CHECK(snapshot.items_per_second == 0);
  CHECK(snapshot.p99 == 0ns);
  CHECK(live::lines(snapshot, 80) == Lines{" throughput         0 items/s   queued       0   running   0   failed 0",
                                           "   run time p50 0.000 ms, p99 0.000 ms", "  closed by -",
                                           " batch size 0.0 on average, 0 batches:"});
}

TEST_CASE("batches are counted as they leave and as they finish") {
  LiveStatistics statistics;
  told::Batch batch = batch_of(6, 0ms);
  batch.reason = CloseReason::idle;
  batch.deduplicated = 2;
  batch.queued = 9;
  batch.failed = 1;
  batch.leave(statistics);
  CHECK(statistics.snapshot(told::at(0ms)).running == 1);
  CHECK(statistics.snapshot(told::at(0ms)).batches == 0);
  CHECK(statistics.snapshot(told::at(0ms)).queued == 9);
  batch.finish(statistics);
  const LiveSnapshot snapshot = statistics.snapshot(told::at(0ms));
  CHECK(snapshot.running == 0);
  CHECK(snapshot.batches == 1);
  CHECK(snapshot.items == 6);  // all who were answered
  CHECK(snapshot.failed == 1);
  CHECK(snapshot.closed_by.at(static_cast<std::size_t>(CloseReason::idle)) == 1);
  CHECK(snapshot.sizes.at(2) == 1);  // the function has seen four
}

TEST_CASE("a batch size has its place between the powers of two") {
  LiveStatistics statistics;
  for (const std::size_t size : {1U, 2U, 3U, 4U, 7U, 8U, 4096U, 8191U, 8192U, 1'000'000U}) {
    batch_of(size, 0ms).tell(statistics);
  }
  const LiveSnapshot snapshot = statistics.snapshot(told::at(0ms));
  CHECK(snapshot.sizes == decltype(snapshot.sizes){1, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2});
}

TEST_CASE("throughput is of the last second, of less where there is less") {
  LiveStatistics statistics;
  for (int tenth = 0; tenth < 30; ++tenth) {
    // The first 20 tenths of a second are ten times as busy.
    batch_of(tenth < 20 ? 100 : 10, tenth * 100ms, 50ms).tell(statistics);
    if (tenth == 3) CHECK(statistics.snapshot(told::at(400ms)).items_per_second == 1000);
  }
  CHECK(statistics.snapshot(told::at(3000ms)).items_per_second == 100);
  CHECK(statistics.snapshot(told::at(3450ms)).items_per_second == 60);
  CHECK(statistics.snapshot(told::at(60s)).items_per_second == 0);
  batch_of(7, 60s, 50ms).tell(statistics);
  batch_of(9, 3s, 50ms).tell(statistics);  // a late report
  CHECK(statistics.snapshot(told::at(60500ms)).items_per_second == 7);
}

TEST_CASE("run times are those of the last thousand batches") {
  LiveStatistics statistics;
  for (int batch = 0; batch < 500; ++batch) batch_of(1, 0ms, 1h).tell(statistics);
  for (int batch = 1; batch <= 1000; ++batch) batch_of(1, 0ms, batch * 1ms).tell(statistics);
  const LiveSnapshot snapshot = statistics.snapshot(told::at(0ms));
  CHECK(snapshot.p50 == 500ms);
  CHECK(snapshot.p99 == 990ms);
}

TEST_CASE("a snapshot becomes lines, none longer than there is room") {
  LiveSnapshot snapshot;
  snapshot.items_per_second = 12345.6;
  snapshot.items = 820;
  snapshot.batches = 40;
  snapshot.queued = 480;
  snapshot.running = 1;
  snapshot.failed = 3;
  snapshot.sizes = {1, 0, 0, 0, 40, 20};
  snapshot.closed_by = {30, 0, 0, 9, 1, 0};
  snapshot.p50 = 1234us;
  snapshot.p99 = 45600us;
  const Lines lines = live::lines(snapshot, 80);
  CHECK(lines == Lines{
                     " throughput     12346 items/s   queued     480   running   1   failed 3",
                     "   run time p50 1.23 ms, p99 45.6 ms",
                     "  closed by size 30, idle 9, flush 1",
                     " batch size 20.5 on average, 40 batches:",
                     "          1 |#                                        1",
                     "        2-3 |                                         0",
                     "        4-7 |                                         0",
                     "       8-15 |                                         0",
                     "      16-31 |######################################## 40",
                     "      32-63 |####################                     20",
                 });
  for (const std::string& line : live::lines(snapshot, 20)) CHECK(line.size() <= 20);
  CHECK(live::summary(snapshot) ==
        "820 items in 40 batches of 20.5 on average, 480 queued, 3 failed; run time p50 1.23 ms, "
        "p99 45.6 ms; closed by size 30, idle 9, flush 1");
  snapshot.sizes.back() = 1;
  CHECK(live::lines(snapshot, 80).back() == "      8192- |#                                        1");
}

TEST_CASE("statistics may be written by several threads and read by one more") {
  LiveStatistics statistics;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&] {
      for (int batch = 0; batch < 500; ++batch) batch_of(2, batch * 1ms).tell(statistics);
    });
  }
  for (int look = 0; look < 100; ++look) (void)statistics.snapshot(told::at(look * 5ms));
  for (auto& thread : threads) thread.join();
  CHECK(statistics.snapshot(told::at(1s)).items == 3000);
  CHECK(statistics.snapshot(told::at(1s)).running == 0);
}

}  // namespace
