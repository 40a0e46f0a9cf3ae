// Settings of a connection, each set and read back: a setting that SQLite ignores without a word
// (secure_delete left on) is what once filled a disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::sqlite {

struct Pragma {
  std::string name;
  std::string value;     // as it is set
  std::string expected;  // as it reads back
};

/// Sets one pragma. Errors: kUnsupported when it does not take, naming it and what was read back.
inline Status set_pragma(Connection& db, const Pragma& pragma) {
  if (Status set = db.exec("PRAGMA " + pragma.name + " = " + pragma.value); !set.ok()) return set;
  const auto found = db.query_text("PRAGMA " + pragma.name);
  if (!found.ok()) return found.status();
  if (*found == pragma.expected) return Status();
  return Status(Code::kUnsupported, db.path() + ": PRAGMA " + pragma.name + " = " + pragma.value +
                                        " did not take: it reads back as '" + *found + "'");
}

/// What every writing connection runs with, in the order in which it must be set.
inline std::vector<Pragma> writer_pragmas(const StoreOptions& options) {
  const bool power = options.durability == Durability::kPower;
  const auto number = [](std::string name, std::int64_t value) {
    return Pragma{std::move(name), std::to_string(value), std::to_string(value)};
  };
  const auto cache_kib = static_cast<std::int64_t>(options.cache_bytes >> 10);
  return {
      // Writers and readers do not wait for each other; needs the exclusive lock if it is a change.
      {"journal_mode", "WAL", "wal"},
      // NORMAL loses the last commits at power loss, never consistency. Debian's default is FULL.
      {"synchronous", power ? "FULL" : "NORMAL", power ? "2" : "1"},
      // On, which is Debian's default, every freed page is written once more with zeros.
      {"secure_delete", "OFF", "0"},
      // Checkpoints are a budgeted step of their own, not a surprise inside a commit.
      number("wal_autocheckpoint", 0),
      // When the log starts anew its file shrinks to this. Not lower: room that is given up and
      // taken again at each round costs more than the writes themselves.
      number("journal_size_limit", static_cast<std::int64_t>(options.wal_hard_bytes)),
      number("cache_size", -cache_kib),
      // Dirty pages stay in memory until the commit; a slice is small.
      {"cache_spill", "OFF", "0"},
      // With mmap an I/O error becomes a SIGBUS.
      number("mmap_size", 0),
      {"temp_store", "MEMORY", "2"},
      // The file may come from anywhere: no functions out of its schema, and cells are checked.
      {"trusted_schema", "OFF", "0"},
      {"cell_size_check", "ON", "1"},
  };
}

/// Errors: kUnsupported naming the pragma; kBusy when the change to WAL finds others at work.
inline Status set_writer_pragmas(Connection& db, const StoreOptions& options) {
  for (const Pragma& pragma : writer_pragmas(options)) {
    if (Status set = set_pragma(db, pragma); !set.ok()) return set;
  }
  return Status();
}

/// The same on a file of the origin's schema, which may have triggers of its owner: on full-text
/// tables, with functions of SQLite that count as unsafe. They work as everywhere. No function of a
/// program is on this connection; the inner tables of such modules and the schema itself stay out
/// of reach. Foreign keys are not enforced, which is SQLite's default. `leave_journal`: the journal
/// mode, which is kept in the file, stays as it is; outside of WAL a commit syncs as SQLite's
/// default does.
inline Status set_writer_pragmas_of_owner(Connection& db, const StoreOptions& options,
                                          bool leave_journal) {
  bool rollback = false;
  for (Pragma pragma : writer_pragmas(options)) {
    if (pragma.name == "journal_mode" && leave_journal) {
      const auto mode = db.query_text("PRAGMA journal_mode");
      if (!mode.ok()) return mode.status();
      rollback = *mode != "wal";
      continue;
    }
    if (pragma.name == "synchronous" && rollback) pragma = {"synchronous", "FULL", "2"};
    if (pragma.name == "trusted_schema") pragma = {"trusted_schema", "ON", "1"};
    if (Status set = set_pragma(db, pragma); !set.ok()) return set;
  }
  int on = 0;
  const int result = sqlite3_db_config(db.raw(), SQLITE_DBCONFIG_DEFENSIVE, 1, &on);
  if (result != SQLITE_OK || on == 0) {
    return Status(Code::kUnsupported, db.path() + ": SQLite has no defensive mode");
  }
  return set_pragma(db, {"foreign_keys", "OFF", "0"});
}

inline Status set_reader_pragmas(Connection& db) {
  for (const Pragma& pragma :
       {Pragma{"query_only", "ON", "1"}, Pragma{"mmap_size", "0", "0"},
        Pragma{"trusted_schema", "OFF", "0"}, Pragma{"cell_size_check", "ON", "1"}}) {
    if (Status set = set_pragma(db, pragma); !set.ok()) return set;
  }
  return Status();
}

/// How long a statement waits for a lock that another process holds; 0: not at all.
inline Status set_busy_timeout(Connection& db, int milliseconds) {
  const std::string value = std::to_string(milliseconds);
  return set_pragma(db, {"busy_timeout", value, value});
}

}  // namespace phlower::sqlite
