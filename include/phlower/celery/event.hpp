// One event of a Celery worker or client.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/record/record.hpp"

namespace phlower {

/// What an event reports. The order is that of a task's life: of two events of one time the later
/// kind happened later.
enum class EventKind : std::uint8_t {
  kOther,   // a custom event of a task
  kWorker,  // worker-online, worker-heartbeat, worker-offline
  kSent,
  kReceived,
  kStarted,
  kRetried,
  kRejected,
  kRevoked,
  kFailed,
  kSucceeded,
};

namespace event_detail {

struct KindName {
  EventKind kind;
  std::string_view type;
  std::string_view state;
};

inline constexpr std::array<KindName, 8> kKinds = {
    {{EventKind::kSent, "task-sent", "PENDING"},
     {EventKind::kReceived, "task-received", "RECEIVED"},
     {EventKind::kStarted, "task-started", "STARTED"},
     {EventKind::kRetried, "task-retried", "RETRY"},
     {EventKind::kRejected, "task-rejected", "REJECTED"},
     {EventKind::kRevoked, "task-revoked", "REVOKED"},
     {EventKind::kFailed, "task-failed", "FAILURE"},
     {EventKind::kSucceeded, "task-succeeded", "SUCCESS"}}};

}  // namespace event_detail

constexpr EventKind event_kind(std::string_view type) noexcept {
  for (const auto& known : event_detail::kKinds) {
    if (known.type == type) return known.kind;
  }
  return type.starts_with("worker-") ? EventKind::kWorker : EventKind::kOther;
}

/// The state a task is in after an event, in Celery's words; empty for kOther and kWorker.
constexpr std::string_view event_state(EventKind kind) noexcept {
  for (const auto& known : event_detail::kKinds) {
    if (known.kind == kind) return known.state;
  }
  return {};
}

/// True for events after which this run of the task is over. A retry ends a try, not the run; a
/// rejected or revoked task may be delivered again, and then the later end counts.
constexpr bool ends_task(EventKind kind) noexcept { return kind >= EventKind::kRejected; }

/// An event as it came. Text is UTF-8, empty means "not given".
struct Event {
  EventKind kind = EventKind::kOther;
  std::string type;
  std::string uuid;      // the task; empty for kWorker
  std::string hostname;  // the worker, for kSent the client
  // Unix seconds, 0 if not given. Celery's dispatcher takes time.time(), which is UTC wherever the
  // worker is: `utcoffset` says how far its local time is from that and must not be added.
  UnixSeconds timestamp = 0;
  double utcoffset_hours = 0;
  std::uint64_t clock = 0;    // Celery's logical clock
  std::uint64_t retries = 0;  // tries before this one, in kSent and kReceived
  // Tasks that the worker has begun since its start, in heartbeats. Not all of them say it: the
  // answer to a broadcast of `heartbeat`, which Flower sends when it starts, does not.
  std::optional<std::uint64_t> processed;
  std::string name;
  std::string args;    // Python's repr
  std::string kwargs;  // Python's repr
  std::string queue;
  std::string routing_key;
  double runtime_seconds = -1;  // below 0: not given
  std::string exception;        // Python's repr, "KeyError('x')"
  std::string traceback;

  /// As new, but for the memory of its texts, as far as that is little.
  void clear() {
    kind = EventKind::kOther;
    timestamp = utcoffset_hours = 0;
    clock = retries = 0;
    processed.reset();
    runtime_seconds = -1;
    for (std::string* text : {&type, &uuid, &hostname, &name, &args, &kwargs, &queue, &routing_key,
                              &exception, &traceback}) {
      text->clear();
      if (text->capacity() > kTextKept) text->shrink_to_fit();
    }
  }

 private:
  static constexpr std::size_t kTextKept = 4 << 10;
};

/// Events of one message after the other: memory that one needed is there for the next.
class EventList {
 public:
  /// One more, that says nothing yet. Those before it may move.
  Event& add() {
    if (size_ == events_.size()) {
      events_.emplace_back();
    } else {
      events_[size_].clear();
    }
    return events_[size_++];
  }
  void drop_last() { --size_; }
  void clear() {
    if (events_.size() > kKept) events_.resize(kKept);
    size_ = 0;
  }

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Event& operator[](std::size_t i) const { return events_[i]; }
  const Event* begin() const { return events_.data(); }
  const Event* end() const { return events_.data() + size_; }

 private:
  static constexpr std::size_t kKept = 256;  // a message with more is rare, and its memory goes

  std::vector<Event> events_;
  std::size_t size_ = 0;
};

/// The end of the year 5138 in seconds: a time beyond it is one in another unit or a wrong one.
inline constexpr UnixSeconds kTimestampMax = 1e11;

/// A time as an event has it, by its value: from 1973 to 5138 seconds, milliseconds, microseconds
/// and nanoseconds since 1970 have no value in common. 0: it is no time (not above 0, no number, or
/// beyond all of these).
constexpr UnixSeconds time_by_value(double value) noexcept {
  if (!(value > 0)) return 0;
  for (const double per_second : {1.0, 1e3, 1e6, 1e9}) {
    if (value < kTimestampMax * per_second) return value / per_second;
  }
  return 0;
}

}  // namespace phlower
