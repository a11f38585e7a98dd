// Embedding: a text as a vector, such that texts of similar words point in similar directions.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

using Embedding = std::vector<float>;

struct Embedded {
  Embedding embedding;
  std::size_t tokens = 0;
};

/// Feature hashing with signs (Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009) of
/// words and pairs of neighbouring words, of length 1; all 0 for a text without words. The same everywhere and always.
[[nodiscard]] Embedded embed(std::string_view text);

/// The cosine of two that `embed` has made.
[[nodiscard]] float similarity(const Embedding& one, const Embedding& other);
