// What a host in C++ may do by mistake: throw out of a callback.
#include <stdexcept>

#include "phlower/plugin.h"

extern "C" int32_t throwing_visitor(void*, const phlower_record*) {
  throw std::runtime_error("a visitor that throws");
}
