// What can be asked of a history, and where an answer goes on. Plain values and pure functions.
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/histogram.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/history/stop_rule.hpp"
#include "phlower/record/fields.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// The place of a row in the order of all answers: newest first, then by id downwards. A row counts
/// by its end, else its start, else its arrival.
struct Cursor {
  std::int64_t at_us = std::numeric_limits<std::int64_t>::max();
  std::string task_id;

  /// "1700000000123456.<id>", to be shown and taken back.
  std::string text() const { return std::to_string(at_us) + "." + task_id; }
  static Result<Cursor> parse(std::string_view text) {
    Cursor cursor;
    const std::size_t dot = text.find('.');
    const char* const end = text.data() + (dot == std::string_view::npos ? 0 : dot);
    const auto [at, error] = std::from_chars(text.data(), end, cursor.at_us);
    if (dot == std::string_view::npos || error != std::errc() || at != end) {
      return Status(Code::kInvalidArgument,
                    "'" + std::string(text) + "' is no cursor; use one that an answer gave");
    }
    cursor.task_id = text.substr(dot + 1);
    return cursor;
  }
};

/// Which rows; an empty text asks for nothing.
struct Query {
  std::string task_name;
  std::string state;  // letters of either case
  std::string worker;
  std::string queue;
  std::string text;  // somewhere in args, kwargs, traceback or exception, letters of either case
  std::int64_t from_us = std::numeric_limits<std::int64_t>::min();   // inclusive
  std::int64_t until_us = std::numeric_limits<std::int64_t>::max();  // exclusive
  bool timeless = true;         // where from_us is not set: with rows that know no time, last
  std::optional<Cursor> after;  // go on behind this row
  std::uint32_t limit = 100;
  std::uint64_t scan_limit =
      1'000'000;        // rows looked at before the answer is given as far as it is
  bool details = true;  // with args, kwargs and traceback
  StopRule stop;
};

/// A record and its place in the order of answers.
struct Row {
  Record record;
  std::int64_t at_us = 0;

  Cursor cursor() const { return {at_us, record.task_id}; }
};

/// Rows, newest first. `next` is set while there may be more, so whenever the answer is not whole:
/// ask again with it as `after`.
struct QueryAnswer : Reach {
  std::vector<Row> rows;
  std::optional<Cursor> next;
};

/// Rows of one task and state in one minute.
struct CountKey {
  std::string task_name;
  std::string state;
  std::int64_t minute = 0;  // since 1970; 0 where it was not asked for
  auto operator<=>(const CountKey&) const = default;
};

/// How many rows; of an answer that is not whole, how many of those that were looked at.
struct CountAnswer : Reach {
  std::map<CountKey, std::uint64_t> counts;
};

/// Times of the rows of one task, in nanoseconds.
struct TaskTimes {
  Histogram runtime;  // as the worker measured it
  Histogram pickup;   // from received to started
};

/// By the name of the task; of an answer that is not whole, of the rows that were looked at.
struct TimesAnswer : Reach {
  std::map<std::string, TaskTimes> tasks;
};

namespace query_detail {
inline char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
}  // namespace query_detail

/// Whether `needle` stands in `text`; ASCII letters of either case are the same.
inline bool contains_text(std::string_view text, std::string_view needle) noexcept {
  using query_detail::lower;
  if (needle.empty()) return true;
  const char first = lower(needle.front());
  for (std::size_t at = 0; at + needle.size() <= text.size(); ++at) {
    if (lower(text[at]) != first) continue;
    std::size_t i = 1;
    while (i < needle.size() && lower(text[at + i]) == lower(needle[i])) ++i;
    if (i == needle.size()) return true;
  }
  return false;
}

/// Whether two words are the same, ASCII letters of either case.
inline bool same_word(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && contains_text(a, b);
}

/// Whether a row that counts from `at_us` is asked for; 0: it knows no time.
inline bool in_times(const Query& query, std::int64_t at_us) noexcept {
  if (at_us == 0 && query.timeless) return query.until_us > 0;
  return at_us >= query.from_us && at_us < query.until_us;
}

/// All but time, cursor and text.
inline bool matches_fields(const Query& query, const Record& record) noexcept {
  const auto same = [](const std::string& wanted, const std::string& is) {
    return wanted.empty() || wanted == is;
  };
  return same(query.task_name, record.task_name) &&
         (query.state.empty() || same_word(query.state, record.state)) &&
         same(query.worker, record.worker) && same(query.queue, record.queue);
}

inline bool matches_text(const Query& query, const Record& record) noexcept {
  if (query.text.empty()) return true;
  bool found = false;
  visit_texts(
      [&](const Field& field, const std::string& text) {
        if (is_prose(field)) found = found || contains_text(text, query.text);
      },
      record);
  return found;
}

/// Whether a row at (at_us, task_id) comes before the other in the order of answers.
inline bool comes_first(std::int64_t at_us, std::string_view task_id, std::int64_t other_us,
                        std::string_view other_id) noexcept {
  return at_us != other_us ? at_us > other_us : task_id > other_id;
}

}  // namespace phlower
