// One of two translation units that include everything: with a definition that is not inline, or
// two that differ, the pair does not link or does not agree.
#include "phlower/phlower.hpp"

const void* seen_by_the_other_unit();

int main() {
  // An inline function has one address in a program, whichever unit asks.
  const void* here = reinterpret_cast<const void*>(&phlower::validate);
  return here == seen_by_the_other_unit() ? 0 : 1;
}
