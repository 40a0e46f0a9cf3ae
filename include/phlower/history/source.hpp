// One table or file of a history as the reads see it, whatever its layout: the interface that the
// merge over all of them goes by.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "phlower/ground/status.hpp"
#include "phlower/history/query.hpp"
#include "phlower/history/task_key.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// A row as it was found: the record without its details, and what its source finds them by.
struct FoundRow {
  Record record;
  std::int64_t at_us = 0;      // the time retention counts from; 0: it knows no time
  std::int64_t latest_us = 0;  // it is certainly no later, where that is not certain from at_us
  std::int64_t details = 0;    // 0: none
};

/// Rows of one source, newest first (rows of one microsecond in any order), within a query's times;
/// its other fields may or may not have been looked at already. Not thread safe; ends before its
/// source.
class RowStream {
 public:
  virtual ~RowStream() = default;
  /// False: no more.
  virtual Result<bool> next(FoundRow& row) = 0;
};

/// Not thread safe.
class Source {
 public:
  virtual ~Source() = default;

  /// Where times say nothing, the source with the higher number has the later version.
  virtual std::int64_t seq() const = 0;
  /// False: no row can lie in [from, until).
  virtual bool may_overlap(std::int64_t from_us, std::int64_t until_us) const = 0;
  /// No row is newer; the highest number where that is not known.
  virtual std::int64_t newest_us() const = 0;
  /// False: certainly no row of this id, known without a look at the file.
  virtual bool may_hold(const TaskKey& key) = 0;
  /// The row of a task, without its details; expired or not.
  virtual Result<std::optional<FoundRow>> find(const TaskKey& key) = 0;
  /// Adds the details to a row of this source; where they are gone nothing is added.
  virtual Status add_details(FoundRow& row) = 0;
  /// `check` outlives the stream. A stream that it stops has no more rows.
  virtual Result<std::unique_ptr<RowStream>> stream(const Query& query, StopCheck& check) = 0;
};

}  // namespace phlower
