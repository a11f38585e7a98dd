// Mapping: requests and the way back to them, for one or for several at once.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/outputs.hpp>
#include <batching/detail/ranges.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

namespace batching::detail {

/// What `map_inputs` takes.
template <class Request, class MapInputs>
concept RequestFor = std::invocable<const MapInputs&, Request&>;
/// A range of that.
template <class Requests, class MapInputs>
concept RequestsFor = InputRange<Requests> && RequestFor<ValueOf<Requests>, MapInputs>;

/// One request, kept until its reply.
template <class Request>
struct One {
  Request request;
};

/// Several, and how many items each became.
template <class Request>
struct Several {
  template <class Requests>
  // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): constrained
  requires(!std::same_as<std::remove_cvref_t<Requests>, Several>) explicit Several(Requests&& range)
      : requests(to_array<Request>(std::forward<Requests>(range))) {}
  std::vector<Request> requests;
  std::vector<std::size_t> counts;
};
template <class Requests>
Several(Requests&&) -> Several<ValueOf<Requests>>;

template <class Items, class Range>
void append(Items& items, Range&& range) {
  for (auto at = std::ranges::begin(range); at != std::ranges::end(range); ++at) items.emplace_back(element<Range>(at));
}

template <class MapInputs, class Request>
[[nodiscard]] auto items_of(const MapInputs& map_inputs, One<Request>& one) {
  using Range = std::invoke_result_t<const MapInputs&, Request&>;
  static_assert(InputRange<Range>, "batching: map_inputs must return a range of items");
  std::vector<ValueOf<Range>> items;
  append(items, std::invoke(map_inputs, one.request));
  return items;
}
template <class MapInputs, class Request>
[[nodiscard]] auto items_of(const MapInputs& map_inputs, Several<Request>& several) {
  using Range = std::invoke_result_t<const MapInputs&, Request&>;
  static_assert(InputRange<Range>, "batching: map_inputs must return a range of items");
  std::vector<ValueOf<Range>> items;
  several.counts.clear();
  for (Request& request : several.requests) {
    const std::size_t before = items.size();
    append(items, std::invoke(map_inputs, request));
    several.counts.push_back(items.size() - before);
  }
  return items;
}

/// `map_results` takes the outputs and the request, or the outputs alone; where there are none, the request or nothing.
template <class MapResults, class Outputs, class Request>
decltype(auto) reply(const MapResults& map_results, Outputs&& outputs, Request& request) {
  if constexpr (std::same_as<std::remove_cvref_t<Outputs>, Nothing>) {
    if constexpr (std::invocable<const MapResults&, Request&>) {
      return std::invoke(map_results, request);
    } else {
      static_assert(std::invocable<const MapResults&>,
                    "batching: map_results must be callable with (Request&) or () where Out is void");
      return std::invoke(map_results);
    }
  } else if constexpr (std::invocable<const MapResults&, Outputs, Request&>) {
    return std::invoke(map_results, std::forward<Outputs>(outputs), request);
  } else {
    static_assert(std::invocable<const MapResults&, Outputs>,
                  "batching: map_results must be callable with (std::vector<Out>, Request&) or (std::vector<Out>)");
    return std::invoke(map_results, std::forward<Outputs>(outputs));
  }
}

/// Makes the reply, or the replies, when the outputs are there.
template <class MapResults, class State>
struct Finish;

template <class MapResults, class Request>
struct Finish<MapResults, One<Request>> {
  std::shared_ptr<const MapResults> map_results;
  One<Request> one;

  template <class Outputs>
  auto operator()(Outputs outputs) {
    return reply(*map_results, std::move(outputs), one.request);
  }
};

template <class MapResults, class Request>
struct Finish<MapResults, Several<Request>> {
  std::shared_ptr<const MapResults> map_results;
  Several<Request> several;

  auto operator()(Nothing) {
    return each([&](Request& request, std::size_t) { return reply(*map_results, Nothing(), request); });
  }
  template <class Out>
  auto operator()(std::vector<Out> outputs) {
    auto next = outputs.begin();
    return each([&](Request& request, std::size_t count) {
      const auto first = std::exchange(next, next + static_cast<std::ptrdiff_t>(count));
      return reply(*map_results, std::vector<Out>(std::move_iterator(first), std::move_iterator(next)), request);
    });
  }

 private:
  template <class F>
  auto each(F f) {
    using Reply = std::invoke_result_t<F&, Request&, std::size_t>;
    if constexpr (std::is_void_v<Reply>) {
      for (std::size_t i = 0; i < several.requests.size(); ++i) f(several.requests[i], several.counts[i]);
    } else {
      std::vector<Reply> replies;
      replies.reserve(several.requests.size());
      for (std::size_t i = 0; i < several.requests.size(); ++i) {
        replies.push_back(f(several.requests[i], several.counts[i]));
      }
      return replies;
    }
  }
};

/// Runs `run`, whose outputs may be void, then makes the reply of them.
template <class Run, class Finish>
auto finish_after(Run&& run, Finish&& finish) {
  if constexpr (std::is_void_v<std::invoke_result_t<Run>>) {
    run();
    return finish(Nothing());
  } else {
    return finish(run());
  }
}
template <class Future, class Finish>
auto finish_with(Future& future, Finish& finish) {
  return finish_after([&] { return future.get(); }, finish);
}

/// What one item comes to, by what many come to.
template <class Outputs>
struct OutputOfMany {
  using type = typename Outputs::value_type;
};
template <>
struct OutputOfMany<void> {
  using type = void;
};
template <class Outputs>
using OutputOf = typename OutputOfMany<Outputs>::type;

/// Only its type matters.
template <class Outputs, class Finish>
auto reply_of(Finish& finish) {
  return finish_after([]() -> Outputs { throw 0; }, finish);
}

}  // namespace batching::detail
