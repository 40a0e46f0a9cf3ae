// Parts of the tools that decide without a process: where the history lies, how far a list goes,
// how rows look on a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "../tools/cli/find_data.hpp"
#include "../tools/cli/state_hint.hpp"
#include "../tools/query/pages.hpp"
#include "../tools/query/print.hpp"
#include "support/segment_rig.hpp"

namespace phlower::tools {
namespace {

using phlower::testing::SegmentRig;
using phlower::testing::TempDir;
using phlower::testing::uuid_of;
using ::testing::HasSubstr;

// ---- where the history lies

class FindData : public ::testing::Test {
 protected:
  Result<FoundData> find(const DataWords& given) {
    return find_data(given, {[this](const char* name) { return variables_[name]; }, dir_ / "root"});
  }
  std::string path_of(const DataWords& given) {
    const auto found = find(given);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? found->path : "";
  }
  std::string refusal_of(const DataWords& given) {
    const auto found = find(given);
    EXPECT_FALSE(found.ok()) << found->path;
    return std::string(found.status().message());
  }
  std::string write(const std::string& name, const std::string& text) {
    const std::string path = dir_ / name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path) << text;
    return path;
  }
  void write_system() {
    write("root/etc/phlower/phlower.yaml",
          "store: {path: /srv/system}\nretention: {invocations: 70h, details: 7h}\n");
  }

  TempDir dir_;
  std::map<std::string, std::string> variables_;
};

TEST_F(FindData, GoesDownTheListUntilSomethingNamesIt) {
  EXPECT_EQ(path_of({}), "phlower-data");
  write_system();
  EXPECT_EQ(path_of({}), "/srv/system");
  const std::string config = write("phlower.yaml", "store: {path: /srv/configured}\n");
  EXPECT_EQ(path_of({"", config}), "/srv/configured");
  variables_["PHLOWER_DATA"] = "/srv/variable";
  EXPECT_EQ(path_of({}), "/srv/variable");
  EXPECT_EQ(path_of({"given", ""}), "given");
  EXPECT_EQ(path_of({"given", config}), "given");
}

TEST_F(FindData, DoesNotChooseBetweenTheVariableAndAConfigurationThatDisagree) {
  const std::string config = write("phlower.yaml", "store: {path: /srv/configured}\n");
  variables_["PHLOWER_DATA"] = "/srv/variable";
  const std::string said = refusal_of({"", config});
  for (const char* part : {"/srv/variable", "/srv/configured", "--data"}) {
    EXPECT_THAT(said, HasSubstr(part));
  }
  variables_["PHLOWER_DATA"] = "/srv/configured";
  EXPECT_EQ(path_of({"", config}), "/srv/configured");
}

TEST_F(FindData, FollowsTheAgentsConfigurationToTheEnginesOne) {
  const std::string engine = write("engine.yaml", "store: {path: /srv/engine}\n");
  const std::string agent =
      write("agent.yaml", "plugin: {config: " + engine + "}\nhttp: {listen: ''}\n");
  EXPECT_EQ(path_of({"", agent}), "/srv/engine");
  EXPECT_EQ(path_of({"", write("bare.yaml", "plugin: {config: " + engine + "}\n")}), "/srv/engine");
  EXPECT_EQ(path_of({"", write("none.yaml", "redis: {url: 'redis://127.0.0.1'}\n")}),
            "phlower-data")
      << "the engine's defaults, as the agent has them";
  EXPECT_THAT(refusal_of({"", write("lost.yaml", "plugin: {config: /nowhere/engine.yaml}\n")}),
              HasSubstr("plugin.config: /nowhere/engine.yaml: No such file"));
}

TEST_F(FindData, TellsTheErrorsOfTheFileThatWasMeant) {
  EXPECT_THAT(refusal_of({"", write("a.yaml", "redis: {ulr: x}\n")}),
              HasSubstr("'ulr' is an unknown key of 'redis'"));
  EXPECT_THAT(refusal_of({"", write("b.yaml", "store: {paht: x}\n")}),
              HasSubstr("'paht' is an unknown key of 'store'"));
  EXPECT_THAT(refusal_of({"", dir_ / "none.yaml"}), HasSubstr("none.yaml: No such file"));
  write("root/etc/phlower/phlower.yaml", "store: {paht: x}\n");
  const std::string said = refusal_of({});
  EXPECT_THAT(said, HasSubstr("there is neither --data nor PHLOWER_DATA"));
  EXPECT_THAT(said, HasSubstr("'paht' is an unknown key"));
}

TEST_F(FindData, SaysWhatNamedThePlace) {
  EXPECT_FALSE(find({})->named);
  EXPECT_TRUE(find({"given", ""})->named);
  EXPECT_EQ(find({"given", ""})->from, "");
  EXPECT_EQ(find({})->from,
            "the default: there is no --data, no PHLOWER_DATA, no --config, no "
            "/etc/phlower/phlower.yaml");
  const std::string config = write("phlower.yaml", "store: {path: somewhere}\n");
  EXPECT_EQ(find({"", config})->from,
            "store.path of " + config + ", from the folder that its engine was started in");
  variables_["PHLOWER_DATA"] = "x";
  EXPECT_EQ(find({})->from, "PHLOWER_DATA");
}

TEST_F(FindData, TakesTheRetentionOfAConfigurationThatWasAskedForOrOfAFilesEngine) {
  write_system();
  EXPECT_EQ(find({})->retention->invocations, Hours(70)) << "a file does not know its retention";
  write("root/etc/phlower/phlower.yaml", "store: {path: " + dir_.path().string() + "}\n");
  EXPECT_FALSE(find({})->retention) << "a folder knows its own";
  const std::string config = write("phlower.yaml", "retention: {invocations: 9h, details: 8h}\n");
  EXPECT_EQ(find({"", config})->retention->invocations, Hours(9));
  EXPECT_EQ(find({"given", config})->retention->invocations, Hours(9));
  EXPECT_FALSE(find({"given", ""})->retention);
}

// ---- states

TEST(StateHint, IsForStatesThatCeleryDoesNotHave) {
  for (const char* state : {"", "SUCCESS", "success", "Failure", "revoked"}) {
    EXPECT_EQ(state_hint(state), "") << state;
  }
  EXPECT_THAT(state_hint("failed"), HasSubstr("'failed'"));
  EXPECT_THAT(state_hint("FAILRE"), HasSubstr("did you mean FAILURE?"));
  EXPECT_THAT(state_hint("queued"), ::testing::Not(HasSubstr("did you mean")));
  EXPECT_THAT(state_hint("queued"), HasSubstr("PENDING"));
  EXPECT_THAT(state_hint("\x1b[2J"), HasSubstr("'\\x1b[2J'"));
}

// ---- pages

class Pages : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(rig_.open().ok());
    for (std::uint64_t minute = 0; minute < 5; ++minute) {
      rig_.put_many(100 * minute, 50, rig_.now() - 600 + 60 * static_cast<double>(minute));
    }
    rig_.store.reset();
    auto opened = HistoryReader::open(rig_.options.store.path, std::nullopt,
                                      [](std::int64_t, const Status&) {});
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    history_ = *std::move(opened);
  }

  std::vector<std::string> ids(QueryPages& pages, const Query& query, std::uint64_t most) {
    std::vector<std::string> ids;
    const Status status = pages.each(query, most, [&](const std::vector<Row>& rows) {
      for (const Row& row : rows) ids.push_back(row.record.task_id);
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.message();
    return ids;
  }

  SegmentRig rig_;
  std::unique_ptr<HistoryReader> history_;
  StopRule rule_;
};

TEST_F(Pages, GoOnToTheEndWhereOneAnswerLooksAtAFewRowsOnly) {
  QueryPages pages(*history_, rig_.clock, rule_, {7, 3});
  Query rare;
  rare.worker = "nobody";
  EXPECT_TRUE(ids(pages, rare, 100).empty());
  EXPECT_TRUE(pages.reach().whole());
  EXPECT_EQ(pages.reach().scanned, 250u);
  EXPECT_FALSE(pages.next());
  const auto all = ids(pages, Query(), 1000);
  EXPECT_EQ(all.size(), 250u);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 250u);
  EXPECT_EQ(all.front(), uuid_of(449));
  EXPECT_EQ(all.back(), uuid_of(0));
}

TEST_F(Pages, EndAtTheLimitWithTheCursorBehindIt) {
  QueryPages pages(*history_, rig_.clock, rule_, {7, 3});
  const auto first = ids(pages, Query(), 100);
  EXPECT_EQ(first.size(), 100u);
  EXPECT_EQ(pages.reach().ended, Ended::kLimit);
  Query rest;
  ASSERT_TRUE(pages.next());
  rest.after = pages.next();
  const auto second = ids(pages, rest, 1000);
  EXPECT_EQ(second.size(), 150u);
  EXPECT_EQ(second.back(), uuid_of(0));
}

TEST_F(Pages, EndWhereTheyAreNotWantedAnyMoreAndSayHowFarTheyCame) {
  std::uint64_t seen = 0;
  rule_.wanted = [&] { return seen < 60; };
  QueryPages pages(*history_, rig_.clock, rule_, {7, 3});
  const Status status = pages.each(Query(), 1000, [&](const std::vector<Row>& rows) {
    seen += rows.size();
    return Status();
  });
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(pages.reach().ended, Ended::kUnwanted);
  EXPECT_LT(seen, 250u);
  ASSERT_TRUE(pages.next());
  EXPECT_THAT(reach_text(pages.reach(), true), HasSubstr(" rows looked at, back to 2026-11-18 "));
  rule_.wanted = nullptr;
  Query rest;
  rest.after = pages.next();
  EXPECT_EQ(ids(pages, rest, 1000).size(), 250 - seen);
}

TEST_F(Pages, EndWithTheErrorOfWhoTakesThem) {
  QueryPages pages(*history_, rig_.clock, rule_, {7, 3});
  int calls = 0;
  const Status status = pages.each(Query(), 1000, [&](const std::vector<Row>&) {
    return ++calls < 2 ? Status() : Status(Code::kDiskFull, "no room");
  });
  EXPECT_EQ(status.code(), Code::kDiskFull);
  EXPECT_EQ(calls, 2);
}

// ---- tables

std::size_t widest(const std::string& lines) {
  std::size_t most = 0;
  std::size_t width = 0;
  for (std::string_view rest = lines; !rest.empty();) {
    const Character c = first_character(rest);
    width = c.code == '\n' ? 0 : width + columns_of(c.code);
    most = std::max(most, width);
    rest.remove_prefix(std::max<std::size_t>(c.size, 1));
  }
  return most;
}

Record hostile_record() {
  Record record;
  record.task_id = "id\x1b]0;owned\x07";
  record.task_name =
      "shop.\xe2\x80\xae"
      "kcap\r\n" +
      std::string(200, 'n');
  record.state = "FAIL\x1b[2J";
  record.finished_at = 1'795'000'000.5;
  record.runtime_ms = 12;
  record.worker =
      "w\x9b"
      "31m";
  record.exception_type = "E\n" + std::string(100, 'e');
  record.args = "(\x1b[31m,)\nstate      SUCCESS";
  return record;
}

TEST(Tables, FitIntoATerminalOf80ColumnsAndAreNotCutElsewhere) {
  const Record record = hostile_record();
  TaskTimes times;
  times.runtime.record(123'456'789);
  const CountKey key{record.task_name, record.state, 29'916'666};
  const TableStyle narrow{true, 80};
  const TableStyle none{true, 0};
  const auto all = [&](const TableStyle& style) {
    return list_head(style) + list_line(record, style) + count_line(key, 7, true, style) +
           times_head(style) + times_line(record.task_name, times, style);
  };
  EXPECT_LE(widest(all(narrow)), 80u);
  EXPECT_LE(widest(all({true, 200})), 200u);
  EXPECT_THAT(all(narrow), HasSubstr(std::string(kCutMark) + "\n"));
  EXPECT_THAT(list_line(record, none), HasSubstr(std::string(200, 'n')));
  EXPECT_THAT(list_line(record, none), HasSubstr(std::string(100, 'e') + "\n"));
  EXPECT_EQ(list_line(record, none).find('\n'), list_line(record, none).size() - 1);
}

TEST(Tables, ShowNothingThatMovesTheCursorOrTurnsTheText) {
  const Record record = hostile_record();
  const std::string all = list_line(record, {true, 80}) + list_line(record, {true, 0}) +
                          whole_record(record, true) +
                          count_line({record.task_name, record.state, 0}, 1, false, {true, 0}) +
                          times_line(record.task_name, TaskTimes(), {true, 0});
  EXPECT_EQ(all.find('\x1b'), std::string::npos);
  EXPECT_EQ(all.find('\r'), std::string::npos);
  EXPECT_EQ(all.find("\xe2\x80\xae"), std::string::npos);
  EXPECT_THAT(all, HasSubstr("shop.\\u202ekcap\\r\\n"));
  EXPECT_THAT(all, HasSubstr("\n    state      SUCCESS\n")) << "not at the beginning of a line";
}

TEST(Fitted, CutsBetweenCharactersAndCountsWideOnesTwice) {
  EXPECT_EQ(fitted("abcdef", 0), "abcdef");
  EXPECT_EQ(fitted("abcdef", 6), "abcdef");
  EXPECT_EQ(fitted("abcdef", 5), std::string("abcd") + kCutMark);
  EXPECT_EQ(fitted("", 5), "");
  const std::string wide = "\xe6\xbc\xa2\xe5\xad\x97";
  EXPECT_EQ(fitted(wide + wide, 8), wide + wide);
  EXPECT_EQ(fitted(wide + wide, 7), wide + "\xe6\xbc\xa2" + kCutMark);
  EXPECT_EQ(fitted(wide + wide, 6), wide + kCutMark);
}

}  // namespace
}  // namespace phlower::tools
