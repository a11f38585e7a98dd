// The loop: who is started, and what happens when.
// SPDX-License-Identifier: BSL-1.0
#include "indexing.hpp"

#include <batching/error.hpp>

#include <csignal>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

#include "../support/terminal.hpp"
#include "chunks.hpp"
#include "journal.hpp"
#include <fmt/core.h>

Indexing::Indexing(const Settings& settings, const Files& files, Index& index)
    : settings_(settings), files_(files), index_(index), embedder_(make_embedder(settings)) {}

void Indexing::run() {
  const auto begin = std::chrono::steady_clock::now();
  left_ = settings_.users;
  watch_signals();
  show_progress();
  for (std::size_t user = 0; user < settings_.users; ++user) start(user);
  loop_.run();
  bars_.end(progress());
  time_ = std::chrono::steady_clock::now() - begin;
}

void Indexing::start(std::size_t user) {
  auto own = files_of(user, settings_.users, files_.files.size());
  std::uint64_t bytes = 0;
  for (const std::size_t file : own) bytes += files_.files[file].bytes;
  const auto journal = std::make_shared<Journal>();
  users_.emplace_back(fmt::format("user {}", user + 1), bytes)
      .start(embedder_, Chunks(files_.files, std::move(own), settings_.chunk, stop_.get_token(), journal), journal,
             index_, loop_.get_executor(), [this] { over(); });
}

void Indexing::watch_signals() {
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  signals_.async_wait([this](const std::error_code& error, int signal) {
    if (error) return;
    signal_ = signal;
    signals_.clear();
    bars_.clear();
    terminal::write("Stopping; what runs is finished, the rest is withdrawn.\n");
    stop_.request_stop();
    embedder_.stop();
  });
}

void Indexing::show_progress() {
  timer_.expires_after(std::chrono::milliseconds(100));
  timer_.async_wait([this](const std::error_code& error) {
    if (error || left_ == 0) return;  // it may have been on its way when it was cancelled
    if (bars_.is_due()) bars_.update(progress());
    show_progress();
  });
}

void Indexing::over() {
  if (--left_ > 0) return;
  signals_.cancel();
  signals_.clear();  // from here on they end the program
  timer_.cancel();
}

std::vector<ProgressLine> Indexing::progress() const {
  std::vector<ProgressLine> lines;
  for (const User& user : users_) lines.push_back(user.progress());
  return lines;
}

std::exception_ptr Indexing::error() const {
  for (const User& user : users_) {
    if (!user.error()) continue;
    try {
      std::rethrow_exception(user.error());
    } catch (const batching::Error& error) {
      if (signal_ == 0 || error.code() != batching::errc::closed) return user.error();
    } catch (...) {
      return user.error();
    }
  }
  return nullptr;
}
