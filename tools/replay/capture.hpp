// A capture as records: what the Celery reader and the assembler make of it.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "phlower/celery/assembler.hpp"
#include "phlower/celery/capture_reader.hpp"
#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::tools {

struct Capture {
  std::vector<Record> records;  // in the order in which tasks ended; a task may come again
  std::vector<Record> ended;    // those of them that a spike or a backlog is made of
  CaptureStats stats;
  std::uint64_t problems = 0;
};

/// Reads a whole capture. Lines that cannot be read are said on stderr, the first few of them.
inline Result<Capture> read_capture(const std::string& path, const CeleryOptions& options,
                                    Clock& clock) {
  constexpr std::uint64_t kShown = 10;
  auto reader = CaptureReader::open(path);
  if (!reader.ok()) return reader.status();
  Capture capture;
  Assembler assembler(options);
  CaptureLine line;
  for (;;) {
    const auto more = reader->next(line);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (!line.problem.ok() && ++capture.problems <= kShown) {
      std::fprintf(stderr, "%s (skipped)\n", std::string(line.problem.message()).c_str());
    }
    for (const Event& event : line.batch.events) {
      assembler.add(event, clock.mono(), capture.records);
    }
  }
  assembler.flush(capture.records);
  for (const Record& record : capture.records) {
    if (record.finished_at > 0) capture.ended.push_back(record);
  }
  if (capture.problems > kShown) {
    std::fprintf(stderr, "%s: %llu more lines were skipped\n", path.c_str(),
                 static_cast<unsigned long long>(capture.problems - kShown));
  }
  capture.stats = reader->stats();
  return capture;
}

}  // namespace phlower::tools
