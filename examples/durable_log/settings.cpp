// The command line's options and their help.
// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include <cmath>

#include "../support/command_line.hpp"

std::optional<Settings> parse_command_line(int count, char** arguments) {
  Settings settings;
  double timeout_ms = 0;
  CLI::App app(
      "Many callers each append a record to an SQLite database and go on when it is durable: what is it worth to give "
      "them one transaction per batch instead of one per record? Every record is read back at the end.",
      "durable_log");
  app.option_defaults()->take_last();
  app.add_option("FILE", settings.file,
                 "The records: its lines; - is standard input; default: one that the machine has");
  auto* database = app.add_option("--database", settings.database, "Append to this database, and leave it there");
  app.add_option("--directory", settings.directory,
                 "Make a fresh database in here, removed at the end (default: a cache directory on a disk)")
      ->excludes(database);
  app.add_flag("--keep", settings.keep, "Do not remove it");
  app.add_option("--chart", settings.chart, "The SVG file to draw")->capture_default_str();
  app.add_option("--callers", settings.callers, "How many callers at once")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 100'000))
      ->default_str("1,10,25,50,100,200,500");
  app.add_option("--records", settings.records,
                 "Records of each measurement (default: what there is time for on this disk)")
      ->check(CLI::Range(1, 10'000'000));
  app.add_flag("--quick", settings.quick, "A few seconds in all instead of about twenty");
  app.add_flag("--live", settings.live,
               "Say what the batcher is doing also where standard error is no terminal (there it is always shown)");
  app.add_option("--batch-size", settings.batch_size, "Most records in one transaction")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--timeout", timeout_ms, "How long a batch waits for more records, in ms; 0: never on purpose")
      ->check(CLI::Range(0.0, 60'000.0))
      ->capture_default_str();
  if (!parse(app, count, arguments)) return {};
  settings.batch_timeout = std::chrono::nanoseconds(std::llround(timeout_ms * 1e6));
  return settings;
}
