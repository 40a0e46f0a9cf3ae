// The life of a segment is one table: in the page, in the code, and in what the catalog lets
// through.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "phlower/segment/catalog.hpp"
#include "support/temp_dir.hpp"

namespace phlower {
namespace {

using ::testing::HasSubstr;
using testing::TempDir;

std::vector<SegmentState> all_states() {
  std::vector<SegmentState> states;
  for (int number = 0; number <= static_cast<int>(kLastSegmentState); ++number) {
    states.push_back(static_cast<SegmentState>(number));
  }
  return states;
}

SegmentInfo numbered(std::int64_t seq) {
  SegmentInfo info;
  info.seq = seq;
  info.rows = 7;
  info.closed_us = 1000;
  return info;
}

/// The moves that lead from nothing to each state.
std::vector<Move> way_to(SegmentState state) {
  switch (state) {
    case SegmentState::kNone: return {};
    case SegmentState::kSpare: return {Move::kMake};
    case SegmentState::kWriting: return {Move::kMake, Move::kActivate};
    case SegmentState::kLate: return {Move::kMake, Move::kTakeLate};
    case SegmentState::kSealing: return {Move::kMake, Move::kActivate, Move::kClose};
    case SegmentState::kSealed: return {Move::kMake, Move::kActivate, Move::kClose, Move::kSeal};
    case SegmentState::kExpiring: return {Move::kAdopt, Move::kExpire};
    case SegmentState::kAdopted: return {Move::kAdopt};
    case SegmentState::kSetAside: return {Move::kAdopt, Move::kSetAside};
  }
  return {};
}

// -- The page -----------------------------------------------------------------------------------

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream in(line);
  for (std::string cell; std::getline(in, cell, '|');) {
    const auto first = cell.find_first_not_of(' ');
    const auto last = cell.find_last_not_of(' ');
    cells.push_back(first == cell.npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

/// The rows of the page that begin with `| <first>`, as cells; cell 0 is empty.
std::vector<std::vector<std::string>> rows_of_page(const std::string& first) {
  std::ifstream page(PHLOWER_TEST_DATA "/../../doc/segment_format.md");
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(page, line);) {
    const std::string head = "| " + first;
    const bool row = line.starts_with(head) && line.size() > head.size() &&
                     std::isdigit(static_cast<unsigned char>(line[head.size()])) != 0;
    if (row) rows.push_back(cells_of(line));
  }
  return rows;
}

std::set<std::string> words_of(const std::string& list) {
  std::set<std::string> words;
  std::istringstream in(list);
  for (std::string word; std::getline(in, word, ',');) {
    words.insert(word.substr(word.find_first_not_of(' ')));
  }
  return words;
}

/// What stands under "from", spelt out.
std::set<std::string> states_named(const std::string& from) {
  if (from == "-") return {std::string(state_name(SegmentState::kNone))};
  const std::string any = "any but ";
  if (!from.starts_with(any)) return words_of(from);
  const auto without = words_of(from.substr(any.size()));
  std::set<std::string> named;
  for (const SegmentState state : all_states()) {
    const std::string name(state_name(state));
    if (state != SegmentState::kNone && !without.contains(name)) named.insert(name);
  }
  return named;
}

TEST(SegmentMoves, AreThoseOfThePageRowForRow) {
  const auto rows = rows_of_page("T");
  ASSERT_EQ(rows.size(), kMoves.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const MoveRule& rule = kMoves[i];
    ASSERT_GE(rows[i].size(), 4u);
    EXPECT_EQ(rows[i][1], "T" + std::to_string(i + 1) + " " + std::string(rule.name));
    EXPECT_EQ(static_cast<std::size_t>(rule.move), i + 1) << "its place is its number";
    std::set<std::string> from;
    for (const SegmentState state : all_states()) {
      const auto to = state_after(state, rule.move);
      if (!to) continue;
      from.insert(std::string(state_name(state)));
      const std::string there = *to == state                 ? "the same"
                                : *to == SegmentState::kNone ? "-"
                                                             : std::string(state_name(*to));
      EXPECT_EQ(rows[i][3], there) << rule.name << " from " << state_name(state);
    }
    EXPECT_EQ(from, states_named(rows[i][2])) << rule.name;
  }
}

TEST(SegmentMoves, HaveTheStatesOfThePageByNumberAndName) {
  std::map<std::string, bool> named;
  for (const auto& row : rows_of_page("")) named[row[1]] = true;
  for (const SegmentState state : all_states()) {
    if (state == SegmentState::kNone) continue;
    const std::string row =
        std::to_string(static_cast<int>(state)) + " " + std::string(state_name(state));
    EXPECT_TRUE(named.contains(row)) << row;
  }
}

// -- The catalog --------------------------------------------------------------------------------

/// A catalog with one segment in the state that is asked for.
class Moved {
 public:
  explicit Moved(SegmentState state) {
    auto opened = Catalog::open(dir.path(), true);
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    catalog.emplace(*std::move(opened));
    for (const Move move : way_to(state)) {
      const Status status = catalog->apply({move, numbered(1)});
      EXPECT_TRUE(status.ok()) << status.message();
    }
  }
  static SegmentState state_in(const Catalog& from) {
    const SegmentInfo* info = from.find(1);
    return info == nullptr ? SegmentState::kNone : info->state;
  }
  /// As a process that opens it now finds it.
  SegmentState stored() const {
    const auto again = Catalog::open(dir.path(), false);
    EXPECT_TRUE(again.ok()) << again.status().message();
    return again.ok() ? state_in(*again) : SegmentState::kNone;
  }
  TempDir dir{"/dev/shm"};
  std::optional<Catalog> catalog;
};

TEST(SegmentMoves, HappenAsTheTableSaysAndNoOtherWay) {
  int refused = 0;
  for (const SegmentState state : all_states()) {
    for (const MoveRule& rule : kMoves) {
      SCOPED_TRACE(std::string(rule.name) + " from " + std::string(state_name(state)));
      Moved moved(state);
      ASSERT_EQ(Moved::state_in(*moved.catalog), state);
      const Status status = moved.catalog->apply({rule.move, numbered(1)});
      const auto to = state_after(state, rule.move);
      EXPECT_EQ(status.ok(), to.has_value()) << status.message();
      EXPECT_EQ(Moved::state_in(*moved.catalog), to.value_or(state));
      EXPECT_EQ(moved.stored(), to.value_or(state));
      if (status.ok()) continue;
      ++refused;
      EXPECT_EQ(status.code(), Code::kInternal);
      EXPECT_THAT(std::string(status.message()), HasSubstr("meta.db: segment 1 is "));
      EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(state_name(state))));
      EXPECT_THAT(std::string(status.message()), HasSubstr("`" + std::string(rule.name) + "`"));
    }
  }
  EXPECT_EQ(refused, 85) << "of 9 states and 13 moves";
}

TEST(SegmentMoves, AreAllDoneOrNone) {
  Moved moved(SegmentState::kSealed);
  const std::vector<SegmentEdit> edits{
      {Move::kExpire, numbered(1)}, {Move::kMake, numbered(2)}, {Move::kSeal, numbered(3)}};
  EXPECT_FALSE(moved.catalog->apply(edits).ok());
  EXPECT_EQ(Moved::state_in(*moved.catalog), SegmentState::kSealed);
  EXPECT_EQ(moved.catalog->find(2), nullptr);
  EXPECT_EQ(moved.stored(), SegmentState::kSealed);
  EXPECT_TRUE(moved.catalog->apply(std::span(edits).first(2)).ok()) << "and it can go on";
  EXPECT_EQ(moved.stored(), SegmentState::kExpiring);
}

TEST(SegmentMoves, OfOneCommitFollowEachOther) {
  Moved moved(SegmentState::kNone);
  std::vector<SegmentEdit> edits;
  for (const Move move : way_to(SegmentState::kSealed)) edits.push_back({move, numbered(1)});
  ASSERT_TRUE(moved.catalog->apply(edits).ok());
  EXPECT_EQ(moved.stored(), SegmentState::kSealed);
}

TEST(SegmentMoves, ThatOthersMayMakeAtTheSameTimeLeaveFiguresAlone) {
  for (const Move move : {Move::kExpire, Move::kSetAside, Move::kCorrect}) {
    Moved moved(SegmentState::kSealed);
    SegmentInfo old = numbered(1);
    old.rows = 3;
    old.closed_us = 5;
    ASSERT_TRUE(moved.catalog->apply({move, old}).ok());
    EXPECT_EQ(moved.catalog->find(1)->rows, 7u);
    EXPECT_EQ(moved.catalog->find(1)->closed_us, move == Move::kCorrect ? 5 : 1000);
  }
}

// Two processes, each with a catalog of its own that it loaded before the other moved the segment.
TEST(SegmentMoves, OfAnotherProcessInBetweenMakeAMoveVoid) {
  Moved moved(SegmentState::kSealed);
  auto other = Catalog::open(moved.dir.path(), true);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->apply({Move::kExpire, numbered(1)}).ok());
  ASSERT_TRUE(other->apply({Move::kGo, numbered(1)}).ok());
  EXPECT_EQ(Moved::state_in(*moved.catalog), SegmentState::kSealed) << "it has not looked";
  const std::uint64_t before = moved.catalog->revision();
  const Status status = moved.catalog->apply({Move::kCorrect, numbered(1)});
  EXPECT_EQ(status.code(), Code::kReload) << status.message();
  EXPECT_EQ(moved.stored(), SegmentState::kNone) << "a segment without a file came back";
  EXPECT_EQ(Moved::state_in(*moved.catalog), SegmentState::kNone) << "what is there now";
  EXPECT_NE(moved.catalog->revision(), before);
  EXPECT_EQ(moved.catalog->apply({Move::kCorrect, numbered(1)}).code(), Code::kInternal);
  EXPECT_TRUE(moved.catalog->forget({1}).ok()) << "it has gone, and that is all that was wanted";
}

TEST(SegmentMoves, OfAnotherProcessThatAreInNobodysWayAreTakenIn) {
  Moved moved(SegmentState::kSealed);
  auto other = Catalog::open(moved.dir.path(), true);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(other->apply({Move::kExpire, numbered(1)}).ok());
  ASSERT_TRUE(moved.catalog->apply({Move::kMake, numbered(2)}).ok());
  EXPECT_EQ(Moved::state_in(*moved.catalog), SegmentState::kExpiring);
  ASSERT_TRUE(moved.catalog->forget({1, 5}).ok());
  EXPECT_EQ(moved.stored(), SegmentState::kNone);
}

TEST(SegmentMoves, OfItsOwnAreNoNewsToACatalog) {
  Moved moved(SegmentState::kSealed);
  for (std::int64_t seq = 2; seq < 400; ++seq) {  // through many rounds of the log
    ASSERT_TRUE(moved.catalog->apply({Move::kMake, numbered(seq)}).ok());
    const auto changed = moved.catalog->changed();
    ASSERT_TRUE(changed.ok());
    ASSERT_FALSE(*changed) << seq;
  }
}

TEST(SegmentMoves, NeverUseANumberTwice) {
  Moved moved(SegmentState::kNone);
  moved.catalog->raise_next_seq(41);
  ASSERT_TRUE(moved.catalog->save_next_seq().ok());
  EXPECT_EQ(Catalog::open(moved.dir.path(), false)->next_seq(), 42);
  ASSERT_TRUE(moved.catalog->apply({Move::kMake, numbered(50)}).ok());
  ASSERT_TRUE(moved.catalog->apply({Move::kMiss, numbered(50)}).ok());
  EXPECT_EQ(Catalog::open(moved.dir.path(), false)->next_seq(), 51);
}

}  // namespace
}  // namespace phlower
