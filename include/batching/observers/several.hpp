// SeveralObservers: one observer that tells others.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <batching/observer.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace batching {

/// Tells all of its observers, in order; what one throws is dropped and keeps nothing from the others.
class SeveralObservers final : public Observer {
 public:
  explicit SeveralObservers(std::vector<std::shared_ptr<Observer>> observers) : observers_(std::move(observers)) {}

  void window_closed(const WindowClosed& window) override {
    tell([&](Observer& observer) { observer.window_closed(window); });
  }
  void batch_finished(const BatchFinished& batch) override {
    tell([&](Observer& observer) { observer.batch_finished(batch); });
  }

 private:
  template <class F>
  void tell(F f) {
    for (const auto& observer : observers_) {
      try {
        f(*observer);
      } catch (...) {  // NOLINT(bugprone-empty-catch): as with one observer
      }
    }
  }

  std::vector<std::shared_ptr<Observer>> observers_;
};

}  // namespace batching
