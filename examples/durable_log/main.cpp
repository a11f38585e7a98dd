// durable_log: what batching is worth to callers who may go on only when their record is durable.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <vector>

#include "chart.hpp"
#include "check.hpp"
#include "interrupt.hpp"
#include "lines.hpp"
#include "measure.hpp"
#include "place.hpp"
#include "report.hpp"
#include "settings.hpp"
#include <fmt/core.h>

namespace {

void draw(const Settings& settings, const std::vector<Row>& rows, double cost) {
  try {
    draw_chart(settings.chart, rows, cost);
    fmt::print("Chart: {}\n", std::filesystem::absolute(settings.chart).string());
  } catch (const std::exception& error) {
    fmt::print("{}\n", error.what());
  }
}

int run(const Settings& settings) {
  check_chart_file(settings.chart);
  const Lines input = read_lines(settings.file);
  watch_signals();
  const Place place(settings);
  fmt::print("Records:  the {} lines of {}\nDatabase: {}{}{}\n", input.lines.size(), input.source,
             place.database().string(), place.is_kept() ? "" : " (removed at the end)",
             place.is_in_memory()
                 ? "\nThis place is in memory: nothing there is durable, and a write costs next to nothing."
                 : "");
  Experiment experiment(settings, place.database(), input.lines);
  const double cost = experiment.cost_of_a_durable_write();
  if (!experiment.error()) fmt::print("One durable write costs {} ms on this disk.\n", milliseconds(cost));
  (void)std::fflush(stdout);

  experiment.run();
  const bool finished = !experiment.error() && caught_signal() == 0;
  const double cost_afterwards = finished ? experiment.cost_of_a_durable_write() : cost;
  if (caught_signal() != 0) fmt::print("Stopped early; this is what was done until then.\n");
  if (!experiment.rows().empty()) print_table(experiment.rows());
  if (std::max(cost, cost_afterwards) > 2 * std::min(cost, cost_afterwards)) {
    fmt::print(
        "Afterwards one durable write costs {} ms: the disk is busy otherwise, so take single numbers with care.\n",
        milliseconds(cost_afterwards));
  }
  const Findings findings = read_back(place.database(), experiment.told());
  print_findings(findings);
  if (experiment.error()) std::rethrow_exception(experiment.error());
  draw(settings, experiment.rows(), cost);
  if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write to standard output");
  if (!findings.good()) return 1;
  return caught_signal() == 0 ? 0 : 128 + caught_signal();
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader who has gone away is an error like any other
  std::signal(SIGXFSZ, SIG_IGN);  // and so is a file that may not grow
  try {
    const auto settings = parse_command_line(count, arguments);
    return settings ? run(*settings) : 0;
  } catch (const std::exception& error) {
    (void)std::fflush(stdout);
    (void)std::fputs(fmt::format("durable_log: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
}
