// The rounds, the list of workloads, and the report.
// SPDX-License-Identifier: BSL-1.0
#include "suite.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <utility>

#include "machine.hpp"
#include <benchmark/benchmark.h>
#include <fmt/core.h>
#include <unistd.h>

namespace {

std::vector<const Workload*>& registered() {
  static std::vector<const Workload*> list;
  return list;
}

/// On a terminal only: elsewhere the tables themselves show how far it is.
void show_progress(const std::string& text) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  if (terminal) fmt::print(stderr, "\r{}\033[K", text);
}

/// The library runs them in turns; the samples are kept where they are taken.
class Silent final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>&) override {}
};

void initialize_library() {
  static const bool once = [] {
    std::string program = "benchmarks";
    std::string in_turns = "--benchmark_enable_random_interleaving=true";
    std::vector<char*> arguments{program.data(), in_turns.data(), nullptr};
    int count = 2;
    benchmark::Initialize(&count, arguments.data());
    return true;
  }();
  (void)once;
}

}  // namespace

std::string Bar::wanted() const {
  return fmt::format("{} {:g} {}", kind == Kind::at_most ? "at most" : "at least", limit, unit);
}

const Table& Sweep::at(double value) const {
  const auto found = std::ranges::find(values, value);
  if (found == values.end()) throw std::logic_error(fmt::format("{} was not measured", value));
  return tables[static_cast<std::size_t>(found - values.begin())];
}

std::vector<Series> Sweep::lines(const std::function<double(const Table&, const Row&)>& height) const {
  std::vector<Series> result;
  for (const Row& first : tables.front().rows) {
    Series& line = result.emplace_back(Series{first.name, {}});
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (tables[i].has(first.name)) line.points.emplace_back(values[i], height(tables[i], tables[i].row(first.name)));
    }
  }
  return result;
}

std::vector<Series> Sweep::series(std::string_view column) const {
  return lines([=](const Table&, const Row& row) { return row.median(column); });
}

std::vector<Series> Sweep::speed_up(const std::string& baseline) const {
  auto result = lines([&](const Table& table, const Row& row) { return table.ratio(baseline, row.name); });
  std::erase_if(result, [&](const Series& line) { return line.name == baseline; });
  return result;
}

Table Suite::measure(const std::string& title, const std::vector<Contestant>& contestants) const {
  initialize_library();
  Table table{title, {}};
  for (const Contestant& contestant : contestants) {
    table.rows.push_back({contestant.name, contestant.is_baseline, {}});
  }
  for (std::size_t i = 0; i < contestants.size(); ++i) {
    const auto run_once = [&, i](benchmark::State& state) {
      for (auto _ : state) {
        auto& samples = table.rows[i].samples;
        show_progress(
            fmt::format("{}: {}, run {} of {}", title, contestants[i].name, samples.size() + 1, settings_.rounds));
        const Meter meter;
        samples.push_back(contestants[i].run());
        state.SetIterationTime(meter.seconds());
      }
    };
    benchmark::RegisterBenchmark(contestants[i].name.c_str(), run_once)
        ->Iterations(1)
        ->UseManualTime()
        ->Repetitions(static_cast<int>(settings_.rounds));
  }
  Silent reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter, ".");
  benchmark::ClearRegisteredBenchmarks();
  show_progress("");
  return table;
}

const Table& Suite::compare(const std::string& title, const std::vector<Contestant>& contestants) {
  const Table& table = tables_.emplace_back(measure(title, contestants));
  print(fmt::format("\n**{}**\n\n{}", title, table.text()));
  return table;
}

const Sweep& Suite::sweep(const std::string& title, const std::string& parameter, const std::vector<double>& values,
                          const std::function<std::vector<Contestant>(double)>& contestants) {
  Sweep& sweep = sweeps_.emplace_back();
  std::vector<std::vector<std::string>> cells;
  for (const double value : values) {
    sweep.values.push_back(value);
    const Table& table =
        sweep.tables.emplace_back(measure(fmt::format("{}, {} {:g}", title, parameter, value), contestants(value)));
    const auto baseline = std::ranges::find(table.rows, true, &Row::is_baseline);
    if (cells.empty()) {
      auto& heading = cells.emplace_back(1, parameter);
      for (const Row& row : table.rows) heading.push_back(row.name);
    }
    auto& line = cells.emplace_back(1, fmt::format("{:g}", value));
    for (const Row& column : sweep.tables.front().rows) {
      if (!table.has(column.name)) {
        line.emplace_back("-");
        continue;
      }
      line.push_back(number(table.row(column.name).median()));
      if (baseline == table.rows.end() || column.name == baseline->name) continue;
      line.back() += fmt::format(" ({:.2f} x)", table.ratio(column.name, baseline->name));
    }
  }
  print(fmt::format("\n**{}**: {}\n\n{}", title, sweep.tables.front().figure(), markdown(cells)));
  return sweep;
}

void Suite::print(const std::string& text) {
  fmt::print("{}", text);
  (void)std::fflush(stdout);
  report_ += text;
}

std::string Suite::bars() const {
  std::vector<std::vector<std::string>> cells(1, {"what", "wanted", "measured", "met"});
  for (const Bar& bar : bars_) cells.push_back({bar.what, bar.wanted(), bar.reached(), bar.met() ? "yes" : "NO"});
  return markdown(cells);
}

void Suite::write_results() const {
  std::string pictures;
  for (const Chart& chart : charts_) {
    draw(chart, settings_.results);
    pictures += fmt::format("\n![{}]({})\n", chart.title, chart.file);
  }
  const auto file = settings_.results / "results.md";
  std::ofstream stream(file);
  stream << fmt::format(
      "# Results\n\nWritten by `./dev bench`: nothing in here was typed. Every ratio compares medians of runs that "
      "took turns in one\nprogram. {}\n\n{}{}\n## What we want to reach\n\n{}{}",
      "Less is better, unless a unit says otherwise.", description_of_machine(), pictures, bars(), report_);
  stream.close();
  if (!stream) throw std::runtime_error(fmt::format("cannot write {}", file.string()));
  fmt::print("\nWritten: {}\n", file.string());
}

bool Suite::run() {
  for (const Workload* workload : Workload::all()) {
    if (!settings_.only.empty() && std::ranges::count(settings_.only, workload->name) == 0) continue;
    print(fmt::format("\n## {}: {}\n", workload->name, workload->what));
    workload->run(*this);
  }
  if (!bars_.empty()) fmt::print("\n{}", bars());
  if (!settings_.results.empty()) write_results();
  bool good = true;
  for (const Bar& bar : bars_) {
    if (!bar.is_counted || bar.met()) continue;
    good = false;
    fmt::print(stderr, "benchmarks: {} should be {}, but is {}\n", bar.what, bar.wanted(), bar.reached());
  }
  return good;
}

Workload::Workload(std::string short_name, std::string description, Run function)
    : name(std::move(short_name)), what(std::move(description)), run(function) {
  registered().push_back(this);
}

std::vector<const Workload*> Workload::all() {
  auto list = registered();
  std::ranges::sort(list, {}, [](const Workload* workload) { return workload->name; });
  return list;
}
