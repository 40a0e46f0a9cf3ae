// What is known of one task while its events arrive, in any order, and the record that follows.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Names of workers, that the tasks of each share. Memory: bounded, one name for each of its
/// places. Not thread safe.
class WorkerNames {
 public:
  using Name = std::shared_ptr<const std::string>;

  const Name& share(const std::string& name) {
    Name& known = names_[std::hash<std::string_view>()(name) % names_.size()];
    if (!known || *known != name) known = std::make_shared<const std::string>(name);
    return known;
  }

 private:
  std::array<Name, 256> names_;
};

/// Folds the events of one task into one record by their times, so that their order of arrival does
/// not matter. The rules:
/// - The state is that of the last end (succeeded, failed, revoked, rejected); before any end, that
///   of the last event.
/// - Received and started are the last ones up to that end: those of the last try. What comes after
///   an end (a task delivered twice) waits for an end of its own.
/// - Name, arguments and queue are those of the last event that has them.
/// - Exception and traceback are those of the event that decides the state: a success has none.
/// Not thread safe.
class TaskHistory {
 public:
  explicit TaskHistory(std::string_view task_id) : task_id_(task_id) {}

  /// As newly made, but for the memory of its texts, as far as that is little.
  void restart(std::string_view task_id) {
    task_id_ = task_id;
    for (std::string* text : {&name_, &args_, &kwargs_, &queue_, &exception_, &traceback_}) {
      text->clear();
      if (text->capacity() > kTextKept) text->shrink_to_fit();
    }
    described_at_ = queue_at_ = 0;
    if (marks_.capacity() > kFirstMarks) marks_ = std::vector<Mark>();
    marks_.clear();
    decision_ = Decision();
    runtime_seconds_ = -1;
  }

  const std::string& task_id() const { return task_id_; }

  /// Takes one event of this task, that happened at `at`. True if that changes `record`; an event
  /// seen before does not.
  bool apply(const Event& event, UnixSeconds at, WorkerNames& workers) {
    bool changed = take_description(event, at);
    if (event.kind <= EventKind::kSent) return changed;
    const Times before = times();
    WorkerName worker = share_worker(event.hostname, workers);
    if (!insert_mark({at, event.kind, worker})) return changed;
    Decision decision{ends_task(event.kind), at, event.kind, std::move(worker)};
    if (decision > decision_) {
      changed = true;
      decision_ = std::move(decision);
      exception_ = event.exception;
      traceback_ = event.traceback;
      runtime_seconds_ = event.runtime_seconds;
    }
    return changed || times() != before;
  }

  /// True once an end was reported; it stays true.
  bool ended() const { return decision_.ends; }
  /// True if a worker has reported anything of the task, not only a client that it was sent.
  bool begun() const { return decision_.kind > EventKind::kSent; }
  /// True if the record says something final of a run or a try: it ended or is to be retried.
  bool worth_a_record() const { return ended() || decision_.kind == EventKind::kRetried; }

  /// What is known. Its texts are those of this object, and good until it changes.
  RecordView record() const {
    const Times known = times();
    RecordView out;
    out.task_id = task_id_;
    out.task_name = name_.empty() ? name_in_exception() : std::string_view(name_);
    out.state = event_state(begun() ? decision_.kind : EventKind::kSent);
    out.received_at = known.received;
    out.started_at = known.started;
    if (ended()) out.finished_at = decision_.at;
    if (runtime_seconds_ >= 0) out.runtime_ms = runtime_seconds_ * 1000;
    if (known.worker != nullptr) out.worker = *known.worker;
    out.queue = queue_;
    out.exception_type = exception_;
    out.args = args_;
    out.kwargs = kwargs_;
    out.traceback = traceback_;
    return out;
  }

  /// Memory held, roughly.
  std::size_t bytes() const {
    std::size_t sum = sizeof(*this) + marks_.capacity() * sizeof(Mark);
    for (const std::string* text :
         {&task_id_, &name_, &args_, &kwargs_, &queue_, &exception_, &traceback_}) {
      sum += text->capacity();
    }
    return sum;
  }

 private:
  // A task that is retried for ever keeps the newest marks: older ones decide nothing any more.
  static constexpr std::size_t kMaxMarks = 32;
  static constexpr std::size_t kFirstMarks = 4;
  static constexpr std::size_t kTextKept = 48;

  using WorkerName = WorkerNames::Name;

  struct Mark {
    UnixSeconds at = 0;
    EventKind kind = EventKind::kOther;
    WorkerName worker;
    bool operator<(const Mark& other) const {
      return std::tie(at, kind) < std::tie(other.at, other.kind);
    }
  };

  // Ordered: an end beats what is no end, then the later one, then the later kind.
  struct Decision {
    bool ends = false;
    UnixSeconds at = 0;
    EventKind kind = EventKind::kOther;
    WorkerName worker;
    bool operator>(const Decision& other) const {
      return std::tie(ends, at, kind) > std::tie(other.ends, other.at, other.kind);
    }
  };

  struct Times {
    UnixSeconds received = 0;
    UnixSeconds started = 0;
    const std::string* worker = nullptr;  // two of one name are one: see share_worker
    bool operator==(const Times&) const = default;
  };

  static bool take(std::string& field, const std::string& value, bool newer) {
    if (value.empty() || value == field || !(newer || field.empty())) return false;
    field = value;
    return true;
  }

  bool take_description(const Event& event, UnixSeconds at) {
    // The row's queue is the routing key, as Celery's own State has it; with the default exchange
    // the two are the same word. Only task-sent names either.
    const std::string& queue = event.routing_key.empty() ? event.queue : event.routing_key;
    bool changed = take(queue_, queue, at >= queue_at_);
    if (!queue.empty()) queue_at_ = std::max(queue_at_, at);
    if (event.name.empty() && event.args.empty() && event.kwargs.empty()) return changed;
    const bool newer = at >= described_at_;
    changed |= take(name_, event.name, newer);
    changed |= take(args_, event.args, newer);
    changed |= take(kwargs_, event.kwargs, newer);
    described_at_ = std::max(described_at_, at);
    return changed;
  }

  WorkerName share_worker(const std::string& hostname, WorkerNames& workers) const {
    if (hostname.empty()) return nullptr;
    for (const Mark& mark : marks_) {
      if (mark.worker && *mark.worker == hostname) return mark.worker;
    }
    return workers.share(hostname);
  }

  // False if it is there already: brokers and captures deliver some events twice.
  bool insert_mark(Mark mark) {
    if (marks_.capacity() == 0) marks_.reserve(kFirstMarks);
    const auto [first, last] = std::equal_range(marks_.begin(), marks_.end(), mark);
    if (first != last) return false;
    marks_.insert(first, std::move(mark));
    if (marks_.size() > kMaxMarks) marks_.erase(marks_.begin());
    return true;
  }

  // Of a kind the last mark up to the end; where clocks disagree so much that there is none, the
  // first after it.
  const Mark* last_mark(EventKind kind) const {
    const Mark* chosen = nullptr;
    for (const Mark& mark : marks_) {
      if (mark.kind != kind) continue;
      const bool in_time = !decision_.ends || mark.at <= decision_.at;
      if (in_time || chosen == nullptr) chosen = &mark;
    }
    return chosen;
  }

  Times times() const {
    const Mark* received = last_mark(EventKind::kReceived);
    const Mark* started = last_mark(EventKind::kStarted);
    Times out;
    if (received != nullptr) out.received = received->at;
    if (started != nullptr) out.started = started->at;
    out.worker = decision_.worker.get();
    if (out.worker == nullptr && started != nullptr) out.worker = started->worker.get();
    if (out.worker == nullptr && received != nullptr) out.worker = received->worker.get();
    return out;
  }

  // A worker that does not know a task says only "NotRegistered('the.name')".
  std::string_view name_in_exception() const {
    constexpr std::string_view kBegin = "NotRegistered('";
    std::string_view text = exception_;
    if (!text.starts_with(kBegin)) return {};
    text.remove_prefix(kBegin.size());
    const std::size_t end = text.find('\'');
    return end == std::string_view::npos ? std::string_view() : text.substr(0, end);
  }

  std::string task_id_;
  std::string name_;
  std::string args_;
  std::string kwargs_;
  std::string queue_;
  UnixSeconds described_at_ = 0;  // of the event that name_, args_ and kwargs_ are from
  UnixSeconds queue_at_ = 0;
  std::vector<Mark> marks_;  // in order of time
  Decision decision_;
  std::string exception_;
  std::string traceback_;
  double runtime_seconds_ = -1;
};

}  // namespace phlower
