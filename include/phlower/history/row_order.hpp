// The rows of many sources in one order: newest first, those of one microsecond by id downwards.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/source.hpp"

namespace phlower {

/// Not thread safe. The sources and `check` outlive this.
class RowOrder {
 public:
  /// Rows in the query's times, behind its cursor.
  RowOrder(const std::vector<Source*>& sources, const Query& query, StopCheck& check)
      : query_(query), check_(check) {
    const std::int64_t until = query.after && query.after->at_us < query.until_us
                                   ? query.after->at_us + 1
                                   : query.until_us;
    for (Source* source : sources) {
      if (source->may_overlap(query.from_us, until)) closed_.push_back(source);
    }
    std::stable_sort(closed_.begin(), closed_.end(), [](const Source* a, const Source* b) {
      return a->newest_us() < b->newest_us();
    });
  }

  /// The source of the next row; null at the end, or where the check says stop.
  Result<Source*> next(FoundRow& row) {
    for (;;) {
      const auto found = first();
      if (!found.ok()) return found.status();
      if (*found == nullptr || check_.stopped()) return nullptr;
      Ordered& stream = **found;
      row = std::move(stream.group.back());
      stream.group.pop_back();
      if (is_wanted(row)) return stream.source;
      if (check_.step()) return nullptr;
    }
  }

 private:
  // One source's stream with the rows of a microsecond in the order of answers.
  struct Ordered {
    Source* source;
    std::unique_ptr<RowStream> stream;
    std::vector<FoundRow> group;  // rows of one time, the first answer last
    std::optional<FoundRow> ahead;
    bool ended = false;

    const FoundRow& front() const { return group.back(); }
    // False: no more.
    Result<bool> fill(StopCheck& check) {
      if (!group.empty()) return true;
      if (ahead) group.push_back(*std::move(ahead));
      ahead.reset();
      while (!ended && !check.step()) {
        FoundRow row;
        const auto more = stream->next(row);
        if (!more.ok()) return more.status();
        ended = !*more;
        if (ended) break;
        if (!group.empty() && group.front().at_us != row.at_us) {
          ahead = std::move(row);
          break;
        }
        group.push_back(std::move(row));
      }
      std::sort(group.begin(), group.end(), [](const FoundRow& a, const FoundRow& b) {
        return a.record.task_id < b.record.task_id;
      });
      return !group.empty();
    }
  };

  bool is_wanted(const FoundRow& row) const {
    if (!in_times(query_, row.at_us)) return false;
    return !query_.after ||
           comes_first(query_.after->at_us, query_.after->task_id, row.at_us, row.record.task_id);
  }

  // The stream with the next row. A source is opened when nothing that is open is newer than what
  // it may have: the newest rows of a task cost one or two of them.
  Result<Ordered*> first() {
    for (;;) {
      Ordered* first = nullptr;
      for (Ordered& stream : open_) {
        const auto more = stream.fill(check_);
        if (!more.ok()) return more.status();
        if (!*more) continue;
        if (first == nullptr || comes_first(stream.front().at_us, stream.front().record.task_id,
                                            first->front().at_us, first->front().record.task_id)) {
          first = &stream;
        }
      }
      if (closed_.empty()) return first;
      if (first != nullptr && first->front().at_us > closed_.back()->newest_us()) return first;
      if (check_.now()) return nullptr;
      auto stream = closed_.back()->stream(query_, check_);
      if (!stream.ok()) return stream.status();
      open_.push_back({closed_.back(), *std::move(stream), {}, {}, false});
      closed_.pop_back();
    }
  }

  const Query& query_;
  StopCheck& check_;
  std::vector<Source*> closed_;  // the one with the newest row last
  std::list<Ordered> open_;
};

}  // namespace phlower
