// User: consumes the stream of their own chunks, and knows what they have come to.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/histogram.hpp>

#include <asio/any_io_executor.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "../support/progress_bars.hpp"
#include "chunks.hpp"
#include "embedder.hpp"
#include "index.hpp"
#include "journal.hpp"

/// A chain of callbacks on the executor it is given, which is to be that of one thread. Stays where it is.
class User {
 public:
  struct Account {
    std::size_t chunks = 0;
    std::size_t tokens = 0;
    double dollars = 0;
    batching::Histogram latency;  // from when a chunk was read until its embedding was here, in the order of the chunks
  };

  /// `bytes`: of all the user's files.
  User(std::string name, std::uint64_t bytes) : name_(std::move(name)), bytes_(bytes) {}
  User(const User&) = delete;
  User& operator=(const User&) = delete;

  /// `over` is called when no more will come.
  void start(Embedder& embedder, Chunks chunks, std::shared_ptr<Journal> journal, Index& index,
             const asio::any_io_executor& executor, std::function<void()> over);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const Account& account() const noexcept { return account_; }
  /// Why not all of it was done: a file that cannot be read, say, or that the embedder was stopped.
  [[nodiscard]] std::exception_ptr error() const noexcept { return error_; }
  [[nodiscard]] ProgressLine progress() const;

 private:
  using Stream = batching::Stream<Embedding>;

  void listen();
  void hear(const Stream::Event& hook);
  void take(Stream::Event& outputs);

  std::string name_;
  std::uint64_t bytes_;
  std::uint64_t done_ = 0;  // of them
  Account account_;
  std::exception_ptr error_;

  std::shared_ptr<Journal> journal_;
  Index* index_ = nullptr;
  asio::any_io_executor executor_;
  std::function<void()> over_;
  std::optional<Stream> stream_;
};
