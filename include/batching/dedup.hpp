// Deduplication: items that are equal, or much alike, run once and share the answer.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/fingerprint.hpp>
#include <batching/detail/label.hpp>

#include <atomic>
#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::dedup {

/// The item itself is what is compared, by `std::hash` and `==`.
struct Whole {};
/// By these two: `hash(const In&) -> std::size_t`, and `equal(const In&, const In&) -> bool`.
template <class Hash, class Equal>
struct By {
  Hash hash;
  Equal equal;
};
/// By what this function makes of an item, with `std::hash` and `==`.
template <class Key>
struct ByKey {
  Key key;
};

/// Equal items run once: `exact{}`, `exact{hash, equal}`, or `exact{key}`. Costs a hash per item, on the caller's
/// thread, and a look-up; what they throw there is the answer of that call alone. On the strand only `==` is called;
/// where it throws, the two are different.
template <class How = Whole>
struct exact {
  exact() = default;
  template <class Hash, class Equal>
  exact(Hash hash, Equal equal) : how{std::move(hash), std::move(equal)} {}
  template <class Key>
  requires(!std::same_as<Key, exact>) explicit exact(Key key) : how{std::move(key)} {}

  How how{};
  /// Share also the answer of an equal item whose batch runs. Needs a copyable `In` (or the key's, which is then kept
  /// instead): the batch function may have moved from the item itself. Who joins so late hears no hooks of that batch.
  bool join_running = false;
};
exact()->exact<>;
template <class Hash, class Equal>
exact(Hash, Equal) -> exact<By<Hash, Equal>>;
template <class Key>
exact(Key) -> exact<ByKey<Key>>;

template <class F>
struct Similar {
  F similarity;
  double threshold;
};
template <class F, bool exact>
struct Embedding {
  F embed;
  double threshold;
};

/// Items share the answer of the most similar one, if `similarity(const In&, const In&) -> [0, 1]` reaches the
/// threshold. It is called on the strand, with each item that waits among the latest `batch_size`, so it should be
/// cheap; where it throws, the two are different.
template <class F>
[[nodiscard]] Similar<F> similar(F similarity, double threshold) {
  return {std::move(similarity), threshold};
}
/// The same by the cosine of two embeddings, all of one length: `embed(const In&) -> std::vector<float>` is called once
/// per item, on the caller's thread; what it throws is the answer of that call alone. An embedding without a direction
/// (all 0, or not finite) is similar to nothing.
template <class F>
[[nodiscard]] Embedding<F, false> embedding(F embed, double threshold) {
  return {std::move(embed), threshold};
}
/// First equal items (`std::hash` and `==`), then by embedding.
template <class F>
[[nodiscard]] Embedding<F, true> hybrid(F embed, double threshold) {
  return {std::move(embed), threshold};
}

}  // namespace batching::dedup

namespace batching::detail {

inline void check_threshold(double threshold) {
  if (threshold > 0 && threshold <= 1) return;
  throw std::invalid_argument("batching::Options::dedup: threshold must be above 0 and at most 1, but is " +
                              std::to_string(threshold));
}

/// `Options::dedup`: none, or one of the above.
template <class In>
class DedupFunction {
 public:
  DedupFunction() = default;
  DedupFunction(dedup::exact<> exact) : rules_{.exact = true, .join_running = exact.join_running} {  // NOLINT
    static_assert(Hashable<In>,
                  "batching: dedup::exact{} needs a std::hash and an == of In; give it a hash and an "
                  "equality, or a key function");
    if constexpr (Hashable<In>) by_item(Standard{});
  }
  template <class Hash, class Equal>
  DedupFunction(dedup::exact<dedup::By<Hash, Equal>> exact)  // NOLINT(google-explicit-constructor)
      : rules_{.exact = true, .join_running = exact.join_running} {
    static_assert(std::is_invocable_r_v<std::size_t, const Hash&, const In&> &&
                      std::is_invocable_r_v<bool, const Equal&, const In&, const In&>,
                  "batching: dedup::exact{hash, equal} must be callable with (const In&) and (const In&, const In&)");
    by_item(Given<Hash, Equal>{std::move(exact.how.hash), std::move(exact.how.equal)});
  }
  template <class KeyOf>
  DedupFunction(dedup::exact<dedup::ByKey<KeyOf>> exact)  // NOLINT(google-explicit-constructor)
      : rules_{.exact = true, .join_running = exact.join_running} {
    static_assert(std::invocable<const KeyOf&, const In&>,
                  "batching: dedup::exact{key} must be callable with (const In&)");
    using Key = std::decay_t<std::invoke_result_t<const KeyOf&, const In&>>;
    static_assert(Hashable<Key>, "batching: dedup::exact{key} must return something with == and std::hash");
    make_ = [functions = std::make_shared<Standard>(), key_of = std::move(exact.how.key)](const In& item) {
      Key key(std::invoke(key_of, item));
      const std::size_t hash = std::hash<Key>()(key);
      return FingerprintOf<Key, Standard>::make(hash, std::move(key), {}, *functions);
    };
  }
  template <class F>
  DedupFunction(dedup::Similar<F> similar)  // NOLINT(google-explicit-constructor)
      : rules_{.search = DedupRules::Search::similarity, .threshold = similar.threshold} {
    static_assert(std::is_invocable_r_v<double, const F&, const In&, const In&>,
                  "batching: dedup::similar needs a function (const In&, const In&) -> double");
    check_threshold(similar.threshold);
    make_ = [functions = std::make_shared<Alike<F>>(Alike<F>{{}, std::move(similar.similarity)})](const In& item) {
      return FingerprintOf<const In*, Alike<F>>::make(0, &item, {}, *functions);
    };
  }
  template <class F, bool exact>
  DedupFunction(dedup::Embedding<F, exact> by)  // NOLINT(google-explicit-constructor)
      : rules_{.exact = exact, .search = DedupRules::Search::embedding, .threshold = by.threshold} {
    static_assert(std::is_invocable_r_v<std::vector<float>, const F&, const In&>,
                  "batching: dedup::embedding needs a function (const In&) -> std::vector<float>");
    static_assert(!exact || Hashable<In>, "batching: dedup::hybrid needs a std::hash and an == of In");
    check_threshold(by.threshold);
    make_ = [functions = std::make_shared<Standard>(), size = std::make_shared<std::atomic<std::size_t>>(0),
             embed = std::move(by.embed)](const In& item) {
      std::vector<float> embedding = std::invoke(embed, item);
      check_size(embedding.size(), *size);
      return FingerprintOf<const In*, Standard>::make(functions->hash(item), &item, normalized(std::move(embedding)),
                                                      *functions);
    };
  }

  [[nodiscard]] explicit operator bool() const noexcept { return make_ != nullptr; }
  [[nodiscard]] const DedupRules& rules() const noexcept { return rules_; }
  /// The item stays where it is as long as the fingerprint lives, but for `join_running`.
  [[nodiscard]] Fingerprint::Ptr operator()(const In& item) const { return make_(item); }

 private:
  /// Values or pointers to them, whatever is kept.
  template <class Thing>
  static const Thing& value(const Thing& thing) noexcept {
    return thing;
  }
  static const In& value(const In* thing) noexcept { return *thing; }

  struct Functions {
    template <class Thing>
    [[nodiscard]] bool equal(const Thing&, const Thing&) const {
      return false;
    }
    template <class Thing>
    [[nodiscard]] double similarity(const Thing&, const Thing&) const {
      return 0;
    }
  };
  struct Standard : Functions {
    struct Hash {
      [[nodiscard]] std::size_t operator()(const In& item) const {
        if constexpr (Hashable<In>) {
          return std::hash<In>()(item);
        } else {
          return 0;
        }
      }
    } hash;
    template <class Thing>
    [[nodiscard]] bool equal(const Thing& one, const Thing& other) const {
      if constexpr (std::equality_comparable<std::remove_cvref_t<decltype(value(one))>>) {
        return value(one) == value(other);
      } else {
        return false;
      }
    }
  };
  template <class Hash, class Equal>
  struct Given : Functions {
    Given(Hash h, Equal e) : hash(std::move(h)), same(std::move(e)) {}
    template <class Thing>
    [[nodiscard]] bool equal(const Thing& one, const Thing& other) const {
      return std::invoke(same, value(one), value(other));
    }
    Hash hash;
    Equal same;
  };
  template <class F>
  struct Alike : Functions {
    [[nodiscard]] double similarity(const In* one, const In* other) const { return std::invoke(f, *one, *other); }
    F f;
  };

  static void check_size(std::size_t size, std::atomic<std::size_t>& expected) {
    std::size_t before = 0;
    if (size == 0) throw std::invalid_argument("batching::Options::dedup: an embedding must have at least 1 float");
    if (expected.compare_exchange_strong(before, size) || before == size) return;
    throw std::invalid_argument("batching::Options::dedup: all embeddings must have as many floats as the first, " +
                                std::to_string(before) + ", but one has " + std::to_string(size));
  }
  template <class F>
  void by_item(F functions) {
    auto kept = std::make_shared<F>(std::move(functions));
    if (!rules_.join_running) {
      make_ = [kept](const In& item) {
        return FingerprintOf<const In*, F>::make(std::invoke(kept->hash, item), &item, {}, *kept);
      };
    } else if constexpr (std::copy_constructible<In>) {
      make_ = [kept](const In& item) {
        return FingerprintOf<In, F>::make(std::invoke(kept->hash, item), In(item), {}, *kept);
      };
    } else {
      throw std::invalid_argument(
          "batching::Options::dedup: join_running must be false where In cannot be copied, but is true");
    }
  }

  DedupRules rules_;
  std::function<Fingerprint::Ptr(const In&)> make_;
};

template <class In>
struct DedupFor {
  using type = DedupFunction<In>;
};
template <>
struct DedupFor<void> {
  using type = DedupRules;
};

}  // namespace batching::detail
