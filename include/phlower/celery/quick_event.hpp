// Events and envelopes as Celery writes them, read in one pass. Whatever is out of the ordinary is
// left to parse_body and parse_message, which say what is wrong with it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "phlower/celery/event.hpp"
#include "phlower/celery/quick_json.hpp"

namespace phlower {

/// What an envelope says, where it says nothing unusual: a JSON body, not compressed.
struct QuickEnvelope {
  std::string_view body;  // as it stands in the text, without escapes
  bool base64 = false;
};

namespace quick_detail {

// The fields of an event by name; the index is a bit that tells whether one was seen.
inline constexpr std::array<std::string_view, 16> kFields = {
    "type",      "uuid",        "hostname",  "name",      "args",  "kwargs",
    "queue",     "routing_key", "exception", "traceback", "clock", "retries",
    "processed", "timestamp",   "runtime",   "utcoffset"};
inline constexpr std::size_t kTexts = 10;
inline constexpr std::size_t kNoField = kFields.size();

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
  return field != kNoField && same_short(kFields[field], name) ? field : kNoField;
}

inline bool read_text(QuickJson& json, std::size_t field, Event& event) {
  constexpr std::array<std::string Event::*, kTexts> kMembers = {
      &Event::type,   &Event::uuid,  &Event::hostname,    &Event::name,      &Event::args,
      &Event::kwargs, &Event::queue, &Event::routing_key, &Event::exception, &Event::traceback};
  return json.string(event.*kMembers[field]);
}

inline bool read_number(QuickJson& json, std::size_t field, Event& event) {
  switch (field) {
    case 10: return json.count(event.clock);
    case 11: return json.count(event.retries);
    case 12: return json.count(event.processed);
    case 13:
      return json.real(event.timestamp) && event.timestamp > 0 && event.timestamp < kTimestampMax;
    case 14: return json.real(event.runtime_seconds) && event.runtime_seconds >= 0;
    default: return json.real(event.utcoffset_hours);
  }
}

inline bool read_field(QuickJson& json, std::string_view name, std::uint32_t& seen, Event& event) {
  const std::size_t field = field_of(name);
  if (field == kNoField) return json.skip(kJsonMaxDepth - 2);  // in an event, perhaps in a list
  if ((seen & 1u << field) != 0) return false;  // twice: which one counts is told elsewhere
  seen |= 1u << field;
  if (json.sees('n')) return json.take_null();
  return field < kTexts ? read_text(json, field, event) : read_number(json, field, event);
}

inline bool read_event(QuickJson& json, Event& event) {
  if (!json.take('{')) return false;
  std::uint32_t seen = 0;
  do {
    std::string_view name;
    if (!json.bare_string(name) || !json.take(':') || !read_field(json, name, seen, event)) {
      return false;
    }
  } while (json.take(','));
  if (!json.take('}') || event.type.empty()) return false;
  event.kind = event_kind(event.type);
  if (event.kind == EventKind::kWorker) {
    event.uuid.clear();
    return true;
  }
  return !event.uuid.empty() && event.uuid.size() <= kTaskIdMaxBytes;
}

}  // namespace quick_detail

/// The events of a body, one or a list. False: ask parse_body, `out` is of no use.
inline bool quick_events(std::string_view body, EventList& out) {
  QuickJson json(body);
  out.clear();
  if (!json.take('[')) {
    return quick_detail::read_event(json, out.add()) && json.at_end();
  }
  do {
    if (!quick_detail::read_event(json, out.add())) return false;
  } while (json.take(','));
  return json.take(']') && json.at_end();
}

namespace quick_detail {

inline bool read_properties(QuickJson& json, QuickEnvelope& out) {
  if (!json.take('{')) return false;
  bool seen = false;
  do {
    std::string_view name;
    if (!json.bare_string(name) || !json.take(':')) return false;
    if (name != "body_encoding") {
      if (!json.skip(kJsonMaxDepth - 2)) return false;
      continue;
    }
    std::string_view value;
    if (seen || !json.bare_string(value) || value != "base64") return false;
    seen = out.base64 = true;
  } while (json.take(','));
  return json.take('}');
}

inline bool read_headers(QuickJson& json) {
  if (!json.take('{')) return false;
  if (json.take('}')) return true;
  do {
    std::string_view name;
    if (!json.bare_string(name) || name == "compression" || !json.take(':') ||
        !json.skip(kJsonMaxDepth - 2)) {
      return false;
    }
  } while (json.take(','));
  return json.take('}');
}

inline bool read_member(QuickJson& json, std::string_view name, std::uint32_t& seen,
                        QuickEnvelope& out) {
  constexpr std::array<std::string_view, 5> kMembers = {"body", "headers", "properties",
                                                        "content-type", "content-encoding"};
  std::size_t member = 0;
  while (!same_short(kMembers[member], name)) {
    if (++member == kMembers.size()) return false;
  }
  if ((seen & 1u << member) != 0) return false;  // twice: which one counts is told elsewhere
  seen |= 1u << member;
  std::string_view value;
  switch (member) {
    case 0: return json.bare_string(out.body);
    case 1: return read_headers(json);
    case 2: return read_properties(json, out);
    case 3: return json.bare_string(value) && value == "application/json";
    default: return json.bare_string(value) && value == "utf-8";
  }
}

}  // namespace quick_detail

/// The envelope of kombu around a body in base64. False: ask parse_message.
inline bool quick_envelope(std::string_view data, QuickEnvelope& out) {
  QuickJson json(data);
  if (!json.take('{')) return false;
  std::uint32_t seen = 0;
  do {
    std::string_view name;
    if (!json.bare_string(name) || !json.take(':') ||
        !quick_detail::read_member(json, name, seen, out)) {
      return false;
    }
  } while (json.take(','));
  return json.take('}') && json.at_end() && out.base64 && !out.body.empty();
}

}  // namespace phlower
