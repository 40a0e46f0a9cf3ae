// Files as the first version of Phlower wrote them, from tests/data/first_version: SQL, of which
// the tests make the files. What is in there stays as it is for ever.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "phlower/record/record.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower::testing {

inline void make_first_version(const std::string& name, const std::string& path) {
  std::ifstream file(std::string(PHLOWER_TEST_DATA) + "/first_version/" + name + ".sql");
  ASSERT_TRUE(file.good()) << name;
  std::stringstream sql;
  sql << file.rdbuf();
  auto db = sqlite::Connection::open(path, sqlite::Access::kCreate);
  ASSERT_TRUE(db.ok()) << db.status().message();
  const Status made = db->exec(sql.str());
  ASSERT_TRUE(made.ok()) << name << ": " << made.message();
}

/// A record of those files; its run began at `begin`.
inline Record of_first_version(const std::string& id, UnixSeconds begin) {
  Record record;
  record.task_id = id;
  record.task_name = "tasks.of_the_first_version";
  record.state = "FAILURE";
  record.received_at = begin + 1.5;
  record.started_at = begin + 3;
  record.finished_at = begin + 4.5;
  record.runtime_ms = 1500;
  record.worker = "celery@first";
  record.queue = "default";
  record.exception_type = "ValueError('of " + id + "')";
  record.args = "('args of " + id + "',)";
  record.kwargs = "{'of': '" + id + "'}";
  record.traceback = "Traceback of " + id;
  return record;
}

}  // namespace phlower::testing
