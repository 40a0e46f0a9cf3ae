// One connection of the HTTP server, as far as it is not libmicrohttpd's: where it stands, and the
// library's calls for reading a head and queueing an answer.
#pragma once

#include <microhttpd.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "agent/http/http_message.hpp"
#include "agent/http/http_request.hpp"
#include "agent/http/http_workers.hpp"
#include "phlower/ground/clock.hpp"

namespace phlower::agent {

/// From accept to close. The server's thread alone.
struct HttpClient {
  enum class Phase : std::uint8_t { kReading, kRead, kAsking, kWriting, kCut };

  std::uint64_t id = 0;
  MHD_Connection* connection = nullptr;
  int fd = -1;
  Phase phase = Phase::kReading;
  MonoTime deadline{};  // of the phase; none while a question is asked, which has its own
  bool served = false;  // has got an answer
  std::string target;   // of the request that comes; empty: none has begun
  std::uint64_t body = 0;
  HttpRequest request;
  HttpWorkers::Question question;

  bool sends() const { return phase == Phase::kReading || phase == Phase::kRead; }
  /// Was answered and asks for nothing more.
  bool idle() const { return phase == Phase::kReading && served && target.empty(); }

  /// The library sees the end of the connection and closes it.
  void cut() {
    ::shutdown(fd, SHUT_RDWR);
    phase = Phase::kCut;
    deadline = MonoTime::max();
  }

  /// The client that `on_connection` gave to the library; NULL: none.
  static HttpClient* of(MHD_Connection* connection) {
    const MHD_ConnectionInfo* info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == nullptr ? nullptr : static_cast<HttpClient*>(info->socket_context);
  }

  HttpHead head(const char* method, const char* version) const {
    HttpHead head{method, target, version, {}};
    MHD_get_connection_values_n(
        connection, MHD_HEADER_KIND,
        [](void* to, MHD_ValueKind, const char* name, std::size_t name_size, const char* value,
           std::size_t value_size) {
          static_cast<HttpHead*>(to)->headers.emplace_back(
              std::string(name, name_size),
              value == nullptr ? std::string() : std::string(value, value_size));
          return MHD_YES;
        },
        &head);
    return head;
  }

  /// Before the request's end this makes the connection close behind the answer.
  MHD_Result answer(HttpAnswer answer) {
    auto text = std::make_unique<std::string>(std::move(answer.body));
    MHD_Response* const response = MHD_create_response_from_buffer_with_free_callback_cls(
        text->size(), text->data(), [](void* mine) { delete static_cast<std::string*>(mine); },
        text.get());
    if (response == nullptr) return MHD_NO;
    static_cast<void>(text.release());  // the response's now
    if (answer.status != 204) answer.headers.emplace_back("Content-Type", answer.type);
    answer.headers.emplace_back("Cache-Control", "no-store");
    answer.headers.emplace_back("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : answer.headers) {
      MHD_add_response_header(response, name.c_str(), value.c_str());
    }
    phase = Phase::kWriting;
    const MHD_Result queued =
        MHD_queue_response(connection, static_cast<unsigned>(answer.status), response);
    MHD_destroy_response(response);
    return queued;
  }
};

}  // namespace phlower::agent
