// The version cannot be assigned to.
// SPDX-License-Identifier: BSL-1.0
// expect: (discards qualifiers|no viable overloaded '=')
#include <batching/version.hpp>

int main() {
  std::string_view mine = batching::version;
#ifdef BATCHING_COMPILE_FAIL
  batching::version = mine;
#endif
  return mine.empty() ? 1 : 0;
}
