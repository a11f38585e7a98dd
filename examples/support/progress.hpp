// Progress: a bar that is redrawn on a terminal, plain lines where the output goes elsewhere.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "terminal.hpp"
#include <fmt/core.h>

/// Shows how far a program of several steps has come; on standard error, so that results can be piped on. One thread.
class Progress {
 public:
  explicit Progress(std::size_t steps) : steps_(steps), terminal_(terminal::is_there()) {}
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { clear(); }

  /// The next step: `total` things called `unit` are to be done.
  void begin(std::string what, std::size_t total, std::string unit) {
    ++step_;
    what_ = std::move(what);
    unit_ = std::move(unit);
    total_ = total;
    begin_ = Clock::now();
    drawn_ = terminal_ ? Clock::time_point() : begin_;
    update(0);
  }

  /// `done` of them are. Cheap: draws ten times a second at most, without a terminal every five seconds.
  void update(std::size_t done) {
    const auto now = Clock::now();
    if (now - drawn_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(5))) return;
    drawn_ = now;
    if (terminal_) {
      draw(done);
    } else {
      terminal::write(fmt::format("{}: {} of {} {}\n", title(), done, total_, unit_));
    }
  }

  /// The step is over.
  void end(std::size_t done) {
    clear();
    if (!terminal_) {
      const std::chrono::duration<double> time = Clock::now() - begin_;
      terminal::write(fmt::format("{}: {} {} in {:.2f} s\n", title(), done, unit_, time.count()));
    }
  }

  /// Takes the bar away, before something else is written.
  void clear() noexcept {
    if (std::exchange(shown_, false)) terminal::write("\r\033[K");
  }

 private:
  using Clock = std::chrono::steady_clock;

  std::string title() const { return fmt::format("[{:2}/{}] {}", step_, steps_, what_); }

  void draw(std::size_t done) {
    constexpr std::size_t width = 24;
    const std::size_t part = total_ == 0 ? width : std::min(width, width * done / total_);
    const std::size_t percent = total_ == 0 ? 100 : std::min<std::size_t>(100, 100 * done / total_);
    terminal::write(fmt::format("\r{} [{:#<{}}{:.<{}}] {:3} %\033[K", title(), "", part, "", width - part, percent));
    shown_ = true;
  }

  std::size_t steps_;
  std::size_t step_ = 0;
  bool terminal_;
  bool shown_ = false;
  std::string what_;
  std::string unit_;
  std::size_t total_ = 0;
  Clock::time_point begin_;
  Clock::time_point drawn_;
};
