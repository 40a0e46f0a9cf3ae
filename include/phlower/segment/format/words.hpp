// Names, states, workers, queues and exception types of a segment as small numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/record/limits.hpp"
#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// A segment has at most this many words, of this many bytes each and together; what is longer or
/// comes later stands in its column as text, so that whoever invents names for ever takes room in
/// the file and not in memory.
inline constexpr std::size_t kWordsMax = 4096;
inline constexpr std::size_t kWordBytes = 128;
inline constexpr std::size_t kWordsBytes = 64 << 10;
/// Texts that may be other ones each time, as what an exception says, get only the first half.
inline constexpr std::size_t kLooseWordsBytes = kWordsBytes / 2;

/// The words of one segment as its readers see them: numbers from 1. Loaded when they are met, and
/// kept within the bounds above; files of earlier builds have more and longer ones, which are read
/// each time. Not thread safe. `db` outlives this.
class WordReader {
 public:
  explicit WordReader(sqlite::Connection& db) : db_(&db) {}

  /// The text behind a column: its word, or what stands there. Valid until the next call.
  Result<std::string_view> text(const sqlite::Statement& row, int column) {
    if (row.is_text(column) || row.is_null(column)) return row.text(column);
    const std::int64_t id = row.integer(column);
    if (id > 0 && static_cast<std::uint64_t>(id) <= kept_.size()) {
      const std::string& word = kept_[static_cast<std::size_t>(id) - 1];
      if (!word.empty()) return std::string_view(word);
    }
    return load(id);
  }

  /// The number of a word, 0 if the segment has none for it as of now.
  Result<std::int64_t> find(std::string_view word) {
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      if (kept_[i] == word) return static_cast<std::int64_t>(i) + 1;
    }
    Status ready = db_->prepare_once(find_, "SELECT id FROM word WHERE text = ?1");
    if (!ready.ok()) return ready;
    find_.bind(1, word);
    const auto row = find_.step();
    if (!row.ok()) return row.status();
    const std::int64_t id = *row ? find_.integer(0) : 0;
    find_.reset();
    if (id > 0) keep(id, word);
    return id;
  }

  /// What was read in a transaction that is undone is not so.
  void forget() {
    kept_.clear();
    kept_bytes_ = 0;
  }

 private:
  Result<std::string_view> load(std::int64_t id) {
    Status ready = db_->prepare_once(select_, "SELECT text FROM word WHERE id = ?1");
    if (!ready.ok()) return ready;
    select_.bind(1, id);
    const auto row = select_.step();
    if (!row.ok()) return row.status();
    if (!*row) {
      return Status(Code::kCorrupt,
                    db_->path() + ": word " + std::to_string(id) + " does not exist");
    }
    last_ = select_.text(0);
    select_.reset();
    keep(id, last_);
    return std::string_view(last_);
  }

  void keep(std::int64_t id, std::string_view word) {
    if (static_cast<std::uint64_t>(id) > kWordsMax || word.size() > kWordBytes) return;
    if (kept_bytes_ + word.size() > kWordsBytes) return;
    if (kept_.size() < static_cast<std::size_t>(id)) kept_.resize(static_cast<std::size_t>(id));
    kept_[static_cast<std::size_t>(id) - 1] = word;
    kept_bytes_ += word.size();
  }

  sqlite::Connection* db_;
  sqlite::Statement select_, find_;
  std::vector<std::string> kept_;  // by number; empty: not met yet, or not kept
  std::size_t kept_bytes_ = 0;
  std::string last_;
};

/// Gives numbers to words while a segment is written. Not thread safe. `db` outlives this.
class WordWriter {
 public:
  explicit WordWriter(sqlite::Connection& db) : db_(db) {}

  Status load() {
    auto select = db_.prepare("SELECT id, text FROM word ORDER BY id");
    if (!select.ok()) return select.status();
    for (;;) {
      const auto row = select->step();
      if (!row.ok()) return row.status();
      if (!*row) break;
      if (select->integer(0) != last_ + 1) {
        return Status(Code::kCorrupt, db_.path() + ": the numbers of its words have a gap");
      }
      ++last_;
      const std::string_view word = select->text(1);
      bytes_ += word.size();
      // In a file of an earlier build there are longer ones, but no more names are that long.
      if (word.size() <= kNameBytesMax) numbers_.emplace(word, last_);
    }
    stored_ = {last_, bytes_};
    return Status();
  }

  /// Binds the number of `word`, a new one if need be and while all words together have less than
  /// `room` bytes; an empty word is NULL.
  Status bind(sqlite::Statement& statement, int at, std::string_view word,
              std::size_t room = kWordsBytes) {
    if (word.empty()) {
      statement.bind_null(at);
      return Status();
    }
    auto known = numbers_.find(word);
    if (known == numbers_.end()) {
      const bool full = static_cast<std::size_t>(last_) >= kWordsMax ||
                        bytes_ + word.size() > room || word.size() > kWordBytes;
      if (full) {
        statement.bind(at, word);
        return Status();
      }
      if (Status status = add(word); !status.ok()) return status;
      known = numbers_.find(word);
    }
    statement.bind(at, known->second);
    return Status();
  }

  void committed() { stored_ = {last_, bytes_}; }
  void rolled_back() {
    std::erase_if(numbers_, [&](const auto& word) { return word.second > stored_.last; });
    last_ = stored_.last;
    bytes_ = stored_.bytes;
  }

 private:
  struct Stored {
    std::int64_t last = 0;
    std::size_t bytes = 0;
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };

  Status add(std::string_view word) {
    Status ready = db_.prepare_once(insert_, "INSERT INTO word (id, text) VALUES (?1, ?2)");
    if (!ready.ok()) return ready;
    insert_.bind(1, last_ + 1);
    insert_.bind(2, word);
    if (Status status = insert_.run(); !status.ok()) return status;
    numbers_.emplace(word, ++last_);
    bytes_ += word.size();
    return Status();
  }

  sqlite::Connection& db_;
  sqlite::Statement insert_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> numbers_;
  std::int64_t last_ = 0;  // number
  std::size_t bytes_ = 0;  // of all of them
  Stored stored_;          // as of the last commit
};

}  // namespace phlower
