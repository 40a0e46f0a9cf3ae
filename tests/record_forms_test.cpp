// A record in each form that it takes outside of files: the C struct, JSON, a line, CSV, a page for
// people. No field of the table is missing in one of them or stands in another's place.
#include <gtest/gtest.h>

#include "agent/host/plugin_engine.hpp"
#include "agent/host/record_json.hpp"
#include "agent/source/record_line.hpp"
#include "cli/record_csv.hpp"
#include "cli/record_json.hpp"
#include "query/print.hpp"
#include "records.hpp"
#include "support/every_field.hpp"

namespace phlower {
namespace {

using testing::different_fields;
using testing::every_field;

/// Each field alone, with its id: what the others say must not be needed.
std::vector<Record> each_field_alone() {
  std::vector<Record> records;
  const Record whole = every_field();
  visit_fields([&](const Field& wanted) {
    Record record;
    visit_fields(
        [&wanted](const Field& field, auto& to, const auto& from) {
          if (field.kind == FieldKind::kId || field.name == wanted.name) to = from;
        },
        record, whole);
    records.push_back(std::move(record));
  });
  return records;
}

std::vector<Record> records() {
  std::vector<Record> all = each_field_alone();
  all.push_back(every_field());
  return all;
}

TEST(RecordForms, TheStructOfTheAbiHasEachFieldBothWays) {
  for (const Record& record : records()) {
    for (const phlower_record& given :
         {plugin::to_struct(record), agent::PluginEngine::to_struct(record.view())}) {
      RecordView back;
      ASSERT_TRUE(plugin::to_view(&given, back).ok());
      EXPECT_EQ(different_fields(back, record.view()), "");
      EXPECT_EQ(different_fields(agent::to_view(given), record.view()), "");
    }
  }
}

TEST(RecordForms, EachTextOfTheStructIsCheckedForNull) {
  visit_texts(
      [](const Field& field, const std::string&) {
        const Record record = every_field();
        phlower_record given = plugin::to_struct(record);
        visit_fields(
            [&field](const Field& other, auto& member) {
              if constexpr (std::is_same_v<decltype(member), phlower_text&>) {
                if (other.name == field.name) member = {nullptr, 5};
              }
            },
            given);
        RecordView back;
        const Status status = plugin::to_view(&given, back);
        EXPECT_EQ(status.code(), Code::kInvalidArgument) << field.name;
        EXPECT_EQ(status.message(),
                  "record: " + std::string(field.name) + " is NULL and has a size");
      },
      every_field());
}

TEST(RecordForms, ALineOfJsonIsReadAsItWasPrinted) {
  for (Record record : records()) {
    record.flags = kDetailsCut;
    const auto back =
        agent::parse_record_line(tools::dumped(tools::record_json(record.view(), true)));
    ASSERT_TRUE(back.ok()) << back.status().message();
    EXPECT_EQ(different_fields(back->view(), record.view()), "");
    EXPECT_EQ(back->flags, kDetailsCut);
  }
}

TEST(RecordForms, ALineMayNameFieldsInsteadOfColumns) {
  const Record record = every_field();
  nlohmann::ordered_json json;
  visit_fields(
      [&json](const Field& field, const auto& value) { json[std::string(field.name)] = value; },
      record);
  const auto back = agent::parse_record_line(json.dump());
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(different_fields(back->view(), record.view()), "");
}

TEST(RecordForms, JsonHasEachColumnAndNullForWhatIsNotKnown) {
  const auto whole = tools::record_json(every_field().view(), true);
  const auto bare = tools::record_json(each_field_alone().front().view(), true);
  const auto row = tools::record_json(every_field().view(), false);
  std::size_t at = 0;
  visit_fields([&](const Field& field) {
    const std::string column(field.column);
    EXPECT_FALSE(whole.at(column).is_null()) << column;
    EXPECT_EQ(whole.items().begin().key(), "task_id");
    const bool always = field.kind == FieldKind::kId || field.name == "state";
    EXPECT_EQ(bare.at(column).is_null(), !always) << column;
    EXPECT_EQ(row.contains(column), field.in(FieldPart::kRow)) << column;
    ++at;
  });
  EXPECT_EQ(whole.size(), at);
}

std::vector<std::string> cells(std::string line) {
  EXPECT_TRUE(line.ends_with("\r\n"));
  line.resize(line.size() - 2);
  std::vector<std::string> found(1);
  for (const char c : line) {
    c == ',' ? static_cast<void>(found.emplace_back()) : found.back().push_back(c);
  }
  return found;
}

TEST(RecordForms, CsvHasEachColumnUnderItsName) {
  const auto names = cells(tools::csv_head());
  for (const Record& record : records()) {
    const auto values = cells(tools::csv_line(record.view()));
    ASSERT_EQ(values.size(), names.size());
    std::size_t at = 0;
    visit_fields(
        [&](const Field& field, const auto& value) {
          EXPECT_EQ(names[at], field.column);
          std::string shown;
          if (is_known(field, value)) shown = fmt::format("{}", value);
          EXPECT_EQ(values[at], shown) << field.name;
          ++at;
        },
        record);
  }
  EXPECT_EQ(tools::csv_text("a,\"b\"\n"), "\"a,\"\"b\"\"\n\"");
}

TEST(RecordForms, APageForPeopleShowsEachField) {
  const Record record = every_field();
  const std::string page = tools::whole_record(record, true);
  visit_fields(
      [&page](const Field& field, const auto& value) {
        std::string shown;
        if constexpr (std::is_same_v<decltype(value), const std::string&>) {
          shown = value;
        } else {
          shown = field.kind == FieldKind::kTime ? tools::shown_time(value, true)
                                                 : tools::shown_runtime(value);
        }
        const std::string line = fmt::format("{:<10} {}\n", field.label, shown);
        EXPECT_NE(page.find(line), std::string::npos) << line << page;
      },
      record);
}

}  // namespace
}  // namespace phlower
