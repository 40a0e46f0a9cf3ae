// Celery events and capture lines for tests, and the reduction that stands for the store's upsert.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/celery/capture_reader.hpp"
#include "phlower/celery/event.hpp"
#include "phlower/record/record.hpp"

namespace phlower::testing {

/// An event as a worker sends it; `type` without "task-".
inline Event make_event(const std::string& type, double at, const std::string& uuid = "t1") {
  Event event;
  event.type = "task-" + type;
  event.kind = event_kind(event.type);
  event.uuid = uuid;
  event.timestamp = at;
  event.hostname = event.kind == EventKind::kSent ? "client@web" : "worker@a";
  if (event.kind == EventKind::kSent) event.queue = event.routing_key = "orders";
  if (event.kind == EventKind::kSent || event.kind == EventKind::kReceived) {
    event.name = "shop.pack";
    event.args = "(1,)";
    event.kwargs = "{'a': 2}";
  }
  if (event.kind == EventKind::kSucceeded) event.runtime_seconds = 0.25;
  if (event.kind == EventKind::kFailed || event.kind == EventKind::kRetried) {
    event.exception = "KeyError('" + type + "')";
    event.traceback = "Traceback of " + type;
  }
  return event;
}

inline std::string encode_base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      const bool there = i + j < bytes.size();
      group = group << 8 | (there ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      const bool digit = j < bytes.size() - i + 1;
      text += digit ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

/// The message that Redis holds for a body.
inline std::string make_message(std::string_view body) {
  return R"({"body": ")" + encode_base64(body) +
         R"(", "content-encoding": "utf-8", "content-type": "application/json", "headers": {},)"
         R"( "properties": {"body_encoding": "base64"}})";
}

/// A capture line, without its end, for a message without control characters.
inline std::string make_line(std::string_view message) {
  std::string line = R"({"channel": "/0.celeryev/task.sent", "data": ")";
  for (char c : message) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
  }
  return line + "\"}";
}

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

/// All events of a capture without bad lines; empty if there is one.
inline std::vector<Event> read_events(const std::string& path) {
  std::vector<Event> events;
  Result<CaptureReader> reader = CaptureReader::open(path);
  CaptureLine line;
  while (reader.ok()) {
    const Result<bool> more = reader->next(line);
    if (!more.ok() || !line.problem.ok()) return {};
    if (!*more) break;
    for (const Event& event : line.batch.events) events.push_back(event);
  }
  return events;
}

/// Calls `look` with every order of `events`.
template <class Look>
void for_each_order(const std::vector<Event>& events, Look&& look) {
  std::vector<std::size_t> order(events.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    std::vector<Event> arranged;
    for (std::size_t i : order) arranged.push_back(events[i]);
    look(arranged);
  } while (std::next_permutation(order.begin(), order.end()));
}

/// What the history holds after versions of tasks came: the state of the higher rank wins, then the
/// later or equal time, and the winner's empty fields are filled from the loser.
class History {
 public:
  void merge(const Record& incoming) {
    const auto [at, fresh] = rows_.try_emplace(incoming.task_id, incoming);
    if (fresh) return;
    Record& row = at->second;
    Record winner = wins(incoming, row) ? incoming : row;
    const Record& loser = wins(incoming, row) ? row : incoming;
    fill(winner, loser);
    row = winner;
  }
  void merge(const std::vector<Record>& records) {
    for (const Record& record : records) merge(record);
  }

  const std::map<std::string, Record>& rows() const { return rows_; }
  const Record& row(const std::string& task_id) const { return rows_.at(task_id); }

 private:
  static bool wins(const Record& incoming, const Record& row) {
    const StateRank new_rank = state_rank(incoming.state);
    const StateRank old_rank = state_rank(row.state);
    if (new_rank != old_rank) return new_rank > old_rank;
    return incoming.view().version_time() >= row.view().version_time();
  }

  static void fill(Record& winner, const Record& loser) {
    if (winner.received_at <= 0) winner.received_at = loser.received_at;
    if (winner.started_at <= 0) winner.started_at = loser.started_at;
    for (std::string Record::*text :
         {&Record::task_name, &Record::worker, &Record::queue, &Record::args, &Record::kwargs}) {
      if ((winner.*text).empty()) winner.*text = loser.*text;
    }
  }

  std::map<std::string, Record> rows_;
};

}  // namespace phlower::testing
