// A list that goes on to the end of its range, page after page, so that no view of the history
// stays for long and somebody who waits sees how far it has come.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "cli/status_line.hpp"
#include "phlower/door/history_reader.hpp"
#include "phlower/ground/units.hpp"
#include "query/print.hpp"

namespace phlower::tools {

/// "1,250,000 rows looked at, back to 2026-11-25 18:51:40".
inline std::string reach_text(const Reach& reach, bool utc) {
  std::string text = format_count(reach.scanned) + " rows looked at";
  constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
  if (reach.looked_back_to_us != kUnknown && reach.looked_back_to_us > 0) {
    text += ", back to " + shown_time(from_us(reach.looked_back_to_us), utc).substr(0, 19);
  }
  return text;
}

/// How large one page is: a fraction of a second of looking, and a few MiB.
struct PageSize {
  std::uint64_t scanned = 100'000;
  std::uint32_t rows = 1'000;
};

/// Not thread safe. Blocks: on the disk.
class QueryPages {
 public:
  /// `rule` is asked while files are read, too, and outlives this.
  QueryPages(HistoryReader& history, Clock& clock, const StopRule& rule, PageSize size = {})
      : history_(history), clock_(clock), rule_(rule), size_(size) {}

  /// Calls visit(rows) for each page, at most `most` rows in all; nothing is held while it runs.
  /// Ends where the visitor has an error, too. Errors: the visitor's and those of the history.
  template <class Visit>
  Status each(Query query, std::uint64_t most, Visit&& visit) {
    query.stop = rule_;
    query.scan_limit = size_.scanned;
    reach_ = Reach();
    found_ = 0;
    for (reach_.ended = Ended::kScanLimit; reach_.ended == Ended::kScanLimit;) {
      query.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(most - found_, size_.rows));
      auto answer = page(query);
      if (!answer.ok() && answer.status().code() == Code::kReload) {
        std::this_thread::sleep_for(Milliseconds(10));
        continue;
      }
      if (!answer.ok()) return answer.status();
      found_ += answer->rows.size();
      reach_.scanned += answer->scanned;
      reach_.looked_back_to_us = answer->looked_back_to_us;
      reach_.ended = answer->ended;
      if (answer->ended == Ended::kLimit && found_ < most) reach_.ended = Ended::kScanLimit;
      next_ = answer->next;
      if (next_) query.after = next_;
      if (Status status = visit(std::move(answer->rows)); !status.ok()) return status;
    }
    return Status();
  }

  /// How far the pages came, and where another question goes on.
  const Reach& reach() const { return reach_; }
  const std::optional<Cursor>& next() const { return next_; }
  std::uint64_t found() const { return found_; }

 private:
  // Where the rule says stop while files are opened, the page is an empty one.
  Result<QueryAnswer> page(const Query& query) {
    StopCheck check(query.stop);
    auto view = history_.view(clock_.wall(), check);
    if (!view.ok() && check.stopped()) {
      QueryAnswer none;
      none.ended = check.ended();
      none.looked_back_to_us = reach_.looked_back_to_us;
      none.next = query.after;
      return none;
    }
    if (!view.ok()) return view.status();
    auto answer = view->list(query);
    history_.release();
    return answer;
  }

  HistoryReader& history_;
  Clock& clock_;
  const StopRule& rule_;
  const PageSize size_;
  Reach reach_;
  std::optional<Cursor> next_;
  std::uint64_t found_ = 0;
};

}  // namespace phlower::tools
