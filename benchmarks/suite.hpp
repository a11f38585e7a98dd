// Suite: what a workload is given to measure with and to report to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <deque>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "chart.hpp"
#include "table.hpp"

struct Settings {
  bool quick = false;
  std::size_t rounds = 5;
  std::vector<std::string> only;  // names of workloads; none: all
  std::filesystem::path results;  // a directory; empty: nothing is written
};

/// One way of doing a workload; each call is one complete run.
struct Contestant {
  std::string name;
  std::function<Sample()> run;
  bool is_baseline = false;
};

/// What we want to reach.
struct Bar {
  enum class Kind { at_most, at_least };

  std::string what;
  Kind kind = Kind::at_most;
  double limit = 0;
  double measured = 0;
  std::string unit;         // "x floor"
  bool is_counted = false;  // not a matter of speed: holds on every machine, however busy

  [[nodiscard]] bool met() const noexcept { return kind == Kind::at_most ? measured <= limit : measured >= limit; }
  /// "at most 1.0 x floor"
  [[nodiscard]] std::string wanted() const;
  [[nodiscard]] std::string reached() const { return number(measured) + " " + unit; }
};

/// The same contestants for several values of a parameter.
struct Sweep {
  std::vector<double> values;
  std::deque<Table> tables;

  [[nodiscard]] const Table& at(double value) const;
  /// One line for each contestant: its medians of a column, the first by default.
  [[nodiscard]] std::vector<Series> series(std::string_view column = {}) const;
  /// How many times better than the baseline, where less is better.
  [[nodiscard]] std::vector<Series> speed_up(const std::string& baseline) const;

 private:
  [[nodiscard]] std::vector<Series> lines(const std::function<double(const Table&, const Row&)>& height) const;
};

class Suite {
 public:
  explicit Suite(Settings settings) : settings_(std::move(settings)) {}

  /// Runs the contestants in turns, in random order, so that whatever else the machine does hits all of them alike,
  /// and prints the table of the medians.
  const Table& compare(const std::string& title, const std::vector<Contestant>& contestants);
  /// The same for each value of the parameter (a contestant of the first value may stay out later), and prints one
  /// table: the medians of the first column, behind each how it compares to the first baseline.
  const Sweep& sweep(const std::string& title, const std::string& parameter, const std::vector<double>& values,
                     const std::function<std::vector<Contestant>(double)>& contestants);
  void add(Bar bar) { bars_.push_back(std::move(bar)); }
  void add(Chart chart) { charts_.push_back(std::move(chart)); }
  /// Into the report.
  void print(const std::string& text);

  /// As many as asked for, or a tenth where only the working counts.
  [[nodiscard]] std::size_t items(std::size_t count) const noexcept { return settings_.quick ? count / 10 : count; }
  [[nodiscard]] bool is_quick() const noexcept { return settings_.quick; }

  /// Runs the chosen workloads. True if what can be counted is as it should be; the results are written.
  [[nodiscard]] bool run();

 private:
  [[nodiscard]] Table measure(const std::string& title, const std::vector<Contestant>& contestants) const;
  [[nodiscard]] std::string bars() const;
  void write_results() const;

  Settings settings_;
  std::deque<Table> tables_;
  std::deque<Sweep> sweeps_;
  std::vector<Bar> bars_;
  std::vector<Chart> charts_;
  std::string report_;
};

/// A workload makes one of these, static: that is how `main` knows it. They run in the order of their names.
struct Workload {
  using Run = void (*)(Suite&);

  Workload(std::string short_name, std::string description, Run function);

  std::string name;
  std::string what;
  Run run;

  [[nodiscard]] static std::vector<const Workload*> all();
};
