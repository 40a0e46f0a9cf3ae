// A subscription to Celery's events at an AMQP broker. The only includer of librabbitmq.
#pragma once

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>

#include <memory>
#include <string>
#include <string_view>

#include "agent/broker/broker_url.hpp"
#include "agent/host/agent_options.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

namespace amqp_detail {

inline amqp_bytes_t bytes(std::string_view text) {
  return {text.size(), const_cast<char*>(text.data())};  // the library only reads it
}
inline std::string_view text(amqp_bytes_t bytes) {
  return {static_cast<const char*>(bytes.bytes), bytes.len};
}
inline timeval seconds(Milliseconds time) {
  return {time.count() / 1000, (time.count() % 1000) * 1000};
}

inline Status failure(std::string_view what, const amqp_rpc_reply_t& reply) {
  std::string text(what);
  text += ": ";
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
    return {Code::kIo, text + ::amqp_error_string2(reply.library_error)};
  }
  if (reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_channel_close_t*>(reply.reply.decoded);
    text += amqp_detail::text(close->reply_text);
    return {close->reply_code == AMQP_NOT_FOUND ? Code::kNotFound : Code::kPermission, text};
  }
  if (reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
    const auto* close = static_cast<const amqp_connection_close_t*>(reply.reply.decoded);
    text += amqp_detail::text(close->reply_text);
    return {Code::kPermission, text};
  }
  return {Code::kIo, text + "the broker closed the connection"};
}

}  // namespace amqp_detail

/// A message, valid until the next call.
struct AmqpMessage {
  std::string_view content_type;
  std::string_view body;
};

/// Made by a connecting thread, then used by the loop alone.
class RabbitmqLink {
 public:
  /// Connects and subscribes with a queue of its own that goes with the connection.
  /// Errors: kIo, kPermission. Blocks: up to a few times connect_timeout.
  static Result<std::unique_ptr<RabbitmqLink>> open(const BrokerUrl& url,
                                                    const RabbitmqOptions& options) {
    std::unique_ptr<RabbitmqLink> link(new RabbitmqLink(::amqp_new_connection()));
    if (link->connection_ == nullptr) return Status(Code::kInternal, "no memory");
    Status status = link->connect(url, options);
    if (status.ok()) status = link->subscribe(options);
    if (!status.ok()) return status.with_context(url.shown());
    return link;
  }
  RabbitmqLink(const RabbitmqLink&) = delete;
  RabbitmqLink& operator=(const RabbitmqLink&) = delete;
  ~RabbitmqLink() { ::amqp_destroy_connection(connection_); }

  int fd() const { return ::amqp_get_sockfd(connection_); }

  /// The next whole message; false: there is none now. Sends heartbeats when they are due. Errors:
  /// kIo, after which the link is of no use. Never blocks.
  Result<bool> next(AmqpMessage& out) {
    if (whole_) {
      whole_ = false;
      body_.clear();
      ::amqp_maybe_release_buffers(connection_);
    }
    for (;;) {
      amqp_frame_t frame{};
      timeval now{0, 0};
      const int code = ::amqp_simple_wait_frame_noblock(connection_, &frame, &now);
      if (code == AMQP_STATUS_TIMEOUT) return false;
      if (code != AMQP_STATUS_OK) return Status(Code::kIo, ::amqp_error_string2(code));
      if (Status status = take(frame); !status.ok()) return status;
      if (!whole_) continue;
      out = {content_type_, body_};
      return true;
    }
  }

 private:
  static constexpr std::uint64_t kBodyMax = 64u << 20;
  static constexpr amqp_channel_t kProbe = 1;
  static constexpr amqp_channel_t kChannel = 2;

  explicit RabbitmqLink(amqp_connection_state_t connection) : connection_(connection) {}

  Status connect(const BrokerUrl& url, const RabbitmqOptions& options) {
    amqp_socket_t* socket =
        url.tls ? ::amqp_ssl_socket_new(connection_) : ::amqp_tcp_socket_new(connection_);
    if (socket == nullptr) return {Code::kInternal, "no memory"};
    if (url.tls) {
      if (Status status = prepare_tls(socket, url, options); !status.ok()) return status;
    }
    const timeval limit = amqp_detail::seconds(options.connect_timeout);
    ::amqp_set_handshake_timeout(connection_, &limit);
    ::amqp_set_rpc_timeout(connection_, &limit);
    const int code = ::amqp_socket_open_noblock(socket, url.host.c_str(), url.port, &limit);
    if (code != AMQP_STATUS_OK) return {Code::kIo, ::amqp_error_string2(code)};
    const auto heartbeat = static_cast<int>(
        url.heartbeat_seconds.value_or(static_cast<std::uint32_t>(options.heartbeat / Seconds(1))));
    return good("login",
                ::amqp_login(connection_, url.virtual_host.c_str(), 0, 131072, heartbeat,
                             AMQP_SASL_METHOD_PLAIN, url.user.c_str(), url.password.c_str()));
  }

  static Status prepare_tls(amqp_socket_t* socket, const BrokerUrl& url,
                            const RabbitmqOptions& options) {
    ::amqp_ssl_socket_set_verify_peer(socket, url.check_certificate ? 1 : 0);
    ::amqp_ssl_socket_set_verify_hostname(socket, url.check_host ? 1 : 0);
    const std::string& ca_file = url.ca_file.empty() ? options.ca_file : url.ca_file;
    if (url.check_certificate &&
        ::amqp_ssl_socket_set_cacert(socket, ca_file.c_str()) != AMQP_STATUS_OK) {
      return {Code::kPermission, "TLS: " + ca_file + " holds no certificates"};
    }
    if (!url.certificate_file.empty() &&
        ::amqp_ssl_socket_set_key(socket, url.certificate_file.c_str(), url.key_file.c_str()) !=
            AMQP_STATUS_OK) {
      return {Code::kPermission, "TLS: " + url.certificate_file + " and " + url.key_file +
                                     " are no certificate and its key"};
    }
    return {};
  }

  static Status good(std::string_view what, const amqp_rpc_reply_t& reply) {
    return reply.reply_type == AMQP_RESPONSE_NORMAL ? Status() : amqp_detail::failure(what, reply);
  }
  Status last(std::string_view what) { return good(what, ::amqp_get_rpc_reply(connection_)); }

  Status subscribe(const RabbitmqOptions& options) {
    const amqp_bytes_t exchange = amqp_detail::bytes(options.exchange);
    if (Status status = make_exchange(exchange); !status.ok()) return status;
    ::amqp_channel_open(connection_, kChannel);
    if (Status status = last("channel"); !status.ok()) return status;
    const amqp_queue_declare_ok_t* made =
        ::amqp_queue_declare(connection_, kChannel, amqp_empty_bytes, 0, 0, 1, 1, amqp_empty_table);
    if (made == nullptr) return last("queue");
    const std::string queue(amqp_detail::text(made->queue));
    ::amqp_queue_bind(connection_, kChannel, amqp_detail::bytes(queue), exchange,
                      amqp_detail::bytes(options.routing_key), amqp_empty_table);
    if (Status status = last("bind to " + options.exchange); !status.ok()) return status;
    ::amqp_basic_consume(connection_, kChannel, amqp_detail::bytes(queue), amqp_empty_bytes, 0, 1,
                         1, amqp_empty_table);
    return last("consume");
  }

  // It is there, however it was declared, or it is made as Celery makes it. Asking for one that is
  // not there closes the channel: hence a channel for that alone.
  Status make_exchange(amqp_bytes_t exchange) {
    ::amqp_channel_open(connection_, kProbe);
    if (Status status = last("channel"); !status.ok()) return status;
    const amqp_bytes_t topic = amqp_detail::bytes("topic");
    ::amqp_exchange_declare(connection_, kProbe, exchange, topic, 1, 0, 0, 0, amqp_empty_table);
    Status status = last("exchange");
    if (status.code() != Code::kNotFound) return status;
    amqp_channel_close_ok_t closed{};
    ::amqp_send_method(connection_, kProbe, AMQP_CHANNEL_CLOSE_OK_METHOD, &closed);
    constexpr amqp_channel_t kMake = 3;
    ::amqp_channel_open(connection_, kMake);
    if (status = last("channel"); !status.ok()) return status;
    ::amqp_exchange_declare(connection_, kMake, exchange, topic, 0, 1, 0, 0, amqp_empty_table);
    return last("exchange");
  }

  Status take(const amqp_frame_t& frame) {
    if (frame.frame_type == AMQP_FRAME_METHOD) return take_method(frame.payload.method);
    if (frame.channel != kChannel) return {};
    if (frame.frame_type == AMQP_FRAME_HEADER) {
      wanted_ = frame.payload.properties.body_size;
      if (wanted_ > kBodyMax) return {Code::kCorrupt, "a message of over 64MiB"};
      const auto* properties =
          static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded);
      const bool typed = (properties->_flags & AMQP_BASIC_CONTENT_TYPE_FLAG) != 0;
      content_type_ = typed ? amqp_detail::text(properties->content_type) : std::string_view();
      body_.clear();
      whole_ = wanted_ == 0;
    } else if (frame.frame_type == AMQP_FRAME_BODY) {
      body_.append(amqp_detail::text(frame.payload.body_fragment));
      if (body_.size() > wanted_) return {Code::kCorrupt, "a message longer than it said"};
      whole_ = body_.size() == wanted_;
    }
    return {};
  }

  static Status take_method(const amqp_method_t& method) {
    switch (method.id) {
      case AMQP_BASIC_CANCEL_METHOD: return {Code::kIo, "the broker ended the subscription"};
      case AMQP_CHANNEL_CLOSE_METHOD: return {Code::kIo, "the broker closed the channel"};
      case AMQP_CONNECTION_CLOSE_METHOD: return {Code::kIo, "the broker closed the connection"};
      default: return {};
    }
  }

  amqp_connection_state_t connection_;
  std::string content_type_;
  std::string body_;
  std::uint64_t wanted_ = 0;
  bool whole_ = false;
};

}  // namespace phlower::agent
