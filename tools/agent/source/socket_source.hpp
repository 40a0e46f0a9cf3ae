// NDJSON records on a UNIX socket, from many clients at once.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "agent/source/line_stream.hpp"
#include "agent/source/source.hpp"
#include "agent/source/source_parts.hpp"
#include "agent/source/unix_listener.hpp"

namespace phlower::agent {

/// A client writes records, one a line. An empty line asks for the sums so far, a bad line is
/// answered with its error; after the client's end of input come the sums, then the close. A client
/// whose record finds the ring full, or that reads no answers, is not read from until it can go on.
class SocketSource final : public Source {
 public:
  /// Errors: kBusy (another process listens there), kPermission, kIo.
  static Result<std::unique_ptr<SocketSource>> open(const SourceParts& parts) {
    const SocketOptions& options = parts.options.socket;
    const mode_t mode = options.access == Access::kOwner   ? 0600
                        : options.access == Access::kGroup ? 0660
                                                           : 0666;
    Result<UnixListener> listener = UnixListener::open(options.path, mode);
    if (!listener.ok()) return listener.status();
    return std::unique_ptr<SocketSource>(new SocketSource(parts, *std::move(listener)));
  }

  std::string_view name() const override { return "socket"; }

  void watches(std::vector<pollfd>& out) override {
    if (closed_) return;
    const bool room = clients_.size() < options_.clients_max && !pausing_;
    out.push_back({listener_.fd(), static_cast<short>(room ? POLLIN : 0), 0});
    for (const auto& client : clients_) {
      short events = 0;
      if (client->reads()) events |= POLLIN;
      if (!client->out.empty()) events |= POLLOUT;
      out.push_back({client->fd, events, 0});
    }
  }

  bool turn(std::span<const pollfd> found, MonoTime now) override {
    if (closed_ || found.empty()) return false;
    bool more = false;
    std::size_t at = 1;
    for (auto next = clients_.begin(); next != clients_.end() && at < found.size(); ++at) {
      Client& client = **next;
      more = serve(client, found[at].revents, now) || more;
      next = client.gone ? clients_.erase(next) : std::next(next);
    }
    if (pausing_ && now >= accept_at_) pausing_ = false;
    if ((found[0].revents & POLLIN) != 0) accept_clients(now);
    connected_.set(clients_.size());
    return more;
  }

  std::optional<MonoTime> due() const override {
    std::optional<MonoTime> first;
    if (pausing_) first = accept_at_;
    for (const auto& client : clients_) {
      const auto due = client->stream.due();
      if (due && (!first || *due < *first)) first = due;
    }
    return first;
  }

  SourceHealth health() const override { return {"socket", !closed_, {}, {}, {}}; }

  void close() override {
    closed_ = true;
    listener_.close();
  }
  bool hand_over(MonoTime now) override {
    bool all = true;
    for (const auto& client : clients_) all = client->stream.hand_over(now) && all;
    return all;
  }
  void give_up() override {
    for (const auto& client : clients_) client->stream.give_up();
    clients_.clear();
  }

 private:
  static constexpr std::size_t kAnswersMax = 64 << 10;

  struct Client {
    Client(int its_fd, std::size_t line_max, const Outlet& outlet)
        : fd(its_fd), stream(its_fd, line_max, outlet, [this](const std::string& text) {
            out.append(text).append("\n");
          }) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { ::close(fd); }
    bool reads() const { return !ended && !stream.full() && out.size() < kAnswersMax; }

    int fd;
    std::string out;
    LineStream stream;
    bool ended = false;
    bool more = false;
    bool gone = false;
  };

  SocketSource(const SourceParts& parts, UnixListener listener)
      : options_(parts.options.socket),
        listener_(std::move(listener)),
        log_(parts.log),
        outlet_(parts.engine, parts.counters, "socket", parts.log, Outlet::kForEver),
        connected_(parts.counters.make("phlower_agent_clients", "Clients connected.", "socket",
                                       CountKind::kGauge)) {}

  bool serve(Client& client, short events, MonoTime now) {
    const bool readable = (events & (POLLIN | POLLHUP | POLLERR)) != 0 || client.more;
    if (client.stream.full() || (readable && client.reads())) {
      const LineTurn how = client.stream.turn(now);
      client.more = how == LineTurn::kMore;
      if (how == LineTurn::kEnded) {
        client.ended = true;
        client.out.append(client.stream.sums()).append("\n");
      }
    }
    if (!client.out.empty()) {
      const ssize_t put = ::send(client.fd, client.out.data(), client.out.size(), MSG_NOSIGNAL);
      if (put > 0) client.out.erase(0, static_cast<std::size_t>(put));
      if (put < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
        client.out.clear();
        client.gone = client.ended;
      }
    }
    if (client.ended && client.out.empty()) client.gone = true;
    if ((events & POLLERR) != 0) client.gone = true;
    return client.more && client.reads();
  }

  void accept_clients(MonoTime now) {
    while (clients_.size() < options_.clients_max) {
      const int fd = listener_.accept();
      if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED) {
        // No descriptor left, most likely: the one who waits must not make the loop spin.
        log_.warn_limited("accept", "a client is not taken: {}", std::strerror(errno));
        pausing_ = true;
        accept_at_ = now + Milliseconds(100);
      }
      if (fd < 0) return;
      clients_.push_back(std::make_unique<Client>(fd, options_.line_max_bytes, outlet_));
    }
    log_.warn_limited("clients", "{} clients are connected, as many as socket.clients_max allows",
                      clients_.size());
  }

  const SocketOptions options_;
  UnixListener listener_;
  Log log_;
  Outlet outlet_;
  Count& connected_;
  std::list<std::unique_ptr<Client>> clients_;
  bool pausing_ = false;
  bool closed_ = false;
  MonoTime accept_at_{};
};

}  // namespace phlower::agent
