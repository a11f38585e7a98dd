// What is measured: the cost of one durable write, then n callers at once in either way of writing.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "../support/live_view.hpp"
#include "../support/progress.hpp"
#include "settings.hpp"
#include "workload.hpp"

struct Measurement {
  std::size_t records = 0;  // durable ones
  double seconds = 0;
  double p50 = 0;  // seconds
  double p99 = 0;
  double mean_batch = 0;

  [[nodiscard]] bool done() const noexcept { return records > 0 && seconds > 0; }
  [[nodiscard]] double rate() const noexcept { return done() ? static_cast<double>(records) / seconds : 0; }
};

/// Both ways with the same number of callers.
struct Row {
  std::size_t callers = 0;
  Measurement direct;
  Measurement batched;
};

/// Runs everything, and keeps what the callers were told. Ends early on Ctrl-C, and when something goes wrong: what, is
/// kept in `error`, so that what was durable before can be read back.
class Experiment {
 public:
  Experiment(const Settings& settings, std::filesystem::path database, const std::vector<std::string>& lines);

  /// Seconds that one record in a transaction of its own takes: the median over some tenths of a second.
  /// Once before `run`, which needs it; it may be asked again.
  double cost_of_a_durable_write();
  void run();

  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }
  [[nodiscard]] const std::vector<Told>& told() const noexcept { return told_; }
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }

 private:
  enum class Way { direct, batched };

  [[nodiscard]] std::size_t records(std::size_t callers, Way way) const;
  /// `view`, if there is one, stands below the progress bar.
  template <class Appender, class... Arguments>
  Measurement measure(Progress& progress, LiveView* view, const std::string& what, std::size_t callers,
                      std::size_t records, const Arguments&... arguments);
  Measurement measure_batched(Progress& progress, const std::string& what, std::size_t callers);

  const Settings& settings_;
  std::filesystem::path database_;
  const std::vector<std::string>& lines_;
  LogWriter writer_;  // stays open, so that closing a measurement's own connection costs no clean-up
  std::int64_t next_run_;
  double cost_ = 0;
  std::vector<Row> rows_;
  std::vector<Told> told_;
  std::exception_ptr error_;
};
