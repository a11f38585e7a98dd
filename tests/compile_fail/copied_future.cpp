// An answer goes to one future.
// SPDX-License-Identifier: BSL-1.0
// expect: (use of deleted function|call to implicitly-deleted copy constructor|call to deleted constructor)
#include <batching/future.hpp>

#include <utility>

int main() {
  batching::Future<int> future;
#ifdef BATCHING_COMPILE_FAIL
  auto other = future;
#else
  auto other = std::move(future);
#endif
  return other.valid() ? 1 : 0;
}
