// The errors of one configuration file, each with its place, as one Status.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "phlower/ground/status.hpp"
#include "phlower/ground/text/text.hpp"

namespace phlower {

/// A place in a text; lines and columns count from 1.
struct TextPlace {
  int line = 1;
  int column = 1;
};

/// Collects errors; shows the first 20 in the order of the file and counts the rest.
class ConfigErrors {
 public:
  static constexpr std::size_t kShown = 20;

  void add(TextPlace place, std::string_view key, std::string text) {
    ++count_;
    if (list_.size() >= 10 * kShown) return;
    if (!key.empty()) text.insert(0, std::string(key.substr(0, 80)) + ": ");
    // A name with a newline in it must not pass for another error, nor write to a terminal.
    list_.push_back({place, printable(text)});
  }
  bool empty() const { return count_ == 0; }

  /// OK, or kInvalidConfig with a line `file:line:column: key: what is wrong; what would be right`
  /// for each error.
  Status status(std::string_view file) {
    if (empty()) return {};
    std::stable_sort(list_.begin(), list_.end(), [](const Error& a, const Error& b) {
      return std::tie(a.place.line, a.place.column) < std::tie(b.place.line, b.place.column);
    });
    std::string all;
    const std::size_t shown = std::min(list_.size(), kShown);
    for (std::size_t i = 0; i < shown; ++i) {
      const auto& [place, text] = list_[i];
      all.append(i > 0 ? "\n" : "").append(file).append(":").append(std::to_string(place.line));
      all.append(":").append(std::to_string(place.column)).append(": ").append(text);
    }
    if (count_ > shown) {
      all.append("\n").append(file).append(": and ").append(std::to_string(count_ - shown));
      all.append(" more; correct these first");
    }
    return {Code::kInvalidConfig, std::move(all)};
  }

 private:
  struct Error {
    TextPlace place;
    std::string text;
  };
  std::vector<Error> list_;
  std::size_t count_ = 0;
};

}  // namespace phlower
