// Tests of the observers that come with the library, with batches made by hand.
// SPDX-License-Identifier: BSL-1.0
#include <batching/observers/chrome_trace.hpp>
#include <batching/observers/prometheus.hpp>
#include <batching/observers/several.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <locale>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "catch.hpp"
#include "observers/told.hpp"

namespace {

using namespace std::chrono_literals;
using batching::ChromeTraceObserver;
using batching::CloseReason;
using batching::PrometheusObserver;

std::vector<std::string> lines_with(const std::string& text, std::string_view part) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.find(part) != std::string::npos) lines.push_back(line);
  }
  return lines;
}

bool has_line(const std::string& text, std::string_view line) {
  return text.find("\n" + std::string(line) + "\n") != std::string::npos;
}

std::string trace_of(const ChromeTraceObserver& observer) {
  std::ostringstream out;
  observer.write(out);
  return out.str();
}

TEST_CASE("a close reason has a name") {
  CHECK(to_string(CloseReason::size) == "size");
  CHECK(to_string(CloseReason::weight) == "weight");
  CHECK(to_string(CloseReason::timeout) == "timeout");
  CHECK(to_string(CloseReason::idle) == "idle");
  CHECK(to_string(CloseReason::flush) == "flush");
  CHECK(to_string(CloseReason::close) == "close");
}

TEST_CASE("the metrics describe each family once and count what happened") {
  PrometheusObserver observer("log");
  told::Batch{.calls = {{0ms, 3}, {1ms}}, .left = 2ms, .run_time = 20ms, .queued = 7}.tell(observer);
  told::Batch{.calls = {{3ms, 2}},
              .left = 3ms,
              .run_time = 3ms,
              .reason = CloseReason::idle,
              .deduplicated = 1,
              .queued = 5,
              .failed = 1}
      .tell(observer);
  told::Batch{.calls = {{3ms}}, .left = 4ms, .reason = CloseReason::flush, .queued = 2}.leave(observer);
  const std::string text = observer.text();

  CHECK(text.substr(0, text.find("batching_items_total")) ==
        "# HELP batching_batches_total Batches that have left, by what closed their window.\n"
        "# TYPE batching_batches_total counter\n"
        "batching_batches_total{batcher=\"log\",reason=\"size\"} 1\n"
        "batching_batches_total{batcher=\"log\",reason=\"weight\"} 0\n"
        "batching_batches_total{batcher=\"log\",reason=\"timeout\"} 0\n"
        "batching_batches_total{batcher=\"log\",reason=\"idle\"} 1\n"
        "batching_batches_total{batcher=\"log\",reason=\"flush\"} 1\n"
        "batching_batches_total{batcher=\"log\",reason=\"close\"} 0\n"
        "# HELP ");
  CHECK(has_line(text, "batching_items_total{batcher=\"log\"} 6"));
  CHECK(has_line(text, "batching_deduplicated_items_total{batcher=\"log\"} 1"));
  CHECK(has_line(text, "batching_failed_items_total{batcher=\"log\"} 1"));
  CHECK(has_line(text, "batching_queued_items{batcher=\"log\"} 2"));
  CHECK(has_line(text, "batching_running_batches{batcher=\"log\"} 1"));
  CHECK(has_line(text, "# TYPE batching_queued_items gauge"));
  CHECK(has_line(text, "# TYPE batching_batch_size histogram"));
  CHECK(lines_with(text, "# HELP").size() == 10);
  CHECK(lines_with(text, "# TYPE").size() == 10);
  CHECK(text.back() == '\n');
}

TEST_CASE("a histogram is cumulative, its bounds belong to their buckets, and the last has none") {
  PrometheusObserver observer("log");
  for (const std::size_t size : {1U, 2U, 3U, 4U, 4096U, 4097U}) told::Batch{.calls = {{0ms, size}}}.tell(observer);
  const std::string text = observer.text();
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"1\"} 1"));
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"2\"} 2"));
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"4\"} 4"));
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"2048\"} 4"));
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"4096\"} 5"));
  CHECK(has_line(text, "batching_batch_size_bucket{batcher=\"log\",le=\"+Inf\"} 6"));
  CHECK(has_line(text, "batching_batch_size_sum{batcher=\"log\"} 8203"));
  CHECK(has_line(text, "batching_batch_size_count{batcher=\"log\"} 6"));
}

TEST_CASE("times are in seconds, and a call's queue time counts for each of its items") {
  PrometheusObserver observer("log");
  told::Batch{.calls = {{0ms, 3}, {250ms}}, .left = 500ms, .run_time = 1ms}.tell(observer);
  const std::string text = observer.text();
  CHECK(has_line(text, "batching_queue_time_seconds_bucket{batcher=\"log\",le=\"0.1\"} 0"));
  CHECK(has_line(text, "batching_queue_time_seconds_bucket{batcher=\"log\",le=\"0.25\"} 1"));
  CHECK(has_line(text, "batching_queue_time_seconds_bucket{batcher=\"log\",le=\"0.5\"} 4"));
  CHECK(has_line(text, "batching_queue_time_seconds_sum{batcher=\"log\"} 1.75"));
  CHECK(has_line(text, "batching_queue_time_seconds_count{batcher=\"log\"} 4"));
  CHECK(has_line(text, "batching_window_open_seconds_sum{batcher=\"log\"} 0.5"));
  CHECK(has_line(text, "batching_window_open_seconds_count{batcher=\"log\"} 1"));
  CHECK(has_line(text, "batching_run_time_seconds_bucket{batcher=\"log\",le=\"5e-04\"} 0"));
  CHECK(has_line(text, "batching_run_time_seconds_bucket{batcher=\"log\",le=\"0.001\"} 1"));
  CHECK(has_line(text, "batching_run_time_seconds_sum{batcher=\"log\"} 0.001"));
}

TEST_CASE("a batcher's name is escaped as a label") {
  const auto sample = [](std::string_view name) {
    return lines_with(PrometheusObserver(name).text(), "batching_items_total{").at(0);
  };
  CHECK(sample(R"(a "quoted" \path)") == R"(batching_items_total{batcher="a \"quoted\" \\path"} 0)");
  CHECK(sample("two\nlines") == R"(batching_items_total{batcher="two\nlines"} 0)");
  CHECK(sample("gr\xC3\xBC\xC3\x9F\x65") == "batching_items_total{batcher=\"gr\xC3\xBC\xC3\x9F\x65\"} 0");
  CHECK(sample("\xFF!") == "batching_items_total{batcher=\"\xEF\xBF\xBD!\"} 0");
  CHECK(sample("") == R"(batching_items_total{batcher=""} 0)");
}

TEST_CASE("several batchers share a text that describes each metric once") {
  PrometheusObserver reads("reads");
  PrometheusObserver writes("writes");
  told::Batch{.calls = {{0ms, 3}}}.tell(reads);
  told::Batch{.calls = {{0ms, 5}}}.tell(writes);
  std::ostringstream out;
  write_prometheus(out, std::array<const PrometheusObserver*, 2>{&reads, &writes});
  const std::string text = out.str();
  CHECK(text.find("batching_items_total{batcher=\"reads\"} 3\nbatching_items_total{batcher=\"writes\"} 5\n") !=
        std::string::npos);
  CHECK(lines_with(text, "# TYPE").size() == 10);
  CHECK(lines_with(text, "batching_run_time_seconds_count").size() == 2);

  std::ostringstream none;
  batching::write_prometheus(none, {});
  CHECK(lines_with(none.str(), "{").empty());
}

/// Groups digits and has a comma for a point.
struct Elsewhere : std::numpunct<char> {
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\3"; }
};

TEST_CASE("numbers are the same in every locale") {
  PrometheusObserver metrics("log");
  ChromeTraceObserver trace("log", 10);
  for (auto* observer : {static_cast<batching::Observer*>(&metrics), static_cast<batching::Observer*>(&trace)}) {
    told::Batch{.id = 12345, .calls = {{0ms, 54321}}, .left = 1500us, .run_time = 1234567us}.tell(*observer);
  }
  for (int drop = 0; drop < 1000; ++drop) told::Batch{.calls = {{0ms}, {0ms}}}.tell(trace);
  const std::string here_metrics = metrics.text();
  const std::string here_trace = trace_of(trace);
  std::ostringstream out;
  out.imbue(std::locale(std::locale::classic(), new Elsewhere));
  metrics.write(out);
  trace.write(out);
  CHECK(out.str() == here_metrics + here_trace);
}

TEST_CASE("a trace has a track for each partition, its batches, and arrows to them from their calls") {
  ChromeTraceObserver observer("log");
  told::Batch{.id = 1, .partition = 1, .calls = {{0ms, 2}, {1250us}}, .left = 2ms, .run_time = 3ms, .queued = 4}.tell(
      observer);
  CHECK(trace_of(observer) ==
        R"({"displayTimeUnit":"ms","otherData":{"dropped_events":0},"traceEvents":[
{"ph":"M","pid":1,"tid":2,"name":"process_name","args":{"name":"log"}},
{"ph":"M","pid":1,"tid":2,"name":"thread_name","args":{"name":"callers 1"}},
{"ph":"M","pid":1,"tid":2,"name":"thread_sort_index","args":{"sort_index":0}},
{"ph":"M","pid":1,"tid":3,"name":"thread_name","args":{"name":"partition 0"}},
{"ph":"M","pid":1,"tid":3,"name":"thread_sort_index","args":{"sort_index":1}},
{"ph":"M","pid":1,"tid":4,"name":"thread_name","args":{"name":"partition 1"}},
{"ph":"M","pid":1,"tid":4,"name":"thread_sort_index","args":{"sort_index":2}},
{"ph":"X","pid":1,"tid":2,"ts":0.000,"dur":2000.000,"cat":"call","name":"call","args":{"items":2,"batch":1}},
{"ph":"s","pid":1,"tid":2,"ts":0.000,"cat":"call","name":"leaves","id":1},
{"ph":"X","pid":1,"tid":2,"ts":1250.000,"dur":750.000,"cat":"call","name":"call","args":{"items":1,"batch":1}},
{"ph":"s","pid":1,"tid":2,"ts":1250.000,"cat":"call","name":"leaves","id":2},
{"ph":"X","pid":1,"tid":4,"ts":2000.000,"dur":3000.000,"cat":"batch","name":"batch of 3","args":{"batch":1,"size":3,"deduplicated":0,"callers":2,"weight":3,"closed_by":"size","queue_time_us":2000.000,"failed":0}},
{"ph":"f","pid":1,"tid":4,"ts":2000.000,"cat":"call","name":"leaves","id":1,"bp":"e"},
{"ph":"f","pid":1,"tid":4,"ts":2000.000,"cat":"call","name":"leaves","id":2,"bp":"e"},
{"ph":"C","pid":1,"tid":2,"ts":2000.000,"name":"queued","args":{"items":4}}
]}
)");
}

TEST_CASE("an empty trace is a trace") {
  CHECK(trace_of(ChromeTraceObserver("none")) ==
        "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"dropped_events\":0},\"traceEvents\":[\n"
        "{\"ph\":\"M\",\"pid\":1,\"tid\":2,\"name\":\"process_name\",\"args\":{\"name\":\"none\"}}\n]}\n");
}

TEST_CASE("calls that wait for different batches stand on different tracks where they overlap") {
  ChromeTraceObserver observer;
  told::Batch{.id = 1, .calls = {{0ms}, {1ms}}, .left = 3ms, .run_time = 2ms}.tell(observer);
  told::Batch{.id = 2, .calls = {{2ms}}, .left = 5ms, .run_time = 1ms}.tell(observer);
  told::Batch{.id = 3, .calls = {{4ms}}, .left = 6ms, .run_time = 1ms}.tell(observer);
  const std::string trace = trace_of(observer);
  const auto calls = lines_with(trace, R"("cat":"call","name":"call")");
  REQUIRE(calls.size() == 4);
  CHECK(calls[0].find("\"tid\":2,\"ts\":0.") != std::string::npos);
  CHECK(calls[1].find("\"tid\":2,\"ts\":1000.") != std::string::npos);
  CHECK(calls[2].find("\"tid\":3,\"ts\":2000.") != std::string::npos);
  CHECK(calls[3].find("\"tid\":2,\"ts\":4000.") != std::string::npos);
  CHECK(lines_with(trace, "\"callers 2\"").size() == 1);
  CHECK(lines_with(trace, "\"callers 3\"").empty());
}

TEST_CASE("a trace keeps nanoseconds, however long the clock has run") {
  ChromeTraceObserver observer;
  told::Batch{.calls = {{1ns}}, .left = 1'000'000'000'000'001ns, .run_time = 7ns}.tell(observer);
  const auto batches = lines_with(trace_of(observer), R"("cat":"batch")");
  REQUIRE(batches.size() == 1);
  CHECK(batches[0].find("\"ts\":1000000000000.000,\"dur\":0.007,") != std::string::npos);
}

TEST_CASE("strings in a trace are escaped as JSON") {
  ChromeTraceObserver observer("a \"quoted\" \\path");
  const auto fail = [&](const auto& error) {
    told::Batch{.calls = {{0ms}}, .failed = 1, .error = std::make_exception_ptr(error)}.tell(observer);
    return lines_with(trace_of(observer), R"("cat":"batch")").back();
  };
  const auto ends_with = [](const std::string& line, const std::string& end) {
    return line.size() > end.size() && line.find(end) != std::string::npos;
  };
  CHECK(ends_with(fail(std::runtime_error("no \"a\\b\"\n\t\x01\x7F")),
                  R"("failed":1,"error":"no \"a\\b\"\u000a\u0009\u0001\u007f"}})"));
  CHECK(ends_with(fail(std::runtime_error("gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x98\x80")),
                  "\"error\":\"gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x98\x80\"}}"));
  CHECK(ends_with(fail(std::runtime_error("\x80 \xC0\xAF \xED\xA0\x80 \xF4\x90\x80\x80 \xE2\x82")),
                  "\"error\":\"\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD "
                  "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\"}}"));
  CHECK(ends_with(fail(42), "\"error\":\"not a std::exception\"}}"));
  CHECK(ends_with(fail(std::runtime_error(std::string(1000, 'x'))), "\"error\":\"" + std::string(256, 'x') + "\"}}"));
  const std::string trace = trace_of(observer);
  CHECK(lines_with(trace, "\"name\":\"batch of 1, failed\"").size() == 5);
  CHECK(lines_with(trace, R"("args":{"name":"a \"quoted\" \\path"})").size() == 1);
}

TEST_CASE("a trace keeps as many events as it was allowed, and counts the others") {
  ChromeTraceObserver observer("log", 7);
  const told::Batch batch{.calls = {{0ms}, {0ms}}};
  batch.tell(observer);  // 4 events
  CHECK(observer.dropped() == 0);
  batch.leave(observer);
  batch.finish(observer);  // there is room for 2, and it is 3
  CHECK(observer.dropped() == 3);
  batch.leave(observer);
  batch.leave(observer);
  batch.leave(observer);
  CHECK(observer.dropped() == 4);
  const std::string trace = trace_of(observer);
  CHECK(lines_with(trace, R"("cat":"batch")").size() == 1);
  CHECK(lines_with(trace, R"("name":"call")").size() == 2);
  CHECK(lines_with(trace, R"("ph":"C")").size() == 4);
  CHECK(lines_with(trace, R"("dropped_events":4})").size() == 1);

  ChromeTraceObserver nothing("log", 0);
  batch.tell(nothing);
  CHECK(nothing.dropped() == 4);
}

struct Throwing : batching::Observer {
  void window_closed(const batching::WindowClosed&) override { throw std::runtime_error("no"); }
  void batch_finished(const batching::BatchFinished&) override { throw 42; }
};

TEST_CASE("several observers are all told, whatever one of them throws") {
  const auto first = std::make_shared<PrometheusObserver>("first");
  const auto last = std::make_shared<PrometheusObserver>("last");
  batching::SeveralObservers all({first, std::make_shared<Throwing>(), last});
  told::Batch{.calls = {{0ms}}, .failed = 1}.tell(all);
  CHECK(has_line(first->text(), "batching_failed_items_total{batcher=\"first\"} 1"));
  CHECK(has_line(last->text(), "batching_items_total{batcher=\"last\"} 1"));
  CHECK(has_line(last->text(), "batching_failed_items_total{batcher=\"last\"} 1"));
}

TEST_CASE("observers may be told by several threads and read by one more") {
  PrometheusObserver metrics("log");
  ChromeTraceObserver trace("log", 3000);
  std::vector<std::thread> threads;
  for (std::size_t partition = 0; partition < 3; ++partition) {
    threads.emplace_back([&, partition] {
      for (int round = 0; round < 500; ++round) {
        const told::Batch batch{.partition = partition, .calls = {{0ms, 2}, {1ms}}, .left = 2ms, .run_time = 1ms};
        batch.tell(metrics);
        batch.tell(trace);
      }
    });
  }
  for (int look = 0; look < 20; ++look) {
    (void)metrics.text();
    (void)trace_of(trace);
  }
  for (auto& thread : threads) thread.join();
  const std::string text = metrics.text();
  CHECK(has_line(text, "batching_items_total{batcher=\"log\"} 4500"));
  CHECK(has_line(text, "batching_running_batches{batcher=\"log\"} 0"));
  CHECK(has_line(text, "batching_queue_time_seconds_count{batcher=\"log\"} 4500"));
  const std::uint64_t kept = lines_with(trace_of(trace), R"("cat":"batch")").size() +
                             lines_with(trace_of(trace), R"("name":"call")").size() +
                             lines_with(trace_of(trace), R"("ph":"C")").size();
  CHECK(kept <= 3000);
  CHECK(kept + trace.dropped() == 3U * 500U * 4U);
}

}  // namespace
