// Order: a letter that tells the strand to do something, and whether it has been done.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/detail/delivery.hpp>
#include <batching/detail/intake.hpp>
#include <batching/detail/owned.hpp>
#include <batching/detail/parking.hpp>
#include <batching/detail/when_used.hpp>
#include <batching/stats.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace batching::detail {

template <class>
class BasicOrder final : public Mail {
 public:
  enum class What : std::uint8_t { flush, close, stop, abandon, read };

  explicit BasicOrder(What order) noexcept : Mail(Kind::order), what(order) {}
  const What what;

  /// Until it has been carried out. On the strand already (in a destructor of the user's, most likely) it will be when
  /// this returns.
  void wait(bool on_strand) noexcept {
    while (!on_strand && done_.load() == 0) park(done_, 0, no_limit);
  }
  [[nodiscard]] bool is_done() const noexcept { return done_.load() != 0; }
  void done(Delivery& delivery) noexcept {
    const auto alive = std::move(itself);
    done_.store(1);
    delivery.wake(done_);
  }
  /// Until then.
  std::shared_ptr<BasicOrder> itself;
  /// For what only the strand can read, if it is asked to.
  Owned<Stats> stats;

 private:
  Word done_ = 0;
};
using Order = BasicOrder<WhenUsed>;

}  // namespace batching::detail
