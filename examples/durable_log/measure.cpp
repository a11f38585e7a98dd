// The experiment: how many records there is time for, and the measurements one after the other.
// SPDX-License-Identifier: BSL-1.0
#include "measure.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "appenders.hpp"
#include "callers.hpp"
#include "interrupt.hpp"
#include <fmt/core.h>

namespace {

using Clock = std::chrono::steady_clock;

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(q * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

Experiment::Experiment(const Settings& settings, std::filesystem::path database, const std::vector<std::string>& lines)
    : settings_(settings),
      database_(std::move(database)),
      lines_(lines),
      writer_(database_),
      next_run_(writer_.next_run()) {}

double Experiment::cost_of_a_durable_write() {
  constexpr std::size_t least = 5;
  const std::size_t most = std::min<std::size_t>(2000, settings_.records.value_or(2000));
  const auto limit = std::chrono::milliseconds(settings_.quick ? 100 : 500);
  const Workload workload{next_run_++, 1, most, &lines_};
  Told told{workload, {{}}};
  std::vector<double> times;
  try {
    const auto begin = Clock::now();
    for (auto now = begin; times.size() < most && (times.size() < least || now - begin < limit);) {
      const auto before = Clock::now();
      told.rows[0].push_back(writer_.append(workload.record(0, times.size())));
      now = Clock::now();
      times.push_back(std::chrono::duration<double>(now - before).count());
    }
  } catch (...) {
    error_ = std::current_exception();
  }
  told_.push_back(std::move(told));
  return cost_ = quantile(times, 0.5);
}

/// Direct: about a second's worth, on a slow disk a few for each caller. Batched: as many batches as that, where they
/// do not become too many records.
std::size_t Experiment::records(std::size_t callers, Way way) const {
  if (settings_.records) return std::max(*settings_.records, callers);
  const double seconds = settings_.quick ? 0.1 : 1, seconds_for_all = settings_.quick ? 1 : 8;
  const std::size_t most = settings_.quick ? 10'000 : 100'000;
  const auto fitting = [&](double time, double count) { return static_cast<std::size_t>(time / (cost_ * count)); };
  const std::size_t each = std::clamp<std::size_t>(fitting(seconds_for_all, static_cast<double>(callers)), 1, 3);
  const std::size_t writes = std::clamp<std::size_t>(fitting(seconds, 1), 10, most);
  if (way == Way::direct) return std::max(writes, each * callers);
  return std::max(std::min(writes * callers, most), callers);
}

template <class Appender, class... Arguments>
Measurement Experiment::measure(Progress& progress, LiveView* view, const std::string& what, std::size_t callers,
                                std::size_t records, const Arguments&... arguments) {
  const Workload workload{next_run_++, callers, records, &lines_};
  Callers all(workload);
  Appender appender(database_, arguments...);
  progress.begin(what, records, "records");
  all.start(appender);
  for (bool noticed = false; !all.wait_for(std::chrono::milliseconds(50));) {
    progress.update(all.done());
    if (view != nullptr) view->update();
    if (caught_signal() != 0 && !std::exchange(noticed, true)) {
      if (view != nullptr) view->clear();
      progress.clear();
      (void)std::fputs("Stopping; what is in flight is finished first.\n", stderr);
    }
  }
  if (view != nullptr) view->clear();
  progress.end(all.done());
  error_ = all.error();
  told_.push_back(all.take_told());
  auto latencies = all.latencies();
  return {all.done(), all.seconds(), quantile(latencies, 0.5), quantile(latencies, 0.99), appender.mean_batch()};
}

Measurement Experiment::measure_batched(Progress& progress, const std::string& what, std::size_t callers) {
  batching::Options options{
      .batch_size = settings_.batch_size, .batch_timeout = settings_.batch_timeout, .partitions = 1};
  std::optional<LiveView> view;
  if (settings_.live || terminal::is_there()) {
    const auto statistics = std::make_shared<LiveStatistics>();
    options.observer = statistics;
    view.emplace(statistics);
  }
  const auto measurement =
      measure<Batched>(progress, view ? &*view : nullptr, what, callers, records(callers, Way::batched), options);
  if (view) view->end();
  return measurement;
}

void Experiment::run() {
  const auto go_on = [&] { return !error_ && caught_signal() == 0; };
  Progress progress(2 * settings_.callers.size());
  try {
    for (std::size_t callers : settings_.callers) {
      if (!go_on()) return;
      const std::string who = callers == 1 ? "1 caller" : fmt::format("{} callers", callers);
      Row& row = rows_.emplace_back(Row{callers, {}, {}});
      row.direct = measure<Direct>(progress, nullptr, who + ", a transaction per record", callers,
                                   records(callers, Way::direct));
      if (!go_on()) return;
      row.batched = measure_batched(progress, who + ", a transaction per batch", callers);
    }
  } catch (...) {
    error_ = std::current_exception();
  }
}
