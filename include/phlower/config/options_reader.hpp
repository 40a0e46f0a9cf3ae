// Options from sections, keys and values as a file gives them, one after the other. Knows nothing
// of YAML; says of each thing that does not fit what would be right. Works for any struct of
// options that has a visit_options and a check_options in its namespace.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "phlower/config/config_errors.hpp"
#include "phlower/config/nearest.hpp"
#include "phlower/config/options_fields.hpp"

namespace phlower {

/// Call `section`, then `key` and `set` in turns, at last `finish`. Thread safety: none.
template <class OptionsT>
class BasicOptionsReader {
 public:
  explicit BasicOptionsReader(ConfigErrors& errors)
      : errors_(errors), keys_(option_keys<OptionsT>()) {
    for (const std::string_view key : keys_) {
      const std::string_view section = section_of(key);
      if (sections_.empty() || sections_.back() != section) sections_.push_back(section);
    }
  }

  /// Begins a section. False: it is unknown or was there before; skip it.
  bool section(TextPlace place, const std::string& name) {
    section_ = path_ = name;
    if (std::find(sections_.begin(), sections_.end(), name) == sections_.end()) {
      errors_.add(place, "", unknown_section(name));
      return false;
    }
    return first(place);
  }

  /// Names the knob of the next `set`. False: it is unknown or was set before; skip its value.
  bool key(TextPlace place, const std::string& name) {
    path_ = section_ + "." + name;
    if (std::find(keys_.begin(), keys_.end(), path_) == keys_.end()) {
      errors_.add(place, "", unknown_key(name));
      return false;
    }
    return first(place);
  }

  /// The value of the last key. `plain`: it stands without quotes.
  void set(TextPlace place, const std::string& text, bool plain) {
    given_[path_] = place;
    visit_options(options_, [&](std::string_view key, auto& target, auto kind) {
      if (key != path_) return;
      using Kind = decltype(kind);
      constexpr bool kBare =
          std::is_same_v<Kind, field::Switch> || std::is_same_v<Kind, field::Count>;
      if (kBare && !plain) {
        fail(place, "is text in quotes; write " + field::write(target, kind) + " without quotes");
        return;
      }
      const Status status = field::read(text, target, kind);
      if (!status.ok()) fail(place, std::string(status.message()));
    });
  }

  /// An error at the section or key that was named last.
  void fail(TextPlace place, std::string text) { errors_.add(place, path_, std::move(text)); }
  /// Back from a key to its section, or from a section to none.
  void leave_key() { path_ = section_; }
  void leave_section() { section_ = path_ = ""; }

  /// Checks what must hold between knobs, if all is well so far, and gives the options.
  const OptionsT& finish() {
    if (!errors_.empty()) return options_;
    if constexpr (requires { derive_defaults(options_, nullptr); }) {
      derive_defaults(options_,
                      [this](std::string_view key) { return given_.contains(std::string(key)); });
    }
    for (OptionProblem& problem : check_options(options_)) {
      TextPlace place;
      for (const std::string& key : {problem.compared_with, problem.key}) {
        if (const auto found = given_.find(key); found != given_.end()) place = found->second;
      }
      errors_.add(place, problem.key, std::move(problem.text));
    }
    return options_;
  }

 private:
  static std::string_view section_of(std::string_view key) { return key.substr(0, key.find('.')); }
  static std::string_view name_of(std::string_view key) { return key.substr(key.find('.') + 1); }

  bool first(TextPlace place) {
    const auto [at, is_first] = given_.try_emplace(path_, place);
    if (!is_first) {
      fail(place, "is given twice; keep one of this and line " + std::to_string(at->second.line));
    }
    return is_first;
  }

  std::string unknown_section(const std::string& name) const {
    for (const std::string_view key : keys_) {
      if (key != name && name_of(key) != name) continue;
      return shown_text(name) + " is no section; write '" + std::string(section_of(key)) +
             ":' and below it, indented, '" + std::string(name_of(key)) + ": ...'";
    }
    return shown_text(name) + " is an unknown section; " + suggestion(name, sections_);
  }

  std::string unknown_key(const std::string& name) const {
    std::vector<std::string_view> siblings;
    std::string_view elsewhere;
    for (const std::string_view key : keys_) {
      if (section_of(key) == section_) siblings.push_back(name_of(key));
      if (name_of(key) == name) elsewhere = section_of(key);
    }
    const std::string what = shown_text(name) + " is an unknown key of '" + section_ + "'; ";
    if (!elsewhere.empty()) return what + "it belongs below '" + std::string(elsewhere) + ":'";
    return what + suggestion(name, siblings);
  }

  static std::string suggestion(std::string_view name, const std::vector<std::string_view>& known) {
    const std::string_view near = nearest(name, known);
    if (!near.empty()) return "did you mean '" + std::string(near) + "'?";
    std::string all;
    for (const std::string_view one : known) all.append(all.empty() ? "" : ", ").append(one);
    return "known are " + all;
  }

  ConfigErrors& errors_;
  OptionsT options_;
  std::vector<std::string_view> keys_;
  std::vector<std::string_view> sections_;
  std::map<std::string, TextPlace> given_;
  std::string section_;
  std::string path_;
};

using OptionsReader = BasicOptionsReader<Options>;

}  // namespace phlower
