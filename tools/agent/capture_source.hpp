// Celery events from a recorded capture, once.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "agent_options.hpp"
#include "celery_feed.hpp"
#include "outlet.hpp"
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
    if (ended_) return false;
    for (int lines = 0; lines < kLinesPerTurn; ++lines) {
      if (!outlet_.hand_over(now)) return false;
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
    return outlet_.full() ? outlet_.due() : MonoTime{};
  }
  bool ends_agent() const override { return ended_ && at_end_ == AtEnd::kEnd; }
  void close() override {
    ended_ = true;
    outlet_.give_up();
  }

 private:
  static constexpr int kLinesPerTurn = 64;

  CaptureSource(const AgentOptions& options, CaptureReader reader, PluginEngine& engine,
                Counters& counters, const Log& log)
      : path_(options.capture.path),
        at_end_(options.capture.at_end),
        log_(log),
        reader_(std::move(reader)),
        outlet_(engine, counters, "capture", log, Outlet::kForEver),
        feed_(options.celery, counters, "capture", log) {}

  void read_line(MonoTime now) {
    const auto give = [this](const RecordView& record) { outlet_.give(record); };
    const Result<bool> more = reader_.next(line_);
    if (!more.ok()) log_.error("{}", more.status().message());
    if (!more.ok() || !*more) {
      feed_.flush(give);
      flushed_ = true;
      return;
    }
    if (!line_.problem.ok() && line_.batch.refused_events == 0) {
      feed_.bad_message();
      log_.warn_limited("bad line", "{} (skipped)", line_.problem.message());
    }
    feed_.batch(line_.batch, 0, now, give);
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
  bool flushed_ = false;
  bool ended_ = false;
};

}  // namespace phlower::agent
