// Duplicates: finds the item that waits already and whose answer another may share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/fingerprint.hpp>
#include <batching/detail/index.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace batching::detail {

/// Those of one row that run, each for itself and its twins. Equal ones are found in constant time. Similar ones are
/// looked for among the latest `window` of them, which is as far apart as two in one batch can be.
template <class Used>
class BasicDuplicates {
 public:
  BasicDuplicates(const DedupRules& rules, std::size_t window) noexcept
      : rules_(rules), window_(smaller(window, most_compared)) {}

  /// The one of which `part` is a twin, or null. `threshold`: how similar that has to be.
  [[nodiscard]] Part* find(const Part& part, double threshold) const {
    if (rules_.exact) {
      Indexed* equal = equal_.find(part.fingerprint->hash(), [&](const Indexed& other) {
        return static_cast<const Part&>(other).fingerprint->equals(*part.fingerprint);
      });
      if (equal != nullptr) return static_cast<Part*>(equal);
    }
    switch (rules_.search) {
      case DedupRules::Search::none:
        return nullptr;
      case DedupRules::Search::similarity:
        return nearest(threshold,
                       [&](std::size_t slot) { return latest_[slot]->fingerprint->similarity(*part.fingerprint); });
      case DedupRules::Search::embedding:
        break;
    }
    const std::span<const float> embedding = part.fingerprint->embedding();
    return nearest(threshold, [&](std::size_t slot) {
      return rounding +
             static_cast<double>(cosine(&embeddings_[slot * embedding.size()], embedding.data(), embedding.size()));
    });
  }

  void add(Part& part) {
    if (rules_.exact) equal_.add(part, part.fingerprint->hash());
    if (rules_.search == DedupRules::Search::none) return;
    if (filled_ == 0) next_ = 0;
    const std::span<const float> embedding = part.fingerprint->embedding();
    if (next_ == latest_.size() && next_ < window_) {
      latest_.push_back(nullptr);
      embeddings_.resize(latest_.size() * embedding.size());
    }
    next_ %= window_;
    if (latest_[next_] != nullptr) {
      latest_[next_]->slot = Part::no_slot;
    } else {
      ++filled_;
    }
    latest_[next_] = &part;
    for (std::size_t i = 0; i < embedding.size(); ++i) embeddings_[next_ * embedding.size() + i] = embedding[i];
    part.slot = static_cast<std::uint32_t>(next_++);
  }

  /// It does not wait any more. False: nobody could have joined it.
  bool remove(Part& part) {
    const bool found = rules_.exact && equal_.remove(part);
    if (part.slot == Part::no_slot) return found;
    latest_[part.slot] = nullptr;
    part.slot = Part::no_slot;
    --filled_;
    return true;
  }

  /// Nobody joins those who wait now.
  void clear() noexcept {
    equal_.clear();
    for (Part*& part : latest_) {
      if (part != nullptr) part->slot = Part::no_slot;
      part = nullptr;
    }
    filled_ = 0;
  }

 private:
  static constexpr std::size_t most_compared = 4096;

  /// Embeddings are floats: two that are the same need not have a cosine of exactly 1.
  static constexpr double rounding = 1e-6;

  template <class F>
  [[nodiscard]] Part* nearest(double threshold, F similarity) const {
    Part* nearest = nullptr;
    double best = 0;
    for (std::size_t slot = 0; slot < latest_.size() && filled_ > 0; ++slot) {
      if (latest_[slot] == nullptr) continue;
      const double its = similarity(slot);
      if (its >= threshold && (nearest == nullptr || its > best)) {
        nearest = latest_[slot];
        best = its;
      }
    }
    return nearest;
  }

  const DedupRules rules_;
  const std::size_t window_;
  Late<Index, Used> equal_;
  Late<std::vector<Part*>, Used> latest_;      // a ring
  Late<std::vector<float>, Used> embeddings_;  // theirs, one behind the other
  std::size_t next_ = 0;
  std::size_t filled_ = 0;
};
using Duplicates = BasicDuplicates<WhenUsed>;

}  // namespace batching::detail
