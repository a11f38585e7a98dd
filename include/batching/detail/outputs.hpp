// Storage for inputs and outputs: contiguous whatever the type, outputs in place whenever they come.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/ranges.hpp>
#include <batching/detail/recycling.hpp>

#include <concepts>
#include <cstddef>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

/// What stands for an output where there is none.
struct Nothing {};

template <class Out>
using Stored = std::conditional_t<std::is_void_v<Out>, Nothing, Out>;

/// What a call of many items is answered with.
template <class Out>
using Many = std::conditional_t<std::is_void_v<Out>, void, std::vector<Stored<Out>>>;

/// Contiguous, unlike `std::vector<bool>`; just what is needed here.
template <class T>
class BasicBoolArray {
 public:
  BasicBoolArray() = default;
  explicit BasicBoolArray(std::size_t size) { resize(size); }
  [[nodiscard]] T* data() noexcept { return items_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void clear() noexcept { size_ = 0; }
  void reserve(std::size_t capacity) {
    if (capacity <= capacity_) return;
    auto items = std::make_unique<T[]>(capacity);
    for (std::size_t i = 0; i < size_; ++i) items[i] = items_[i];
    items_ = std::move(items);
    capacity_ = capacity;
  }
  void resize(std::size_t size) {
    reserve(size);
    for (std::size_t i = size_; i < size; ++i) items_[i] = T();
    size_ = size;
  }
  void push_back(T item) {
    if (size_ == capacity_) reserve(size_ == 0 ? 8 : 2 * size_);
    items_[size_++] = item;
  }

 private:
  std::unique_ptr<T[]> items_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};
using BoolArray = BasicBoolArray<bool>;

template <class T>
using Array = std::conditional_t<std::is_same_v<T, bool>, BoolArray, std::vector<T>>;

/// Likewise, for a batch that is used again.
template <class T>
using RecycledArray = std::conditional_t<std::is_same_v<T, bool>, BoolArray, std::vector<T, RecyclingAllocator<T>>>;
template <class L>
void give_back(BasicBoolArray<L>& array) noexcept {
  array.clear();
}

/// An element of a range: moved from what owns its elements and was given away, else as it is.
template <class Range, class Iterator>
[[nodiscard]] decltype(auto) element(const Iterator& at) {
  if constexpr (BorrowedRange<Range>) {
    return *at;
  } else {
    return std::ranges::iter_move(at);
  }
}

/// All of them.
template <class In, class Range>
[[nodiscard]] Array<In> to_array(Range&& range) {
  if constexpr (std::same_as<Range, Array<In>>) {
    return std::forward<Range>(range);
  } else if constexpr (ContiguousRange<Range> && SizedRange<Range> && BorrowedRange<Range> &&
                       std::same_as<std::vector<ValueOf<Range>>, Array<In>>) {
    const auto* first = std::ranges::data(range);
    return Array<In>(first, first + std::ranges::size(range));  // at once, if it is bytes
  } else {
    Array<In> inputs;
    if constexpr (SizedRange<Range>) inputs.reserve(static_cast<std::size_t>(std::ranges::size(range)));
    for (auto at = std::ranges::begin(range); at != std::ranges::end(range); ++at) {
      inputs.push_back(static_cast<In>(element<Range>(at)));
    }
    return inputs;
  }
}

/// The outputs of a call of many items, which may come from several batches at once: each slice writes its own
/// elements, `take` makes the vector.
template <class Out>
class Outputs {
 public:
  explicit Outputs(std::size_t size) : slots_(size) {}

  void put(std::size_t index, Out&& output) {
    if constexpr (in_place) {
      slots_.data()[index] = std::move(output);
    } else {
      slots_[index].emplace(std::move(output));
    }
  }
  [[nodiscard]] std::vector<Out> take() {
    if constexpr (in_place && !std::same_as<Out, bool>) {
      return std::move(slots_);
    } else {
      std::vector<Out> outputs;
      outputs.reserve(slots_.size());
      for (std::size_t i = 0; i < slots_.size(); ++i) {
        if constexpr (in_place) {
          outputs.push_back(slots_.data()[i]);
        } else {
          outputs.push_back(std::move(*slots_[i]));
        }
      }
      return outputs;
    }
  }

 private:
  static constexpr bool in_place = std::default_initializable<Out> && std::is_move_assignable_v<Out>;
  std::conditional_t<in_place, Array<Out>, std::vector<std::optional<Out>>> slots_;
};

template <>
class Outputs<Nothing> {
 public:
  explicit Outputs(std::size_t) {}
  void put(std::size_t, Nothing) {}
  Nothing take() { return {}; }
};

}  // namespace batching::detail
