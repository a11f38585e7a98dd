// gnuplot as a child process, given its commands and the data on standard input.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

/// In gnuplot's own quotes.
inline std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char letter : text) result += letter == '\'' ? std::string("''") : std::string(1, letter);
  return result + "'";
}

/// Throws a sentence if gnuplot is missing or fails.
inline void run_gnuplot(const std::string& commands) {
  if (std::system("command -v gnuplot > /dev/null 2>&1") != 0) {
    throw std::runtime_error("there is no chart: gnuplot is not installed (Debian: apt-get install gnuplot-nox)");
  }
  std::FILE* gnuplot = popen("gnuplot", "w");
  if (gnuplot == nullptr) throw std::runtime_error("there is no chart: gnuplot could not be started");
  (void)std::fputs(commands.c_str(), gnuplot);
  if (pclose(gnuplot) != 0) throw std::runtime_error("there is no chart: gnuplot failed, and has said why");
}
