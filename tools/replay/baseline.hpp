// The old ways as whole stores, to compare with: one mutex for flush and purge, pending records in
// this process's memory, a purge thread that deletes as OldPurge does. Pragmas are the defaults of
// Debian's SQLite, as the origin had them.
#pragma once

#include <sys/random.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include "phlower/ring/consumer.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/rows.hpp"
#include "phlower/single/schema.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "replay/engine.hpp"
#include "replay/old_purge.hpp"

namespace phlower::tools {

class ReplayBaseline {
 public:
  ReplayBaseline(OldWay way, Clock& clock) : way_(way), clock_(clock) {}

  /// Blocks until the producers are done and everything is stored.
  Status run(const Options& options, const RunUntil& until, Live& live, ReplayResult& result) {
    result.way = std::string(old_way_name(way_));
    if (Status status = open(options); !status.ok()) return status;
    result.found = found_;
    until.begin();
    const MonoTime begin = clock_.mono();
    std::thread purge([&] { purge_loop(options.retention); });
    Status status;
    while (status.ok() && !until.stopped() &&
           (until.producing() || !waiting_.empty() || ring_->has_unread())) {
      take();
      if (lock_.try_lock()) {
        status = flush(result);
        lock_.unlock();
      }
      result.rss_bytes_max = std::max(result.rss_bytes_max, resident_bytes());
      result.ring_fill_max = std::max(result.ring_fill_max, ring_->fill());
      if (live.due(clock_.mono())) {
        live.show({clock_.mono() - begin, result.committed, ring_->fill(),
                   result.flush_age.quantile(0.99), hold_max_ns_.load(), 0, ""});
      }
      std::this_thread::sleep_for(kFlushInterval);
    }
    stop_.store(true);  // seq_cst, paired with the loop's load
    purge.join();
    result.hold.merge(purge_hold_);
    result.purged = purged_;
    result.purged_details = purged_details_;
    result.in_ring = ring_->stats().unread + waiting_.size();
    result.elapsed_s = std::chrono::duration<double>(clock_.mono() - begin).count();
    return status.ok() ? purge_status_ : status;
  }

 private:
  static constexpr Nanoseconds kFlushInterval = Milliseconds(100);

  struct Waiting {
    Record record;
    std::uint64_t submitted_ns;
  };

  Status open(const Options& options) {
    auto db = sqlite::Connection::open(options.store.path, sqlite::Access::kCreate);
    if (!db.ok()) return db.status();
    db_ = *std::move(db);
    // A history of its own, which keeps no positions: all that it takes it holds in memory.
    HistoryId history{};
    if (::getrandom(history.data(), history.size(), 0) != static_cast<ssize_t>(history.size())) {
      return Status::from_errno("getrandom");
    }
    RingHome home(history, options.store.path, [](const RingId& id) {
      return RingPositions{id, {}, {}};
    });
    home.save = [](const RingPositions&) { return Status(); };
    auto ring = RingConsumer::open(options.ring, options.store.durability, clock_, home);
    if (!ring.ok()) return ring.status();
    ring_ = *std::move(ring);
    found_ = ring_->stats().unread;
    Status status = db_.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL");
    if (status.ok()) status = db_.exec(schema::create_invocations());
    if (status.ok()) status = db_.exec(schema::create_details());
    for (const std::string_view sql : schema::kCreateIndexes) {
      if (status.ok()) status = db_.exec(std::string(sql));
    }
    if (!status.ok()) return status;
    auto invocation = db_.prepare(row_sql::insert<FieldPart::kRow>("INSERT OR REPLACE"));
    if (!invocation.ok()) return invocation.status();
    invocation_ = *std::move(invocation);
    auto details = db_.prepare(row_sql::insert<FieldPart::kDetails>("INSERT OR REPLACE"));
    if (!details.ok()) return details.status();
    details_ = *std::move(details);
    return Status();
  }

  // Out of the ring into this process's memory, whatever the database does.
  void take() {
    RingRecord record;
    ring_->scan();
    while (ring_->next(record)) {
      waiting_.push_back({owned(record.record), record.submitted_ns});
    }
    ring_->commit();
  }

  Status flush(ReplayResult& result) {
    if (waiting_.empty()) return Status();
    const MonoTime begin = clock_.mono();
    if (Status status = db_.exec("BEGIN IMMEDIATE"); !status.ok()) return status;
    for (const Waiting& waiting : waiting_) {
      if (Status status = insert(waiting.record); !status.ok()) return status;
    }
    if (Status status = db_.exec("COMMIT"); !status.ok()) return status;
    const MonoTime now = clock_.mono();
    for (const Waiting& waiting : waiting_) {
      const auto now_ns = static_cast<std::uint64_t>(now.time_since_epoch().count());
      result.flush_age.record(now_ns > waiting.submitted_ns ? now_ns - waiting.submitted_ns : 0);
    }
    result.hold.record(now - begin);
    result.committed += waiting_.size();
    waiting_.clear();
    return Status();
  }

  Status insert(const Record& record) {
    bind_row(invocation_, record.view());
    if (Status status = invocation_.run(); !status.ok()) return status;
    bind_details(details_, record.view());
    return details_.run();
  }

  // The same connection under the same mutex, as the origin did it.
  void purge_loop(RetentionOptions retention) {
    OldPurge purge(db_, way_);
    for (bool more = true; more && !stop_.load();) {  // seq_cst, paired with the store in run()
      more = purge_once(purge, cutoffs_at(retention, clock_.wall()));
      std::this_thread::sleep_for(Milliseconds(50));
    }
  }

  bool purge_once(OldPurge& purge, const Cutoffs& cutoffs) {
    const std::lock_guard<std::mutex> hold(lock_);
    const MonoTime begin = clock_.mono();
    const auto step = purge.step(cutoffs);
    const Nanoseconds held = clock_.mono() - begin;
    if (!step.ok()) {
      purge_status_ = step.status();
      return false;
    }
    purge_hold_.record(held);
    // seq_cst; only shown.
    hold_max_ns_.store(std::max(hold_max_ns_.load(), static_cast<std::uint64_t>(held.count())));
    purged_ += step->invocations;
    purged_details_ += step->details;
    return step->more;
  }

  OldWay way_;
  Clock& clock_;
  sqlite::Connection db_;
  sqlite::Statement invocation_;
  sqlite::Statement details_;
  std::unique_ptr<RingConsumer> ring_;
  std::uint64_t found_ = 0;
  std::deque<Waiting> waiting_;
  std::mutex lock_;
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> hold_max_ns_{0};
  Histogram purge_hold_;  // of the purge thread, read after it has ended
  std::uint64_t purged_ = 0;
  std::uint64_t purged_details_ = 0;
  Status purge_status_;
};

}  // namespace phlower::tools
