// The bytes of columns can never change unseen: what tests/data/columns holds is written and read
// again. A second reader, written from doc/column_format.md alone, reads the same files
// (columns_page_test.py). With PHLOWER_WRITE_GOLDEN=1 the bytes in the files are written anew: only
// for a new file, or a new encoding beside the old one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "support/column_reading.hpp"

namespace phlower {
namespace {

/// numbers MEMBER, or words MEMBER WORDS-OF-THE-SEGMENT; then `row` lines; then what the writer
/// made.
struct GoldenColumn {
  std::filesystem::path path;
  std::string kind;
  std::uint16_t member = 0;
  std::uint32_t segment_words = 0;
  std::vector<std::string> rows;
  std::string zone;
  std::string blob;
};

std::string hex(std::string_view bytes) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += kDigits[static_cast<unsigned char>(byte) >> 4];
    text += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return text;
}

std::string bytes_of_hex(const std::string& text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  }
  return bytes;
}

GoldenColumn read_golden(const std::filesystem::path& path) {
  GoldenColumn golden;
  golden.path = path;
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::istringstream(line) >> golden.kind >> golden.member >> golden.segment_words;
  while (std::getline(file, line)) {
    const std::string word = line.substr(0, line.find(' '));
    const std::string rest = line.substr(std::min(line.size(), word.size() + 1));
    if (word == "row") golden.rows.push_back(rest);
    if (word == "zone") golden.zone = bytes_of_hex(rest);
    if (word == "blob") golden.blob += bytes_of_hex(rest);
  }
  return golden;
}

std::vector<GoldenColumn> all_golden() {
  std::vector<GoldenColumn> all;
  for (const auto& entry : std::filesystem::directory_iterator(PHLOWER_TEST_DATA "/columns")) {
    if (entry.path().extension() == ".col") all.push_back(read_golden(entry.path()));
  }
  return all;
}

testing::WrittenColumn write_numbers_of(const GoldenColumn& golden) {
  testing::Numbers rows;
  for (const std::string& row : golden.rows) {
    rows.push_back(row == "-" ? std::nullopt : std::optional<std::int64_t>(std::stoll(row)));
  }
  return testing::write_numbers(rows, golden.member);
}

testing::WrittenColumn write_words_of(const GoldenColumn& golden) {
  std::vector<std::uint32_t> rows;
  std::vector<std::string_view> texts;
  for (const std::string& row : golden.rows) {
    const bool is_word = row.starts_with("word ");
    rows.push_back(is_word ? static_cast<std::uint32_t>(std::stoul(row.substr(5)))
                           : kFirstText + static_cast<std::uint32_t>(texts.size()));
    if (!is_word) texts.push_back(std::string_view(row).substr(5));
  }
  testing::WrittenColumn written;
  WordColumnWriter writer;
  EXPECT_TRUE(writer.write(golden.member, rows, texts, written.blob, written.zone).ok());
  return written;
}

testing::WrittenColumn write_again(const GoldenColumn& golden) {
  return golden.kind == "numbers" ? write_numbers_of(golden) : write_words_of(golden);
}

void write_file(const GoldenColumn& golden, const testing::WrittenColumn& written) {
  std::ofstream file(golden.path);
  file << golden.kind << ' ' << golden.member;
  if (golden.kind == "words") file << ' ' << golden.segment_words;
  for (const std::string& row : golden.rows) file << "\nrow " << row;
  file << "\nzone " << hex(write_zones({&written.zone, 1})) << '\n';
  for (std::size_t at = 0; at < written.blob.size(); at += 32) {
    file << "blob " << hex(std::string_view(written.blob).substr(at, 32)) << '\n';
  }
}

TEST(GoldenColumn, IsWrittenWithTheSameBytes) {
  const auto all = all_golden();
  ASSERT_GE(all.size(), 9u);
  for (const GoldenColumn& golden : all) {
    const testing::WrittenColumn written = write_again(golden);
    if (std::getenv("PHLOWER_WRITE_GOLDEN") != nullptr) write_file(golden, written);
    const GoldenColumn& expected =
        std::getenv("PHLOWER_WRITE_GOLDEN") != nullptr ? read_golden(golden.path) : golden;
    EXPECT_EQ(hex(write_zones({&written.zone, 1})), hex(expected.zone)) << golden.path;
    EXPECT_TRUE(written.blob == expected.blob) << golden.path;
  }
}

TEST(GoldenColumn, IsReadAsWhatItWasMadeOf) {
  for (const GoldenColumn& golden : all_golden()) {
    const auto zones = read_zones(golden.zone);
    ASSERT_TRUE(zones.ok() && zones->size() == 1) << golden.path << zones.status().message();
    ASSERT_EQ((*zones)[0].column_bytes, golden.blob.size()) << golden.path;
    if (golden.blob.empty()) continue;
    std::vector<std::string> rows;
    if (golden.kind == "numbers") {
      const auto read = testing::numbers_by_parts(golden.blob);
      ASSERT_TRUE(read.ok()) << golden.path << read.status().message();
      for (const auto& row : *read) rows.push_back(row ? std::to_string(*row) : "-");
    } else {
      const auto read = testing::words_by_parts(golden.blob, golden.segment_words);
      ASSERT_TRUE(read.ok()) << golden.path << read.status().message();
      for (const auto& row : *read) {
        rows.push_back(row.starts_with("text ") ? row : "word " + row);
      }
    }
    EXPECT_EQ(rows, golden.rows) << golden.path;
  }
}

}  // namespace
}  // namespace phlower
