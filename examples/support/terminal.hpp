// Terminal: standard error, where it is one.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace terminal {

/// Is it one that can move its cursor?
inline bool is_there() {
  const char* kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

struct Size {
  std::size_t rows = 24;
  std::size_t columns = 80;
};
inline Size size() {
  winsize asked{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &asked) != 0 || asked.ws_row == 0 || asked.ws_col == 0) return {};
  return {asked.ws_row, asked.ws_col};
}

/// Whether anybody sees it is not worth an error.
inline void write(const std::string& text) { (void)std::fputs(text.c_str(), stderr); }

}  // namespace terminal
