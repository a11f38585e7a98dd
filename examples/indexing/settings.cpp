// The command line's options and their help.
// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include "../support/command_line.hpp"

std::optional<Settings> parse_command_line(int count, char** arguments) {
  Settings settings;
  int model_delay = 0;
  CLI::App app(
      "Several users index text files at once: the files are split into chunks, the chunks of all users are embedded "
      "in common batches, and each user sees the progress, the latency and the cost of their own. Then the chunks "
      "nearest to a query can be asked for.",
      "indexing");
  app.option_defaults()->take_last();
  app.add_option("PATH", settings.paths,
                 "Text files, and directories for the files in them (default: /usr/share/common-licenses)")
      ->take_all();
  app.add_option("--users", settings.users, "How many users at once; half of the files are read by all of them")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--chunk", settings.chunk, "Most words in a chunk; a paragraph's end may end it sooner")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--partitions", settings.partitions, "Batches that are embedded at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--query", settings.queries, "Show the chunks nearest to this text; may be given several times")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--top", settings.top, "How many chunks to show for a query")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--model-delay", model_delay,
                 "Let each batch take so many ms longer, as a larger model would: then the progress can be watched")
      ->check(CLI::Range(0, 60'000))
      ->capture_default_str();
  app.footer("Without --query, on a terminal, it asks for queries until Ctrl-D.");
  if (!parse(app, count, arguments)) return {};
  settings.model_delay = std::chrono::milliseconds(model_delay);
  return settings;
}
