// Records whose every byte follows from (stream, number): what comes out of a ring can be checked
// without remembering what went in.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/record/record.hpp"
#include "support/every_field.hpp"

namespace phlower::testing {

/// SplitMix64: small, seeded, the same everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  /// Uniform enough in [0, below).
  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : next() % limit; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// Which record: the number-th of a stream. One life of one producer is one stream.
struct ContentId {
  std::uint32_t stream = 0;
  std::uint32_t number = 0;
  bool operator==(const ContentId&) const = default;
};

inline std::string content_text(Random& random, std::uint64_t at_most) {
  std::string text(random.below(at_most + 1), ' ');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

/// Most are a few hundred bytes, one in sixteen has a traceback of up to 1.2 KB.
inline Record make_content(ContentId id) {
  Random random((std::uint64_t{id.stream} << 32) | id.number);
  Record record;
  record.task_id = std::to_string(id.stream) + "-" + std::to_string(id.number);
  record.task_name = "tasks." + content_text(random, 12);
  record.state = random.one_in(4) ? "FAILURE" : "SUCCESS";
  record.received_at = 1.7e9 + id.number;
  record.started_at = record.received_at + 0.25;
  record.finished_at = record.started_at + static_cast<double>(random.below(1000)) / 8;
  record.runtime_ms = static_cast<double>(random.below(100'000)) / 4;
  record.worker = "worker-" + content_text(random, 8);
  record.queue = content_text(random, 10);
  record.exception_type = record.state == "FAILURE" ? "ValueError" : "";
  record.args = content_text(random, 120);
  record.kwargs = content_text(random, 60);
  if (random.one_in(16)) record.traceback = content_text(random, 1200);
  return record;
}

inline std::optional<ContentId> parse_content_id(std::string_view task_id) {
  ContentId id;
  char rest = 0;
  const std::string text(task_id);
  if (std::sscanf(text.c_str(), "%u-%u%c", &id.stream, &id.number, &rest) != 2) return {};
  return id;
}

/// Empty when `got` is exactly what was made for its own task_id (details may be missing if the
/// record says that they were shed); else what differs. `id` is set when the task_id can be read.
inline std::string check_content(const RecordView& got, ContentId& id) {
  const auto parsed = parse_content_id(got.task_id);
  if (!parsed) return "task_id '" + std::string(got.task_id) + "' was never offered";
  id = *parsed;
  const Record want = make_content(id);
  const bool shed = (got.flags & kDetailsShed) != 0;
  if (!shed && got.flags != 0) return want.task_id + ": flags nobody set";
  if (shed && got.has_details()) return want.task_id + ": shed, but with details";
  RecordView left = want.view();
  if (shed) left.clear_details();
  const std::string differ = different_fields(got, left);
  if (!differ.empty()) return want.task_id + ": other than given:" + differ;
  return "";
}

}  // namespace phlower::testing
