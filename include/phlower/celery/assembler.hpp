// Turns the events of Celery into records: one for every end or retry of a task, and again when a
// late event completes it. Start here for Celery.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/celery/event.hpp"
#include "phlower/celery/task_history.hpp"
#include "phlower/celery/task_index.hpp"
#include "phlower/config/options.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/record/record.hpp"

namespace phlower {

/// Bounds that are no options: a host never has a reason to turn them.
struct AssemblerLimits {
  // Tasks that have ended are kept this long, so that late events complete them. Workers send what
  // they gathered at least once a second.
  std::chrono::seconds ended_age{60};
  std::size_t ended_max = 20'000;
};

/// A task that is in flight, as the assembler knows it: without an end, or begun again after one,
/// and then without that end. Of a task that waits for its retry it has what the last try left.
/// State PENDING: it was only sent. The texts are good until the assembler changes.
struct InFlightTask {
  RecordView record;
  MonoTime heard{};  // when its last event came
};

/// Sums since construction, and what is kept now.
struct AssemblerStats {
  std::uint64_t events = 0;            // given to `add`: the sum of the next four and those applied
  std::uint64_t worker_events = 0;     // online, heartbeat, offline
  std::uint64_t other_events = 0;      // custom events of tasks; not used
  std::uint64_t undated_events = 0;    // no timestamp and none seen before: not used
  std::uint64_t redundant_events = 0;  // said nothing new: delivered twice, or out of date
  std::uint64_t dated_by_neighbour = 0;  // no timestamp: that of the event before was taken
  std::uint64_t records = 0;             // given out, of which:
  std::uint64_t updates = 0;             //   a task's second and later
  std::uint64_t unfinished = 0;          //   tasks that went on when they were forgotten or flushed
  std::uint64_t forgotten_by_count = 0;  // in flight, over in_flight_max
  std::uint64_t forgotten_by_bytes = 0;  // in flight, over in_flight_bytes
  std::uint64_t forgotten_by_age = 0;    // in flight, nothing heard for in_flight_age
  std::uint64_t forgotten_unstarted = 0;  // of these and of those flushed: only task-sent was seen
  std::size_t in_flight = 0;
  std::size_t ended = 0;
  std::size_t bytes = 0;
};

/// Records go to a function that the caller gives: give(record) with a RecordView that is good
/// until it returns; or they are appended to a vector. Later records of a task replace earlier ones
/// by the rules of the store's upsert (the state of the higher rank wins, an end beats what is no
/// end, then the later or equal time; the winner's empty fields are filled from the loser), and
/// those are the rules of TaskHistory: so nothing is lost when a task was forgotten between two of
/// them.
///
/// A task is forgotten when there are too many or it has been silent too long. If a worker had
/// begun it, its record is given out in the state it had, without finished_at: nobody knows its
/// end. If it was only sent, nothing is given out: it is no invocation yet, and a row without any
/// time could never expire.
///
/// Over CeleryOptions::in_flight_bytes tasks that have ended go first, then the oldest in flight.
///
/// Not thread safe. Never blocks. Memory: bounded by in_flight_bytes plus one event and 4 MiB.
class Assembler {
 public:
  explicit Assembler(const CeleryOptions& options, AssemblerLimits limits = {})
      : options_(options), limits_(limits) {}
  Assembler(const Assembler&) = delete;
  Assembler& operator=(const Assembler&) = delete;

  /// Takes one event; `now` is the time of its arrival and only serves to forget old tasks.
  template <std::invocable<const RecordView&> Give>
  void add(const Event& event, MonoTime now, Give&& give) {
    ++stats_.events;
    if (event.kind == EventKind::kWorker) {
      ++stats_.worker_events;
    } else if (event.kind == EventKind::kOther) {
      ++stats_.other_events;
    } else if (const UnixSeconds at = date(event); at > 0) {
      apply(event, at, now, give);
    } else {
      ++stats_.undated_events;
    }
    expire(now, give);
  }
  void add(const Event& event, MonoTime now, std::vector<Record>& out) {
    add(event, now, Append{out});
  }

  /// Forgets what is over its age or its count. `add` does it; call it too when no events come.
  template <std::invocable<const RecordView&> Give>
  void expire(MonoTime now, Give&& give) {
    while (!ended_.empty() && (now - ended_.front().touched > limits_.ended_age ||
                               ended_.size() > limits_.ended_max)) {
      drop(ended_);
    }
    while (!in_flight_.empty() && now - in_flight_.front().touched > options_.in_flight_age) {
      ++stats_.forgotten_by_age;
      forget(give);
    }
    while (in_flight_.size() > options_.in_flight_max) {
      ++stats_.forgotten_by_count;
      forget(give);
    }
    while (stats_.bytes > options_.in_flight_bytes && stats_.bytes > 0) {
      if (!ended_.empty()) {
        drop(ended_);
        continue;
      }
      ++stats_.forgotten_by_bytes;
      forget(give);
    }
    stats_.in_flight = in_flight_.size();
    stats_.ended = ended_.size();
  }
  void expire(MonoTime now, std::vector<Record>& out) { expire(now, Append{out}); }

  /// Gives out the tasks in flight as they are and forgets everything: the end of a capture.
  template <std::invocable<const RecordView&> Give>
  void flush(Give&& give) {
    while (!in_flight_.empty()) forget(give);
    while (!ended_.empty()) drop(ended_);
    stats_.in_flight = stats_.ended = 0;
  }
  void flush(std::vector<Record>& out) { flush(Append{out}); }

  const AssemblerStats& stats() const { return stats_; }

  /// Calls visit(task) with an InFlightTask for each task in flight, the longest silent first, as
  /// long as it returns true. `visit` must not change the assembler.
  template <std::predicate<const InFlightTask&> Visit>
  void for_each_in_flight(Visit&& visit) const {
    for (const Entry& task : in_flight_) {
      if (!visit(InFlightTask{task.history.running(), task.touched})) return;
    }
  }
  /// The task of this id, if it is in flight. In constant time.
  std::optional<InFlightTask> find_in_flight(std::string_view task_id) const {
    const Entry* const task = by_id_.find(task_id);
    if (task == nullptr || task->in_ended) return std::nullopt;
    return InFlightTask{task->history.running(), task->touched};
  }

 private:
  // What a task costs besides its history: its node and two places in the index.
  static constexpr std::size_t kEntryBytes = 160;
  // Entries of tasks that are gone serve new ones, if there is not too much memory in them.
  static constexpr std::size_t kSpareEntries = 1024;
  static constexpr std::size_t kSpareBytes = 4 << 10;

  struct Entry {
    explicit Entry(std::string_view task_id) : history(task_id) {}
    const std::string& task_id() const { return history.task_id(); }
    void restart(std::string_view task_id) {
      touched = MonoTime();
      bytes = 0;
      given_out = news = in_ended = false;
      history.restart(task_id);
    }

    MonoTime touched{};      // last event; for an ended task the end
    std::size_t bytes = 0;   // as counted in stats_.bytes
    bool given_out = false;  // at least one record
    bool news = false;       // the history says more than the last record
    bool in_ended = false;   // which list it is in
    std::list<Entry>::iterator self;
    TaskHistory history;
  };
  using Tasks = std::list<Entry>;

  struct Append {
    std::vector<Record>& out;
    void operator()(const RecordView& record) const { out.push_back(owned(record)); }
  };

  // Events without a time happened close to the event before them, whose time they get: that is
  // right for a live stream and for an old capture, which the machine's clock would not be.
  UnixSeconds date(const Event& event) {
    if (event.timestamp > 0) {
      last_time_ = event.timestamp;
    } else if (last_time_ > 0) {
      ++stats_.dated_by_neighbour;
    }
    return last_time_;
  }

  template <class Give>
  void apply(const Event& event, UnixSeconds at, MonoTime now, Give& give) {
    Entry& task = find_or_make(event.uuid);
    const bool changed = task.history.apply(event, at, workers_);
    stats_.redundant_events += changed ? 0 : 1;
    task.news = task.news || changed;
    count_bytes(task);
    if (task.news && task.history.worth_a_record()) give_out(task, give);
    const bool over = task.history.ended() && !task.history.runs_again();
    if (task.in_ended && over) return;
    task.touched = now;
    Tasks& from = task.in_ended ? ended_ : in_flight_;
    Tasks& to = over ? ended_ : in_flight_;
    task.in_ended = over;
    to.splice(to.end(), from, task.self);
  }

  Entry& find_or_make(const std::string& task_id) {
    if (Entry* const found = by_id_.find(task_id)) return *found;
    const bool reuse = !spare_.empty();
    if (reuse) {
      in_flight_.splice(in_flight_.end(), spare_, spare_.begin());
    } else {
      in_flight_.emplace_back(task_id);
    }
    Entry& task = in_flight_.back();
    if (reuse) task.restart(task_id);
    task.self = std::prev(in_flight_.end());
    by_id_.insert(task);
    return task;
  }

  void count_bytes(Entry& task) {
    const std::size_t bytes = kEntryBytes + task.history.bytes();
    stats_.bytes += bytes - task.bytes;
    task.bytes = bytes;
  }

  template <class Give>
  void give_out(Entry& task, Give& give) {
    give(task.history.record());
    ++stats_.records;
    stats_.updates += task.given_out ? 1 : 0;
    task.given_out = true;
    task.news = false;
  }

  // The oldest task in flight goes; what is known of it does not.
  template <class Give>
  void forget(Give& give) {
    Entry& task = in_flight_.front();
    if (task.history.ended()) {  // and begun again: its next end is rather one of those just seen
      task.in_ended = true;
      ended_.splice(ended_.end(), in_flight_, in_flight_.begin());
      return;
    }
    if (!task.history.begun()) {
      ++stats_.forgotten_unstarted;
    } else if (task.news) {
      ++stats_.unfinished;
      give_out(task, give);
    }
    drop(in_flight_);
  }

  void drop(Tasks& list) {
    Entry& task = list.front();
    stats_.bytes -= task.bytes;
    by_id_.erase(task);
    if (spare_.size() < kSpareEntries && task.bytes <= kSpareBytes) {
      spare_.splice(spare_.end(), list, list.begin());
    } else {
      list.pop_front();
    }
  }

  CeleryOptions options_;
  AssemblerLimits limits_;
  WorkerNames workers_;
  Tasks in_flight_;  // longest silent first
  Tasks ended_;      // earliest end first
  Tasks spare_;
  TaskIndex<Entry> by_id_;
  UnixSeconds last_time_ = 0;
  AssemblerStats stats_;
};

}  // namespace phlower
