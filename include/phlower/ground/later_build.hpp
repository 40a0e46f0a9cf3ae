// What a later build of Phlower has written and this one does not know: the one sentence for it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "phlower/ground/status.hpp"

namespace phlower {

/// kVersion. `what` names the file, and what in it has that version: "/data/meta.db: catalog".
/// Whoever returns this has changed nothing.
inline Status of_later_build(std::string what, std::int64_t version, std::int64_t known) {
  what += " version " + std::to_string(version) + "; this build reads up to version " +
          std::to_string(known) + ". The newer Phlower that wrote it reads it; it is left as it is";
  return {Code::kVersion, std::move(what)};
}

}  // namespace phlower
