// A store read as its users read it: through History, by the retention of whoever asks.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/history/history.hpp"
#include "phlower/history/store.hpp"

namespace phlower::testing {

inline Result<History> history_of(Store& store, WallTime now,
                                  const RetentionOptions& retention = {}) {
  auto sources = store.sources();
  if (!sources.ok()) return sources.status();
  return History(*std::move(sources), cutoffs_at(retention, now));
}

inline Result<std::optional<Record>> get_row(Store& store, std::string_view task_id, WallTime now,
                                             const RetentionOptions& retention = {}) {
  auto history = history_of(store, now, retention);
  if (!history.ok()) return history.status();
  return history->get(task_id);
}

/// At most `limit` rows of a task.
inline Result<std::vector<Row>> list_task(Store& store, std::string_view task_name,
                                          std::uint32_t limit, WallTime now,
                                          const RetentionOptions& retention = {}) {
  auto history = history_of(store, now, retention);
  if (!history.ok()) return history.status();
  Query query;
  query.task_name = task_name;
  query.limit = limit;
  auto answer = history->list(query);
  if (!answer.ok()) return answer.status();
  return std::move(answer->rows);
}

}  // namespace phlower::testing
