// Which rings lie in memory, and of which boot they are: after the next one they are gone for good,
// and their positions need not be kept.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/ring/process.hpp"
#include "phlower/ring/ring_identity.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::ring_notes {

inline constexpr std::string_view kPrefix = "memory_ring:";

inline std::int64_t short_boot(const BootId& boot) noexcept {
  std::int64_t number = 0;
  std::memcpy(&number, boot.data(), sizeof(number));
  return number;
}

/// For a ring on a file system in memory. Requires: the table phlower_state.
inline Status note(sqlite::Connection& db, const RingId& ring, const BootId& boot) {
  auto insert = db.prepare(
      "INSERT INTO phlower_state (key, whole) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING");
  if (!insert.ok()) return insert.status();
  const std::string key = std::string(kPrefix) + to_hex(ring);
  insert->bind(1, std::string_view(key));
  insert->bind(2, short_boot(boot));
  return insert->run();
}

inline Status drop(sqlite::Connection& db, const RingId& ring) {
  auto remove = db.prepare("DELETE FROM phlower_state WHERE key = ?1");
  if (!remove.ok()) return remove.status();
  const std::string key = std::string(kPrefix) + to_hex(ring);
  remove->bind(1, std::string_view(key));
  return remove->run();
}

/// The noted rings of other boots than this one.
inline Result<std::vector<RingId>> gone(sqlite::Connection& db, const BootId& boot) {
  auto select = db.prepare(
      "SELECT substr(key, ?1) FROM phlower_state "
      "WHERE key >= 'memory_ring:' AND key < 'memory_ring;' AND whole <> ?2");
  if (!select.ok()) return select.status();
  select->bind(1, static_cast<std::int64_t>(kPrefix.size() + 1));
  select->bind(2, short_boot(boot));
  std::vector<RingId> rings;
  for (;;) {
    const auto row = select->step();
    if (!row.ok()) return row.status();
    if (!*row) return rings;
    const auto ring = ring_id_of(select->text(0));
    if (ring) rings.push_back(*ring);
  }
}

}  // namespace phlower::ring_notes
