// What an engine was told, kept beside the history: readers in other processes go by it.
#pragma once

#include <cstdint>

#include "phlower/config/options.hpp"
#include "phlower/segment/segment_file.hpp"

namespace phlower {

/// In phlower_state of meta.db, whole hours; 0 rows: for ever.
inline Status save_retention(sqlite::Connection& db, const RetentionOptions& retention) {
  auto set = db.prepare(segment_file::kSetFact);
  if (!set.ok()) return set.status();
  const bool forever = retention.keep_forever;
  Status status = segment_file::set_fact(*set, "retention_invocations_h",
                                         forever ? 0 : retention.invocations.count());
  if (!status.ok()) return status;
  return segment_file::set_fact(*set, "retention_details_h",
                                forever ? 0 : retention.details.count());
}

inline Result<RetentionOptions> load_retention(sqlite::Connection& db) {
  RetentionOptions retention;
  const auto rows = segment_file::fact(db, "retention_invocations_h", 120);
  if (!rows.ok()) return rows.status();
  const auto details = segment_file::fact(db, "retention_details_h", 60);
  if (!details.ok()) return details.status();
  retention.keep_forever = *rows <= 0;
  if (*rows > 0) retention.invocations = Hours(*rows);
  if (*details > 0) retention.details = Hours(*details);
  return retention;
}

}  // namespace phlower
