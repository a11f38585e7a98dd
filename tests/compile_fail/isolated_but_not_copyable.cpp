// To isolate a failure takes copies of the inputs.
// SPDX-License-Identifier: BSL-1.0
// expect: batching: OnFailure::isolate runs the batch function again on copies of the inputs, but In cannot be copied
#include <batching/batcher.hpp>

#include <memory>
#include <span>
#include <vector>

int main() {
  using Owner = std::unique_ptr<int>;
  const auto function = [](std::span<Owner> items) { return std::vector<int>(items.size()); };
  batching::Batcher<Owner, int>::Options options;
#ifdef BATCHING_COMPILE_FAIL
  options.on_failure = batching::OnFailure::isolate;
#else
  options.on_failure = batching::OnFailure::fail_batch;
#endif
  const batching::Batcher<Owner, int> batcher(function, options);
}
