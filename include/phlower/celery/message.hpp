// One message of Celery's event exchange, as Redis or AMQP delivered it, to the events in it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "phlower/celery/event_reader.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/ground/text/base64.hpp"
#include "phlower/ground/text/json_scan.hpp"

namespace phlower {

namespace message_detail {

// What kombu's envelope says. Not to be moved: its texts may be its own.
struct Envelope {
  bool has_body = false;
  bool body_is_text = false;
  bool has_type = false;  // it is no envelope, but an event
  std::string_view body;  // a text, or a value as it stands in the message
  std::string decoded;    // the body, if it does not stand there as it is
  // As they stand in the message, with their quotes; empty: not there.
  std::string_view content_type;
  std::string_view content_encoding;
  std::string_view body_encoding;
  std::string_view compression;
};

inline Status unsupported(std::string_view what, std::string_view value,
                          std::string_view supported) {
  std::string text(what);
  text += " " + event_detail::example(value) + " is not supported, only ";
  text += supported;
  return Status(Code::kUnsupported, std::move(text));
}

inline bool is_one_of(std::string_view value, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (value == name) return true;
  }
  return false;
}

// Pickle, YAML, msgpack and compressed bodies are refused by name: without this they would be
// reported as bad JSON. What is said is in quotes here; a value that is no text says nothing.
inline Status check_envelope(const Envelope& envelope) {
  const auto says = [](std::string_view value) { return value.starts_with('"'); };
  if (says(envelope.content_type) && envelope.content_type != "\"application/json\"") {
    return unsupported("content-type", envelope.content_type, "application/json");
  }
  if (says(envelope.content_encoding) &&
      !is_one_of(envelope.content_encoding, {"\"utf-8\"", "\"UTF-8\"", "\"us-ascii\""})) {
    return unsupported("content-encoding", envelope.content_encoding, "utf-8");
  }
  if (says(envelope.compression) && envelope.compression != "\"\"") {
    return unsupported("compression", envelope.compression, "none");
  }
  return Status();
}

// The member `wanted` of an object, the last one of that name; false: the text is broken.
inline bool read_member(JsonScan& json, std::string_view wanted, std::string_view& out) {
  out = {};
  if (!json.sees('{')) return json.skip();
  json.take('{');
  if (json.take('}')) return true;
  do {
    std::string_view name;
    if (!json.name(name)) return false;
    if (!(same_short(name, wanted) ? json.skip(out) : json.skip())) return false;
  } while (json.take(','));
  return json.take('}');
}

inline bool read_envelope(JsonScan& json, Envelope& out) {
  if (!json.take('{')) return false;
  if (json.take('}')) return json.at_end();
  do {
    std::string_view name;
    if (!json.name(name)) return false;
    bool read = false;
    if (same_short(name, "body")) {
      out.has_body = !json.sees('n');
      out.body_is_text = json.sees('"');
      read = out.body_is_text ? json.text(out.body, out.decoded) : json.skip(out.body);
    } else if (same_short(name, "properties")) {
      read = read_member(json, "body_encoding", out.body_encoding);
    } else if (same_short(name, "headers")) {
      read = read_member(json, "compression", out.compression);
    } else if (same_short(name, "content-type")) {
      read = json.skip(out.content_type);
    } else if (same_short(name, "content-encoding")) {
      read = json.skip(out.content_encoding);
    } else {
      out.has_type = out.has_type || name == "type";
      read = json.skip();
    }
    if (!read) return false;
  } while (json.take(','));
  return json.take('}') && json.at_end();
}

}  // namespace message_detail

/// Reads a body: the JSON of one event, or of a list of them (task.multi). An AMQP message is its
/// body. An event of a list that cannot be used is counted and named in the batch, the others are
/// kept; so are those before a place at which the text is broken.
/// Errors: kInvalidArgument, if it gives no event. Thread safety: safe. Blocks: never.
inline Status parse_body(std::string_view body, EventBatch& out) {
  out.clear();
  JsonScan json(body);
  EventReader reader(json, out);
  const bool list = json.take('[');
  bool whole = list && json.take(']');
  if (!whole) {
    do {
      whole = reader.read();
    } while (list && whole && json.take(','));
    whole = whole && (!list || json.take(']'));
  }
  Status problem;
  if (!whole || !json.at_end()) {
    problem = json.error();
  } else if (!list && out.events.empty()) {
    problem = out.first_problem;
  }
  if (problem.ok()) return problem;
  if (out.events.empty()) {
    out.clear();
    return problem;
  }
  if (out.refused_events++ == 0) out.first_problem = std::move(problem);
  return Status();
}

namespace message_detail {

inline Status parse_text_body(const Envelope& envelope, EventBatch& out) {
  if (envelope.body_encoding == "\"base64\"") {
    Status status = decode_base64(envelope.body, out.decoded);
    return status.ok() ? parse_body(out.decoded, out) : status;
  }
  if (!is_one_of(envelope.body_encoding, {"", "null", "\"\"", "\"utf-8\""})) {
    return unsupported("body_encoding", envelope.body_encoding, "base64 and plain");
  }
  return parse_body(envelope.body, out);
}

}  // namespace message_detail

/// Reads a message as Redis holds it: the envelope of kombu, whose body is plain or base64 as
/// properties.body_encoding says, or an event without an envelope.
/// Errors: kInvalidArgument (not JSON, not base64, no event: with the offset), kUnsupported
/// (another content type, character set or compression). Thread safety: safe. Blocks: never.
inline Status parse_message(std::string_view data, EventBatch& out) {
  namespace md = message_detail;
  out.clear();
  JsonScan json(data);
  if (json.sees('[')) return parse_body(data, out);
  md::Envelope envelope;
  const bool object = json.sees('{');
  if (object ? !md::read_envelope(json, envelope) : !json.skip() || !json.at_end()) {
    return json.error().with_context("message");
  }
  if (!envelope.has_body) {
    if (envelope.has_type) return parse_body(data, out);
    return Status(Code::kInvalidArgument, "message: has no body");
  }
  if (Status status = md::check_envelope(envelope); !status.ok()) return status;
  Status status =
      envelope.body_is_text ? md::parse_text_body(envelope, out) : parse_body(envelope.body, out);
  constexpr std::size_t kKept = 1 << 20;  // a longer body is rare, and its memory goes
  if (out.decoded.capacity() > kKept) std::string().swap(out.decoded);
  if (out.scratch.capacity() > kKept) std::string().swap(out.scratch);
  return status.ok() ? status : status.with_context("body");
}

}  // namespace phlower
