// Writes one version of a task into `invocations` and `invocation_details`. The new task is the
// fast path: two inserts. Another version of a known task is read, merged and written back.
#pragma once

#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/history/merge.hpp"
#include "phlower/record/record.hpp"
#include "phlower/single/family.hpp"
#include "phlower/single/row_sql.hpp"
#include "phlower/single/rows.hpp"
#include "phlower/single/tables.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// How long what is written is kept, and the cutoff of details at the last purge, for rows that
/// come late.
struct UpsertContext {
  const RetentionPolicy& policy;
  UnixSeconds details_cutoff = -kNever;
};

/// Not thread safe. Requires an open transaction.
class Upserter {
 public:
  /// Requires: `main` has both its tables, with all columns. `db` outlives this.
  Upserter(sqlite::Connection& db, const TableFamily& main) : db_(db), main_(main) {}

  /// kInvalidArgument: the record cannot be stored and has left no trace.
  Status upsert(const RecordView& record, const UpsertContext& context, FamilyState& state) {
    if (Status status = check_record(record); !status.ok()) return status;
    if (Status status = prepare(); !status.ok()) return status;
    if (Status status = insert_row(record); !status.ok()) return status;
    if (db_.changes() == 1) return finish_new(record, context, state);
    // A failure half-way would leave a row that is neither version; this path is rare enough to
    // pay for a way back.
    if (Status status = db_.exec("SAVEPOINT phlower_merge"); !status.ok()) return status;
    const FamilyState before = state;
    const Status merged = merge_into_stored(record, context, state);
    if (merged.ok()) return db_.exec("RELEASE phlower_merge");
    state = before;
    if (merged.code() != Code::kInvalidArgument) return merged;  // the transaction is lost anyway
    const Status back = db_.exec("ROLLBACK TO phlower_merge; RELEASE phlower_merge");
    return back.ok() ? merged : back;
  }

 private:
  Status prepare() {
    if (ready_) return Status();
    // Details that stood beside their row go to their own table with the next version.
    const std::string nulls = main_.details_in_row ? row_sql::no_details(main_.row_columns) : "";
    const auto row = row_sql::select_list<FieldPart::kRow>(main_.row_columns);
    const auto in_row = row_sql::select_list<FieldPart::kDetails>(main_.row_columns);
    const auto details = row_sql::select_list<FieldPart::kDetails>(main_.details_columns);
    const std::string once = " ON CONFLICT (task_id) DO NOTHING";
    struct Wanted {
      sqlite::Statement& statement;
      std::string sql;
    };
    for (const Wanted& wanted :
         {Wanted{insert_row_, row_sql::insert<FieldPart::kRow>() + once},
          Wanted{delete_row_, "DELETE FROM invocations WHERE rowid = ?1"},
          Wanted{update_row_, row_sql::update<FieldPart::kRow>(nulls)},
          Wanted{select_row_,
                 "SELECT " + row + ", " + in_row + " FROM invocations WHERE task_id = ?1"},
          Wanted{insert_details_, row_sql::insert<FieldPart::kDetails>() + once},
          Wanted{update_details_, row_sql::update<FieldPart::kDetails>()},
          Wanted{select_details_,
                 "SELECT " + details + " FROM invocation_details WHERE task_id = ?1"},
          Wanted{delete_details_, "DELETE FROM invocation_details WHERE task_id = ?1"}}) {
      Status status = db_.prepare_once(wanted.statement, wanted.sql);
      if (!status.ok()) return status;
    }
    ready_ = true;
    return Status();
  }

  Status insert_row(const RecordView& record) {
    bind_row(insert_row_, record);
    return insert_row_.run();
  }

  // Details whose time was over at the last purge are not worth a write: no read would show them.
  static bool worth_keeping(const RecordView& row, const UpsertContext& context) {
    const UnixSeconds time = retention_time(row.finished_at, row.started_at, row.received_at);
    return row.has_details() && !(time > 0 && time <= context.details_cutoff);
  }

  Status finish_new(const RecordView& record, const UpsertContext& context, FamilyState& state) {
    RecordView row = record;
    if (!worth_keeping(row, context)) row.clear_details();
    if (row.has_details()) {
      const std::int64_t rowid = db_.last_rowid();
      Status status = write_details(row, state);
      if (!status.ok()) {
        if (status.code() != Code::kInvalidArgument) return status;
        delete_row_.bind(1, rowid);
        const Status undone = delete_row_.run();
        return undone.ok() ? status : undone;
      }
    }
    state.invocations.inserted(row.task_id);
    state.note_row(row, context.policy);
    return Status();
  }

  Status write_details(const RecordView& row, FamilyState& state) {
    bind_details(insert_details_, row);
    if (Status status = insert_details_.run(); !status.ok()) return status;
    if (db_.changes() == 1) {
      state.details.inserted(row.task_id);
      return Status();
    }
    bind_details(update_details_, row);
    return update_details_.run();
  }

  Status merge_into_stored(const RecordView& incoming, const UpsertContext& context,
                           FamilyState& state) {
    Record stored;
    bool has_details_row = false;
    if (Status status = load(incoming.task_id, stored, has_details_row); !status.ok()) {
      return status;
    }
    const RecordView old = stored.view();
    RecordView row = merge_versions(old, incoming);
    if (!worth_keeping(row, context)) row.clear_details();
    bind_row(update_row_, row);
    if (Status status = update_row_.run(); !status.ok()) return status;
    if (row.has_details()) {
      if (Status status = write_details(row, state); !status.ok()) return status;
    } else if (has_details_row) {
      delete_details_.bind(1, row.task_id);
      if (Status status = delete_details_.run(); !status.ok()) return status;
      state.details.deleted(row.task_id);
    }
    state.note_row(row, context.policy);
    return Status();
  }

  Status load(std::string_view task_id, Record& stored, bool& has_details_row) {
    select_row_.bind(1, task_id);
    const auto found = select_row_.step();
    if (!found.ok()) return found.status();
    if (!*found)
      return Status(Code::kCorrupt,
                    db_.path() + ": the key of task " + std::string(task_id) + " leads to no row");
    read_row(select_row_, stored);
    read_details(select_row_, kRowColumns, stored);
    select_row_.reset();
    select_details_.bind(1, task_id);
    const auto details = select_details_.step();
    if (!details.ok()) return details.status();
    has_details_row = *details;
    if (*details) read_details(select_details_, 0, stored);
    select_details_.reset();
    return Status();
  }

  sqlite::Connection& db_;
  TableFamily main_;
  bool ready_ = false;
  sqlite::Statement insert_row_, delete_row_, update_row_, select_row_;
  sqlite::Statement insert_details_, update_details_, select_details_, delete_details_;
};

}  // namespace phlower
