// What a start would find on this machine, without starting: files, tokens, addresses.
#pragma once

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "agent/host/agent_options.hpp"
#include "agent/host/secrets.hpp"
#include "agent/http/http_address.hpp"
#include "phlower/celery/capture_reader.hpp"
#include "phlower/config/options_yaml.hpp"
#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// Each with its key. `problems` keep the agent from starting, or its source from ever connecting;
/// `notes` need not: an agent that runs has its own address.
struct StartFindings {
  std::vector<std::string> problems;
  std::vector<std::string> notes;
};

namespace start_detail {

inline void problem(StartFindings& found, const char* key, const Status& status) {
  if (!status.ok()) found.problems.push_back(key + (": " + std::string(status.message())));
}

inline void check_secret(StartFindings& found, const char* key, const std::string& path,
                         const Result<std::string>& secret) {
  if (!secret.ok()) return problem(found, key, secret.status());
  if (secret->empty()) found.problems.push_back(std::string(key) + ": " + path + " is empty");
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0) {
    found.notes.push_back(std::string(key) + ": " + path +
                          " can be read by everybody on this machine; chmod o-r");
  }
}

inline void check_file(StartFindings& found, const std::string& key, const std::string& path) {
  if (::access(path.c_str(), R_OK) != 0) problem(found, key.c_str(), Status::from_errno(path));
}

template <class Options>
void check_broker(StartFindings& found, const std::string& section, const Options& options,
                  BrokerKind kind) {
  const auto urls = parse_broker_urls(options.url, kind);
  if (options.url.empty() || !urls.ok()) return;  // no such source; told when the file was read
  if (const std::string& path = options.password_file; !path.empty()) {
    check_secret(found, (section + ".password_file").c_str(), path, read_secret(path));
  }
  for (const BrokerUrl& url : *urls) {
    if (!url.tls) continue;
    if (url.check_certificate && url.ca_file.empty()) {
      check_file(found, section + ".ca_file", options.ca_file);
    }
    for (const std::string& path : {url.ca_file, url.certificate_file, url.key_file}) {
      if (!path.empty()) check_file(found, section + ".url", path);
    }
  }
}

// Where a socket is to lie: a folder that may be written, and nobody there.
inline void check_socket_path(StartFindings& found, const char* key, const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const std::string in = folder.empty() ? "." : folder;
  if (::access(in.c_str(), W_OK | X_OK) != 0) return problem(found, key, Status::from_errno(in));
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode)) {
    found.problems.push_back(std::string(key) + ": " + path + ": is there already and no socket");
  }
}

inline void check_listen(StartFindings& found, const std::string& listen) {
  const Result<HttpAddress> address = parse_http_address(listen);
  if (listen.empty() || !address.ok()) return;
  if (!address->socket_path.empty()) {
    return check_socket_path(found, "http.listen", address->socket_path);
  }
  const auto* name = reinterpret_cast<const sockaddr*>(&address->address);
  const int fd = ::socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  if (fd >= 0) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool bound = fd >= 0 && ::bind(fd, name, address->size) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (bound) return;
  if (error == EADDRINUSE) {
    found.notes.push_back("http.listen: " + listen + " is taken: by an agent that runs with this " +
                          "file, or by another program, and then a start would fail");
  } else {
    problem(found, "http.listen", Status::from_errno(listen, error));
  }
}

}  // namespace start_detail

/// Opens and closes what the options name; leaves nothing behind. Blocks: on local files.
inline StartFindings check_start(const AgentOptions& options) {
  namespace sd = start_detail;
  StartFindings found;
  sd::check_broker(found, "redis", options.redis, BrokerKind::kRedis);
  sd::check_broker(found, "rabbitmq", options.rabbitmq, BrokerKind::kAmqp);
  if (!options.capture.path.empty()) {
    sd::problem(found, "capture.path", CaptureReader::open(options.capture.path).status());
  }
  if (!options.socket.path.empty()) {
    sd::check_socket_path(found, "socket.path", options.socket.path);
  }
  if (!options.http.listen.empty()) {
    if (const std::string& path = options.http.token_file; !path.empty()) {
      sd::check_secret(found, "http.token_file", path, read_token(path));
    }
    sd::check_listen(found, options.http.listen);
  }
  return found;
}

}  // namespace phlower::agent
