// From the JSON of a body to events. One value that is odd costs no more than itself, or its event.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/celery/event.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/json_scan.hpp"
#include "phlower/record/limits.hpp"

namespace phlower {

/// The events of one message, and what was wrong with parts of it.
struct EventBatch {
  EventList events;
  std::uint64_t refused_events = 0;  // of a list; the others of which were read
  std::uint64_t wrong_fields = 0;    // fields of a wrong type or out of range, left empty
  Status first_problem;              // which event was refused first, by which field, and why
  std::string first_wrong_field;     // the first of `wrong_fields`, in the same words

  std::string decoded;  // a body while it is read
  std::string scratch;

  void clear() {
    events.clear();
    refused_events = wrong_fields = 0;
    if (!first_problem.ok()) first_problem = Status();
    first_wrong_field.clear();
  }
};

namespace event_detail {

enum Field : std::uint8_t {
  kType,
  kUuid,
  kHostname,
  kName,
  kQueue,
  kRoutingKey,
  kArgs,
  kKwargs,
  kException,
  kTraceback,
  kTimestamp,
  kRuntime,
  kUtcoffset,
  kClock,
  kRetries,
  kProcessed,
  kNoField,
};
inline constexpr std::array<std::string_view, kNoField> kFields = {
    "type",      "uuid",   "hostname",  "name",      "queue",     "routing_key",
    "args",      "kwargs", "exception", "traceback", "timestamp", "runtime",
    "utcoffset", "clock",  "retries",   "processed"};
inline constexpr std::array<std::string Event::*, kTimestamp> kTexts = {
    &Event::type,        &Event::uuid, &Event::hostname, &Event::name,      &Event::queue,
    &Event::routing_key, &Event::args, &Event::kwargs,   &Event::exception, &Event::traceback};

// Where a name of at least three characters is looked for: the fields all have places of their own.
constexpr std::size_t field_slot(std::string_view name) {
  return (2 * name.size() + static_cast<unsigned char>(name[0]) +
          static_cast<unsigned char>(name[2])) %
         32;
}

inline constexpr auto kFieldSlots = [] {
  std::array<std::uint8_t, 32> slots{};
  slots.fill(kNoField);
  for (std::size_t field = 0; field < kFields.size(); ++field) {
    slots[field_slot(kFields[field])] = static_cast<std::uint8_t>(field);
  }
  return slots;
}();

constexpr bool each_has_a_slot() {
  for (std::size_t field = 0; field < kFields.size(); ++field) {
    if (kFieldSlots[field_slot(kFields[field])] != field) return false;
  }
  return true;
}
static_assert(each_has_a_slot());

inline std::size_t field_of(std::string_view name) {
  if (name.size() < 3) return kNoField;
  const std::size_t field = kFieldSlots[field_slot(name)];
  if (field == kNoField || !same_short(kFields[field], name)) return kNoField;
  return field;
}

// The beginning of a value for a message, as text without control characters.
inline std::string example(std::string_view value) {
  constexpr std::size_t kShown = 60;
  std::string shown;
  JsonScan scan(value);
  std::string_view text;
  std::string decoded;
  const bool quoted = scan.sees('"') && scan.text(text, decoded);
  if (!quoted) text = value;
  for (const char c : text.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  if (text.size() > kShown) shown += "...";
  return quoted ? "'" + shown + "'" : shown;
}

}  // namespace event_detail

/// Reads one event after the other from a body into a batch.
class EventReader {
 public:
  EventReader(JsonScan& json, EventBatch& out) : json_(json), out_(out) {}

  /// Takes the next value: an event more in the batch, or one refused and counted. False: the text
  /// is broken, and what the batch has of this event is gone.
  bool read() {
    if (!json_.take('{')) {
      std::string_view value;
      if (!json_.skip(value)) return false;
      refuse("an event is not a JSON object: " + event_detail::example(value));
      return true;
    }
    Event& event = out_.events.add();
    seen_ = 0;
    bad_uuid_ = bad_time_ = {};
    if (!read_members(event)) {
      out_.events.drop_last();
      return false;
    }
    if (std::string why = unusable(event); !why.empty()) {
      out_.events.drop_last();
      refuse(std::move(why));
    }
    return true;
  }

 private:
  using Field = event_detail::Field;

  bool read_members(Event& event) {
    if (json_.take('}')) return true;
    do {
      std::string_view name;
      if (!json_.name(name)) return false;
      const std::size_t field = event_detail::field_of(name);
      if (field == event_detail::kNoField) {
        if (!json_.skip()) return false;
        continue;
      }
      if ((seen_ & 1u << field) != 0) reset(static_cast<Field>(field), event);
      seen_ |= 1u << field;
      if (!read_field(static_cast<Field>(field), event)) return false;
    } while (json_.take(','));
    return json_.take('}');
  }

  bool read_field(Field field, Event& event) {
    if (json_.sees('n')) return json_.take_null();
    return field < event_detail::kTimestamp ? read_text(field, event) : read_number(field, event);
  }

  bool read_text(Field field, Event& event) {
    std::string& out = event.*event_detail::kTexts[field];
    if (json_.sees('"')) return json_.string(out);
    std::string_view value;
    if (!json_.skip(value)) return false;
    if (field >= event_detail::kArgs) {
      append_utf8(value, out);  // for people to read: better as JSON than not at all
    } else if (field == event_detail::kUuid && is_whole(value)) {
      out = value;  // Celery takes a number for an id, too
    } else if (field == event_detail::kUuid) {
      bad_uuid_ = value;
    } else if (field != event_detail::kType) {
      wrong(field, value, "is no text", event);
    }
    return true;
  }

  bool read_number(Field field, Event& event) {
    std::string_view token;
    const char first = json_.peek();
    if ((first >= '0' && first <= '9') || first == '-' || first == 'N' || first == 'I') {
      if (!json_.number(token)) return false;
      set_number(field, token, token, event);
    } else {
      if (!json_.skip(token)) return false;
      set_number(field, number_in_text(token), token, event);
    }
    return true;
  }

  // `number` is empty where `shown`, what stood there, is none.
  void set_number(Field field, std::string_view number, std::string_view shown, Event& event) {
    namespace ed = event_detail;
    const auto real = [number] {
      return number.empty() ? std::nan("") : json_detail::to_double(number);
    };
    switch (field) {
      case ed::kTimestamp:
        event.timestamp = time_by_value(real());
        if (event.timestamp == 0) bad_time_ = shown;
        return;
      case ed::kClock: return set_count(field, number, shown, event, event.clock);
      case ed::kRetries: return set_count(field, number, shown, event, event.retries);
      case ed::kProcessed: {
        std::uint64_t count = 0;
        const std::uint64_t wrong_before = out_.wrong_fields;
        set_count(field, number, shown, event, count);
        if (out_.wrong_fields == wrong_before) event.processed = count;
        return;
      }
      case ed::kRuntime:
        if (const double value = real(); value >= 0 && std::isfinite(value)) {
          event.runtime_seconds = value;
        } else {
          wrong(field, shown, "is no runtime in seconds", event);
        }
        return;
      default:
        if (const double value = real(); std::isfinite(value)) {
          event.utcoffset_hours = value;
        } else {
          wrong(field, shown, "is no number", event);
        }
    }
  }

  // Python's 868.0 is as good as 868.
  void set_count(Field field, std::string_view number, std::string_view shown, Event& event,
                 std::uint64_t& out) {
    const char* end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, out);
    if (!number.empty() && stop == end && error == std::errc()) return;
    const double value = number.empty() ? -1 : json_detail::to_double(number);
    const bool whole = value >= 0 && value < 0x1p53 && value == std::floor(value);
    out = whole ? static_cast<std::uint64_t>(value) : 0;
    if (!whole) wrong(field, shown, "is no count", event);
  }

  // The number that was written as text, if that is all of it; else nothing.
  std::string_view number_in_text(std::string_view value) {
    JsonScan quoted(value);
    std::string_view text;
    std::string_view number;
    if (!quoted.text(text, out_.scratch)) return {};
    JsonScan scan(text);
    return scan.number(number) && scan.at_end() ? number : std::string_view();
  }

  static bool is_whole(std::string_view token) {
    const std::string_view digits = token.substr(token.starts_with('-') ? 1 : 0);
    return !digits.empty() && digits.find_first_not_of("0123456789") == std::string_view::npos;
  }

  static void append_utf8(std::string_view value, std::string& out) {
    const char* at = value.data();
    const char* end = at + value.size();
    const auto put = [&out](const char* from, std::size_t size) { out.append(from, size); };
    while (at != end) json_detail::put_odd(at, end, put);
  }

  // Of two members of one name the last one counts, as in Python.
  void reset(Field field, Event& event) {
    namespace ed = event_detail;
    if (field < ed::kTimestamp) (event.*ed::kTexts[field]).clear();
    if (field == ed::kUuid) bad_uuid_ = {};
    if (field == ed::kTimestamp) {
      event.timestamp = 0;
      bad_time_ = {};
    }
    if (field == ed::kRuntime) event.runtime_seconds = -1;
    if (field == ed::kUtcoffset) event.utcoffset_hours = 0;
    if (field == ed::kClock) event.clock = 0;
    if (field == ed::kRetries) event.retries = 0;
    if (field == ed::kProcessed) event.processed.reset();
  }

  // Fills in the kind; why the event is of no use, empty if it is of use.
  std::string unusable(Event& event) {
    if (event.type.empty()) return "an event has no type";
    event.kind = event_kind(event.type);
    if (event.kind == EventKind::kWorker) {
      event.uuid.clear();
    } else if (event.uuid.empty() || event.uuid.size() > kTaskIdBytesMax) {
      return without_uuid(event);
    }
    if (bad_time_.empty()) return {};
    if (event.kind >= EventKind::kSent) {
      return named(event, event_detail::kTimestamp, bad_time_, "is no time since 1970");
    }
    wrong(event_detail::kTimestamp, bad_time_, "is no time since 1970", event);
    return {};
  }

  std::string without_uuid(const Event& event) const {
    if (!bad_uuid_.empty()) return named(event, event_detail::kUuid, bad_uuid_, "is no task id");
    if (event.uuid.empty()) return "an event of a task has no uuid: " + shown_type(event);
    return named(event, event_detail::kUuid, event.uuid,
                 "has " + std::to_string(event.uuid.size()) + " bytes, more than " +
                     std::to_string(kTaskIdBytesMax));
  }

  static std::string shown_type(const Event& event) { return event_detail::example(event.type); }
  static std::string named(const Event& event, Field field, std::string_view value,
                           std::string_view why) {
    std::string text = event.type.empty() ? "an event" : shown_type(event);
    text.append(": ").append(event_detail::kFields[field]).append(" ");
    return text.append(event_detail::example(value)).append(" ").append(why);
  }

  void wrong(Field field, std::string_view value, std::string_view why, const Event& event) {
    if (out_.wrong_fields++ == 0) out_.first_wrong_field = named(event, field, value, why);
  }
  void refuse(std::string why) {
    if (out_.refused_events++ == 0) {
      out_.first_problem = Status(Code::kInvalidArgument, std::move(why));
    }
  }

  JsonScan& json_;
  EventBatch& out_;
  std::uint32_t seen_ = 0;
  std::string_view bad_uuid_;  // what stood there, of the event that is read
  std::string_view bad_time_;
};

}  // namespace phlower
