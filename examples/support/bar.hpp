// bar and Pace: how far something has come as text, and how often that is worth drawing.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>

#include "terminal.hpp"
#include <fmt/core.h>

/// Of nothing, all is done.
inline std::size_t percent(std::size_t done, std::size_t total) {
  return total == 0 ? 100 : std::min<std::size_t>(100, 100 * done / total);
}

/// [########................]  33 %
inline std::string bar(std::size_t done, std::size_t total) {
  constexpr std::size_t width = 24;
  const std::size_t part = total == 0 ? width : std::min(width, width * done / total);
  return fmt::format("[{:#<{}}{:.<{}}] {:3} %", "", part, "", width - part, percent(done, total));
}

/// Ten times a second on a terminal, every five seconds without one.
class Pace {
 public:
  explicit Pace(bool terminal) : terminal_(terminal) { restart(); }

  /// On a terminal it is due at once.
  void restart() { last_ = terminal_ ? Clock::time_point() : Clock::now(); }
  /// If so, not again for a while.
  [[nodiscard]] bool is_due() {
    const auto now = Clock::now();
    if (now - last_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(5))) return false;
    last_ = now;
    return true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  bool terminal_;
  Clock::time_point last_;
};
