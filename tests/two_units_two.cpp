// The other of the two; see two_units_one.cpp.
#include "phlower/phlower.hpp"

const void* seen_by_the_other_unit() { return reinterpret_cast<const void*>(&phlower::validate); }
