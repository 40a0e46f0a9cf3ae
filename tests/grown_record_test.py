#!/usr/bin/env python3
"""A record with three fields more: grown_record_test.py ROOT COMPILER [FLAGS...]

Adds them to a copy of the tree as CONTRIBUTING.md says (the members, the table, the C struct, the two
version numbers), and runs the tests of columns and forms there: each field goes through everything that
a record goes through, and what today's version wrote is read, gone on with and asked.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(sys.argv[1]).resolve()
COMPILER = sys.argv[2:]

TABLE = """\
  visit(Field{.name = "cluster", .kind = kWord, .since = {1, 2}}, of.cluster...);
  visit(Field{.name = "sent_at", .short_name = "sent", .kind = kTime, .since = {1, 2}},
        fd::sent_at(of)...);
  visit(Field{.name = "result", .column = "result_preview", .part = kDetails, .merge = kWinners,
              .since = {1, 2}, .max_bytes = &RecordOptions::args_max_bytes}, of.result...);
"""
IN_NANOSECONDS = """\
template <class Record>
constexpr auto& sent_at(Record& of) noexcept {
  if constexpr (requires { of.sent_at_ns; }) {
    return of.sent_at_ns;
  } else {
    return of.sent_at;
  }
}

"""
EDITS = [
    ("record/fields.hpp", "  // clang-format on\n", TABLE + "  // clang-format on\n"),
    ("record/fields.hpp", "}  // namespace fields_detail", IN_NANOSECONDS + "}  // namespace fields_detail"),
    ("record/record.hpp", "  std::string_view traceback;\n",
     "  std::string_view traceback;\n  std::string_view cluster;\n  UnixSeconds sent_at = 0;\n"
     "  std::string_view result;\n"),
    ("record/record.hpp", "  std::string traceback;\n",
     "  std::string traceback;\n  std::string cluster;\n  UnixSeconds sent_at = 0;\n  std::string result;\n"),
    ("plugin.h", "  int64_t runtime_ns;\n} phlower_record;",
     "  int64_t runtime_ns;\n  phlower_text cluster;\n  int64_t sent_at_ns;\n  phlower_text result;\n"
     "} phlower_record;"),
    ("plugin.h", "{0, 0}, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, -1}",
     "{0, 0}, {0, 0}, {0, 0}, {0, 0}, 0, 0, 0, -1, {0, 0}, 0, {0, 0}}"),
    ("record/codec.hpp", "kCodecMinor = 0;", "kCodecMinor = 1;"),
    ("segment/format/layout.hpp", "inline constexpr int kVersion = 1;", "inline constexpr int kVersion = 2;"),
]

TESTS = """\
#include "record_forms_test.cpp"
#include "segment_columns_test.cpp"
#include "store_columns_test.cpp"

#include "phlower/record/codec.hpp"

namespace phlower {
namespace {

std::vector<std::byte> encoded(const RecordView& record) {
  std::vector<std::byte> bytes(encoded_bytes(record));
  EXPECT_EQ(encode_record(record, 7, bytes), bytes.size());
  return bytes;
}

TEST(GrownRecord, IsEncodedWhole) {
  const Record record = every_field();
  const auto bytes = encoded(record.view());
  EXPECT_EQ(static_cast<int>(bytes[1]), 1);
  const auto back = decode_record(bytes);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(different_fields(back->record, record.view()), "");
}

// The encoding without the new fields is that of version 1.0 behind its fixed part.
TEST(GrownRecord, OfTheFirstVersionIsDecoded) {
  Record record = every_field();
  record.cluster = record.result = "";
  record.sent_at = 0;
  const auto grown = encoded(record.view());
  std::vector<std::byte> first(grown.begin(), grown.begin() + 84);
  first.resize(88);
  first[1] = std::byte{0};
  first[4] = std::byte{88};
  first[6] = std::byte{9};
  first.insert(first.end(), grown.begin() + kCodecFixedBytes, grown.end());
  const auto back = decode_record(first);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(different_fields(back->record, record.view()), "");
  first[1] = std::byte{1};
  EXPECT_FALSE(decode_record(first).ok()) << "1.1 has more";
}

}  // namespace
}  // namespace phlower
"""


def grow(tree):
    for name in ("include", "plugin", "tools", "tests"):
        shutil.copytree(ROOT / name, tree / name)
    for name, old, new in EDITS:
        path = tree / "include" / "phlower" / name
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            sys.exit(f"{name}: {old!r} is there {text.count(old)} times; this test is to know its place")
        path.write_text(text.replace(old, new), encoding="utf-8")
    unit = tree / "tests" / "grown.cpp"
    unit.write_text(TESTS, encoding="utf-8")
    return unit


def main():
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder)
        unit = grow(tree)
        program = tree / "grown"
        modules = ["sqlite3", "libzstd", "libxxhash", "spdlog", "fmt", "yaml-cpp", "gtest", "gmock"]
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", *modules], check=True,
                               capture_output=True, text=True).stdout.split()
        data = f'-DPHLOWER_TEST_DATA="{ROOT}/tests/data"'
        includes = [f"-I{tree / name}" for name in ("include", "plugin", "tools", "tests")]
        command = [*COMPILER, "-std=c++20", "-O0", data, *includes, str(unit),
                   str(tree / "tests" / "support" / "main.cpp"), "-o", str(program), *flags, "-ldl",
                   "-lpthread"]
        subprocess.run(command, check=True)
        sys.exit(subprocess.run([str(program)], check=False).returncode)


if __name__ == "__main__":
    main()
