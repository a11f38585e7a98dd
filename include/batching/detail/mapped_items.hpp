// MappedItems: the items of many requests as one lazy range.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/open_requests.hpp>
#include <batching/detail/outputs.hpp>
#include <batching/detail/ranges.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace batching::detail {

/// To be read once. No request is read before the items of the one before it are.
template <class MapInputs, class Requests>
class MappedItems {
 public:
  using Request = ValueOf<Requests>;
  using Range = std::invoke_result_t<const MapInputs&, Request&>;
  static_assert(InputRange<Range>, "batching: map_inputs must return a range of items");
  using Item = ValueOf<Range>;

  class Iterator {
   public:
    using value_type = Item;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(MappedItems& of) noexcept : of_(&of) {}
    [[nodiscard]] Item&& operator*() const noexcept { return std::move(*of_->item_); }
    Iterator& operator++() {
      of_->read();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !of_->item_; }

   private:
    MappedItems* of_;
  };

  MappedItems(std::shared_ptr<const MapInputs> map_inputs, Requests&& requests,
              std::shared_ptr<OpenRequests<Request>> open)
      : map_inputs_(std::move(map_inputs)), requests_(std::move(requests)), open_(std::move(open)) {}
  /// Before it is read.
  MappedItems(MappedItems&& other) noexcept(std::is_nothrow_move_constructible_v<Requests>)
      : map_inputs_(std::move(other.map_inputs_)),
        requests_(std::move(other.requests_)),
        open_(std::move(other.open_)) {}
  MappedItems& operator=(MappedItems&&) = delete;
  ~MappedItems() = default;

  [[nodiscard]] Iterator begin() {
    read();
    return Iterator(*this);
  }
  [[nodiscard]] std::default_sentinel_t end() const noexcept { return {}; }

 private:
  /// Of one request.
  struct Reading {
    Reading(const MapInputs& map_inputs, Request& request)
        : items(std::invoke(map_inputs, request)), at(std::ranges::begin(items)) {}
    [[nodiscard]] bool is_over() { return at == std::ranges::end(items); }

    std::conditional_t<std::is_lvalue_reference_v<Range>, Range, std::remove_cvref_t<Range>> items;
    IteratorOf<decltype(items)> at;
  };

  /// The next item, if there is one. Is it its request's last? That has to be known before it is answered, so the one
  /// after it is looked for at once; what that throws belongs there.
  void read() {
    item_.reset();
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    while (!reading_) {
      if (!next_request()) return;
      reading_.emplace(*map_inputs_, open_->open(static_cast<Request>(element<Requests>(*at_))));
      close_if_over();
    }
    item_.emplace(static_cast<Item>(element<Range>(reading_->at)));
    ++items_;
    try {
      ++reading_->at;
      close_if_over();
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  [[nodiscard]] bool next_request() {
    if (at_) {
      ++*at_;
    } else {
      at_.emplace(std::ranges::begin(requests_));
    }
    return *at_ != std::ranges::end(requests_);
  }
  void close_if_over() {
    if (!reading_->is_over()) return;
    reading_.reset();
    open_->close(items_);
  }

  std::shared_ptr<const MapInputs> map_inputs_;
  Requests requests_;
  std::shared_ptr<OpenRequests<Request>> open_;
  std::optional<IteratorOf<Requests>> at_;
  std::optional<Reading> reading_;
  std::optional<Item> item_;
  std::exception_ptr error_;
  std::size_t items_ = 0;
};

}  // namespace batching::detail
