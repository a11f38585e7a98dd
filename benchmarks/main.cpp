// The benchmarks: every figure as a ratio to a baseline that was measured in the same run.
// SPDX-License-Identifier: BSL-1.0
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "suite.hpp"
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <fmt/core.h>

namespace {

std::string list_of_workloads() {
  std::string list = "Workloads:\n";
  for (const Workload* workload : Workload::all()) list += fmt::format("  {:<12} {}\n", workload->name, workload->what);
  return list;
}

/// Nothing if the program is to end with `exit_status`: it has printed its help.
std::optional<Settings> parse_command_line(int count, char** arguments, int& exit_status) {
  Settings settings;
  CLI::App app("Measures batching against baselines, all in the same run.");
  std::vector<std::string> names;
  for (const Workload* workload : Workload::all()) names.push_back(workload->name);
  app.add_option("workloads", settings.only, "the workloads to run; none: all")->check(CLI::IsMember(names));
  app.add_flag("--quick", settings.quick, "only check that all works, and what can be counted");
  const auto* rounds = app.add_option("--rounds", settings.rounds, "how often to run each contestant; medians count")
                           ->check(CLI::Range(1, 1000));
  app.add_option("--results", settings.results, "a directory to write results.md and the charts to")
      ->check(CLI::ExistingDirectory);
  app.footer(list_of_workloads());
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    exit_status = app.exit(error);
    return std::nullopt;
  }
  if (settings.quick && rounds->count() == 0) settings.rounds = 1;
  return settings;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    int exit_status = 0;
    auto settings = parse_command_line(count, arguments, exit_status);
    if (!settings) return exit_status;
    return Suite(std::move(*settings)).run() ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "benchmarks: {}\n", error.what());
    return 1;
  }
}
