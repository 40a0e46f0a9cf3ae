// Celery events from a recorded capture, once.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent_options.hpp"
#include "celery_feed.hpp"
#include "phlower/celery/capture_reader.hpp"
#include "source.hpp"

namespace phlower::agent {

/// Reads as fast as the ring takes records. Opening and reading block on a local file, shortly.
class CaptureSource final : public Source {
 public:
  /// Errors: those of opening the file.
  static Result<std::unique_ptr<CaptureSource>> open(const AgentOptions& options,
                                                     PluginEngine& engine, Counters& counters,
                                                     const Log& log) {
    Result<CaptureReader> reader = CaptureReader::open(options.capture.path);
    if (!reader.ok()) return reader.status();
    return std::unique_ptr<CaptureSource>(
        new CaptureSource(options, *std::move(reader), engine, counters, log));
  }

  std::string_view name() const override { return "capture"; }
  void watches(std::vector<pollfd>&) override {}

  bool turn(std::span<const pollfd>, MonoTime now) override {
    if (ended_ || (waiting_ && now < retry_at_)) return false;
    waiting_ = false;
    for (int lines = 0; lines < kLinesPerTurn; ++lines) {
      if (!hand_over(now)) return false;
      if (flushed_) {
        end();
        return false;
      }
      read_line(now);
    }
    return true;
  }

  std::optional<MonoTime> due() const override {
    if (ended_) return std::nullopt;
    return waiting_ ? retry_at_ : MonoTime{};
  }
  bool ends_agent() const override { return ended_ && at_end_ == AtEnd::kEnd; }
  void close() override { ended_ = true; }

 private:
  static constexpr int kLinesPerTurn = 64;

  CaptureSource(const AgentOptions& options, CaptureReader reader, PluginEngine& engine,
                Counters& counters, const Log& log)
      : path_(options.capture.path),
        at_end_(options.capture.at_end),
        log_(log),
        reader_(std::move(reader)),
        outlet_(engine, counters, "capture", log),
        feed_(options.celery, counters, "capture") {}

  // False: the ring is full.
  bool hand_over(MonoTime now) {
    for (; given_ < records_.size(); ++given_) {
      if (outlet_.offer(records_[given_].view()) != PHLOWER_E_REFUSED) continue;
      outlet_.waits();
      waiting_ = true;
      retry_at_ = now + Milliseconds(2);
      return false;
    }
    records_.clear();
    given_ = 0;
    return true;
  }

  void read_line(MonoTime now) {
    const auto keep = [this](const RecordView& record) { records_.push_back(owned(record)); };
    const Result<bool> more = reader_.next(line_);
    if (!more.ok()) log_.error("{}", more.status().message());
    if (!more.ok() || !*more) {
      feed_.flush(keep);
      flushed_ = true;
      return;
    }
    if (!line_.problem.ok()) {
      feed_.bad_message();
      log_.warn_limited("bad line", "{} (skipped)", line_.problem.message());
    }
    feed_.batch(line_.batch, 0, now, keep);
  }

  void end() {
    ended_ = true;
    const CaptureStats& stats = reader_.stats();
    log_.info("{}: read to its end: {} lines, {} of them bad, {} events", path_, stats.lines,
              stats.bad, stats.events);
  }

  std::string path_;
  AtEnd at_end_;
  Log log_;
  CaptureReader reader_;
  Outlet outlet_;
  CeleryFeed feed_;
  CaptureLine line_;
  std::vector<Record> records_;
  std::size_t given_ = 0;
  bool flushed_ = false;
  bool ended_ = false;
  bool waiting_ = false;
  MonoTime retry_at_{};
};

}  // namespace phlower::agent
