// Indexing: all users at once, with their progress, until all is done or somebody presses Ctrl-C.
// SPDX-License-Identifier: BSL-1.0
#pragma once

// Ahead of Asio: what Asio 1.22 finds out about the standard library depends on what of it was included before.
#include <batching/batcher.hpp>

#include <asio/io_context.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <exception>
#include <stop_token>
#include <vector>

#include "../support/progress_bars.hpp"
#include "embedder.hpp"
#include "files.hpp"
#include "index.hpp"
#include "settings.hpp"
#include "user.hpp"

/// Users, display and signals take turns on the thread that calls `run`; the files are read, and the chunks embedded,
/// on the embedder's. It ends before what it was given.
class Indexing {
 public:
  Indexing(const Settings& settings, const Files& files, Index& index);

  /// Once. A first SIGINT or SIGTERM withdraws what has not begun, a second one ends the program.
  void run();

  [[nodiscard]] Embedder& embedder() noexcept { return embedder_; }
  [[nodiscard]] const std::deque<User>& users() const noexcept { return users_; }
  [[nodiscard]] std::chrono::duration<double> time() const noexcept { return time_; }
  /// The one that ended it; 0 if none did.
  [[nodiscard]] int caught_signal() const noexcept { return signal_; }
  /// The first error that was not due to that.
  [[nodiscard]] std::exception_ptr error() const;

 private:
  void start(std::size_t user);
  void watch_signals();
  void show_progress();
  void over();
  [[nodiscard]] std::vector<ProgressLine> progress() const;

  const Settings& settings_;
  const Files& files_;
  Index& index_;

  asio::io_context loop_{1};  // outlives the embedder's threads, which post to it
  Embedder embedder_;
  asio::signal_set signals_{loop_};
  asio::steady_timer timer_{loop_};
  std::stop_source stop_;
  ProgressBars bars_;
  std::deque<User> users_;
  std::size_t left_ = 0;
  int signal_ = 0;
  std::chrono::duration<double> time_{};
};
