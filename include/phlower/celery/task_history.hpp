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

/// Folds the events of one task into one record. The state is the one that Celery's own State comes
/// to (celery.events.state.Task.event and celery.states.PRECEDENCE, the same in Celery 5.2 and 5.7)
/// when it gets the events in the order of their times, events of one time in the order of
/// EventKind:
/// - SUCCESS before FAILURE before REVOKED before STARTED before RECEIVED, whichever happened
/// later.
/// - RETRY takes the place of what is no end, and what happens after it takes its place.
/// State itself takes events as they arrive. That makes no difference unless there is a retry among
/// them, or two of a kind. Here the order of arrival never matters: it is that of connections, and
/// what a forgotten task said before is merged in the store, which does not know it.
///
/// Where this is not State, and why:
/// - An end stays until one of a higher rank, or a later one of its own, comes. State lets a later
///   retry take it back, and then any end take its place: a row would lose an end that is known.
/// - REJECTED is an end, the weakest. State leaves a rejected task STARTED or RECEIVED for ever.
/// - Custom events and task-sent change no state. State lets a progress event hide that a task was
///   revoked, and a late task-sent take a task that waits for its retry back to PENDING.
/// - The times, the worker, the runtime, the exception and the traceback are those of the end that
///   counts and of the last try up to it. State has those of the event of each kind that arrived
///   last: a start after the end, the exception of a try before a success.
/// - Name, arguments and queue are those of the last event that has them; State prefers those of
///   task-received, or what arrived last.
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
    decision_ = Mark();
    again_at_ = last_end_ = 0;
    runtime_seconds_ = -1;
  }

  const std::string& task_id() const { return task_id_; }

  /// Takes one event of this task, that happened at `at`. True if that changes `record`; an event
  /// seen before does not.
  bool apply(const Event& event, UnixSeconds at, WorkerNames& workers) {
    const bool changed = take_description(event, at);
    if (event.kind <= EventKind::kSent) return changed;
    const Times before = times();
    const Mark mark{at, event.kind, share_worker(event.hostname, workers)};
    if (!insert_mark(mark)) return changed;
    note_another_run(event.kind, at);
    const Mark& decides = decision_after(mark);
    if (decides == decision_) return changed || times() != before;
    if (decides == mark) {
      exception_ = event.exception;
      traceback_ = event.traceback;
      runtime_seconds_ = event.runtime_seconds;
    } else {  // something that was received or started, and tells of neither
      exception_.clear();
      traceback_.clear();
      runtime_seconds_ = -1;
    }
    decision_ = decides;
    return true;
  }

  /// True once an end was reported; it stays true.
  bool ended() const { return ends_task(decision_.kind); }
  /// True if it has ended, and has begun again since: it was delivered once more.
  bool runs_again() const { return again_at_ > 0; }
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

  /// The same of the run that is going on: after an end only what has come since then.
  RecordView running() const {
    RecordView out = record();
    if (!runs_again()) return out;
    const Mark* now = nullptr;
    out.received_at = out.started_at = out.finished_at = 0;
    for (const Mark& mark : marks_) {
      if (mark.at <= last_end_ || ends_task(mark.kind)) continue;
      if (mark.kind == EventKind::kReceived) out.received_at = mark.at;
      if (mark.kind == EventKind::kStarted) out.started_at = mark.at;
      if (now == nullptr || follows(mark, *now)) now = &mark;
    }
    if (now != nullptr) out.state = event_state(now->kind);
    out.worker = now != nullptr && now->worker ? std::string_view(*now->worker) : "";
    out.runtime_ms = -1;
    out.exception_type = out.traceback = {};
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
    bool operator==(const Mark& other) const { return at == other.at && kind == other.kind; }
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

  // Of two marks that are no ends, in order: the state is that of the second.
  static bool follows(const Mark& second, const Mark& first) {
    return second.kind == EventKind::kRetried || first.kind == EventKind::kRetried ||
           second.kind >= first.kind;
  }

  // What the state is from, now that `mark` is among the marks.
  const Mark& decision_after(const Mark& mark) const {
    if (ends_task(mark.kind)) {  // the kinds of ends are in the order of their weight
      const bool more =
          !ended() || std::tie(mark.kind, mark.at) > std::tie(decision_.kind, decision_.at);
      return more ? mark : decision_;
    }
    if (ended()) return decision_;
    const Mark* state = nullptr;
    for (const Mark& next : marks_) {
      if (state == nullptr || follows(next, *state)) state = &next;
    }
    return *state;
  }

  // A task is delivered once more when it begins after its end, and that is heard after the end:
  // where only the second is so, an event was late; where only the first, two clocks disagree.
  void note_another_run(EventKind kind, UnixSeconds at) {
    if (ends_task(kind)) {
      last_end_ = std::max(last_end_, at);
      if (at >= again_at_) again_at_ = 0;
    } else if (ended() && at > last_end_) {
      again_at_ = std::max(again_at_, at);
    }
  }

  // Of a kind the last mark up to the end; where clocks disagree so much that there is none, the
  // first after it.
  const Mark* last_mark(EventKind kind) const {
    const Mark* chosen = nullptr;
    for (const Mark& mark : marks_) {
      if (mark.kind != kind) continue;
      const bool in_time = !ended() || mark.at <= decision_.at;
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
  Mark decision_;
  UnixSeconds last_end_ = 0;
  UnixSeconds again_at_ = 0;  // when it last began after that
  std::string exception_;
  std::string traceback_;
  double runtime_seconds_ = -1;
};

}  // namespace phlower
