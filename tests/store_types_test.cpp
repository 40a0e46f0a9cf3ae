// Times and ids of every type and unit that SQLite takes, as other programs may have written them:
// a purge deletes what is certainly old and says what it cannot judge.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "phlower/history/history.hpp"
#include "support/purge_rig.hpp"

namespace phlower {
namespace {

using testing::exec;
using testing::kNow;
using testing::MadeSchema;
using testing::open_db;
using testing::open_store;

// -- One value --------------------------------------------------------------------------------

Cell text(std::string bytes) { return {sqlite::ValueType::kText, 0, 0, std::move(bytes)}; }
Cell whole(std::int64_t number) { return {sqlite::ValueType::kInteger, number, 0, {}}; }

TEST(CellTime, OfANumberIsInTheUnitInWhichItIsATimeOfOurDays) {
  for (const double unit : {1.0, 1e3, 1e6, 1e9}) {
    const CellTime time = read_time(Cell::of(kNow * unit));
    EXPECT_EQ(time.kind, TimeKind::kKnown) << unit;
    EXPECT_NEAR(time.at, kNow, 1e-3);
    EXPECT_EQ(time.latest, time.at);
    EXPECT_NEAR(read_time(whole(static_cast<std::int64_t>(kNow * unit))).at, kNow, 1e-3);
    EXPECT_NEAR(read_time(text(std::to_string(kNow * unit))).at, kNow, 1e-3);
  }
  const double infinite = std::numeric_limits<double>::infinity();
  // Between two units, before the year 2000, a Julian day, a year, days since 1970.
  for (const double number : {-kNow, 1.0, -1.0, 946'684'799.0, 3e11, 9.4e11, 2'460'000.5, 2026.0,
                              20'000.0, 1e300, infinite, -infinite}) {
    EXPECT_EQ(read_time(Cell::of(number)).kind, TimeKind::kUnclear) << number;
  }
  EXPECT_EQ(read_time(whole(std::numeric_limits<std::int64_t>::min())).kind, TimeKind::kUnclear);
}

TEST(CellTime, OfADateIsExactWithAZoneAndByAnyClockWithout) {
  // 1'795'000'000 is 2026-11-18 11:06:40 UTC.
  const double noon = kNow + 53 * 60 + 20;
  for (const char* date :
       {"2026-11-18T12:00:00Z", "2026-11-18 12:00:00.000+00:00", "2026-11-18T13:30:00+01:30",
        "2026-11-18 02:00:00 -1000", "2026-11-18T14:00:00+02", " 2026-11-18t12:00:00z\n"}) {
    const CellTime time = read_time(text(date));
    EXPECT_EQ(time.kind, TimeKind::kKnown) << date;
    EXPECT_DOUBLE_EQ(time.at, noon) << date;
    EXPECT_DOUBLE_EQ(time.latest, noon) << date;
  }
  const double clocks = 14 * 3600;
  EXPECT_DOUBLE_EQ(read_time(text("2026-11-18 12:00:00")).latest, noon + clocks);
  EXPECT_DOUBLE_EQ(read_time(text("2026-11-18 12:00:00.25")).at, noon + 0.25);
  EXPECT_DOUBLE_EQ(read_time(text("2026-11-18T12:00")).latest, noon + 60 + clocks);
  EXPECT_DOUBLE_EQ(read_time(text("2026-11-18")).at, noon - 12 * 3600);
  EXPECT_DOUBLE_EQ(read_time(text("2026-11-18")).latest, noon + 12 * 3600 + clocks);
}

TEST(CellTime, OfOtherTextsAndOfBlobsIsNotUnderstood) {
  for (const char* other : {"yesterday",
                            "2026",
                            "2026-02-30",
                            "2026-13-01 00:00:00",
                            "18.11.2026 12:00",
                            "11/18/2026",
                            "2026-11-18 24:00:00",
                            "2026-11-18 12:60:00",
                            "2026-11-18 12:00:00+",
                            "2026-11-18 12:00:00 CET",
                            "2026-11-18 12:00:00.",
                            "2026-11-18 12",
                            "2026-11-18x",
                            "0001-01-01 00:00:00",
                            "1970-01-01 00:00:00",
                            "1999-12-31",
                            "1795000000 s",
                            "0x6afd0780",
                            "1795000000,5",
                            "nan",
                            "inf",
                            "-1795000000",
                            "Wed, 18 Nov 2026 12:00:00 GMT"}) {
    EXPECT_EQ(read_time(text(other)).kind, TimeKind::kUnclear) << other;
  }
  EXPECT_EQ(read_time({sqlite::ValueType::kBlob, 0, 0, "1795000000"}).kind, TimeKind::kUnclear);
  for (const Cell& other : {whole(0), Cell::of(0.0), text(""), text("  "), text("0")}) {
    EXPECT_EQ(read_time(other).kind, TimeKind::kUnclear) << shown(other);
  }
  EXPECT_EQ(read_time(Cell()).kind, TimeKind::kNone);
}

TEST(CellTime, OfARowIsTheFirstThatIsThereAlsoWhereItIsNotUnderstood) {
  const CellTime old = read_time(Cell::of(kNow - 1e6));
  const CellTime odd = read_time(text("soon"));
  EXPECT_EQ(row_time({}, old, odd).time.at, old.at);
  EXPECT_EQ(row_time({}, {}, old).column, 2u);
  EXPECT_EQ(row_time(odd, old, old).time.kind, TimeKind::kUnclear);
  EXPECT_EQ(row_time({}, odd, old).column, 1u);
  EXPECT_EQ(row_time({}, {}, {}).time.kind, TimeKind::kNone);
}

// -- Whole files ------------------------------------------------------------------------------

constexpr double kAnHour = 3600;
constexpr double kNot = std::numeric_limits<double>::infinity();

// A way to write a time, as an SQL literal; and how much later it may be than it says. Never
// certain: kNot.
struct Unit {
  const char* name;
  double margin;
  std::string (*literal)(double at);
};

std::string formatted(double at, const char* format) {
  const auto seconds = static_cast<std::time_t>(at);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char out[64];
  std::strftime(out, sizeof out, format, &parts);
  return std::string("'") + out + "'";
}
std::string whole_number(double at) { return std::to_string(std::llround(at)); }

const Unit kUnits[] = {
    {"s", 0, [](double at) { return std::to_string(at); }},
    {"whole_s", 0, [](double at) { return whole_number(at); }},
    {"ms", 0, [](double at) { return std::to_string(at * 1e3); }},
    {"whole_ms", 0, [](double at) { return whole_number(at * 1e3); }},
    {"us", 0, [](double at) { return whole_number(at * 1e6); }},
    {"ns", 0, [](double at) { return whole_number(at * 1e9); }},
    {"text_s", 0, [](double at) { return "'" + std::to_string(at) + "'"; }},
    {"text_ms", 0, [](double at) { return "' " + whole_number(at * 1e3) + " '"; }},
    {"zone", 0, [](double at) { return formatted(at + 7200, "%Y-%m-%dT%H:%M:%S+02:00"); }},
    {"utc", 0, [](double at) { return formatted(at, "%Y-%m-%d %H:%M:%SZ"); }},
    {"date_time", 14 * kAnHour, [](double at) { return formatted(at, "%Y-%m-%d %H:%M:%S"); }},
    {"minute", 14 * kAnHour + 60, [](double at) { return formatted(at, "%Y-%m-%dT%H:%M"); }},
    {"blob", kNot, [](double at) { return "CAST('" + std::to_string(at) + "' AS BLOB)"; }},
    {"words", kNot, [](double) { return std::string("'yesterday'"); }},
    {"negative", kNot, [](double at) { return std::to_string(-at); }},
    {"julian", kNot, [](double at) { return std::to_string(at / 86400 + 2440587.5); }},
    {"zero", kNot, [](double) { return std::string("0"); }},
    {"empty", kNot, [](double) { return std::string("''"); }},
    {"infinite", kNot, [](double) { return std::string("9e999"); }},
    {"us_date", kNot, [](double at) { return formatted(at, "%m/%d/%Y %H:%M:%S"); }},
};

// Minutes and dates without a zone are cut: ages are whole minutes, kNow is not.
constexpr double kAges[] = {200, 137, 133, 121, 119, 90, 77, 73, 61, 59, 20, 0, -200, -9000};

struct Expected {
  std::set<std::string> rows, details;  // what a purge leaves
  std::uint64_t rows_gone = 0, details_gone = 0, doubts = 0;
};

class EveryType
    : public ::testing::TestWithParam<std::tuple<MadeSchema, bool, const char*, std::uint32_t>> {
 protected:
  static constexpr double kMinute = 1'794'999'960;  // kNow, cut to its minute

  EveryType() {
    auto db = open_db(path_, sqlite::Access::kCreate);
    exec(db, "PRAGMA journal_mode = WAL; BEGIN");
    for (const Unit& unit : kUnits) {
      for (const double age : kAges) {
        for (const bool ended : {true, false}) add(db, unit, age, ended);
      }
    }
    exec(db, "COMMIT");
  }

  bool presplit() const { return std::get<MadeSchema>(GetParam()) == MadeSchema::kPresplit; }

  std::string suffix(double at) const {
    if (std::get<MadeSchema>(GetParam()) != MadeSchema::kPartitioned) return "";
    std::string day = formatted(at, "_%Y%m%d");
    return day.substr(1, day.size() - 2);
  }

  void make_tables(sqlite::Connection& db, const std::string& suffix) {
    if (!made_.insert(suffix).second) return;
    const auto& [schema, index, type, rows] = GetParam();
    const std::string times =
        std::string("received_at ") + type + ", started_at " + type + ", finished_at " + type;
    const std::string details = "args_preview TEXT, kwargs_preview TEXT, traceback_snippet TEXT";
    exec(db, "CREATE TABLE invocations" + suffix +
                 " (task_id PRIMARY KEY, task_name TEXT NOT NULL, state TEXT NOT NULL, " + times +
                 ", runtime_ms, worker TEXT, queue TEXT, exception_type TEXT" +
                 (presplit() ? ", " + details : "") + ")");
    if (!presplit()) {
      exec(db,
           "CREATE TABLE invocation_details" + suffix + " (task_id PRIMARY KEY, " + details + ")");
    }
    if (index) {
      exec(db, "CREATE INDEX idx" + suffix + " ON invocations" + suffix + " (finished_at)");
    }
  }

  // The id is a text, a number or a blob of the same letters.
  void add(sqlite::Connection& db, const Unit& unit, double age, bool ended) {
    const double at = kMinute - age * kAnHour;
    const std::string table = suffix(at);
    make_tables(db, table);
    const int number = ++last_;
    const std::string name = std::to_string(number);
    const std::string id = number % 3 == 0   ? name
                           : number % 3 == 1 ? "'" + name + "'"
                                             : "CAST('" + name + "' AS BLOB)";
    const std::string time = unit.literal(at);
    const std::string details = "'[" + std::string(unit.name) + "]', NULL, CAST('x' AS BLOB)";
    exec(db, "INSERT INTO invocations" + table + " VALUES (" + id + ", 'task', 'SUCCESS', NULL, " +
                 (ended ? "NULL, " + time : time + ", NULL") + ", '12.5', 'w', 'q', NULL" +
                 (presplit() ? ", " + details : "") + ")");
    if (!presplit()) {
      exec(db, "INSERT INTO invocation_details" + table + " VALUES (" + id + ", " + details + ")");
    }
    expect(unit, age, name);
  }

  void expect(const Unit& unit, double age, const std::string& name) {
    const double certain = (kNow - kMinute + age * kAnHour) - unit.margin;
    const bool row_goes = certain >= 120 * kAnHour;
    const bool details_go = certain >= 60 * kAnHour;
    if (!row_goes) expected_.rows.insert(name);
    if (!details_go) expected_.details.insert(name);
    expected_.rows_gone += row_goes;
    expected_.details_gone += details_go && !(presplit() && row_goes);
    expected_.doubts += unit.margin == kNot || age < -366 * 24;
  }

  std::set<std::string> found(const std::string& what) {
    std::set<std::string> names;
    auto db = open_db(path_);
    const bool details = what == "details";
    for (const std::string& suffix : made_) {
      const std::string table =
          (details && !presplit() ? "invocation_details" : "invocations") + suffix;
      if (*db.query_integer("SELECT count(*) FROM sqlite_master WHERE name = '" + table + "'") == 0)
        continue;
      for (std::string line : testing::lines(db,
                                             "SELECT CAST(task_id AS TEXT) FROM " + table +
                                                 (details ? " WHERE args_preview IS NOT NULL" : ""),
                                             1)) {
        line.pop_back();
        EXPECT_TRUE(names.insert(line).second) << line;
      }
    }
    return names;
  }

  std::size_t shown_rows(const RetentionOptions& retention) {
    auto store = open_store(path_, retention, OpenMode::kReadOnly);
    const auto sources = store->sources();
    EXPECT_TRUE(sources.ok());
    History history(*sources, cutoffs_at(retention, now_));
    const auto counts = history.count({}, false);
    EXPECT_TRUE(counts.ok()) << counts.status().message();
    Query all;
    all.limit = 100'000;
    const auto list = history.list(all);
    EXPECT_TRUE(list.ok()) << list.status().message();
    std::uint64_t sum = 0;
    for (const auto& [key, rows] : counts->counts) sum += rows;
    EXPECT_EQ(list->rows.size(), sum);
    for (const auto& row : list->rows) {
      const Record& record = row.record;
      EXPECT_EQ(record.traceback, "x") << record.task_id;
      EXPECT_EQ(record.runtime_ms, 12.5);
    }
    return sum;
  }

  testing::TempDir dir_{"/dev/shm"};
  std::string path_ = dir_ / "history.db";
  WallTime now_ = testing::PurgeRig::at(kNow);
  std::set<std::string> made_;
  int last_ = 0;
  Expected expected_;
};

TEST_P(EveryType, LosesWhatIsCertainlyOldAndNothingElse) {
  const std::uint32_t room = std::get<std::uint32_t>(GetParam());
  RetentionOptions forever;
  forever.keep_forever = true;
  EXPECT_EQ(shown_rows(forever), static_cast<std::size_t>(last_));
  PurgeReport dry;
  {
    auto reader = open_store(path_, {}, OpenMode::kReadOnly);
    for (dry.more = true; dry.more;) {
      const auto step = reader->census_some(now_, room);
      ASSERT_TRUE(step.ok()) << step.status().message();
      dry = *step;
    }
    EXPECT_EQ(reader->doubts().rows(), expected_.doubts);
  }
  auto store = open_store(path_, {}, OpenMode::kMaintenance);
  PurgeReport sum;
  int steps = 0;
  for (bool more = true; more; ++steps) {
    ASSERT_LT(steps, 10'000) << "it has no end";
    ASSERT_TRUE(store->begin().ok());
    const auto step = store->purge_some(now_, room);
    ASSERT_TRUE(step.ok()) << step.status().message();
    ASSERT_TRUE(store->commit().ok());
    EXPECT_LE(step->examined, room);
    sum.invocations += step->invocations;
    sum.details += step->details;
    more = step->more;
  }
  EXPECT_EQ(found("rows"), expected_.rows);
  EXPECT_EQ(found("details"), expected_.details);
  EXPECT_EQ(sum.invocations, expected_.rows_gone);
  EXPECT_EQ(sum.details, expected_.details_gone);
  EXPECT_EQ(dry.invocations, sum.invocations);
  EXPECT_EQ(dry.details, sum.details);
  EXPECT_EQ(store->doubts().rows(), expected_.doubts);
  EXPECT_NE(store->notice().find("_at = "), std::string::npos) << store->notice();
  const auto due = store->purge_due(now_);
  EXPECT_TRUE(due.ok() && !*due);
}

std::string every_type_name(const ::testing::TestParamInfo<EveryType::ParamType>& info) {
  const auto& [schema, index, type, rows] = info.param;
  const std::string name = schema == MadeSchema::kSingle     ? "single"
                           : schema == MadeSchema::kPresplit ? "presplit"
                                                             : "partitioned";
  return name + (index ? "_indexed_" : "_plain_") + (*type == 0 ? "untyped" : type) + "_" +
         std::to_string(rows);
}

INSTANTIATE_TEST_SUITE_P(
    SingleStore, EveryType,
    ::testing::Combine(::testing::Values(MadeSchema::kSingle, MadeSchema::kPresplit,
                                         MadeSchema::kPartitioned),
                       ::testing::Bool(),
                       ::testing::Values("REAL", "INTEGER", "TEXT", "TIMESTAMP", ""),
                       ::testing::Values(1u, 7u, 500u)),
    every_type_name);

}  // namespace
}  // namespace phlower
