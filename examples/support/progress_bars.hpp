// ProgressBars: several bars at once, redrawn on a terminal; plain lines where the output goes elsewhere.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bar.hpp"
#include "terminal.hpp"
#include <fmt/core.h>

/// How far one of them has come. The texts are plain ASCII.
struct ProgressLine {
  std::string name;
  std::size_t done = 0;
  std::size_t total = 0;
  std::string note{};
};

/// On standard error. The cursor stands below the bars, so whatever ends the program leaves it in its place. One
/// thread.
class ProgressBars {
 public:
  ProgressBars() = default;
  ProgressBars(const ProgressBars&) = delete;
  ProgressBars& operator=(const ProgressBars&) = delete;
  ~ProgressBars() { clear(); }

  /// Is it time for an `update`? Ten times a second at most, without a terminal every five seconds.
  [[nodiscard]] bool is_due() { return pace_.is_due(); }
  void update(std::span<const ProgressLine> lines) {
    if (terminal_) {
      draw(lines);
    } else {
      write(lines);
    }
  }

  /// It is over.
  void end(std::span<const ProgressLine> lines) {
    clear();
    if (!terminal_) write(lines);
  }

  /// Takes the bars away, before something else is written.
  void clear() noexcept {
    if (shown_ > 0) terminal::write(fmt::format("\r\033[{}A\033[J", std::exchange(shown_, 0)));
  }

 private:
  static void write(std::span<const ProgressLine> lines) {
    std::string text;
    for (const ProgressLine& line : lines) {
      text += fmt::format("{}: {} %, {}\n", line.name, percent(line.done, line.total), line.note);
    }
    terminal::write(text);
  }

  void draw(std::span<const ProgressLine> lines) {
    const terminal::Size size = terminal::size();
    const std::size_t room = size.rows - std::min<std::size_t>(size.rows, 2);
    const std::size_t bars = lines.size() <= room ? lines.size() : room - std::min<std::size_t>(room, 1);
    std::size_t width = 0;
    for (const ProgressLine& line : lines) width = std::max(width, line.name.size());
    std::vector<std::string> texts;
    for (const ProgressLine& line : lines.first(bars)) {
      texts.push_back(fmt::format("{:<{}} {}  {}", line.name, width, bar(line.done, line.total), line.note));
    }
    if (bars < lines.size()) texts.push_back(fmt::format("... and {} more", lines.size() - bars));

    std::string text = "\r";
    if (shown_ > 0) text += fmt::format("\033[{}A", shown_);
    for (const std::string& line : texts) {
      text += line.substr(0, size.columns - 1) + "\033[K\n";  // a full line might be wrapped
    }
    terminal::write(text + "\033[J");
    shown_ = texts.size();
  }

  bool terminal_ = terminal::is_there();
  Pace pace_{terminal_};
  std::size_t shown_ = 0;  // lines
};
