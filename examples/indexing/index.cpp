// The search.
// SPDX-License-Identifier: BSL-1.0
#include "index.hpp"

#include <algorithm>

void Index::add(Passage passage, Embedding embedding) {
  const std::pair place(passage.file, passage.offset);
  vectors_.try_emplace(place, Vector{std::move(passage), std::move(embedding)});
}

std::vector<Hit> Index::nearest(const Embedding& query, std::size_t top) const {
  std::vector<Hit> hits;
  for (const auto& [place, vector] : vectors_) {
    const float score = similarity(query, vector.embedding);
    if (score > 0) hits.push_back({score, &vector.passage});
  }
  std::ranges::stable_sort(hits, std::ranges::greater(), &Hit::score);
  hits.resize(std::min(hits.size(), top));
  return hits;
}
