// How far the rings are stored goes from the segment that was written to the next one.
#pragma once

#include <algorithm>
#include <string_view>

#include "phlower/segment/rows_writer.hpp"

namespace phlower {

/// Positions of all rings, in the first transaction of `to`. Errors: of the disk and of SQLite;
/// `to` is as before then.
inline Status carry_positions(RowsWriter& from, RowsWriter& to) {
  auto select =
      from.file().db().prepare("SELECT ring FROM ring_chunk UNION SELECT ring FROM ring_lane");
  if (!select.ok()) return select.status();
  Status status = to.begin();
  // A rotation that failed after this has left older ones.
  if (status.ok()) {
    status = to.file().db().exec("DELETE FROM ring_chunk; DELETE FROM ring_lane");
  }
  while (status.ok()) {
    const auto row = select->step();
    if (!row.ok()) status = row.status();
    if (!row.ok() || !*row) break;
    RingId ring{};
    const std::string_view bytes = select->text(0);
    std::copy_n(bytes.begin(), std::min(bytes.size(), ring.size()), ring.begin());
    auto positions = from.load_positions(ring);
    status = positions.ok() ? to.save_positions(*positions) : positions.status();
  }
  if (status.ok()) return to.commit();
  to.rollback();
  return status;
}

}  // namespace phlower
