// The sources of a data folder, kept open from one question to the next.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "phlower/segment/adopt.hpp"
#include "phlower/segment/catalog.hpp"
#include "phlower/segment/details_files.hpp"
#include "phlower/segment/segment_source.hpp"

namespace phlower {

/// Not thread safe. `catalog` outlives this.
class SourceShelf {
 public:
  /// Memory for the filters of sealed segments, the newest first.
  static constexpr std::size_t kFilterBytes = 24 << 20;

  /// Who writes a segment in this process, or null.
  using WriterOf = std::function<RowsWriter*(std::int64_t seq)>;

  SourceShelf(const Catalog& catalog, DetailsFiles::OnDamage on_damage)
      : catalog_(catalog), on_damage_(on_damage), details_(catalog, std::move(on_damage)) {}

  DetailsFiles& details() noexcept { return details_; }

  void forget(std::int64_t seq) {
    details_.forget(seq);
    segments_.erase(seq);
    adopted_.erase(seq);
    generation_ = 0;
  }

  /// All readable files in the order of their versions. `generation` tells whether the catalog or
  /// its writers are others than at the last call. Errors: kStopped: `check` was not content.
  Result<std::vector<Source*>> list(std::uint64_t generation, const WriterOf& writer_of,
                                    StopCheck& check) {
    const auto stale = [](const auto& file) { return file.second->is_stale(); };
    const bool any_stale = std::erase_if(adopted_, stale) > 0;
    if (any_stale || generation != generation_) {
      if (Status status = renew(writer_of); !status.ok()) return status;
      generation_ = generation;
    }
    std::vector<Source*> sources;
    for (const auto& [seq, file] : adopted_) {
      for (const auto& source : file->sources()) sources.push_back(source.get());
    }
    const std::size_t first = sources.size();
    std::size_t room = kFilterBytes;
    for (auto at = segments_.rbegin(); at != segments_.rend(); ++at) {
      if (!at->second->is_open() && check.now()) return check.status();
      if (Status status = at->second->open(room); !status.ok()) return status;
      room -= std::min(room, at->second->filter_bytes());
      sources.push_back(at->second.get());
    }
    std::reverse(sources.begin() + static_cast<std::ptrdiff_t>(first), sources.end());
    return sources;
  }

  /// Those that somebody may be writing.
  template <class Visit>
  Status each_live(Visit&& visit) {
    for (const auto& [seq, source] : segments_) {
      if (source->info().state == SegmentState::kSealed) continue;
      if (Status status = visit(*source); !status.ok()) return status;
    }
    return Status();
  }

  Result<AdoptedFile*> adopted(const SegmentInfo& info) {
    auto& file = adopted_[info.seq];
    if (!file) {
      auto opened = AdoptedFile::open(catalog_.path_of(info));
      if (!opened.ok()) {
        adopted_.erase(info.seq);
        return opened.status();
      }
      file = *std::move(opened);
    }
    return file.get();
  }

 private:
  Status renew(const WriterOf& writer_of) {
    std::map<std::int64_t, std::unique_ptr<SegmentSource>> segments;
    std::map<std::int64_t, std::unique_ptr<AdoptedFile>> adopted;
    for (const SegmentInfo& info : catalog_.segments()) {
      if (!info.readable() || info.family != SegmentFamily::kRows) continue;
      if (info.state == SegmentState::kAdopted) {
        const auto file = this->adopted(info);
        if (file.ok()) {
          adopted[info.seq] = std::move(adopted_[info.seq]);
        } else if (Status status = gone_or_damaged(info.seq, file.status()); !status.ok()) {
          return status;
        }
        continue;
      }
      RowsWriter* const writer = writer_of ? writer_of(info.seq) : nullptr;
      auto known = segments_.find(info.seq);
      const bool same = known != segments_.end() && known->second->writer() == writer &&
                        (writer != nullptr || known->second->info().state == info.state);
      segments[info.seq] = same ? std::move(known->second)
                                : std::make_unique<SegmentSource>(info, catalog_.path_of(info),
                                                                  writer, details_, on_damage_);
    }
    segments_ = std::move(segments);
    adopted_ = std::move(adopted);
    return Status();
  }

  Status gone_or_damaged(std::int64_t seq, const Status& status) {
    const Code code = status.code();
    if (code == Code::kNotFound) return Status(Code::kReload, std::string(status.message()));
    if (code != Code::kCorrupt && code != Code::kNotOurs) return status;
    on_damage_(seq, status);
    return Status();
  }

  const Catalog& catalog_;
  DetailsFiles::OnDamage on_damage_;
  DetailsFiles details_;  // before the sources, which use it
  std::map<std::int64_t, std::unique_ptr<SegmentSource>> segments_;
  std::map<std::int64_t, std::unique_ptr<AdoptedFile>> adopted_;
  std::uint64_t generation_ = 0;  // that the two maps show
};

}  // namespace phlower
