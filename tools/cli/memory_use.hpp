// What this process holds in memory, as the kernel counts it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <fstream>

namespace phlower::tools {

/// Resident bytes of this process, mapped ring pages included; 0 when /proc is not there.
inline std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace phlower::tools
