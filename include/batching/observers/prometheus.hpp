// PrometheusObserver: a batcher's metrics in Prometheus' text exposition format.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/close_reason.hpp>
#include <batching/detail/text.hpp>
#include <batching/observer.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <ostream>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace batching {

namespace detail {

/// Observations by size. `bounds`, ascending, are the largest values of their buckets; one more bucket has no bound.
class BoundedHistogram {
 public:
  explicit BoundedHistogram(std::span<const double> bounds) : bounds_(bounds), counts_(bounds.size() + 1) {}

  /// Observes `value` `times` times.
  void add(double value, std::uint64_t times = 1) noexcept {
    const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
    counts_[static_cast<std::size_t>(bucket)] += times;
    sum_ += value * static_cast<double>(times);
  }
  std::span<const double> bounds() const noexcept { return bounds_; }
  std::span<const std::uint64_t> counts() const noexcept { return counts_; }
  double sum() const noexcept { return sum_; }

 private:
  std::span<const double> bounds_;
  std::vector<std::uint64_t> counts_;
  double sum_ = 0;
};

inline constexpr std::array<double, 13> size_bounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
inline constexpr std::array<double, 19> time_bounds = {0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001,
                                                       0.0025,  0.005,    0.01,    0.025,  0.05,    0.1,    0.25,
                                                       0.5,     1,        2.5,     5,      10};

/// What has been counted for one batcher.
struct Metrics {
  std::array<std::uint64_t, close_reason_names.size()> batches{};
  std::uint64_t items = 0;
  std::uint64_t deduplicated = 0;
  std::uint64_t failed = 0;
  std::uint64_t queued = 0;
  std::uint64_t running = 0;
  BoundedHistogram size{size_bounds};
  BoundedHistogram queue_time{time_bounds};
  BoundedHistogram time_open{time_bounds};
  BoundedHistogram run_time{time_bounds};
};

}  // namespace detail

/// Counts what a batcher does, for Prometheus (https://prometheus.io): counters, gauges and histograms, all with the
/// label `batcher`. Serving them over HTTP is your program's business. Any thread may call anything: each batch holds a
/// mutex for some tens of nanoseconds, and some five more for each of its calls; making text holds it to copy the
/// numbers. Memory is fixed.
class PrometheusObserver final : public Observer {
 public:
  /// The `Content-Type` of what `write` writes.
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

  /// `batcher`: the label's value; any text. Batchers whose metrics go into one text need different ones.
  explicit PrometheusObserver(std::string_view batcher) : label_("batcher=\"") {
    detail::append_escaped(label_, batcher, [](char character) -> std::string {
      return character == '\\' ? "\\\\" : character == '"' ? "\\\"" : character == '\n' ? "\\n" : "";
    });
    label_ += '"';
  }

  void window_closed(const WindowClosed& window) override {
    const std::lock_guard lock(mutex_);
    ++metrics_.batches[static_cast<std::size_t>(window.reason)];
    ++metrics_.running;
    metrics_.items += window.size;
    metrics_.deduplicated += window.deduplicated;
    metrics_.queued = window.queued;
    metrics_.size.add(static_cast<double>(window.size));
    metrics_.time_open.add(seconds(window.time_open));
    for (const CallInBatch& call : window.calls) metrics_.queue_time.add(seconds(call.queue_time), call.items);
  }
  void batch_finished(const BatchFinished& batch) override {
    const std::lock_guard lock(mutex_);
    --metrics_.running;
    metrics_.failed += batch.failed;
    metrics_.run_time.add(seconds(batch.run_time));
  }

  /// The text exposition format, version 0.0.4.
  void write(std::ostream& out) const;
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    write(out);
    return std::move(out).str();
  }

 private:
  friend void write_prometheus(std::ostream& out, std::span<const PrometheusObserver* const> observers);

  static double seconds(std::chrono::nanoseconds time) noexcept { return std::chrono::duration<double>(time).count(); }
  detail::Metrics metrics() const {
    const std::lock_guard lock(mutex_);
    return metrics_;
  }

  std::string label_;
  mutable std::mutex mutex_;
  detail::Metrics metrics_;
};

namespace detail {

/// Builds the text: a family of samples after the other, each with a sample or a histogram for each batcher.
class PrometheusText {
 public:
  struct Source {
    std::string_view label;
    Metrics metrics;
  };

  explicit PrometheusText(std::vector<Source> sources) : sources_(std::move(sources)) {}

  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = name;
    text_.append("# HELP ").append(name).append(" ").append(help).append("\n");
    text_.append("# TYPE ").append(name).append(" ").append(type).append("\n");
  }
  void number(std::uint64_t Metrics::*value) {
    for (const Source& source : sources_) sample("", source.label, source.metrics.*value);
  }
  void batches() {
    for (const Source& source : sources_) {
      for (std::size_t reason = 0; reason < close_reason_names.size(); ++reason) {
        const std::string label = std::string(source.label).append(",reason=\"").append(close_reason_names[reason]);
        sample("", label + '"', source.metrics.batches[reason]);
      }
    }
  }
  void histogram(BoundedHistogram Metrics::*value) {
    for (const auto& [label, metrics] : sources_) {
      const BoundedHistogram& histogram = metrics.*value;
      std::uint64_t count = 0;
      for (std::size_t bucket = 0; bucket < histogram.counts().size(); ++bucket) {
        count += histogram.counts()[bucket];
        std::string labels = std::string(label).append(",le=\"");
        if (bucket < histogram.bounds().size()) {
          append_number(labels, histogram.bounds()[bucket]);
        } else {
          labels += "+Inf";
        }
        sample("_bucket", labels + '"', count);
      }
      sample("_sum", label, histogram.sum());
      sample("_count", label, count);
    }
  }
  const std::string& text() const noexcept { return text_; }

 private:
  template <class Number>
  void sample(std::string_view suffix, std::string_view labels, Number value) {
    text_.append(name_).append(suffix).append("{").append(labels).append("} ");
    append_number(text_, value);
    text_ += '\n';
  }

  std::vector<Source> sources_;
  std::string_view name_;
  std::string text_;
};

}  // namespace detail

/// Several batchers' metrics in one text, in which a metric may be described only once. Their names are to differ.
inline void write_prometheus(std::ostream& out, std::span<const PrometheusObserver* const> observers) {
  using detail::Metrics;
  std::vector<detail::PrometheusText::Source> sources;
  for (const PrometheusObserver* observer : observers) sources.push_back({observer->label_, observer->metrics()});
  detail::PrometheusText text(std::move(sources));
  text.family("batching_batches_total", "counter", "Batches that have left, by what closed their window.");
  text.batches();
  text.family("batching_items_total", "counter", "Items in them, equal ones that share an answer counted once.");
  text.number(&Metrics::items);
  text.family("batching_deduplicated_items_total", "counter", "Further items, which share the answer of an equal one.");
  text.number(&Metrics::deduplicated);
  text.family("batching_failed_items_total", "counter", "Items that the batch function has failed.");
  text.number(&Metrics::failed);
  text.family("batching_queued_items", "gauge", "Items that still waited when a window last closed.");
  text.number(&Metrics::queued);
  text.family("batching_running_batches", "gauge", "Batches that have left and are not over.");
  text.number(&Metrics::running);
  text.family("batching_batch_size", "histogram", "Items of each batch.");
  text.histogram(&Metrics::size);
  text.family("batching_queue_time_seconds", "histogram", "How long each item waited until its batch left.");
  text.histogram(&Metrics::queue_time);
  text.family("batching_window_open_seconds", "histogram", "From the oldest item of each batch until it left.");
  text.histogram(&Metrics::time_open);
  text.family("batching_run_time_seconds", "histogram", "How long the batch function took, until the last answer.");
  text.histogram(&Metrics::run_time);
  out << text.text();
}

inline void PrometheusObserver::write(std::ostream& out) const {
  const std::array<const PrometheusObserver*, 1> self = {this};
  write_prometheus(out, self);
}

}  // namespace batching
