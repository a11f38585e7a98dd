// Index: passages and their embeddings, to be searched.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "embedding.hpp"
#include "journal.hpp"

struct Hit {
  float score = 0;  // the cosine, up to 1
  const Passage* passage = nullptr;
};

/// Looks at all of them for a query. What it answers does not depend on the order in which they were added.
class Index {
 public:
  /// A second time, from another user, changes nothing.
  void add(Passage passage, Embedding embedding);
  [[nodiscard]] std::size_t size() const noexcept { return vectors_.size(); }

  /// The `top` best with a score above 0, the best first; of equals whichever stands first in the files.
  [[nodiscard]] std::vector<Hit> nearest(const Embedding& query, std::size_t top) const;

 private:
  struct Vector {
    Passage passage;
    Embedding embedding;
  };
  std::map<std::pair<std::size_t, std::uint64_t>, Vector> vectors_;  // by file and offset
};
