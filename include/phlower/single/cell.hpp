// One value of a table as SQLite holds it, whatever its type, to be bound again as what it was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/sqlite/sqlite.hpp"

namespace phlower {

/// A text '7', a blob '7' and a number 7 are three keys.
struct Cell {
  sqlite::ValueType type = sqlite::ValueType::kNull;
  std::int64_t whole = 0;
  double real = 0;
  std::string bytes;  // of a text or a blob

  static Cell of(double number) { return {sqlite::ValueType::kReal, 0, number, {}}; }
  static Cell of(const sqlite::Statement& from, int column) {
    Cell cell{from.type(column), 0, 0, {}};
    switch (cell.type) {
      case sqlite::ValueType::kNull: break;
      case sqlite::ValueType::kInteger: cell.whole = from.integer(column); break;
      case sqlite::ValueType::kReal: cell.real = from.real(column); break;
      case sqlite::ValueType::kText:
      case sqlite::ValueType::kBlob: cell.bytes = from.text(column); break;
    }
    return cell;
  }

  static Cell of(sqlite3_value* value) {
    const auto bytes = [value](const void* data) {
      const auto size = static_cast<std::size_t>(sqlite3_value_bytes(value));
      return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
    };
    switch (sqlite3_value_type(value)) {
      case SQLITE_INTEGER: return {sqlite::ValueType::kInteger, sqlite3_value_int64(value), 0, {}};
      case SQLITE_FLOAT: return {sqlite::ValueType::kReal, 0, sqlite3_value_double(value), {}};
      case SQLITE_TEXT: return {sqlite::ValueType::kText, 0, 0, bytes(sqlite3_value_text(value))};
      case SQLITE_BLOB: return {sqlite::ValueType::kBlob, 0, 0, bytes(sqlite3_value_blob(value))};
      default: return {};
    }
  }

  bool is_text() const { return type == sqlite::ValueType::kText; }

  /// What is bound is not copied: this must stay until the statement is reset.
  void bind_to(sqlite::Statement& statement, int at) const {
    switch (type) {
      case sqlite::ValueType::kNull: return statement.bind_null(at);
      case sqlite::ValueType::kInteger: return statement.bind(at, whole);
      case sqlite::ValueType::kReal: return statement.bind(at, real);
      case sqlite::ValueType::kText: return statement.bind(at, std::string_view(bytes));
      case sqlite::ValueType::kBlob: return statement.bind_blob(at, bytes.data(), bytes.size());
    }
  }
};

/// Below 0, 0 or above: the order of SQLite's indexes, where it compares text by its bytes.
inline int compare(const Cell& a, const Cell& b) {
  const auto rank = [](const Cell& cell) {
    switch (cell.type) {
      case sqlite::ValueType::kNull: return 0;
      case sqlite::ValueType::kInteger:
      case sqlite::ValueType::kReal: return 1;
      case sqlite::ValueType::kText: return 2;
      case sqlite::ValueType::kBlob: break;
    }
    return 3;
  };
  if (rank(a) != rank(b)) return rank(a) - rank(b);
  const auto sign = [](auto x, auto y) { return x < y ? -1 : x > y ? 1 : 0; };
  if (rank(a) != 1) return a.bytes.compare(b.bytes);
  const auto whole = sqlite::ValueType::kInteger;
  if (a.type == whole && b.type == whole) return sign(a.whole, b.whole);
  // Exact for both: a long double has the 64 bits of an integer.
  const auto number = [](const Cell& cell) {
    return cell.type == whole ? static_cast<long double>(cell.whole)
                              : static_cast<long double>(cell.real);
  };
  return sign(number(a), number(b));
}

/// For a person to find it by: "'yesterday'", "x'00ff'", "12.5", "NULL"; long ones are cut.
inline std::string shown(const Cell& cell) {
  constexpr std::size_t kMost = 40;
  const auto cut = [](std::string text) {
    if (text.size() > kMost) text.replace(kMost, std::string::npos, "...");
    return text;
  };
  switch (cell.type) {
    case sqlite::ValueType::kNull: break;
    case sqlite::ValueType::kInteger: return std::to_string(cell.whole);
    case sqlite::ValueType::kReal: {
      std::string text = std::to_string(cell.real);
      text.erase(text.find_last_not_of('0') + 1);
      return cut(text.ends_with('.') ? text + '0' : text);
    }
    case sqlite::ValueType::kText: {
      std::string text = cut(cell.bytes);
      for (char& c : text) {
        if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';  // for a terminal
      }
      return "'" + text + "'";
    }
    case sqlite::ValueType::kBlob: {
      constexpr std::string_view kDigits = "0123456789abcdef";
      std::string text;
      for (const char c : cell.bytes.substr(0, kMost)) {
        text += kDigits[static_cast<unsigned char>(c) >> 4];
        text += kDigits[static_cast<unsigned char>(c) & 15];
      }
      return "x'" + cut(text) + "'";
    }
  }
  return "NULL";
}

}  // namespace phlower
