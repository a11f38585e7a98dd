// Progress: a bar that is redrawn on a terminal, plain lines where the output goes elsewhere.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <utility>

#include "bar.hpp"
#include "terminal.hpp"
#include <fmt/core.h>

/// Shows how far a program of several steps has come; on standard error, so that results can be piped on. One thread.
class Progress {
 public:
  explicit Progress(std::size_t steps) : steps_(steps) {}
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
    pace_.restart();
    update(0);
  }

  /// `done` of them are. Cheap: draws ten times a second at most, without a terminal every five seconds.
  void update(std::size_t done) {
    if (!pace_.is_due()) return;
    if (terminal_) {
      terminal::write(fmt::format("\r{} {}\033[K", title(), bar(done, total_)));
      shown_ = true;
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

  std::size_t steps_;
  std::size_t step_ = 0;
  bool terminal_ = terminal::is_there();
  bool shown_ = false;
  Pace pace_{terminal_};
  std::string what_;
  std::string unit_;
  std::size_t total_ = 0;
  Clock::time_point begin_;
};
