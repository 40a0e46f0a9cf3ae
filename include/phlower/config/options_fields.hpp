// The table of all knobs: the key of each in a file, its range, and how its text is read and
// written. What else must hold between knobs stands in `check_options`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "phlower/config/config_errors.hpp"
#include "phlower/config/options.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/units.hpp"

namespace phlower {

namespace field {

struct Text {
  bool may_be_empty = false;
};
struct Choice {
  std::span<const std::string_view> names;
};
struct Switch {};
struct Bytes {
  std::uint64_t low, high;
};
struct Count {
  std::uint32_t low, high;
};
struct Percent {
  std::uint32_t low, high;
};
struct Span {
  Nanoseconds low, high;
};

inline constexpr std::uint64_t kKiB = 1ull << 10;
inline constexpr std::uint64_t kMiB = 1ull << 20;
inline constexpr std::uint64_t kGiB = 1ull << 30;
inline constexpr std::string_view kDurabilities[] = {"process", "power"};
inline constexpr std::string_view kLayouts[] = {"segmented", "single"};
inline constexpr std::string_view kAccesses[] = {"owner", "group", "all"};
inline constexpr std::string_view kLevels[] = {"trace", "debug", "info", "warning", "error", "off"};

inline Status wrong(std::string text) { return {Code::kInvalidConfig, std::move(text)}; }

inline Status out_of_range(std::string_view is, std::string_view low, std::string_view high) {
  std::string text(is);
  text.append(" is out of range; write a value from ").append(low).append(" to ").append(high);
  return wrong(std::move(text));
}

// ---- write: the text that `read` takes back to the same value

inline std::string write(const std::string& value, Text) { return value; }
inline std::string write(const std::string& value, Choice) { return value; }
template <class Enum>
concept Named = std::is_enum_v<Enum>;
template <Named Enum>
std::string write(Enum value, Choice choice) {
  return std::string(choice.names[static_cast<std::size_t>(value)]);
}
inline std::string write(bool value, Switch) { return value ? "true" : "false"; }
inline std::string write(std::uint64_t value, Bytes) { return exact_bytes(value); }
inline std::string write(std::uint32_t value, Count) { return std::to_string(value); }
inline std::string write(std::uint32_t value, Percent) { return std::to_string(value) + "%"; }
template <class Value>
constexpr std::string_view unit_of() {
  if (std::is_same_v<Value, Hours>) return "h";
  if (std::is_same_v<Value, Seconds>) return "s";
  if (std::is_same_v<Value, Milliseconds>) return "ms";
  static_assert(std::is_same_v<Value, Hours> || std::is_same_v<Value, Seconds> ||
                std::is_same_v<Value, Milliseconds> || std::is_same_v<Value, Nanoseconds>);
  return "ns";
}
template <class Value>
std::string write(Value value, Span) {
  // Code may have set what has no place in nanoseconds.
  if (value < Value(0) || value > std::chrono::floor<Value>(Nanoseconds::max()))
    return std::to_string(value.count()) + std::string(unit_of<Value>());
  return exact_duration(value);
}

// ---- check: is the value in its range?

inline Status check(const std::string& value, Text kind) {
  if (value.empty() && !kind.may_be_empty) return wrong("is empty; write a path");
  if (value.size() > 4000) return wrong("is longer than 4000 bytes; write a shorter path");
  if (value.find('\0') != std::string::npos) return wrong("holds a NUL byte; write a path");
  return {};
}
inline Status check(const std::string& value, Choice choice) {
  std::string all;
  for (const std::string_view name : choice.names) {
    if (name == value) return {};
    all.append(all.empty() ? "" : ", ").append(name);
  }
  return wrong(shown_text(value) + " is not known here; write one of " + all);
}
template <Named Enum>
Status check(Enum value, Choice choice) {
  if (static_cast<std::size_t>(value) < choice.names.size()) return {};
  std::string all;
  for (const std::string_view name : choice.names) {
    all.append(all.empty() ? "" : ", ").append(name);
  }
  return wrong("is none that there is; write one of " + all);
}
inline Status check(bool, Switch) { return {}; }
template <class Value>
Status check(Value value, Span range) {
  // In the value's own unit, which holds all that it can be.
  const auto low = std::chrono::ceil<Value>(range.low);
  const auto high = std::chrono::floor<Value>(range.high);
  if (value >= low && value <= high) return {};
  return out_of_range(write(value, range), write(low, range), write(high, range));
}
template <class Value, class Range>
Status check(Value value, Range range) {
  if (value >= range.low && value <= range.high) return {};
  return out_of_range(write(value, range), write(range.low, range), write(range.high, range));
}

// ---- read: text of a file into the value; the value is unchanged on error

inline Status read(std::string_view text, std::string& value, Text limit) {
  std::string wanted(text);
  if (Status status = check(wanted, limit); !status.ok()) return status;
  value = std::move(wanted);
  return {};
}
inline Status read(std::string_view text, std::string& value, Choice choice) {
  std::string wanted(text);
  if (Status status = check(wanted, choice); !status.ok()) return status;
  value = std::move(wanted);
  return {};
}
template <Named Enum>
Status read(std::string_view text, Enum& value, Choice choice) {
  std::string name;
  if (Status status = read(text, name, choice); !status.ok()) return status;
  const auto at = std::find(choice.names.begin(), choice.names.end(), name);
  value = static_cast<Enum>(at - choice.names.begin());
  return {};
}
inline Status read(std::string_view text, bool& value, Switch) {
  if (text != "true" && text != "false") {
    return wrong(shown_text(text) + " is neither true nor false; write true or false");
  }
  value = text == "true";
  return {};
}
template <class Value, class Range>
Status assign(Result<Value> parsed, Value& value, Range range) {
  if (!parsed.ok()) return wrong(std::string(parsed.status().message()));
  if (Status status = check(*parsed, range); !status.ok()) return status;
  value = *parsed;
  return {};
}
inline Status read(std::string_view text, std::uint64_t& value, Bytes range) {
  return assign(parse_bytes(text), value, range);
}
inline Status read(std::string_view text, std::uint32_t& value, Percent range) {
  return assign(parse_percent(text), value, range);
}
inline Status read(std::string_view text, std::uint32_t& value, Count range) {
  std::uint64_t number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return wrong(shown_text(text) + " is no count; write a whole number");
    number = number < kGiB * kKiB ? number * 10 + static_cast<std::uint64_t>(c - '0') : number;
  }
  if (text.empty()) return wrong("is empty; write a whole number");
  if (number > range.high) {
    return out_of_range(shown_text(text), write(range.low, range), write(range.high, range));
  }
  return assign(Result<std::uint32_t>(static_cast<std::uint32_t>(number)), value, range);
}
template <class Duration>
Status read_duration(std::string_view text, Duration& value, Span range, std::string_view step) {
  Nanoseconds parsed{};
  if (Status status = assign(parse_duration(text), parsed, range); !status.ok()) return status;
  const auto whole = std::chrono::duration_cast<Duration>(parsed);
  if (whole != parsed) {
    return wrong(shown_text(text) + " is finer than it can be; write whole " + std::string(step));
  }
  value = whole;
  return {};
}
inline Status read(std::string_view text, Hours& value, Span range) {
  return read_duration(text, value, range, "hours, as in " + exact_duration(range.low));
}
inline Status read(std::string_view text, Milliseconds& value, Span range) {
  return read_duration(text, value, range, "milliseconds, as in " + exact_duration(range.low));
}

}  // namespace field

/// Calls visit(key, value, kind) for every knob, in the order of the file. `OptionsT` is Options or
/// const Options; a key is "section.name".
template <class OptionsT, class Visitor>
void visit_options(OptionsT& o, Visitor&& visit) {
  using namespace field;
  visit("store.layout", o.store.layout, Choice{kLayouts});
  visit("store.path", o.store.path, Text{});
  visit("store.adopt", o.store.adopt, Text{true});
  visit("store.durability", o.store.durability, Choice{kDurabilities});
  visit("store.cache", o.store.cache_bytes, Bytes{kMiB, 4 * kGiB});
  visit("store.wal_soft", o.store.wal_soft_bytes, Bytes{64 * kKiB, kGiB});
  visit("store.wal_hard", o.store.wal_hard_bytes, Bytes{256 * kKiB, 4 * kGiB});
  visit("store.reclaim", o.store.reclaim, Switch{});
  visit("store.segment_rows", o.store.segment_rows, Count{10, 16'000'000});
  visit("store.segment_size", o.store.segment_bytes, Bytes{64 * kKiB, 16 * kGiB});
  visit("store.helper_thread", o.store.helper_thread, Switch{});
  visit("retention.invocations", o.retention.invocations, Span{Hours(1), Hours(87600)});
  visit("retention.details", o.retention.details, Span{Hours(1), Hours(87600)});
  visit("retention.keep_forever", o.retention.keep_forever, Switch{});
  visit("disk.cap", o.disk.cap_bytes, Bytes{16 * kMiB, kKiB * kKiB * kGiB});
  visit("disk.cap_share", o.disk.cap_percent, Percent{1, 100});
  visit("disk.floor", o.disk.floor, Span{Hours(1), Hours(87600)});
  visit("ring.path", o.ring.path, Text{});
  visit("ring.access", o.ring.access, Choice{kAccesses});
  visit("ring.size", o.ring.size_bytes, Bytes{128 * kKiB, 16 * kGiB});
  visit("ring.chunk", o.ring.chunk_bytes, Bytes{32 * kKiB, 256 * kKiB});
  visit("ring.lanes", o.ring.lanes, Count{1, 4096});
  visit("ring.high_water", o.ring.high_water_percent, Percent{10, 100});
  visit("record.max", o.record.max_bytes, Bytes{kKiB, 64 * kKiB});
  visit("record.args_max", o.record.args_max_bytes, Bytes{0, 64 * kKiB});
  visit("record.kwargs_max", o.record.kwargs_max_bytes, Bytes{0, 64 * kKiB});
  visit("record.traceback_max", o.record.traceback_max_bytes, Bytes{0, 64 * kKiB});
  visit("schedule.slice", o.schedule.slice, Span{Milliseconds(1), Milliseconds(100)});
  visit("schedule.duty", o.schedule.duty_percent, Percent{10, 100});
  visit("schedule.round", o.schedule.round, Span{Milliseconds(5), Seconds(1)});
  visit("schedule.flush_age", o.schedule.flush_age, Span{Milliseconds(1), Seconds(10)});
  visit("celery.in_flight_max", o.celery.in_flight_max, Count{1, 10'000'000});
  visit("celery.in_flight_memory", o.celery.in_flight_bytes, Bytes{kMiB, 64 * kGiB});
  visit("celery.in_flight_age", o.celery.in_flight_age, Span{Hours(1), Hours(8760)});
  visit("plugin.own_thread", o.plugin.own_thread, Switch{});
  visit("log.level", o.log.level, Choice{kLevels});
}

/// Defaults that follow from other knobs. `given` says whether a key was written.
inline void derive_defaults(Options& o, const std::function<bool(std::string_view)>& given) {
  if (!given("retention.details")) {
    o.retention.details = std::min(o.retention.details, o.retention.invocations);
  }
}

/// What is wrong with the knob `key` ("ring.chunk"); the text says what would be right.
struct OptionProblem {
  std::string key;
  std::string text;
  std::string compared_with = {};  // the other knob where two do not fit together
};

namespace field {

/// What must hold between knobs; calls no(key, other, text), `other` being the knob compared with.
inline void check_together(const Options& o,
                           const std::function<void(const char*, const char*, std::string)>& no) {
  if (o.retention.details > o.retention.invocations) {
    no("retention.details", "retention.invocations",
       exact_duration(o.retention.details) +
           " is longer than retention.invocations; write at most " +
           exact_duration(o.retention.invocations));
  }
  if (o.store.wal_soft_bytes >= o.store.wal_hard_bytes) {
    no("store.wal_soft", "store.wal_hard",
       exact_bytes(o.store.wal_soft_bytes) + " is not below store.wal_hard; write less than " +
           exact_bytes(o.store.wal_hard_bytes));
  }
  if (o.ring.chunk_bytes % 4096 != 0) {
    no("ring.chunk", "ring.chunk",
       exact_bytes(o.ring.chunk_bytes) + " is no multiple of 4KiB; write 32KiB, 64KiB, 128KiB");
  } else if (o.ring.size_bytes % o.ring.chunk_bytes != 0) {
    const std::uint64_t chunks = o.ring.size_bytes / o.ring.chunk_bytes + 1;
    no("ring.size", "ring.chunk",
       exact_bytes(o.ring.size_bytes) + " is no multiple of ring.chunk; write " +
           exact_bytes(chunks * o.ring.chunk_bytes));
  }
  if (o.ring.chunk_bytes < 4 * o.record.max_bytes) {
    no("record.max", "ring.chunk",
       exact_bytes(o.record.max_bytes) + " is over a quarter of ring.chunk; write at most " +
           exact_bytes(o.ring.chunk_bytes / 4));
  }
  constexpr std::uint64_t kRest = 1024;  // ids, names and times beside the details
  const std::uint64_t details =
      o.record.args_max_bytes + o.record.kwargs_max_bytes + o.record.traceback_max_bytes;
  if (details + kRest > o.record.max_bytes && details > 0) {
    no("record.max", "record.traceback_max",
       "details of " + exact_bytes(details) +
           " (args_max, kwargs_max and traceback_max together) and 1KiB for the rest do not fit; "
           "write at least " +
           exact_bytes(details + kRest) + " or smaller limits");
  }
  if (o.schedule.slice > o.schedule.round) {
    no("schedule.slice", "schedule.round",
       exact_duration(o.schedule.slice) + " is longer than schedule.round; write at most " +
           exact_duration(o.schedule.round));
  }
}

}  // namespace field

/// All that is wrong with `options`: ranges first, then what must hold between knobs. Empty: valid.
inline std::vector<OptionProblem> check_options(const Options& options) {
  std::vector<OptionProblem> problems;
  visit_options(options, [&](std::string_view key, const auto& value, auto kind) {
    const Status status = field::check(value, kind);
    if (!status.ok()) problems.push_back({std::string(key), std::string(status.message())});
  });
  if (!problems.empty()) return problems;  // what follows divides by these values
  field::check_together(options, [&](const char* key, const char* other, std::string text) {
    problems.push_back({key, std::move(text), other});
  });
  return problems;
}

/// For options that were set by code or by a command line; Engine::open and Producer::attach do it.
/// Errors: kInvalidConfig, all problems, a line each.
inline Status validate(const Options& options) {
  std::string text;
  for (const OptionProblem& problem : check_options(options)) {
    text.append(text.empty() ? "" : "\n").append(problem.key).append(": ").append(problem.text);
  }
  return text.empty() ? Status() : Status(Code::kInvalidConfig, std::move(text));
}

/// The keys of all knobs in the order of the file. They live as long as the program. For any
/// options that have a visit_options of their own.
template <class OptionsT = Options>
std::vector<std::string_view> option_keys() {
  std::vector<std::string_view> keys;
  const OptionsT defaults;
  visit_options(defaults, [&](std::string_view key, const auto&, auto) { keys.push_back(key); });
  return keys;
}

/// Sets the knob `key` from `text`, its range checked. Errors: kNotFound for a key that does not
/// exist, kInvalidConfig for a wrong value; the text does not name the key.
inline Status set_option(Options& options, std::string_view key, std::string_view text) {
  Status status(Code::kNotFound);
  visit_options(options, [&](std::string_view known, auto& value, auto kind) {
    if (known == key) status = field::read(text, value, kind);
  });
  return status;
}

}  // namespace phlower
