// The questions of phlower-query, from the history to stdout.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cli/exit_codes.hpp"
#include "cli/output.hpp"
#include "cli/record_csv.hpp"
#include "cli/signals.hpp"
#include "cli/state_hint.hpp"
#include "query/json.hpp"
#include "query/options.hpp"
#include "query/pages.hpp"

namespace phlower::tools {

/// Each question gives OK also where it was stopped; `reach` says so then. Not thread safe.
class QueryRun {
 public:
  QueryRun(HistoryReader& history, Clock& clock, const QueryOptions& options, Output& out)
      : history_(history),
        clock_(clock),
        options_(options),
        out_(out),
        style_{options.utc, terminal_columns(STDOUT_FILENO)},
        json_(options.common.json),
        begin_(clock.mono()),
        line_(options.common.quiet),
        pages_(history, clock, rule_) {
    rule_.clock = &clock_;
    if (options.max_time) rule_.deadline = begin_ + *options.max_time;
    rule_.wanted = [this] {
      if (line_.due(clock_.mono())) line_.show(progress());
      return !stop_requested();
    };
  }
  QueryRun(const QueryRun&) = delete;
  QueryRun& operator=(const QueryRun&) = delete;

  /// How far the last question came.
  const Reach& reach() const { return reach_; }
  const std::optional<Cursor>& next() const { return pages_.next(); }

  Status get() {
    StopCheck check(rule_);
    auto view = history_.view(clock_.wall(), check);
    auto found = view.ok() ? view->get(options_.task_id, check)
                           : Result<std::optional<Record>>(view.status());
    history_.release();
    line_.clear();
    reach_.ended = check.ended();
    if (check.stopped()) return Status();
    if (!found.ok()) return found.status();
    if (!found->has_value()) {
      return Status(Code::kNotFound, "task " + options_.task_id + " is not in " + options_.data);
    }
    out_.put(json_ ? dumped(record_json((*found)->view(), true)) + "\n"
                   : whole_record(**found, options_.utc));
    return out_.flush();
  }

  Status list() {
    if (options_.follow) return follow();
    Json records = Json::array();
    if (!json_) out_.put(list_head(style_));
    Status status =
        pages_.each(options_.query, options_.query.limit, [&](const std::vector<Row>& rows) {
          line_.clear();
          for (const Row& row : rows) {
            json_ ? records.push_back(record_json(row.record.view(), true))
                  : out_.put(list_line(row.record, style_));
          }
          return out_.flush();
        });
    ended(pages_.reach());
    if (!status.ok() || reach_.ended == Ended::kUnwanted) return status;
    if (json_) {
      Json json = {{"records", std::move(records)}, {"next", cursor_json(pages_.next())}};
      add_reach(json, reach_);
      return print(json);
    }
    if (reach_.ended == Ended::kLimit && !options_.common.quiet) {
      complain("more", "--after " + pages_.next()->text());
    }
    if (reach_.whole() && pages_.found() == 0) hint();
    return Status();
  }

  Status count() {
    const auto answer = whole_answer<CountAnswer>([this](History& view, const Query& query) {
      return view.count(query, options_.by_minute);
    });
    if (!answer.ok() || !reach_.whole()) return no_answer(answer.status());
    CountRows rows(answer->counts.begin(), answer->counts.end());
    if (options_.by_count) {
      std::stable_sort(rows.begin(), rows.end(),
                       [](const auto& a, const auto& b) { return a.second > b.second; });
    }
    if (json_) {
      Json json = counts_json(rows, options_.by_minute);
      add_reach(json, reach_);
      return print(json);
    }
    std::uint64_t sum = 0;
    for (const auto& [key, count] : rows) {
      sum += count;
      out_.put(count_line(key, count, options_.by_minute, style_));
    }
    if (sum == 0) hint();
    out_.put(fmt::format("{:>12}  in all\n", sum));
    return out_.flush();
  }

  Status times() {
    const auto answer = whole_answer<TimesAnswer>(
        [](History& view, const Query& query) { return view.times(query); });
    if (!answer.ok() || !reach_.whole()) return no_answer(answer.status());
    if (json_) {
      Json json = times_json(answer->tasks);
      add_reach(json, reach_);
      return print(json);
    }
    out_.put(times_head(style_));
    for (const auto& [name, times] : answer->tasks) out_.put(times_line(name, times, style_));
    if (answer->tasks.empty()) hint();
    return out_.flush();
  }

  Status export_all() {
    if (options_.csv) out_.put(csv_head());
    const std::uint64_t most = options_.all ? ~0ull : options_.query.limit;
    Status status = pages_.each(options_.query, most, [&](const std::vector<Row>& rows) {
      for (const Row& row : rows) {
        out_.put(options_.csv ? csv_line(row.record.view())
                              : dumped(record_json(row.record.view(), true)) + "\n");
      }
      return out_.flush();
    });
    ended(pages_.reach());
    if (status.ok() && reach_.whole() && pages_.found() == 0) hint();
    return status;
  }

 private:
  static constexpr std::int64_t kLateness = 10'000'000;  // us; what comes later is not followed

  void ended(const Reach& reach) {
    line_.clear();
    reach_ = reach;
  }

  std::string progress() const {
    const Nanoseconds elapsed = clock_.mono() - begin_;
    if (pages_.reach().scanned == 0) return "looking, " + format_duration(elapsed);
    return fmt::format("{}, {} found, {}", reach_text(pages_.reach(), options_.utc), pages_.found(),
                       format_duration(elapsed));
  }

  void hint() const {
    const std::string text = state_hint(options_.query.state);
    if (!text.empty() && !options_.common.quiet) complain("hint", text);
  }

  Status print(const Json& json) {
    out_.put(dumped(json) + "\n");
    return out_.flush();
  }

  // An answer that is of use only when it is whole. OK where it was stopped, too.
  template <class Answer, class Ask>
  Result<Answer> whole_answer(Ask&& ask) {
    Query query = options_.query;
    query.stop = rule_;
    StopCheck check(rule_);
    auto view = history_.view(clock_.wall(), check);
    Result<Answer> answer = Answer();
    if (view.ok()) {
      answer = ask(*view, query);
    } else if (check.stopped()) {
      answer->ended = check.ended();
    } else {
      answer = view.status();
    }
    history_.release();
    if (answer.ok()) ended(*answer);
    return answer;
  }

  // Half a count would pass for a count.
  Status no_answer(Status status) {
    line_.clear();
    if (!status.ok() || !json_ || reach_.ended != Ended::kDeadline) return status;
    Json json;
    add_reach(json, reach_);
    return print(json);
  }

  // What there is, then what is new since the last look, oldest first. A row may come a little
  // after its time.
  Status follow() {
    std::map<std::pair<std::int64_t, std::string>, std::string> seen;  // to the state it was in
    std::int64_t newest = to_us(to_unix_seconds(clock_.wall()));
    std::int64_t first = std::numeric_limits<std::int64_t>::min();
    std::vector<Row> rows;
    const auto take = [&rows](std::vector<Row> page) {
      std::move(page.begin(), page.end(), std::back_inserter(rows));
      return Status();
    };
    if (!json_) out_.put(list_head(style_));
    Status status = pages_.each(options_.query, options_.query.limit, take);
    if (pages_.reach().ended == Ended::kLimit) first = rows.back().at_us;
    while (status.ok() && !stop_requested() && !out_.reader_left()) {
      line_.clear();
      if (pages_.reach().ended == Ended::kDeadline) break;
      std::reverse(rows.begin(), rows.end());
      const std::int64_t now = to_us(to_unix_seconds(clock_.wall()));
      for (const auto& [record, at] : rows) {
        newest = std::max(newest, std::min(at, now));  // a time in the future is no news
        if (at < first) continue;                      // was there before, behind the limit
        if (!seen.emplace(std::pair(at, record.task_id), record.state).second) continue;
        out_.put(json_ ? dumped(record_json(record.view(), true)) + "\n"
                       : list_line(record, style_));
      }
      status = out_.flush();
      std::erase_if(seen,
                    [&](const auto& row) { return row.first.first < newest - 2 * kLateness; });
      std::this_thread::sleep_for(Milliseconds(300));
      Query query = options_.query;
      query.after.reset();
      query.from_us = std::max(query.from_us, newest - kLateness);
      rows.clear();
      if (status.ok()) status = pages_.each(query, ~0ull, take);
    }
    ended(pages_.reach());
    if (stop_requested()) reach_.ended = Ended::kEnd;  // that is how one ends it
    return status;
  }

  HistoryReader& history_;
  Clock& clock_;
  const QueryOptions& options_;
  Output& out_;
  const TableStyle style_;
  const bool json_;
  const MonoTime begin_;
  StopRule rule_;
  StatusLine line_;
  QueryPages pages_;
  Reach reach_;
};

}  // namespace phlower::tools
