// Questions over all sources of a history as if they were one table: versions of a task are merged,
// what is past its retention is not shown, rows come newest first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/store/merge.hpp"
#include "phlower/store/source.hpp"
#include "phlower/store/types.hpp"

namespace phlower {

/// The sources in the order of their numbers, as of one moment. Not thread safe. Errors: those of
/// the sources; kReload where one of them has gone.
class History {
 public:
  History(std::vector<Source*> sources, const Cutoffs& cutoffs)
      : sources_(std::move(sources)),
        rows_cutoff_us_(cutoff_us(cutoffs.invocations)),
        details_cutoff_us_(cutoff_us(cutoffs.details)) {}

  /// The row of a task: all its versions merged.
  Result<std::optional<Record>> get(std::string_view task_id) {
    auto versions = versions_of(TaskKey(task_id), nullptr, nullptr);
    if (!versions.ok()) return versions.status();
    if (versions->empty()) return std::optional<Record>();
    auto merged = merge(*versions, true);
    if (!merged.ok()) return merged.status();
    return std::optional<Record>(std::move(merged->record));
  }

  /// Newest first, at most `query.limit`.
  Result<QueryAnswer> list(const Query& query) {
    QueryAnswer answer;
    std::unordered_set<std::string> shown;
    Cursor last;
    Status status = each_in_order(query, [&](Source& source, FoundRow& row) -> Result<bool> {
      ++answer.scanned;
      auto merged = resolve(query, source, row);
      if (!merged.ok()) return merged.status();
      last = {row.at_us, row.record.task_id};
      const bool wanted = *merged && shown.insert((*merged)->task_id).second;
      if (wanted) answer.records.push_back(*std::move(*merged));
      if (answer.records.size() < query.limit && answer.scanned < query.scan_limit) return true;
      answer.next = last;
      return false;
    });
    if (!status.ok()) return status;
    return answer;
  }

  /// Rows by task and state, and by minute where `minutes`. Looks at every row in the query's
  /// times; its cursor, limit and scan_limit are not used.
  Result<std::map<CountKey, std::uint64_t>> count(const Query& query, bool minutes) {
    std::map<CountKey, std::uint64_t> counts;
    Status status = each(query, [&](const Record& record, std::int64_t at_us) {
      constexpr std::int64_t kMinute = 60'000'000;
      const std::int64_t minute = minutes ? at_us / kMinute : 0;
      ++counts[{record.task_name, record.state, minute}];
    });
    if (!status.ok()) return status;
    return counts;
  }

  /// Runtimes and pickup latencies by task.
  Result<std::map<std::string, TaskTimes>> times(const Query& query) {
    std::map<std::string, TaskTimes> tasks;
    Status status = each(query, [&](const Record& record, std::int64_t) {
      TaskTimes& times = tasks[record.task_name];
      if (record.runtime_ms >= 0) {
        times.runtime.record(static_cast<std::uint64_t>(record.runtime_ms * 1e6));
      }
      if (record.received_at > 0 && record.started_at >= record.received_at) {
        times.pickup.record(
            static_cast<std::uint64_t>((record.started_at - record.received_at) * 1e9));
      }
    });
    if (!status.ok()) return status;
    return tasks;
  }

 private:
  struct Version {
    Source* source;
    FoundRow row;
  };

  /// The first time that is not expired.
  std::int64_t first_us() const {
    constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
    return rows_cutoff_us_ == kMin ? kMin : rows_cutoff_us_ + 1;
  }
  static bool expired(std::int64_t at_us, std::int64_t cutoff_us) {
    return at_us > 0 && at_us <= cutoff_us;
  }

  // What stands in all sources, in their order; `known` of source `from` is not looked for again.
  Result<std::vector<Version>> versions_of(const TaskKey& key, Source* from, FoundRow* known) {
    std::vector<Version> versions;
    for (Source* source : sources_) {
      if (source == from) {
        versions.push_back({source, *known});
        continue;
      }
      if (!source->may_hold(key)) continue;
      auto found = source->find(key);
      if (!found.ok()) return found.status();
      if (!found->has_value() || expired((*found)->at_us, rows_cutoff_us_)) continue;
      versions.push_back({source, **std::move(found)});
    }
    return versions;
  }

  Status finish(Version& version) {
    if (expired(version.row.at_us, details_cutoff_us_) || version.row.details == 0) {
      return Status();
    }
    return version.source->add_details(version.row);
  }

  // Requires: at least one.
  Result<FoundRow> merge(std::vector<Version>& versions, bool details) {
    if (details) {
      for (Version& version : versions) {
        if (Status status = finish(version); !status.ok()) return status;
      }
    }
    FoundRow merged = std::move(versions.front().row);
    for (std::size_t i = 1; i < versions.size(); ++i) {
      const FoundRow& next = versions[i].row;
      if (supersedes(next.record.view(), merged.record.view())) merged.at_us = next.at_us;
      merged.record = owned(merge_versions(merged.record.view(), next.record.view()));
    }
    return merged;
  }

  static std::size_t winner_of(const std::vector<Version>& versions) {
    std::size_t winner = 0;
    for (std::size_t i = 1; i < versions.size(); ++i) {
      if (supersedes(versions[i].row.record.view(), versions[winner].row.record.view())) winner = i;
    }
    return winner;
  }

  // The record to show for a row that was met, if this is the place for it: the place of a task is
  // that of its winning version, unless the query would not meet it there.
  Result<std::optional<Record>> resolve(const Query& query, Source& from, FoundRow& row) {
    std::optional<Record> none;
    const TaskKey key(row.record.task_id);
    away_ = false;
    bool alone = true;
    for (Source* source : sources_) {
      if (source != &from && source->may_hold(key)) alone = false;
    }
    std::vector<Version> versions;
    if (alone) {
      if (!matches_fields(query, row.record)) return none;
      versions.push_back({&from, row});
    } else {
      auto found = versions_of(key, &from, &row);
      if (!found.ok()) return found.status();
      versions = *std::move(found);
      const Version& winner = versions[winner_of(versions)];
      const bool met_there =
          in_times(query, winner.row.at_us) &&
          (query.task_name.empty() || winner.row.record.task_name == query.task_name);
      away_ = winner.source != &from;
      if (away_ && met_there) return none;
    }
    auto merged = merge(versions, query.details || !query.text.empty());
    if (!merged.ok()) return merged.status();
    const bool wanted = in_times(query, merged->at_us) && matches_fields(query, merged->record) &&
                        matches_text(query, merged->record);
    if (!wanted) return none;
    if (!query.details) {
      merged->record.args.clear();
      merged->record.kwargs.clear();
      merged->record.traceback.clear();
    }
    return std::optional<Record>(std::move(merged->record));
  }

  static bool in_times(const Query& query, std::int64_t at_us) {
    return at_us >= query.from_us && at_us < query.until_us;
  }

  template <class Visit>
  Status each(const Query& query, Visit&& visit) {
    Query all = query;
    all.after.reset();
    all.details = false;
    all.from_us = std::max(all.from_us, first_us());
    std::unordered_set<std::string> counted;  // of those met away from their winner's place
    for (Source* source : sources_) {
      if (!source->may_overlap(all.from_us, all.until_us)) continue;
      auto stream = source->stream(all);
      if (!stream.ok()) return stream.status();
      for (FoundRow row;;) {
        const auto more = (*stream)->next(row);
        if (!more.ok()) return more.status();
        if (!*more) break;
        if (!in_times(all, row.at_us)) continue;
        const std::int64_t at_us = row.at_us;
        auto merged = resolve(all, *source, row);
        if (!merged.ok()) return merged.status();
        if (*merged && (!away_ || counted.insert((*merged)->task_id).second)) {
          visit(**merged, at_us);
        }
      }
    }
    return Status();
  }

  // One source's stream with the rows of a microsecond in the order of answers.
  struct Ordered {
    Source* source;
    std::unique_ptr<RowStream> stream;
    std::vector<FoundRow> group;  // rows of one time, the first answer last
    std::optional<FoundRow> ahead;
    bool ended = false;

    const FoundRow& front() const { return group.back(); }
    // False: no more.
    Result<bool> fill() {
      if (!group.empty()) return true;
      if (ahead) group.push_back(*std::move(ahead));
      ahead.reset();
      while (!ended) {
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

  // Sources that can have rows, the one with the newest last.
  std::vector<Source*> sources_of(const Query& query) {
    const std::int64_t until = query.after && query.after->at_us < query.until_us
                                   ? query.after->at_us + 1
                                   : query.until_us;
    std::vector<Source*> sources;
    for (Source* source : sources_) {
      if (source->may_overlap(query.from_us, until)) sources.push_back(source);
    }
    std::stable_sort(sources.begin(), sources.end(), [](const Source* a, const Source* b) {
      return a->newest_us() < b->newest_us();
    });
    return sources;
  }

  // The stream with the next row, null at the end. A source is opened when nothing that is open is
  // newer than what it may have: the newest rows of a task cost one or two of them.
  Result<Ordered*> next_stream(const Query& query, std::vector<Source*>& closed,
                               std::list<Ordered>& open) {
    for (;;) {
      Ordered* first = nullptr;
      for (Ordered& stream : open) {
        const auto more = stream.fill();
        if (!more.ok()) return more.status();
        if (!*more) continue;
        if (first == nullptr || comes_first(stream.front().at_us, stream.front().record.task_id,
                                            first->front().at_us, first->front().record.task_id)) {
          first = &stream;
        }
      }
      if (closed.empty()) return first;
      if (first != nullptr && first->front().at_us > closed.back()->newest_us()) return first;
      auto stream = closed.back()->stream(query);
      if (!stream.ok()) return stream.status();
      open.push_back({closed.back(), *std::move(stream), {}, {}, false});
      closed.pop_back();
    }
  }

  // Calls visit(source, row) newest first until it says false.
  template <class Visit>
  Status each_in_order(Query query, Visit&& visit) {
    query.from_us = std::max(query.from_us, first_us());
    std::vector<Source*> closed = sources_of(query);
    std::list<Ordered> open;
    for (;;) {
      const auto next = next_stream(query, closed, open);
      if (!next.ok()) return next.status();
      Ordered* const first = *next;
      if (first == nullptr) return Status();
      FoundRow row = std::move(first->group.back());
      first->group.pop_back();
      if (!in_times(query, row.at_us) || !is_behind(query, row)) continue;
      const auto more = visit(*first->source, row);
      if (!more.ok()) return more.status();
      if (!*more) return Status();
    }
  }

  static bool is_behind(const Query& query, const FoundRow& row) {
    return !query.after ||
           comes_first(query.after->at_us, query.after->task_id, row.at_us, row.record.task_id);
  }

  std::vector<Source*> sources_;
  std::int64_t rows_cutoff_us_;
  std::int64_t details_cutoff_us_;
  bool away_ = false;  // the row that `resolve` saw last is not where its task's winner is
};

}  // namespace phlower
