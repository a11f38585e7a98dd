// The errors of this library: one enumeration, its category, and the exception that carries it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <system_error>
#include <type_traits>

namespace batching {

/// Why a submission was not answered with its own output. What the batch function throws is not in this list: it
/// reaches its callers unchanged.
enum class errc {
  queue_full = 1,      ///< refused or evicted: as many items wait as may
  timed_out,           ///< the call's timeout passed before its output came
  cancelled,           ///< the caller cancelled
  closed,              ///< refused, or not started, because the batcher (or its executor) was closed
  wrong_output_count,  ///< the batch function returned more or fewer outputs than it was given inputs
  too_heavy,           ///< one item outweighs a whole batch
  would_deadlock,      ///< a wait that could never end was refused
  dropped,             ///< the batch function let go of its batch without answering this item
};

/// The category of `errc`; its name is "batching".
[[nodiscard]] inline const std::error_category& error_category() noexcept {
  class Category final : public std::error_category {
    const char* name() const noexcept override { return "batching"; }
    std::string message(int value) const override {
      switch (static_cast<errc>(value)) {
        case errc::queue_full:
          return "the queue is full";
        case errc::timed_out:
          return "the call timed out";
        case errc::cancelled:
          return "the call was cancelled";
        case errc::closed:
          return "the batcher is closed";
        case errc::wrong_output_count:
          return "the batch function returned the wrong number of outputs";
        case errc::too_heavy:
          return "the item is heavier than a whole batch may be";
        case errc::would_deadlock:
          return "waiting here could never end";
        case errc::dropped:
          return "the batch function dropped the item without answering it";
      }
      return "unknown error";
    }
  };
  static const Category category;
  return category;
}

[[nodiscard]] inline std::error_code make_error_code(errc value) noexcept {
  return {static_cast<int>(value), error_category()};
}

}  // namespace batching

template <>
struct std::is_error_code_enum<batching::errc> : std::true_type {};

namespace batching {

/// Thrown and delivered wherever this library itself has something to report; `code()` compares with `errc`.
class Error : public std::system_error {
 public:
  explicit Error(errc code) : std::system_error(make_error_code(code)) {}
  Error(errc code, const std::string& what) : std::system_error(make_error_code(code), what) {}
};

}  // namespace batching
