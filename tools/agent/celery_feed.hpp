// From the events of one broker to records: what Redis, RabbitMQ and a capture have in common.
#pragma once

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "counters.hpp"
#include "lost_tasks.hpp"
#include "phlower/celery/assembler.hpp"
#include "phlower/celery/message.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// Takes messages, appends the records that they complete.
class CeleryFeed {
 public:
  CeleryFeed(const CeleryOptions& options, Counters& counters, const std::string& source)
      : assembler_(options),
        messages_(counters.make("phlower_agent_messages_total", "Messages received.", source)),
        bytes_(counters.make("phlower_agent_received_bytes_total", "Bytes of messages.", source)),
        events_(counters.make("phlower_agent_events_total", "Events of Celery in the messages.",
                              source)),
        bad_(counters.make("phlower_agent_messages_bad_total",
                           "Messages that could not be read, and events in them.", source)),
        in_flight_(counters.make("phlower_agent_tasks_in_flight",
                                 "Tasks begun and not ended that are remembered.", source,
                                 CountKind::kGauge)),
        forgotten_(counters.make("phlower_agent_tasks_forgotten_total",
                                 "Tasks forgotten before their end was seen: too many, or silent "
                                 "for too long.",
                                 source)),
        lost_(counters, source) {}

  /// A message with kombu's envelope, as Redis has it.
  Status envelope(std::string_view data, MonoTime now, std::vector<Record>& out) {
    return take(parse_message(data, batch_), data.size(), now, out);
  }
  /// The bare body, as AMQP has it.
  Status body(std::string_view data, MonoTime now, std::vector<Record>& out) {
    return take(parse_body(data, batch_), data.size(), now, out);
  }
  /// A message that was read elsewhere.
  void batch(const EventBatch& batch, std::size_t bytes, MonoTime now, std::vector<Record>& out) {
    messages_.add();
    bytes_.add(bytes);
    add(batch, now, out);
  }
  void bad_message() { bad_.add(); }

  /// Forgets what is too old, though no events come.
  void expire(MonoTime now, std::vector<Record>& out) {
    assembler_.expire(now, out);
    show();
  }
  /// Gives out the tasks in flight as they are.
  void flush(std::vector<Record>& out) {
    assembler_.flush(out);
    show();
  }
  /// Events were missed: counts by worker begin anew.
  void gap() { lost_.forget(); }

 private:
  Status take(Status status, std::size_t bytes, MonoTime now, std::vector<Record>& out) {
    messages_.add();
    bytes_.add(bytes);
    if (!status.ok()) {
      bad_.add();
      return status;
    }
    add(batch_, now, out);
    return batch_.refused_events > 0 ? batch_.first_problem : Status();
  }

  void add(const EventBatch& batch, MonoTime now, std::vector<Record>& out) {
    events_.add(batch.events.size());
    bad_.add(batch.refused_events);
    for (const Event& event : batch.events) {
      lost_.see(event);
      assembler_.add(event, now, out);
    }
    show();
  }

  void show() {
    const AssemblerStats& stats = assembler_.stats();
    in_flight_.set(stats.in_flight);
    forgotten_.set(stats.forgotten_by_count + stats.forgotten_by_bytes + stats.forgotten_by_age);
  }

  Assembler assembler_;
  EventBatch batch_;
  Count& messages_;
  Count& bytes_;
  Count& events_;
  Count& bad_;
  Count& in_flight_;
  Count& forgotten_;
  LostTasks lost_;
};

}  // namespace phlower::agent
