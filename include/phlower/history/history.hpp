// Questions over all sources of a history as if they were one table: versions of a task are merged,
// what is past its retention is not shown, rows come newest first.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/history/merge.hpp"
#include "phlower/history/retention.hpp"
#include "phlower/history/row_order.hpp"
#include "phlower/history/source.hpp"

namespace phlower {

/// The sources in the order of their numbers, as of one moment. Not thread safe. Errors: those of
/// the sources; kReload where one of them has gone.
class History {
 public:
  History(std::vector<Source*> sources, const Cutoffs& cutoffs)
      : sources_(std::move(sources)), cutoffs_(cutoffs) {}

  /// The row of a task: all its versions merged. Errors: kStopped by the check.
  Result<std::optional<Record>> get(std::string_view task_id) {
    StopCheck never;
    return get(task_id, never);
  }
  Result<std::optional<Record>> get(std::string_view task_id, StopCheck& check) {
    auto versions = versions_of(TaskKey(task_id), nullptr, nullptr, check);
    if (!versions.ok()) return versions.status();
    if (check.stopped()) return check.status();
    if (versions->empty()) return std::optional<Record>();
    auto merged = merge(*versions, true);
    if (!merged.ok()) return merged.status();
    return std::optional<Record>(std::move(merged->record));
  }

  /// Newest first, at most `query.limit`.
  Result<QueryAnswer> list(const Query& query) {
    QueryAnswer answer;
    const Query shown = within_retention(query);
    StopCheck check(query.stop);
    RowOrder order(sources_, shown, check);
    Cursor last = query.after.value_or(Cursor());
    answer.looked_back_to_us = std::min(last.at_us, query.until_us);
    if (query.limit == 0) answer.ended = Ended::kLimit;
    while (answer.ended == Ended::kEnd) {
      FoundRow row;
      const auto source = order.next(row);
      if (!source.ok()) return source.status();
      if (*source == nullptr) break;
      const std::int64_t at_us = row.at_us;
      Cursor here{at_us, row.record.task_id};
      auto met = resolve(shown, **source, std::move(row), check);
      if (!met.ok()) return met.status();
      if (check.stopped()) break;  // within this row: it is the next answer's
      ++answer.scanned;
      last = std::move(here);
      answer.looked_back_to_us = at_us;
      // Versions of one microsecond in two sources have one place.
      const bool again = !answer.rows.empty() && answer.rows.back().at_us == at_us &&
                         answer.rows.back().record.task_id == last.task_id;
      if (met->record && met->place_us == at_us && !again) {
        answer.rows.push_back({*std::move(met->record), at_us});
      }
      if (answer.rows.size() >= query.limit) {
        answer.ended = Ended::kLimit;
      } else if (answer.scanned >= query.scan_limit) {
        answer.ended = Ended::kScanLimit;
      } else if (check.step()) {
        break;
      }
    }
    if (check.stopped()) answer.ended = check.ended();
    if (answer.whole()) {
      answer.looked_back_to_us = query.from_us;
    } else {
      answer.next = std::move(last);
    }
    return answer;
  }

  /// Rows by task and state, and by minute where `minutes`. Looks at every row in the query's
  /// times; its cursor, limit and scan_limit are not used.
  Result<CountAnswer> count(const Query& query, bool minutes) {
    CountAnswer answer;
    Status status = each(query, answer, [&](const Record& record, std::int64_t at_us) {
      constexpr std::int64_t kMinute = 60'000'000;
      const std::int64_t minute = minutes ? at_us / kMinute : 0;
      ++answer.counts[{record.task_name, record.state, minute}];
    });
    if (!status.ok()) return status;
    return answer;
  }

  /// Runtimes and pickup latencies by task; as `count`.
  Result<TimesAnswer> times(const Query& query) {
    TimesAnswer answer;
    Status status = each(query, answer, [&](const Record& record, std::int64_t) {
      TaskTimes& times = answer.tasks[record.task_name];
      if (record.runtime_ms >= 0) {
        times.runtime.record(static_cast<std::uint64_t>(record.runtime_ms * 1e6));
      }
      if (record.received_at > 0 && record.started_at >= record.received_at) {
        times.pickup.record(
            static_cast<std::uint64_t>((record.started_at - record.received_at) * 1e9));
      }
    });
    if (!status.ok()) return status;
    return answer;
  }

 private:
  struct Version {
    Source* source;
    FoundRow row;
  };

  // The record of a row that was met, where the query wants it, and the place of its task among the
  // answers: only there it is shown.
  struct Met {
    std::optional<Record> record;
    std::int64_t place_us = 0;
    const Source* place = nullptr;
  };

  Query within_retention(const Query& query) const {
    constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
    Query shown = query;
    shown.timeless = query.timeless && query.from_us <= 0;
    if (cutoffs_.rows_us != kMin) shown.from_us = std::max(query.from_us, cutoffs_.rows_us + 1);
    return shown;
  }
  bool is_over(const FoundRow& row) const {
    return cutoffs_.row_is_over(row.record.view(), row.at_us);
  }

  // What stands in all sources, in their order; `known` of source `from` is not looked for again.
  // Not all of it where the check says stop.
  Result<std::vector<Version>> versions_of(const TaskKey& key, Source* from, FoundRow* known,
                                           StopCheck& check) {
    std::vector<Version> versions;
    for (Source* source : sources_) {
      if (source == from) {
        versions.push_back({source, *known});
        continue;
      }
      if (!source->may_hold(key)) continue;
      if (check.step()) break;
      auto found = source->find(key);
      if (!found.ok()) return found.status();
      if (!found->has_value() || is_over(**found)) continue;
      versions.push_back({source, **std::move(found)});
    }
    return versions;
  }

  Status finish(Version& version) {
    const FoundRow& row = version.row;
    if (row.details == 0 || cutoffs_.details_are_over(row.record.view(), row.at_us)) {
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

  // The version where a task has its place: the one that wins, unless the query does not meet it
  // there (a winner without a name, and a query by name); then the newest one that it meets.
  static const Version& place_of(const Query& query, const std::vector<Version>& versions) {
    const auto is_met = [&](const Version& version) {
      return in_times(query, version.row.at_us) &&
             (query.task_name.empty() || version.row.record.task_name == query.task_name);
    };
    const Version* place = &versions[winner_of(versions)];
    if (is_met(*place)) return *place;
    const Version* newest = nullptr;
    for (const Version& version : versions) {
      if (!is_met(version)) continue;
      if (newest == nullptr || version.row.at_us > newest->row.at_us) newest = &version;
    }
    return newest != nullptr ? *newest : *place;
  }

  bool is_alone(const TaskKey& key, const Source& from) const {
    return std::none_of(sources_.begin(), sources_.end(),
                        [&](Source* source) { return source != &from && source->may_hold(key); });
  }

  Result<Met> resolve(const Query& query, Source& from, FoundRow&& row, StopCheck& check) {
    Met met{std::nullopt, row.at_us, &from};
    if (is_over(row)) return met;
    const bool details = query.details || !query.text.empty();
    const TaskKey key(row.record.task_id);
    FoundRow merged;
    if (is_alone(key, from)) {
      if (!matches_fields(query, row.record)) return met;
      Version only{&from, std::move(row)};
      if (details) {
        if (Status status = finish(only); !status.ok()) return status;
      }
      merged = std::move(only.row);
    } else {
      auto versions = versions_of(key, &from, &row, check);
      if (!versions.ok()) return versions.status();
      if (check.stopped()) return met;
      const Version& place = place_of(query, *versions);
      met.place_us = place.row.at_us;
      met.place = place.source;
      if (met.place_us != row.at_us) return met;
      auto all = merge(*versions, details);
      if (!all.ok()) return all.status();
      merged = *std::move(all);
    }
    const bool wanted = in_times(query, merged.at_us) && matches_fields(query, merged.record) &&
                        matches_text(query, merged.record);
    if (!wanted) return met;
    if (!query.details) {
      merged.record.args.clear();
      merged.record.kwargs.clear();
      merged.record.traceback.clear();
    }
    met.record = std::move(merged.record);
    return met;
  }

  // Calls visit(record, at_us) once for each task, from one source after the other: those with the
  // newest rows first, so that it can be said how far back it came.
  template <class Visit>
  Status each(const Query& query, Reach& reach, Visit&& visit) {
    Query all = within_retention(query);
    all.after.reset();
    all.details = false;
    StopCheck check(query.stop);
    std::vector<Source*> left;  // the next one last
    for (Source* source : sources_) {
      if (source->may_overlap(all.from_us, all.until_us)) left.push_back(source);
    }
    std::stable_sort(left.begin(), left.end(), [](const Source* a, const Source* b) {
      return a->newest_us() < b->newest_us();
    });
    while (!left.empty()) {
      Source* const source = left.back();
      reach.looked_back_to_us = std::min(source->newest_us(), all.until_us);
      if (check.now()) break;
      auto stream = source->stream(all, check);
      if (!stream.ok()) return stream.status();
      Status status = each_of(all, *source, **stream, check, reach, visit);
      if (!status.ok()) return status;
      if (check.stopped()) break;
      left.pop_back();
    }
    reach.ended = check.ended();
    if (left.empty()) reach.looked_back_to_us = query.from_us;
    if (left.size() > 1) {  // of the next one nothing was looked at
      const std::int64_t newest = std::min(left[left.size() - 2]->newest_us(), all.until_us);
      reach.looked_back_to_us = std::max(reach.looked_back_to_us, newest);
    }
    return Status();
  }

  template <class Visit>
  Status each_of(const Query& all, Source& source, RowStream& stream, StopCheck& check,
                 Reach& reach, Visit&& visit) {
    for (FoundRow row; !check.step();) {
      const auto more = stream.next(row);
      if (!more.ok()) return more.status();
      if (!*more || check.stopped()) return Status();
      if (!in_times(all, row.at_us)) continue;
      const std::int64_t at_us = row.at_us;
      auto met = resolve(all, source, std::move(row), check);
      if (!met.ok()) return met.status();
      if (check.stopped()) return Status();  // within this row
      ++reach.scanned;
      reach.looked_back_to_us = at_us;
      if (met->record && met->place == &source) visit(*met->record, at_us);
    }
    return Status();
  }

  std::vector<Source*> sources_;
  Cutoffs cutoffs_;
};

}  // namespace phlower
