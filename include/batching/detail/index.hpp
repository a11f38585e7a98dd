// Index: finds entries by a hash; they carry the links, so that none is allocated.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/when_used.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace batching::detail {

/// Whoever can be in an index; in one at a time.
struct Indexed {
  std::size_t hash = 0;
  Indexed* next_in_index = nullptr;
};

/// Several entries may be equal: it is the user's to say what is, so entries are removed by their address. Every
/// function takes constant time on average, for any hash function.
template <class Used>
class BasicIndex {
 public:
  BasicIndex() = default;
  BasicIndex(const BasicIndex&) = delete;
  BasicIndex& operator=(const BasicIndex&) = delete;

  void add(Indexed& entry, std::size_t hash) {
    if (size_ == chains_.size()) grow();
    entry.hash = hash;
    push(entry);
    ++size_;
  }
  /// False: it is not here.
  bool remove(Indexed& entry) noexcept {
    if (size_ == 0) return false;
    Indexed** link = &chain_of(entry.hash);
    while (*link != &entry) {
      if (*link == nullptr) return false;
      link = &(*link)->next_in_index;
    }
    *link = entry.next_in_index;
    --size_;
    if (size_ == 0 && chains_.size() > many) clear();
    return true;
  }
  /// The first entry of that hash for which `equal` is true, or null.
  template <class Equal>
  [[nodiscard]] Indexed* find(std::size_t hash, Equal equal) const {
    if (size_ == 0) return nullptr;
    Indexed* entry = chains_[place_of(hash)];
    while (entry != nullptr && (entry->hash != hash || !equal(*entry))) entry = entry->next_in_index;
    return entry;
  }
  /// `f` may destroy the entry.
  template <class F>
  void for_each(F f) {
    for (Indexed* entry : chains_) {
      while (entry != nullptr) f(*std::exchange(entry, entry->next_in_index));
    }
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// Nobody is here any more, and the memory is given back.
  void clear() noexcept {
    chains_ = std::vector<Indexed*>();
    size_ = 0;
  }

 private:
  static constexpr std::size_t few = 16;
  static constexpr std::size_t many = 16384;  // an index so large does not stay when it is empty

  void push(Indexed& entry) noexcept {
    Indexed*& chain = chain_of(entry.hash);
    entry.next_in_index = std::exchange(chain, &entry);
  }
  void grow() {
    std::vector<Indexed*> chains(chains_.empty() ? few : 2 * chains_.size());
    chains.swap(chains_);
    for (Indexed* entry : chains) {
      while (entry != nullptr) push(*std::exchange(entry, entry->next_in_index));
    }
  }
  Indexed*& chain_of(std::size_t hash) noexcept { return chains_[place_of(hash)]; }
  /// The hash of an integer is most likely that integer: all of its bits are to count (Knuth's multiplicative hashing).
  [[nodiscard]] std::size_t place_of(std::size_t hash) const noexcept {
    const std::uint64_t mixed = static_cast<std::uint64_t>(hash) * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(mixed ^ (mixed >> 32U)) & (chains_.size() - 1);
  }

  Late<std::vector<Indexed*>, Used> chains_;  // a power of two
  std::size_t size_ = 0;
};
using Index = BasicIndex<WhenUsed>;

}  // namespace batching::detail
