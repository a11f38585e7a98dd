// Fingerprints: what deduplication compares of an item, without its type.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/label.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/when_used.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace batching::detail {

/// How a batcher looks for items whose answer another may share.
struct DedupRules {
  enum class Search : std::uint8_t { none, similarity, embedding };

  bool exact = false;  // equal ones
  bool join_running = false;
  Search search = Search::none;  // then similar ones
  double threshold = 1;          // from which on they are

  [[nodiscard]] explicit operator bool() const noexcept { return exact || search != Search::none; }
};

/// Made on the caller's thread; compared on the strand, so nothing leaves these functions. All fingerprints that meet
/// are of one type.
class Fingerprint : public Label {
 public:
  using Ptr = Owned<Fingerprint>;
  using Label::Label;
  /// From 0 to 1.
  [[nodiscard]] virtual double similarity(const Fingerprint& other) const noexcept = 0;
  /// Of length 1, or all 0; filled up to a multiple of `embedding_step`.
  [[nodiscard]] virtual std::span<const float> embedding() const noexcept = 0;

 protected:
  ~Fingerprint() override = default;
};

/// `Thing` is what is compared: the item, a reference to it, or its key. `Functions` compares two of them.
template <class Thing, class Functions>
class FingerprintOf final : public Fingerprint {
 public:
  static Ptr make(std::size_t hash, Thing thing, std::vector<float> embedding, const Functions& functions) {
    return Ptr(
        create<FingerprintOf>(RecyclingAllocator<void>(), hash, std::move(thing), std::move(embedding), functions));
  }
  FingerprintOf(std::size_t hash, Thing&& thing, std::vector<float>&& embedding, const Functions& functions)
      : Fingerprint(hash), thing_(std::move(thing)), embedding_(std::move(embedding)), functions_(functions) {}

  [[nodiscard]] bool equals(const Label& other) const noexcept override {
    if (hash() != other.hash()) return false;
    try {
      return functions_.equal(thing_, static_cast<const FingerprintOf&>(other).thing_);
    } catch (...) {
      return false;
    }
  }
  [[nodiscard]] double similarity(const Fingerprint& other) const noexcept override {
    try {
      return functions_.similarity(thing_, static_cast<const FingerprintOf&>(other).thing_);
    } catch (...) {
      return 0;
    }
  }
  [[nodiscard]] std::span<const float> embedding() const noexcept override { return embedding_; }

 private:
  void destroy() noexcept override { detail::destroy(this, RecyclingAllocator<void>()); }

  const Thing thing_;
  const Late<std::vector<float>, Thing> embedding_;
  const Functions& functions_;
};

/// So many products are summed side by side, in as many sums: then the compiler may use its widest registers, which it
/// may not where the order of additions would change.
inline constexpr std::size_t embedding_step = 16;

/// Newton's method, from half the exponent on. (<cmath> would be most of what this header costs.)
[[nodiscard]] inline double square_root(double square) noexcept {
  double root = std::bit_cast<double>((std::bit_cast<std::uint64_t>(square) + std::bit_cast<std::uint64_t>(1.0)) / 2);
  for (int step = 0; step < 5; ++step) root = (root + square / root) / 2;
  return root;
}

/// The same direction with length 1; what has none is similar to nothing.
template <class Vector>
[[nodiscard]] Vector normalized(Vector embedding) {
  double square = 0;
  for (const float x : embedding) square += static_cast<double>(x) * static_cast<double>(x);
  const double length = square_root(square);
  const bool has_direction = square > 0 && square <= std::numeric_limits<double>::max();
  for (float& x : embedding) x = has_direction ? static_cast<float>(x / length) : 0;
  embedding.resize((embedding.size() + embedding_step - 1) / embedding_step * embedding_step);
  return embedding;
}

/// The cosine of the angle between two normalized embeddings of `size` floats.
[[nodiscard]] inline float cosine(const float* one, const float* other, std::size_t size) noexcept {
  float sums[embedding_step] = {};
  for (std::size_t i = 0; i < size; i += embedding_step) {
    for (std::size_t j = 0; j < embedding_step; ++j) sums[j] += one[i + j] * other[i + j];
  }
  float sum = 0;
  for (const float part : sums) sum += part;
  return sum;
}

}  // namespace batching::detail
