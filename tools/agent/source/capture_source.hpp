// Celery events from a recorded capture, once.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "agent/source/celery_feed.hpp"
#include "agent/source/outlet.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_parts.hpp"
#include "phlower/celery/capture_reader.hpp"

namespace phlower::agent {

/// Reads as fast as the ring takes records. Opening and reading block on a local file, shortly.
class CaptureSource final : public Source {
 public:
  /// Errors: those of opening the file.
  static Result<std::unique_ptr<CaptureSource>> open(const SourceParts& parts) {
    Result<CaptureReader> reader = CaptureReader::open(parts.options.capture.path);
    if (!reader.ok()) return reader.status();
    return std::unique_ptr<CaptureSource>(new CaptureSource(parts, *std::move(reader)));
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
  SourceHealth health() const override { return {"capture", !ended_, {}, {}, {}}; }
  void each_in_flight(const std::function<bool(const InFlightTask&)>& visit) const override {
    feed_.each_in_flight(visit);
  }
  std::optional<InFlightTask> find_in_flight(std::string_view task_id) const override {
    return feed_.find_in_flight(task_id);
  }

  void close() override { ended_ = true; }
  bool hand_over(MonoTime now) override { return outlet_.hand_over(now); }
  void give_up() override { outlet_.give_up(); }

 private:
  static constexpr int kLinesPerTurn = 64;

  CaptureSource(const SourceParts& parts, CaptureReader reader)
      : path_(parts.options.capture.path),
        at_end_(parts.options.capture.at_end),
        log_(parts.log),
        reader_(std::move(reader)),
        outlet_(parts.engine, parts.counters, "capture", parts.log, Outlet::kForEver),
        feed_(parts.options.celery, parts.counters, "capture", parts.log) {}

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
