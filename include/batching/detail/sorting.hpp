// Sorting: gives the items of a call their weights and keys, on the caller's thread, before they come in.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/call.hpp>
#include <batching/detail/fingerprint.hpp>
#include <batching/detail/label.hpp>
#include <batching/detail/waiting.hpp>
#include <batching/error.hpp>
#include <batching/options.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace batching::detail {

/// The weight of an item, or 1 where items have none. Throws `errc::too_heavy`.
template <class In>
[[nodiscard]] std::size_t weigh(const BasicOptions<In>& options, const In& item) {
  if (!options.weight) return 1;
  const std::size_t weight = options.weight(item);
  if (weight > options.batch_size) {
    throw Error(errc::too_heavy, "an item of weight " + std::to_string(weight) + ", and batch_size is " +
                                     std::to_string(options.batch_size));
  }
  return weight;
}

/// The parts in which the call waits, given to it. What the user's functions throw leaves here, as `errc::too_heavy`
/// does.
template <class In>
void sort(Call& call, const BasicOptions<In>& options) {
  struct Kind {
    std::uint32_t size;
    std::size_t weight;
    Label::Ptr label;
    Fingerprint::Ptr fingerprint;
  };
  const In* items = static_cast<const In*>(call.inputs());
  const auto kind_of = [&](std::uint32_t i) {
    const std::size_t weight = weigh(options, items[i]);
    return Kind{1, weight, options.key ? options.key(items[i]) : nullptr,
                options.dedup ? options.dedup(items[i]) : nullptr};
  };
  const bool one_by_one = options.weight || options.dedup;
  std::vector<Kind> kinds;
  kinds.reserve(call.size > 1 ? 1 : 0);
  Kind kind = kind_of(0);
  for (std::uint32_t i = 1; i < call.size; ++i) {
    Kind next = kind_of(i);
    if (!one_by_one && next.label->equals(*kind.label)) {
      ++kind.size;
    } else {
      kinds.push_back(std::exchange(kind, std::move(next)));
    }
  }
  const auto count = static_cast<std::uint32_t>(kinds.size() + 1);
  Part* parts = Parts::make(count);
  std::uint32_t first = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    Kind& its = i + 1 < count ? kinds[i] : kind;
    parts[i].whole = &call;
    parts[i].first = std::exchange(first, first + its.size);
    parts[i].size = its.size;
    parts[i].weight = its.weight;
    parts[i].label = std::move(its.label);
    parts[i].fingerprint = std::move(its.fingerprint);
  }
  call.next = parts;
}

/// For inline calls: where the batch ends that begins with item `first`.
template <class In>
[[nodiscard]] std::size_t end_of_batch(const BasicOptions<In>& options, const In* items, std::size_t first,
                                       std::size_t size) {
  const Label::Ptr label = options.key ? options.key(items[first]) : nullptr;
  std::size_t weight = weigh(options, items[first]);
  std::size_t end = first + 1;
  for (; end < size && weight < options.batch_size; ++end) {
    const std::size_t its = weigh(options, items[end]);
    if (its > options.batch_size - weight || (label && !options.key(items[end])->equals(*label))) break;
    weight += its;
  }
  return end;
}

}  // namespace batching::detail
