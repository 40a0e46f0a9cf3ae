// A segment that takes rows, as its writer's owner keeps it.
#pragma once

#include <cstdint>
#include <memory>

#include "phlower/ground/clock.hpp"
#include "phlower/segment/rotation.hpp"

namespace phlower {

/// `Writer`: RowsWriter or DetailsWriter.
template <class Writer>
struct OpenSegment {
  std::unique_ptr<Writer> writer;
  std::int64_t from_us = 0;
  std::int64_t until_us = 0;
  MonoTime used{};
  bool log_is_pinned = false;

  std::int64_t seq() const { return writer->file().seq(); }
  WrittenSegment figures() const {
    return {until_us, writer->rows(), writer->file().bytes(), writer->file().wal().bytes(),
            log_is_pinned};
  }
};

}  // namespace phlower
