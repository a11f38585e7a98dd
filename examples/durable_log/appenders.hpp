// Direct and Batched: the two ways of writing that are compared.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/batch_function.hpp>
#include <batching/batcher.hpp>

#include <asio/post.hpp>
#include <asio/thread_pool.hpp>

#include <cstddef>
#include <exception>
#include <filesystem>
#include <utility>

#include "log.hpp"

/// A transaction for each record. SQLite has one writer at a time, so callers have to take turns: a thread of its own
/// serves them first come, first served. (A mutex is no faster, and unfair: whoever has just had it gets it again, and
/// the latencies of those few say nothing about the many who wait.)
class Direct {
 public:
  explicit Direct(const std::filesystem::path& database) : writer_(database) {}

  /// `done(exception_ptr, RowId)` is called when the record is durable, or cannot be.
  template <class Done>
  void append(const Record& record, Done done) {
    asio::post(thread_, [this, record, done = std::move(done)]() mutable {
      RowId row = 0;
      std::exception_ptr error;
      try {
        row = writer_.append(record);
      } catch (...) {
        error = std::current_exception();
      }
      done(error, row);
    });
  }
  [[nodiscard]] double mean_batch() const noexcept { return 1; }

 private:
  LogWriter writer_;
  asio::thread_pool thread_{1};
};

/// A transaction for each batch: this is all there is to it. The connection belongs to the one partition.
class Batched {
 public:
  Batched(const std::filesystem::path& database, batching::Options options)
      : batcher_(batching::per_partition([database](std::size_t) { return LogWriter(database); }), options) {}

  template <class Done>
  void append(const Record& record, Done done) {
    batcher_.async_dispatch(record, std::move(done));
  }
  [[nodiscard]] double mean_batch() const { return batcher_.stats().mean_batch_size(); }

 private:
  batching::Batcher<Record, RowId> batcher_;
};
