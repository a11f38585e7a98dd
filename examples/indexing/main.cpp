// indexing: text files, embedded in the common batches of several users, and what is nearest to a query.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

#include "../support/terminal.hpp"
#include "files.hpp"
#include "index.hpp"
#include "indexing.hpp"
#include "report.hpp"
#include "settings.hpp"
#include <fmt/core.h>
#include <unistd.h>

namespace {

void announce(const Settings& settings, const Files& files) {
  std::uint64_t bytes = 0;
  for (const File& file : files.files) bytes += file.bytes;
  for (const std::string& reason : files.skipped) terminal::write(fmt::format("Skipped: {}\n", reason));
  const auto plural = [](std::size_t count) { return count == 1 ? "" : "s"; };
  terminal::write(fmt::format("Indexing {} file{} of {} KB for {} user{}.\n", files.files.size(),
                              plural(files.files.size()), (bytes + 999) / 1000, settings.users,
                              plural(settings.users)));
}

/// Ctrl-C ends the program here as it ends any other.
void ask_for_queries(const auto& answer) {
  std::string query;
  while (terminal::write("\nSearch (Ctrl-D ends): "), std::getline(std::cin, query)) {
    if (!query.empty()) answer(query);
    (void)std::fflush(stdout);
  }
  terminal::write("\n");
}

int run(const Settings& settings) {
  const Files files = find_files(settings.paths);
  announce(settings, files);
  Index index;
  Indexing indexing(settings, files, index);
  indexing.run();

  print_summary(indexing, indexing.embedder().stats(), index);
  // Not through a window: a query stands alone, and the embedder may have been stopped.
  const auto answer = [&](const std::string& query) {
    print_hits(query, index.nearest(indexing.embedder().inline_one(query), settings.top), files);
  };
  for (const std::string& query : settings.queries) answer(query);
  const bool stopped = indexing.error() || indexing.caught_signal() != 0;
  if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write to standard output");
  if (settings.queries.empty() && !stopped && isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {
    ask_for_queries(answer);
  }
  if (indexing.error()) std::rethrow_exception(indexing.error());
  if (std::fflush(stdout) != 0) throw std::runtime_error("cannot write to standard output");
  return indexing.caught_signal() == 0 ? 0 : 128 + indexing.caught_signal();
}

}  // namespace

int main(int count, char** arguments) {
  std::signal(SIGPIPE, SIG_IGN);  // a reader who has gone away is an error like any other
  try {
    const auto settings = parse_command_line(count, arguments);
    return settings ? run(*settings) : 0;
  } catch (const std::exception& error) {
    (void)std::fflush(stdout);
    (void)std::fputs(fmt::format("indexing: {}\n", error.what()).c_str(), stderr);
    return 1;
  }
}
