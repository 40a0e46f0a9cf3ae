// Reads recorded events of Celery: a file of JSON lines {"channel": ..., "data": message}. What is
// wrong with a line is said with file and line; the line is counted and the next one follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "phlower/celery/message.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/json_scan.hpp"
#include "phlower/ground/text/line_reader.hpp"

namespace phlower {

/// A longer line is skipped. Celery's largest messages are far below.
inline constexpr std::size_t kCaptureLineMaxBytes = 16u << 20;

/// What a line held. `events` is empty for a bad or blank line.
struct CaptureLine {
  std::uint64_t number = 0;
  std::string channel;
  EventBatch batch;
  Status problem;  // "capture.ndjson:17: body: not base64: '!' at byte 3", or OK
};

/// Sums since the reader was opened: lines = messages + blank + bad.
struct CaptureStats {
  std::uint64_t lines = 0;
  std::uint64_t messages = 0;
  std::uint64_t blank = 0;
  std::uint64_t bad = 0;             // skipped whole: the next four and anything else
  std::uint64_t bad_json = 0;        // the line is not JSON, or no object with text in "data"
  std::uint64_t bad_message = 0;     // the line is well-formed, the message in it is not
  std::uint64_t too_long = 0;        // over the bound
  std::uint64_t truncated = 0;       // the file ends in the middle of it
  std::uint64_t events = 0;          // read
  std::uint64_t refused_events = 0;  // of a task.multi, the others of which were read
  std::uint64_t wrong_fields = 0;    // left empty because of type or range
};

/// Not thread safe; movable. Memory: a few times the longest line, at most `max_line_bytes`.
class CaptureReader {
 public:
  /// Errors: kNotFound, kPermission, kIo.
  static Result<CaptureReader> open(const std::string& path,
                                    std::size_t max_line_bytes = kCaptureLineMaxBytes) {
    Result<LineReader> lines = LineReader::open(path, max_line_bytes);
    if (!lines.ok()) return lines.status();
    return CaptureReader(std::move(*lines), max_line_bytes);
  }

  /// The next line, good or bad, in `out`; false at the end of the file. A problem of the line is
  /// in `out.problem`, not in the result.
  /// Errors: kIo, after which there is no point in going on. Blocks: on the file.
  Result<bool> next(CaptureLine& out) {
    TextLine line;
    const Result<bool> more = lines_.next(line);
    if (!more.ok() || !*more) return more;
    ++stats_.lines;
    out.number = line.number;
    out.channel.clear();
    out.batch.clear();
    out.problem = read_line(line, out);
    if (!out.problem.ok()) {
      ++stats_.bad;
      out.batch.clear();
    } else if (out.batch.refused_events > 0) {
      out.problem = out.batch.first_problem;
    }
    stats_.events += out.batch.events.size();
    stats_.refused_events += out.batch.refused_events;
    stats_.wrong_fields += out.batch.wrong_fields;
    out.problem = out.problem.with_context(lines_.path() + ":" + std::to_string(line.number));
    return true;
  }

  const CaptureStats& stats() const { return stats_; }

 private:
  CaptureReader(LineReader lines, std::size_t max_line_bytes)
      : lines_(std::move(lines)), max_line_bytes_(max_line_bytes) {}

  enum class Data : std::uint8_t { kMissing, kNoText, kText };

  Status read_line(const TextLine& line, CaptureLine& out) {
    if (line.too_long) {
      ++stats_.too_long;
      return Status(Code::kTooBig, "line of " + std::to_string(line.bytes) + " bytes, more than " +
                                       std::to_string(max_line_bytes_));
    }
    if (line.text.find_first_not_of(" \t\r") == std::string_view::npos) {
      ++stats_.blank;
      return Status();
    }
    JsonScan json(line.text);
    const bool object = json.sees('{');
    Data data = Data::kMissing;
    if (object ? !read_members(json, out.channel, data) : !json.skip() || !json.at_end()) {
      if (line.ended) return bad_json(json.error());
      ++stats_.truncated;
      return json.error().with_context("the file ends in the middle of this line");
    }
    if (!object) return bad_json("not a JSON object");
    if (data == Data::kMissing) return bad_json("no \"data\"");
    if (data == Data::kNoText) return bad_json("\"data\" is no string");
    Status status = parse_message(message_, out.batch);
    ++(status.ok() ? stats_.messages : stats_.bad_message);
    return status;
  }

  // False: the text is broken.
  bool read_members(JsonScan& json, std::string& channel, Data& data) {
    json.take('{');
    if (json.take('}')) return json.at_end();
    do {
      std::string_view name;
      if (!json.name(name)) return false;
      const bool is_data = name == "data";
      const bool is_text = json.sees('"');
      if (is_data) data = is_text ? Data::kText : json.sees('n') ? Data::kMissing : Data::kNoText;
      if (is_text && (is_data || name == "channel")) {
        if (!json.string(is_data ? message_ : channel)) return false;
      } else if (!json.skip()) {
        return false;
      }
    } while (json.take(','));
    return json.take('}') && json.at_end();
  }

  Status bad_json(Status status) {
    ++stats_.bad_json;
    return status;
  }
  Status bad_json(const char* text) { return bad_json(Status(Code::kInvalidArgument, text)); }

  LineReader lines_;
  std::string message_;
  std::size_t max_line_bytes_;
  CaptureStats stats_;
};

}  // namespace phlower
