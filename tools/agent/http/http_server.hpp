// The HTTP server: libmicrohttpd's parser and connections, driven by one thread of ours. A client
// that sends or reads slowly costs a descriptor until its time is over, never a thread.
#pragma once

#include <microhttpd.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "agent/http/http_client.hpp"
#include "agent/http/http_message.hpp"
#include "agent/http/http_request.hpp"
#include "agent/http/http_workers.hpp"
#include "agent/source/counters.hpp"
#include "phlower/ground/clock.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// The library is driven from outside (its epoll descriptor is one of ours), for what it does not
/// do: a request has to be whole and its answer gone within http.timeout, however busy the client
/// keeps the connection; one connection too many takes the place of the slowest; and while a
/// question is under way its client is watched, so that the question ends when nobody waits for it.
class HttpServer {
 public:
  /// Called on the server's thread, so it must not block.
  using Plan = std::function<HttpPlan(const HttpRequest&)>;

  /// Requires: `listener` is a listening socket that does not block; stays the caller's.
  HttpServer(int listener, const HttpOptions& options, Clock& clock, Counters& counters, Plan plan)
      : listener_(listener),
        options_(options),
        clock_(clock),
        plan_(std::move(plan)),
        event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
        requests_(counters.make("phlower_agent_http_requests_total", "Requests answered.", "")),
        cut_(counters.make("phlower_agent_http_cut_total",
                           "Connections cut: too slow, or one too many.", "")),
        left_(counters.make("phlower_agent_http_left_total",
                            "Questions whose client had gone before the answer.", "")),
        refused_(counters.make("phlower_agent_http_refused_total",
                               "Questions refused because too many waited.", "")),
        scanned_(counters.make("phlower_agent_http_rows_scanned_total",
                               "Rows looked at for answers.", "")),
        waiting_(counters.make("phlower_agent_http_waiting", "Questions that wait for a thread.",
                               "", CountKind::kGauge)),
        running_(counters.make("phlower_agent_http_running", "Questions that threads work on.", "",
                               CountKind::kGauge)),
        workers_(options, [this](HttpWorkers::Question question) { take(std::move(question)); }) {}
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer() {
    stop();
    ::close(event_);
  }

  Status start() {
    daemon_ = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, nullptr, nullptr,
        &HttpServer::on_request, this,                                      //
        MHD_OPTION_CONNECTION_LIMIT, options_.connections_max,              //
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, kMemory,                        //
        MHD_OPTION_NOTIFY_CONNECTION, &HttpServer::on_connection, this,     //
        MHD_OPTION_URI_LOG_CALLBACK, &HttpServer::on_target, this,          //
        MHD_OPTION_UNESCAPE_CALLBACK, &HttpServer::leave_escaped, nullptr,  //
        MHD_OPTION_NOTIFY_COMPLETED, &HttpServer::on_completed, this, MHD_OPTION_END);
    const MHD_DaemonInfo* info =
        daemon_ == nullptr ? nullptr : MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == nullptr) return Status(Code::kIo, "libmicrohttpd does not start");
    epoll_ = info->epoll_fd;
    workers_.start();
    thread_ = std::thread([this] { run(); });
    return {};
  }

  void stop() {
    stopping_.store(true);
    wake();
    if (thread_.joinable()) thread_.join();
    for (auto& [id, client] : clients_) {
      if (client.question) client.question->asker.leave();
    }
    workers_.stop();
    if (daemon_ == nullptr) return;
    for (auto& [id, client] : clients_) {  // none may be suspended at the library's end
      if (client.phase == Phase::kAsking) MHD_resume_connection(client.connection);
    }
    MHD_stop_daemon(std::exchange(daemon_, nullptr));
  }

 private:
  using Phase = HttpClient::Phase;
  static constexpr std::size_t kMemory = 32 << 10;  // a request's head and its answer's

  // ---- what the library calls, on the server's thread; nothing may be thrown through it

  static void on_connection(void* self, MHD_Connection* connection, void** context,
                            MHD_ConnectionNotificationCode what) {
    auto& server = *static_cast<HttpServer*>(self);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
      *context = server.opened(connection);
    } else if (*context != nullptr) {
      server.clients_.erase(static_cast<HttpClient*>(std::exchange(*context, nullptr))->id);
    }
  }

  HttpClient* opened(MHD_Connection* connection) noexcept {
    HttpClient& client = clients_[++last_id_];
    client.id = last_id_;
    client.connection = connection;
    client.fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    client.deadline = soon();
    return &client;
  }

  static void* on_target(void*, const char* target, MHD_Connection* connection) noexcept {
    HttpClient* const client = HttpClient::of(connection);
    if (client != nullptr) client->target = target;
    return client;
  }

  static std::size_t leave_escaped(void*, MHD_Connection*, char* text) {
    return std::string_view(text).size();
  }

  static void on_completed(void* self, MHD_Connection* connection, void**,
                           MHD_RequestTerminationCode) {
    HttpClient* const client = HttpClient::of(connection);
    if (client == nullptr || client->phase == Phase::kCut) return;
    client->phase = Phase::kReading;
    client->deadline = static_cast<HttpServer*>(self)->soon();
    client->served = true;
    client->target.clear();
    client->question.reset();
  }

  // Comes once when the head is there, then for each piece of a body, then when all of it is there,
  // and again when a suspended connection goes on. MHD_NO closes the connection.
  static MHD_Result on_request(void* self, MHD_Connection* connection, const char*,
                               const char* method, const char* version, const char*,
                               std::size_t* size, void**) {
    HttpClient* const client = HttpClient::of(connection);
    if (client == nullptr) return MHD_NO;
    auto& server = *static_cast<HttpServer*>(self);
    try {
      switch (client->phase) {
        case Phase::kReading: return server.begin(*client, method, version);
        case Phase::kRead: break;
        case Phase::kAsking: return server.send(*client, std::move(client->question->answer));
        default: return MHD_NO;
      }
      if (*size == 0) return server.serve(*client);
      client->body += std::exchange(*size, 0);
      return client->body <= kHttpBodyMax ? MHD_YES : MHD_NO;
    } catch (...) {
      return MHD_NO;
    }
  }

  MHD_Result begin(HttpClient& client, const char* method, const char* version) {
    client.request = {};
    client.body = 0;
    if (auto refusal = check_request(client.head(method, version), client.request)) {
      return send(client, *std::move(refusal));
    }
    client.phase = Phase::kRead;
    return MHD_YES;
  }

  MHD_Result serve(HttpClient& client) {
    HttpPlan plan = plan_(client.request);
    if (!plan.question) return send(client, std::move(plan.answer));
    client.question = std::make_shared<HttpQuestion>(std::move(plan), client.id, clock_);
    if (!workers_.push(client.question)) {
      refused_.add();
      return send(client, http_error(503, "too many questions wait for an answer; try again"));
    }
    client.phase = Phase::kAsking;
    MHD_suspend_connection(client.connection);
    return MHD_YES;
  }

  MHD_Result send(HttpClient& client, HttpAnswer answer) {
    requests_.add();
    scanned_.add(answer.scanned);
    client.deadline = soon();
    return client.answer(std::move(answer));
  }

  // ---- the loop

  MonoTime soon() const { return clock_.mono() + options_.timeout; }

  void wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_, &one, sizeof one));
  }

  // On a worker's thread.
  void take(HttpWorkers::Question question) {
    {
      const std::lock_guard lock(mutex_);
      done_.push_back(std::move(question));
    }
    wake();
  }

  void run() {
    std::vector<pollfd> fds;
    std::vector<HttpClient*> asking;
    while (!stopping_.load()) {
      const MonoTime begin = clock_.mono();
      const bool accepts = begin >= accept_at_;
      fds.assign({pollfd{event_, POLLIN, 0}, pollfd{epoll_, POLLIN, 0},
                  pollfd{listener_, static_cast<short>(accepts ? POLLIN : 0), 0}});
      asking.clear();
      MonoTime due = accepts ? begin + Seconds(5) : accept_at_;
      for (auto& [id, client] : clients_) {
        if (client.phase != Phase::kAsking) {
          due = std::min(due, client.deadline);
        } else if (!client.question->asker.gone()) {
          fds.push_back({client.fd, POLLRDHUP, 0});
          asking.push_back(&client);
        }
      }
      MHD_UNSIGNED_LONG_LONG pending = 1;
      const bool at_once = MHD_get_timeout(daemon_, &pending) == MHD_YES && pending == 0;
      const auto wait = std::chrono::ceil<Milliseconds>(due - clock_.mono()).count();
      ::poll(fds.data(), fds.size(),
             at_once ? 0 : static_cast<int>(std::max<std::int64_t>(wait, 0)));
      std::uint64_t count = 0;
      static_cast<void>(!::read(event_, &count, sizeof count));
      for (std::size_t i = 0; i < asking.size(); ++i) {
        if (fds[i + 3].revents != 0) left(*asking[i]);
      }
      turn(accepts && fds[2].revents != 0);
    }
  }

  void turn(bool comes) {
    const HttpWorkers::Load load = workers_.load();
    waiting_.set(load.waiting);
    running_.set(load.running);
    go_on();
    MHD_run(daemon_);
    const MonoTime now = clock_.mono();
    cut_late(now);
    if (comes) accept(now);
  }

  void left(HttpClient& client) {
    client.question->asker.leave();
    left_.add();
  }

  // Those whose answer is there.
  void go_on() {
    std::vector<HttpWorkers::Question> done;
    {
      const std::lock_guard lock(mutex_);
      done.swap(done_);
    }
    for (const HttpWorkers::Question& question : done) {
      const auto client = clients_.find(question->client);  // a suspended one cannot go
      if (client != clients_.end()) MHD_resume_connection(client->second.connection);
    }
  }

  void cut_late(MonoTime now) {
    for (auto& [id, client] : clients_) {
      if (client.phase == Phase::kAsking || now < client.deadline) continue;
      if (!client.idle()) cut_.add();
      client.cut();
    }
  }

  // The one that has been sending its request for longest: whole requests come at once.
  bool cut_slowest() {
    for (auto& [id, client] : clients_) {
      if (!client.sends()) continue;
      client.cut();
      cut_.add();
      return true;
    }
    return false;
  }

  void accept(MonoTime now) {
    for (int i = 0; i < 64; ++i) {
      const bool room = clients_.size() < options_.connections_max;
      if (!room && cut_slowest()) return;  // there will be room in the next turn
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      auto* const name = reinterpret_cast<sockaddr*>(&from);
      const int fd = room ? ::accept4(listener_, name, &size, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;
      if (fd < 0) {
        // No room, or no descriptor left: the one who waits must not make the loop spin.
        if (!room || (errno != EAGAIN && errno != ECONNABORTED)) {
          accept_at_ = now + Milliseconds(20);
        }
        return;
      }
      MHD_add_connection(daemon_, fd, name, size);  // closes it where it cannot
    }
  }

  const int listener_;
  const HttpOptions options_;
  Clock& clock_;
  const Plan plan_;
  const int event_;
  int epoll_ = -1;
  Count& requests_;
  Count& cut_;
  Count& left_;
  Count& refused_;
  Count& scanned_;
  Count& waiting_;
  Count& running_;
  MHD_Daemon* daemon_ = nullptr;
  std::map<std::uint64_t, HttpClient> clients_;  // by age; the server's thread alone
  std::uint64_t last_id_ = 0;
  MonoTime accept_at_{};
  std::mutex mutex_;
  std::vector<HttpWorkers::Question> done_;
  std::atomic<bool> stopping_{false};
  HttpWorkers workers_;
  std::thread thread_;
};

}  // namespace phlower::agent
