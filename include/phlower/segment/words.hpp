// Names, states, workers, queues and exception types of a segment as small numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/store/sqlite.hpp"

namespace phlower {

/// A segment has at most this many words; what comes later stands in its column as text, so that
/// whoever invents names for ever takes room in the file and not in memory.
inline constexpr std::size_t kWordsMax = 4096;

/// The words of one segment as its readers see them: numbers from 1, loaded as they appear.
/// Not thread safe. `db` outlives this.
class WordReader {
 public:
  explicit WordReader(sqlite::Connection& db) : db_(&db) {}

  /// Loads what was added since the last call.
  Status refresh() {
    Status ready =
        db_->prepare_once(select_, "SELECT id, text FROM word WHERE id > ?1 ORDER BY id LIMIT ?2");
    if (!ready.ok()) return ready;
    select_.bind(1, static_cast<std::int64_t>(words_.size()));
    select_.bind(2, static_cast<std::int64_t>(kWordsMax - words_.size()));
    for (;;) {
      const auto row = select_.step();
      if (!row.ok()) return row.status();
      if (!*row) return Status();
      if (select_.integer(0) != static_cast<std::int64_t>(words_.size()) + 1) {
        select_.reset();
        return Status(Code::kCorrupt, db_->path() + ": the numbers of its words have a gap");
      }
      words_.emplace_back(select_.text(1));
    }
  }

  /// The text behind a column: its word, or what stands there.
  Result<std::string_view> text(const sqlite::Statement& row, int column) {
    if (row.is_text(column) || row.is_null(column)) return row.text(column);
    const std::int64_t id = row.integer(column);
    if (id > static_cast<std::int64_t>(words_.size())) {
      if (Status status = refresh(); !status.ok()) return status;
    }
    if (id < 1 || id > static_cast<std::int64_t>(words_.size())) {
      return Status(Code::kCorrupt,
                    db_->path() + ": word " + std::to_string(id) + " does not exist");
    }
    return std::string_view(words_[static_cast<std::size_t>(id) - 1]);
  }

  /// The number of a word, 0 if the segment has none for it. Call `refresh` first.
  std::int64_t find(std::string_view word) const {
    for (std::size_t i = 0; i < words_.size(); ++i) {
      if (words_[i] == word) return static_cast<std::int64_t>(i) + 1;
    }
    return 0;
  }
  const std::vector<std::string>& all() const { return words_; }

 private:
  sqlite::Connection* db_;
  sqlite::Statement select_;
  std::vector<std::string> words_;
};

/// Gives numbers to words while a segment is written. Not thread safe. `db` outlives this.
class WordWriter {
 public:
  explicit WordWriter(sqlite::Connection& db) : db_(db) {}

  Status load() {
    WordReader reader(db_);
    if (Status status = reader.refresh(); !status.ok()) return status;
    for (const std::string& word : reader.all()) {
      numbers_.emplace(word, static_cast<std::int64_t>(numbers_.size()) + 1);
    }
    stored_ = numbers_.size();
    return Status();
  }

  /// Binds the number of `word`, a new one if need be; an empty word is NULL.
  Status bind(sqlite::Statement& statement, int at, std::string_view word) {
    if (word.empty()) {
      statement.bind_null(at);
      return Status();
    }
    auto known = numbers_.find(word);
    if (known == numbers_.end()) {
      if (numbers_.size() >= kWordsMax) {
        statement.bind(at, word);
        return Status();
      }
      if (Status status = add(word); !status.ok()) return status;
      known = numbers_.find(word);
    }
    statement.bind(at, known->second);
    return Status();
  }

  void committed() { stored_ = numbers_.size(); }
  void rolled_back() {
    std::erase_if(numbers_, [&](const auto& word) {
      return word.second > static_cast<std::int64_t>(stored_);
    });
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  Status add(std::string_view word) {
    Status ready = db_.prepare_once(insert_, "INSERT INTO word (id, text) VALUES (?1, ?2)");
    if (!ready.ok()) return ready;
    const auto number = static_cast<std::int64_t>(numbers_.size()) + 1;
    insert_.bind(1, number);
    insert_.bind(2, word);
    if (Status status = insert_.run(); !status.ok()) return status;
    numbers_.emplace(word, number);
    return Status();
  }

  sqlite::Connection& db_;
  sqlite::Statement insert_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> numbers_;
  std::size_t stored_ = 0;  // words of committed transactions
};

}  // namespace phlower
