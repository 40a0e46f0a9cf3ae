// NDJSON records on standard input.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "agent/host/agent_options.hpp"
#include "agent/source/line_stream.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_parts.hpp"

namespace phlower::agent {

/// Reads until the end of input; bad lines are logged, for nobody is there to answer.
class StdinSource final : public Source {
 public:
  static Result<std::unique_ptr<StdinSource>> open(const SourceParts& parts) {
    return std::make_unique<StdinSource>(parts);
  }
  explicit StdinSource(const SourceParts& parts)
      : options_(parts.options.standard_input),
        log_(parts.log),
        outlet_(parts.engine, parts.counters, "stdin", parts.log, Outlet::kForEver),
        lines_(STDIN_FILENO, options_.line_max_bytes, outlet_,
               [this](const std::string& text) { log_.warn_limited("line", "{}", text); }),
        flags_(::fcntl(STDIN_FILENO, F_GETFL)) {
    ::fcntl(STDIN_FILENO, F_SETFL, flags_ | O_NONBLOCK);
  }
  StdinSource(const StdinSource&) = delete;
  StdinSource& operator=(const StdinSource&) = delete;
  // A terminal is shared with the shell, which does not expect it.
  ~StdinSource() override { ::fcntl(STDIN_FILENO, F_SETFL, flags_); }

  std::string_view name() const override { return "stdin"; }

  void watches(std::vector<pollfd>& out) override {
    if (!ended_ && !lines_.full()) out.push_back({STDIN_FILENO, POLLIN, 0});
  }

  bool turn(std::span<const pollfd> found, MonoTime now) override {
    if (ended_) return false;
    if (!lines_.full() && !more_ && (found.empty() || found[0].revents == 0)) return false;
    const LineTurn how = lines_.turn(now);
    more_ = how == LineTurn::kMore;
    if (how == LineTurn::kEnded) {
      ended_ = true;
      log_.info("end of input: {}", lines_.sums());
    }
    return more_;
  }

  std::optional<MonoTime> due() const override { return lines_.due(); }
  bool ends_agent() const override { return ended_ && options_.at_end == AtEnd::kEnd; }
  SourceHealth health() const override { return {"stdin", !ended_, {}, {}, {}}; }
  void close() override { ended_ = true; }
  bool hand_over(MonoTime now) override { return lines_.hand_over(now); }
  void give_up() override { lines_.give_up(); }

 private:
  const StdinOptions options_;
  Log log_;
  Outlet outlet_;
  LineStream lines_;
  const int flags_;
  bool ended_ = false;
  bool more_ = false;
};

}  // namespace phlower::agent
