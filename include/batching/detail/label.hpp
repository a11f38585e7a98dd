// Labels: keys of the user's type, as the stages see them, and the functions that give items weight and key.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/owned.hpp>
#include <batching/detail/recycling.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <type_traits>
#include <utility>

namespace batching::detail {

/// A key without its type. All labels that meet are of one type.
class Label {
 public:
  using Ptr = Owned<Label>;
  static void destroy_owned(Label* label) noexcept { label->destroy(); }

  explicit Label(std::size_t hash) noexcept : hash_(hash) {}
  Label(const Label&) = delete;
  Label& operator=(const Label&) = delete;

  [[nodiscard]] std::size_t hash() const noexcept { return hash_; }
  [[nodiscard]] virtual bool equals(const Label& other) const noexcept = 0;

 protected:
  virtual ~Label() = default;
  virtual void destroy() noexcept = 0;

 private:
  const std::size_t hash_;
};

template <class Key>
class LabelOf final : public Label {
 public:
  static Ptr make(Key&& key) {
    const std::size_t hash = std::hash<Key>()(key);
    return Ptr(create<LabelOf>(RecyclingAllocator<void>(), std::move(key), hash));
  }
  LabelOf(Key&& key, std::size_t hash) : Label(hash), key_(std::move(key)) {}

  [[nodiscard]] bool equals(const Label& other) const noexcept override {
    return hash() == other.hash() && key_ == static_cast<const LabelOf&>(other).key_;
  }

 private:
  void destroy() noexcept override { detail::destroy(this, RecyclingAllocator<void>()); }

  const Key key_;
};

template <class Key>
concept Hashable = std::equality_comparable<Key> && requires(const Key& key) {
  { std::hash<Key>()(key) } -> std::convertible_to<std::size_t>;
};

/// Gives an item its label; or none, where the user has no key.
template <class In>
class KeyFunctionOf {
 public:
  KeyFunctionOf() = default;
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, KeyFunctionOf> && std::invocable<std::decay_t<F>&, const In&>)
      KeyFunctionOf(F&& f) {  // NOLINT: constrained
    using Key = std::decay_t<std::invoke_result_t<std::decay_t<F>&, const In&>>;
    static_assert(Hashable<Key>, "batching: Options::key must return something with == and std::hash");
    if constexpr (Hashable<Key>) {
      label_ = [f = std::decay_t<F>(std::forward<F>(f))](const In& item) mutable {
        return LabelOf<Key>::make(Key(std::invoke(f, item)));
      };
    }
  }
  explicit operator bool() const noexcept { return label_ != nullptr; }
  [[nodiscard]] Label::Ptr operator()(const In& item) const { return label_(item); }

 private:
  std::function<Label::Ptr(const In&)> label_;
};

/// Where nothing is known of the items, just whether there is such a function.
struct Given {
  bool given = false;
};

template <class In>
struct ItemFunctions {
  using Weight = std::function<std::size_t(const In&)>;
  using Key = KeyFunctionOf<In>;
};
template <>
struct ItemFunctions<void> {
  using Weight = Given;
  using Key = Given;
};
template <class In>
using WeightFunction = typename ItemFunctions<In>::Weight;
template <class In>
using KeyFunction = typename ItemFunctions<In>::Key;

}  // namespace batching::detail
