// Ids of tasks: random UUIDs of the version that task queues make, others, and what is none.
#pragma once

#include <string>
#include <vector>

#include "phlower/ground/random.hpp"
#include "phlower/record/packed_id.hpp"

namespace phlower::testing {

inline std::string random_uuid(Random& random, bool version_4) {
  char bytes[kUuidBytes];
  for (char& byte : bytes) byte = static_cast<char>(random.next());
  if (version_4) {
    bytes[6] = static_cast<char>((bytes[6] & 15) | 0x40);
    bytes[8] = static_cast<char>((bytes[8] & 63) | 0x80);
  }
  return PackedId::of_uuid(bytes).text();
}

/// What is or only looks like a UUID, and the texts that break what takes text for granted.
inline std::vector<std::string> odd_ids() {
  const std::string uuid = "0029aaec-f501-47ca-bc7a-c19c14194d07";
  return {uuid,
          "0029AAEC-f501-47ca-bc7a-c19c14194d07",
          "0029aaec-f501-47ca-bc7a-c19c14194d0g",
          "0029aaecf50147cabc7ac19c14194d07",
          "0029aaec-f501-47ca-bc7a-c19c14194d0",
          uuid + "1",
          "{" + uuid + "}",
          "0029aaec_f501-47ca-bc7a-c19c14194d07",
          "0029aaec-f501-47ca-bc7a-c19c14194d-7",
          "00000000-0000-0000-0000-000000000000",
          "ffffffff-ffff-ffff-ffff-ffffffffffff",
          "",
          "x",
          "exactly-16-bytes",
          std::string(16, '\0'),
          std::string("nul\0inside", 10),
          "\xff\xfe not UTF-8 \x80",
          std::string(36, '-'),
          std::string(1024, 'i')};
}

}  // namespace phlower::testing
