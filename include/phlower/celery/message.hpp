// One message of Celery's event exchange, as Redis or AMQP delivered it, to the events in it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/celery/base64.hpp"
#include "phlower/celery/event.hpp"
#include "phlower/celery/json.hpp"
#include "phlower/celery/quick_event.hpp"
#include "phlower/ground/status.hpp"

namespace phlower {

/// The events of one message, and what was wrong with parts of it.
struct EventBatch {
  EventList events;
  std::uint64_t refused_events = 0;  // events of a task.multi that could not be read
  std::uint64_t wrong_fields = 0;    // fields of a wrong type or out of range, left empty
  Status first_problem;              // why the first of `refused_events` was refused

  std::string decoded;  // a body that came in base64, while it is read

  void clear() {
    events.clear();
    refused_events = wrong_fields = 0;
    if (!first_problem.ok()) first_problem = Status();
  }
};

namespace message_detail {

inline Status unsupported(std::string_view what, std::string_view value,
                          std::string_view supported) {
  std::string text(what);
  text += " '";
  text += value.substr(0, 64);
  text += "' is not supported, only ";
  text += supported;
  return Status(Code::kUnsupported, std::move(text));
}

inline bool is_one_of(std::string_view value, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (value == name) return true;
  }
  return false;
}

// What the envelope says about its body. Pickle, YAML, msgpack and compressed bodies are refused by
// name: without this they would be reported as bad JSON.
inline Status check_envelope(const JsonValue& envelope) {
  std::string type = "application/json";
  json_read(envelope, "content-type", type);
  if (type != "application/json") return unsupported("content-type", type, "application/json");
  std::string encoding = "utf-8";
  json_read(envelope, "content-encoding", encoding);
  if (!is_one_of(encoding, {"utf-8", "UTF-8", "us-ascii"})) {
    return unsupported("content-encoding", encoding, "utf-8");
  }
  std::string compression;
  if (const JsonValue* headers = json_member(envelope, "headers")) {
    json_read(*headers, "compression", compression);
  }
  if (!compression.empty()) return unsupported("compression", compression, "none");
  return Status();
}

inline Status add_events(const JsonValue& body, EventBatch& out) {
  if (!body.is_array()) {
    Result<Event> event = parse_event(body, out.wrong_fields);
    if (!event.ok()) return event.status();
    out.events.add(std::move(*event));
    return Status();
  }
  for (const JsonValue& item : body) {
    Result<Event> event = parse_event(item, out.wrong_fields);
    if (event.ok()) {
      out.events.add(std::move(*event));
    } else if (out.refused_events++ == 0) {
      out.first_problem = event.status();
    }
  }
  return Status();
}

}  // namespace message_detail

/// Reads a body: the JSON of one event, or of a list of them (task.multi). An AMQP message is its
/// body. An event of a list that cannot be read is counted; the others are kept.
/// Errors: kInvalidArgument. Thread safety: safe. Blocks: never.
inline Status parse_body(std::string_view body, EventBatch& out) {
  out.clear();
  if (quick_events(body, out.events)) return {};
  out.clear();
  const Result<JsonValue> value = parse_json(body);
  return value.ok() ? message_detail::add_events(*value, out) : value.status();
}

/// Reads a message as Redis holds it: the envelope of kombu, whose body is plain or base64 as
/// properties.body_encoding says, or an event without an envelope.
/// Errors: kInvalidArgument (not JSON, not base64, no event: with the offset), kUnsupported
/// (another content type, character set or compression). Thread safety: safe. Blocks: never.
inline Status parse_message(std::string_view data, EventBatch& out) {
  out.clear();
  if (QuickEnvelope quick; quick_envelope(data, quick)) {
    Status status = decode_base64(quick.body, out.decoded);
    if (status.ok()) status = parse_body(out.decoded, out);
    constexpr std::size_t kKept = 1 << 20;  // a longer body is rare, and its memory goes
    out.decoded.clear();
    if (out.decoded.capacity() > kKept) out.decoded.shrink_to_fit();
    return status.ok() ? status : status.with_context("body");
  }
  const Result<JsonValue> envelope = parse_json(data);
  if (!envelope.ok()) return envelope.status().with_context("message");
  const JsonValue* body = json_member(*envelope, "body");
  if (body == nullptr) {
    if (json_member(*envelope, "type") != nullptr || envelope->is_array()) {
      return message_detail::add_events(*envelope, out);
    }
    return Status(Code::kInvalidArgument, "message: has no body");
  }
  if (Status status = message_detail::check_envelope(*envelope); !status.ok()) return status;
  const std::string* text = json_text(*body);
  if (text == nullptr) return message_detail::add_events(*body, out);
  std::string encoding;
  if (const JsonValue* properties = json_member(*envelope, "properties")) {
    json_read(*properties, "body_encoding", encoding);
  }
  if (encoding == "base64") {
    const Result<std::string> decoded = decode_base64(*text);
    if (!decoded.ok()) return decoded.status().with_context("body");
    return parse_body(*decoded, out).with_context("body");
  }
  if (!encoding.empty() && encoding != "utf-8") {
    return message_detail::unsupported("body_encoding", encoding, "base64 and plain");
  }
  return parse_body(*text, out).with_context("body");
}

}  // namespace phlower
