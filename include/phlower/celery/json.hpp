// JSON text to values and narrow reads of their members. The only includer of nlohmann/json.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"

namespace phlower {

/// A parsed JSON value. Code outside this header reads it through the functions below.
using JsonValue = nlohmann::json;

/// Objects and arrays inside each other beyond this are refused: no event needs ten.
inline constexpr std::size_t kJsonMaxDepth = 32;

namespace json_detail {

// Python writes these three words for numbers that JSON does not have. The one that covers `at`.
inline std::string_view python_word(std::string_view text, std::size_t at) {
  for (std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
    for (std::size_t back = 0; back < word.size() && back <= at; ++back) {
      const std::string_view here = text.substr(std::min(at - back, text.size()));
      if (here.starts_with(word)) return here.substr(0, word.size());
    }
  }
  return {};
}

// Builds a value from the parser's events. nlohmann's own builder throws or forgets where the error
// was, and it has no bound on depth.
class Builder final : public nlohmann::json_sax<JsonValue> {
 public:
  Builder(std::string_view text, std::size_t max_depth) : text_(text), max_depth_(max_depth) {}

  bool null() override { return put(nullptr) != nullptr; }
  bool boolean(bool value) override { return put(value) != nullptr; }
  bool number_integer(std::int64_t value) override { return put(value) != nullptr; }
  bool number_unsigned(std::uint64_t value) override { return put(value) != nullptr; }
  bool number_float(double value, const std::string&) override { return put(value) != nullptr; }
  bool string(std::string& value) override { return put(std::move(value)) != nullptr; }
  bool binary(JsonValue::binary_t&) override { return false; }  // JSON text has none
  bool start_object(std::size_t) override { return open(JsonValue::object()); }
  bool start_array(std::size_t) override { return open(JsonValue::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    slot_ = &(*open_.back())[name];  // of two equal names the last one counts, as in Python
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    // The position is one past what was read; of a word that is none it is within the word.
    std::size_t offset = position > 0 ? position - 1 : 0;
    const std::string_view word = python_word(text_, offset);
    if (!word.empty()) offset = static_cast<std::size_t>(word.data() - text_.data());
    error_ = "not JSON at byte " + std::to_string(offset) + ": " +
             (word.empty() ? reason(error.what()) : std::string(word) + " is Python's, not JSON");
    return false;
  }

  JsonValue& root() { return root_; }
  const std::string& error() const { return error_; }

 private:
  template <class Value>
  JsonValue* put(Value&& value) {
    if (open_.empty()) {
      root_ = std::forward<Value>(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& items = open_.back()->get_ref<JsonValue::array_t&>();
      return &items.emplace_back(std::forward<Value>(value));
    }
    *slot_ = std::forward<Value>(value);
    return slot_;
  }

  bool open(JsonValue&& container) {
    if (open_.size() == max_depth_) {
      error_ = "JSON nested more than " + std::to_string(max_depth_) + " deep";
      return false;
    }
    open_.push_back(put(std::move(container)));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  // "[id] parse error at line 1, column 2: syntax error ... - invalid literal; last read: 'x'"
  // becomes "syntax error ... - invalid literal": what was read may be long and hostile.
  static std::string reason(std::string_view text) {
    const std::size_t column = text.find(", column ");
    const std::size_t begin = column == std::string_view::npos ? 0 : text.find(": ", column) + 2;
    text = text.substr(begin <= text.size() ? begin : 0);
    return std::string(text.substr(0, text.find("; last read")).substr(0, 200));
  }

  std::string_view text_;
  std::size_t max_depth_;
  JsonValue root_;
  std::vector<JsonValue*> open_;  // stable: a container grows only through its last element
  JsonValue* slot_ = nullptr;     // where the value of the key just read goes
  std::string error_;
};

}  // namespace json_detail

/// One JSON text as a value. The text must be UTF-8 and nothing may follow the value.
/// Errors: kInvalidArgument with the offset of the first bad byte; NaN and Infinity, which Python
/// writes, are not JSON and are refused like any other word.
/// Thread safety: safe. Blocks: never. Memory: a small multiple of the text.
inline Result<JsonValue> parse_json(std::string_view text, std::size_t max_depth = kJsonMaxDepth) {
  try {
    json_detail::Builder builder(text, max_depth);
    if (JsonValue::sax_parse(text.begin(), text.end(), &builder)) {
      return std::move(builder.root());
    }
    return Status(Code::kInvalidArgument, builder.error());
  } catch (const std::exception& error) {
    return Status(Code::kInternal, std::string("JSON parser: ") + error.what());
  }
}

/// The member `name`, or nullptr where `object` is no object, has no such member, or it is null.
inline const JsonValue* json_member(const JsonValue& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

/// The text of a string value, or nullptr for any other type.
inline const std::string* json_text(const JsonValue& value) {
  return value.get_ptr<const std::string*>();
}

/// How a read of a member ended. A null member counts as missing.
enum class JsonRead : std::uint8_t { kMissing, kRead, kWrongType };

/// Reads a string member; `out` is left alone unless kRead.
inline JsonRead json_read(const JsonValue& object, std::string_view name, std::string& out) {
  const JsonValue* value = json_member(object, name);
  if (value == nullptr) return JsonRead::kMissing;
  const std::string* text = json_text(*value);
  if (text == nullptr) return JsonRead::kWrongType;
  out = *text;
  return JsonRead::kRead;
}

/// Reads a number (true and false are none); `out` is left alone unless kRead.
inline JsonRead json_read(const JsonValue& object, std::string_view name, double& out) {
  const JsonValue* value = json_member(object, name);
  if (value == nullptr) return JsonRead::kMissing;
  if (const auto* number = value->get_ptr<const JsonValue::number_float_t*>()) {
    out = *number;
  } else if (const auto* positive = value->get_ptr<const JsonValue::number_unsigned_t*>()) {
    out = static_cast<double>(*positive);
  } else if (const auto* whole = value->get_ptr<const JsonValue::number_integer_t*>()) {
    out = static_cast<double>(*whole);
  } else {
    return JsonRead::kWrongType;
  }
  return JsonRead::kRead;
}

/// Reads a whole number of 0 or more; `out` is left alone unless kRead.
inline JsonRead json_read(const JsonValue& object, std::string_view name, std::uint64_t& out) {
  const JsonValue* value = json_member(object, name);
  if (value == nullptr) return JsonRead::kMissing;
  const auto* number = value->get_ptr<const JsonValue::number_unsigned_t*>();
  if (number == nullptr) return JsonRead::kWrongType;
  out = *number;
  return JsonRead::kRead;
}

}  // namespace phlower
