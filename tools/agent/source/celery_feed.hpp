// From the events of one broker to records: what Redis, RabbitMQ and a capture have in common.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/source/counters.hpp"
#include "agent/source/lost_tasks.hpp"
#include "agent/source/worker_watch.hpp"
#include "phlower/celery/assembler.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/log.hpp"

namespace phlower::agent {

/// Takes messages and gives the records that they complete to the function `give` of each call, as
/// Assembler does.
class CeleryFeed {
 public:
  CeleryFeed(const CeleryOptions& options, Counters& counters, const std::string& source, Log log)
      : source_(source),
        log_(std::move(log)),
        assembler_(options),
        messages_(counters.make("phlower_agent_messages_total", "Messages received.", source)),
        bytes_(counters.make("phlower_agent_received_bytes_total", "Bytes of messages.", source)),
        events_(counters.make("phlower_agent_events_total", "Events of Celery in the messages.",
                              source)),
        bad_(counters.make("phlower_agent_messages_bad_total", "Messages that could not be read.",
                           source)),
        bad_events_(counters.make("phlower_agent_events_bad_total",
                                  "Events that could not be used, of messages with others that "
                                  "could; the log names them.",
                                  source)),
        bad_fields_(counters.make("phlower_agent_event_fields_bad_total",
                                  "Fields of events that were of another type or out of range and "
                                  "were left empty; the log names them.",
                                  source)),
        in_flight_(counters.make("phlower_agent_tasks_in_flight",
                                 "Tasks begun and not ended that are remembered.", source,
                                 CountKind::kGauge)),
        forgotten_(counters.make("phlower_agent_tasks_forgotten_total",
                                 "Tasks forgotten before their end was seen: too many, or silent "
                                 "for too long.",
                                 source)),
        mute_count_(counters.make("phlower_agent_workers_without_events",
                                  "Workers that run tasks and send no events of them.", source,
                                  CountKind::kGauge)),
        lost_(counters, source) {}

  /// A message with kombu's envelope, as Redis has it.
  template <class Give>
  Status envelope(std::string_view data, MonoTime now, Give&& give) {
    return take(parse_message(data, batch_), data.size(), now, give);
  }
  /// The bare body, as AMQP has it.
  template <class Give>
  Status body(std::string_view data, MonoTime now, Give&& give) {
    return take(parse_body(data, batch_), data.size(), now, give);
  }
  /// A message that was read elsewhere.
  template <class Give>
  void batch(const EventBatch& batch, std::size_t bytes, MonoTime now, Give&& give) {
    messages_.add();
    bytes_.add(bytes);
    add(batch, now, give);
  }
  void bad_message() { bad_.add(); }

  /// Forgets what is too old, though no events come.
  template <class Give>
  void expire(MonoTime now, Give&& give) {
    assembler_.expire(now, [&](const RecordView& record) {
      lost_.see(record);
      give(record);
    });
    workers_.expire(now);
    mute_ = workers_.mute();
    show();
  }
  /// Gives out the tasks in flight as they are.
  template <class Give>
  void flush(Give&& give) {
    assembler_.flush(give);
    show();
  }
  /// Events were missed: counts by worker begin anew.
  void gap() {
    lost_.forget();
    workers_.forget();
    mute_.clear();
  }

  template <class Visit>
  void each_in_flight(Visit&& visit) const {
    assembler_.for_each_in_flight(visit);
  }
  std::optional<InFlightTask> find_in_flight(std::string_view task_id) const {
    return assembler_.find_in_flight(task_id);
  }

  /// Workers that were heard of in the last two minutes.
  std::size_t workers() const { return workers_.count(); }
  /// Those that run tasks and send no events of them, as of the last `expire`.
  const std::vector<std::string>& mute_workers() const { return mute_; }

 private:
  template <class Give>
  Status take(Status status, std::size_t bytes, MonoTime now, Give&& give) {
    messages_.add();
    bytes_.add(bytes);
    if (!status.ok()) {
      bad_.add();
      return status;
    }
    add(batch_, now, give);
    return Status();
  }

  template <class Give>
  void add(const EventBatch& batch, MonoTime now, Give&& give) {
    events_.add(batch.events.size());
    if (batch.refused_events + batch.wrong_fields > 0) tell(batch);
    const auto look_and_give = [&](const RecordView& record) {
      lost_.see(record);
      give(record);
    };
    for (const Event& event : batch.events) {
      lost_.see(event);
      workers_.see(event, now);
      assembler_.add(event, now, look_and_give);
    }
    show();
  }

  void tell(const EventBatch& batch) {
    bad_events_.add(batch.refused_events);
    bad_fields_.add(batch.wrong_fields);
    if (batch.refused_events > 0) {
      log_.warn_limited("bad event of " + source_,
                        "{}: {} of {} events of a message cannot be used: {}", source_,
                        batch.refused_events, batch.refused_events + batch.events.size(),
                        batch.first_problem.message());
    }
    if (batch.wrong_fields > 0) {
      log_.warn_limited("bad field of " + source_, "{}: a field is left empty: {}", source_,
                        batch.first_wrong_field);
    }
  }

  void show() {
    const AssemblerStats& stats = assembler_.stats();
    in_flight_.set(stats.in_flight);
    mute_count_.set(mute_.size());
    forgotten_.set(stats.forgotten_by_count + stats.forgotten_by_bytes + stats.forgotten_by_age);
  }

  const std::string source_;
  Log log_;
  Assembler assembler_;
  EventBatch batch_;
  Count& messages_;
  Count& bytes_;
  Count& events_;
  Count& bad_;
  Count& bad_events_;
  Count& bad_fields_;
  Count& in_flight_;
  Count& forgotten_;
  Count& mute_count_;
  LostTasks lost_;
  WorkerWatch workers_;
  std::vector<std::string> mute_;
};

}  // namespace phlower::agent
