// Tokens, their hashes, and where those go.
// SPDX-License-Identifier: BSL-1.0
#include "embedding.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace {

constexpr std::size_t dimensions = 384;

/// FNV-1a.
constexpr std::uint64_t seed = 0xcbf29ce484222325;
constexpr std::uint64_t mix(std::uint64_t hash, unsigned char byte) { return (hash ^ byte) * 0x100000001b3; }

/// Letters, digits, and whatever is not ASCII.
constexpr bool is_in_word(unsigned char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || byte >= 0x80;
}
constexpr unsigned char lower(unsigned char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<unsigned char>(byte - 'A' + 'a') : byte;
}

void add(Embedding& embedding, std::uint64_t hash, float weight) {
  hash ^= hash >> 32;  // FNV's low bits are its best; let all of them count
  embedding[static_cast<std::size_t>((hash >> 1) % dimensions)] += (hash & 1) == 0 ? weight : -weight;
}

/// Short words are frequent ones, which say little.
float weight_of(std::size_t length) { return std::min(1.0F, static_cast<float>(length) / 8); }

}  // namespace

Embedded embed(std::string_view text) {
  Embedded result{Embedding(dimensions), 0};
  std::uint64_t before = 0;
  float weight_before = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::uint64_t hash = seed;
    const std::size_t begin = at;
    for (; at < text.size() && is_in_word(static_cast<unsigned char>(text[at])); ++at) {
      hash = mix(hash, lower(static_cast<unsigned char>(text[at])));
    }
    if (at == begin) {
      ++at;
      continue;
    }
    const float weight = weight_of(at - begin);
    add(result.embedding, hash, weight);
    if (result.tokens > 0) {
      std::uint64_t pair = before;
      for (unsigned shift = 0; shift < 64; shift += 8) pair = mix(pair, static_cast<unsigned char>(hash >> shift));
      add(result.embedding, pair, (weight + weight_before) / 2);
    }
    before = hash;
    weight_before = weight;
    ++result.tokens;
  }
  const float length = std::sqrt(similarity(result.embedding, result.embedding));
  if (length > 0) {
    for (float& value : result.embedding) value /= length;
  }
  return result;
}

float similarity(const Embedding& one, const Embedding& other) {
  return std::inner_product(one.begin(), one.end(), other.begin(), 0.0F);
}
