// Arrivals: when the latest items came, in a ring that is never larger.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/extremes.hpp>
#include <batching/detail/time.hpp>
#include <batching/detail/when_used.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace batching::detail {

/// The latest `groups` moments at which items came. Under a heavy load a ring of single items would hold no more than a
/// few batches: so those that come close together are one group, but for the first after a pause, of whom it matters
/// that it came alone. 16 KiB.
template <class>
class BasicArrivals {
 public:
  static constexpr std::size_t groups = 1024;

  struct Group {
    Time at{0};
    std::uint64_t items = 0;  // of this group and all before it, of all times
  };

  /// Constant time. What comes from a clock that went back counts as of its latest time.
  void add(Time at, std::uint32_t items) noexcept {
    if (items == 0) return;
    if (added_ > 0) at = larger(at, last().at);
    total_ += items;
    const bool near = added_ > leading_ && at - of(added_ - 1 - leading_).at < together_;
    if (near || (added_ > 0 && at == last().at)) {
      Group& group = of(added_ - 1);
      const std::uint64_t before = added_ > 1 ? of(added_ - 2).items : 0;
      group.items = total_;
      const double share = static_cast<double>(items) / static_cast<double>(total_ - before);
      group.at += Time(static_cast<Time::rep>(static_cast<double>((at - group.at).count()) * share));
    } else {
      of(added_++) = {at, total_};
    }
  }
  /// Items that come within this of each other need not be told apart.
  void together(Time within, std::size_t leading) noexcept {
    together_ = within;
    leading_ = leading;
  }

  [[nodiscard]] std::size_t size() const noexcept {
    return static_cast<std::size_t>(smaller<std::uint64_t>(added_, groups));
  }
  /// Of all times.
  [[nodiscard]] std::uint64_t added() const noexcept { return added_; }
  /// The oldest is 0.
  [[nodiscard]] const Group& operator[](std::size_t index) const noexcept { return of(added_ - size() + index); }
  /// Items of one group.
  [[nodiscard]] std::uint64_t items(std::size_t index) const noexcept {
    return (*this)[index].items - (index == 0 ? forgotten() : (*this)[index - 1].items);
  }
  /// Items that came from `first` to `last`, both included, as far as the ring goes. Logarithmic.
  [[nodiscard]] std::uint64_t between(Time first, Time last) const noexcept {
    return larger(until(last), before(first)) - before(first);
  }

  /// Items per nanosecond over the latest half of the ring; 0 if too little is known.
  [[nodiscard]] double rate() const noexcept {
    if (size() < groups / 32) return 0;
    const Group& first = (*this)[size() - smaller(size(), groups / 2)];
    const auto duration = static_cast<double>((last().at - first.at).count());
    return duration > 0 ? static_cast<double>(total_ - first.items) / duration : 0;
  }

 private:
  [[nodiscard]] const Group& of(std::uint64_t number) const noexcept { return ring_[number % groups]; }
  [[nodiscard]] Group& of(std::uint64_t number) noexcept { return ring_[number % groups]; }
  [[nodiscard]] const Group& last() const noexcept { return of(added_ - 1); }
  /// Items before the ring. (The first group of a full ring is taken as one item.)
  [[nodiscard]] std::uint64_t forgotten() const noexcept {
    return size() == 0 ? 0 : added_ <= groups ? 0 : (*this)[0].items - 1;
  }
  [[nodiscard]] std::uint64_t before(Time at) const noexcept {
    return at == Time::min() ? forgotten() : until(at - Time(1));
  }
  [[nodiscard]] std::uint64_t until(Time at) const noexcept {
    std::size_t low = 0;
    std::size_t high = size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if ((*this)[middle].at <= at) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low == 0 ? forgotten() : (*this)[low - 1].items;
  }

  std::array<Group, groups> ring_{};
  std::uint64_t added_ = 0;
  std::uint64_t total_ = 0;
  Time together_{0};
  std::size_t leading_ = 1;
};
using Arrivals = BasicArrivals<WhenUsed>;

}  // namespace batching::detail
