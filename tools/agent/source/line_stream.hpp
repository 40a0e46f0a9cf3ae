// NDJSON records from one descriptor, in bounded memory: cuts the bytes into lines, hands each
// over, stops reading while the ring is full.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "agent/source/outlet.hpp"
#include "agent/source/record_line.hpp"
#include "cli/json_out.hpp"

namespace phlower::agent {

/// How a turn of a LineStream ended.
enum class LineTurn : std::uint8_t {
  kIdle,   // nothing more to read now
  kMore,   // its share of the turn is used up
  kFull,   // a record waits for room in the ring
  kEnded,  // the other side has closed
};

/// Lines of one client or of stdin. A bad line is counted and told to `answer`, the next follows.
class LineStream {
 public:
  using Answer = std::function<void(const std::string&)>;

  /// `outlet` is the source's; the stream has a branch of it.
  LineStream(int fd, std::size_t line_max_bytes, const Outlet& outlet, Answer answer)
      : fd_(fd),
        line_max_(line_max_bytes),
        outlet_(outlet.branch([this](std::int32_t code) { settled(code); })),
        answer_(std::move(answer)) {}
  LineStream(const LineStream&) = delete;
  LineStream& operator=(const LineStream&) = delete;

  /// Reads and hands over what fits into one turn.
  LineTurn turn(MonoTime now) {
    if (!outlet_.hand_over(now)) return LineTurn::kFull;
    if (!take_lines()) return LineTurn::kFull;
    for (std::size_t taken = 0; taken < kTurnBytes;) {
      char buffer[32 << 10];
      const ssize_t got = ::read(fd_, buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return LineTurn::kIdle;
      if (got <= 0) {
        ended_ = true;
        if (!take_lines()) return LineTurn::kFull;
        return LineTurn::kEnded;
      }
      text_.append(buffer, static_cast<std::size_t>(got));
      taken += static_cast<std::size_t>(got);
      if (!take_lines()) return LineTurn::kFull;
    }
    return LineTurn::kMore;
  }

  bool full() const { return outlet_.full(); }
  /// When a turn is wanted though there is nothing to read.
  std::optional<MonoTime> due() const { return outlet_.due(); }
  bool hand_over(MonoTime now) { return outlet_.hand_over(now); }
  void give_up() { outlet_.give_up(); }

  /// {"lines":3,"accepted":2,"bad":1}: what became of everything so far.
  std::string sums() const {
    return fmt::format("{{\"lines\":{},\"accepted\":{},\"bad\":{}}}", lines_, accepted_, bad_);
  }

 private:
  static constexpr std::size_t kTurnBytes = 128 << 10;

  // False: a record waits for room.
  bool take_lines() {
    std::size_t begin = 0;
    bool room = true;
    while (room) {
      const std::size_t end = text_.find('\n', std::max(begin, searched_));
      if (end == std::string::npos) break;
      room = line(std::string_view(text_).substr(begin, end - begin));
      begin = searched_ = end + 1;
    }
    text_.erase(0, begin);
    searched_ = room ? text_.size() : 0;
    if (room && text_.size() > line_max_) {  // remembers that it was too long, not what it was
      skipping_ = true;
      text_.clear();
      searched_ = 0;
    }
    if (room && ended_ && (!text_.empty() || skipping_)) {
      const std::string last = std::move(text_);
      text_.clear();
      searched_ = 0;
      room = line(last);
    }
    return room;
  }

  bool line(std::string_view text) {
    ++lines_;
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (skipping_ || text.size() > line_max_) {
      skipping_ = false;
      refuse("line is longer than " + std::to_string(line_max_) + " bytes");
      return true;
    }
    if (text.find_first_not_of(" \t") == std::string_view::npos) {
      answer_(sums());
      return true;
    }
    Result<Record> record = parse_record_line(text);
    if (!record.ok()) {
      refuse(std::string(record.status().message()));
      return true;
    }
    outlet_.give(record->view());
    return !outlet_.full();
  }

  void settled(std::int32_t code) {
    if (code == PHLOWER_OK) {
      ++accepted_;
    } else {
      ++bad_;
      answer_error("not taken, code " + std::to_string(code));
    }
  }

  void refuse(const std::string& why) {
    ++bad_;
    outlet_.bad();
    answer_error(why);
  }

  void answer_error(const std::string& why) {
    const nlohmann::ordered_json json = {{"line", lines_}, {"error", why}};
    answer_(json.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace));
  }

  int fd_;
  std::size_t line_max_;
  Outlet outlet_;
  Answer answer_;
  std::string text_;
  std::size_t searched_ = 0;  // no end of line before here
  bool skipping_ = false;     // inside a line that is too long
  bool ended_ = false;
  std::uint64_t lines_ = 0;
  std::uint64_t accepted_ = 0;
  std::uint64_t bad_ = 0;
};

}  // namespace phlower::agent
