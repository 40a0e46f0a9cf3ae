// Who wants to hear what becomes of complete segments: a backup, a copy in another store, a test.
#pragma once

#include <algorithm>
#include <vector>

#include "phlower/segment/segment_info.hpp"

namespace phlower {

/// Called by the thread of the engine, which waits for it: be quick, and do not call the store.
/// Each call comes after the commit that it tells of, so a crash in between leaves it out, and
/// nothing is told again: keep a cursor of your own and ask for the list of sealed segments at each
/// start.
class FolderListener {
 public:
  FolderListener() = default;
  FolderListener(const FolderListener&) = delete;
  FolderListener& operator=(const FolderListener&) = delete;
  virtual ~FolderListener() = default;

  /// Its file is complete, on the disk, and never changes again. It is there for the time of this
  /// call; whoever wants it for longer makes a link or takes a copy.
  virtual void sealed(const SegmentInfo& segment) noexcept = 0;
  /// A sealed segment or an adopted file has left the history: its file has no name any more, or,
  /// where `segment` is in the state set aside, it was damaged.
  virtual void gone(const SegmentInfo& segment) noexcept = 0;
};

/// Tells `listener` what is new in `after`. Both are in the order of their numbers.
inline void tell_changes(const std::vector<SegmentInfo>& before,
                         const std::vector<SegmentInfo>& after, FolderListener& listener) {
  const auto find = [](const std::vector<SegmentInfo>& in, const SegmentInfo& info) {
    const auto at =
        std::lower_bound(in.begin(), in.end(), info,
                         [](const SegmentInfo& a, const SegmentInfo& b) { return a.seq < b.seq; });
    return at != in.end() && at->seq == info.seq ? &*at : nullptr;
  };
  for (const SegmentInfo& now : after) {
    const SegmentInfo* was = find(before, now);
    const bool known = was != nullptr && was->state == SegmentState::kSealed;
    if (now.state == SegmentState::kSealed && !known) listener.sealed(now);
  }
  for (const SegmentInfo& was : before) {
    if (!was.closed() && was.state != SegmentState::kExpiring) continue;
    const SegmentInfo* now = find(after, was);
    if (now == nullptr) {
      listener.gone(was);
    } else if (now->state == SegmentState::kSetAside) {
      listener.gone(*now);
    }
  }
}

}  // namespace phlower
