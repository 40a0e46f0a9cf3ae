// The engine as the bootstrap extension has it: made from a file, started (again and again until it
// can), reloaded when the file changes, looked after, ended.
#pragma once

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "host.hpp"
#include "shared_engine.hpp"

namespace phlower::envoy {

class OwnedEngine {
 public:
  static constexpr uint64_t kDrain_ns = 5'000'000'000;
  static constexpr uint64_t kTickBudget_ns = 2'000'000;

  OwnedEngine() = default;
  OwnedEngine(const OwnedEngine&) = delete;
  OwnedEngine& operator=(const OwnedEngine&) = delete;

  ~OwnedEngine() {
    end();
    if (shared_ == nullptr) return;
    if (claimed_) shared_->unclaim();
    shared_->release();
  }

  /// Parses and allocates; on false, Envoy's log says why. Path is extension_config.
  bool make(std::string_view path) {
    path_ = path;
    if (path.empty()) {
      log(kEnvoyLogError, "phlower: extension_config must be the path of a phlower.yaml");
      return false;
    }
    std::string yaml;
    if (!read(yaml)) return false;
    shared_ = SharedEngine::acquire(path_, true);
    claimed_ = shared_->claim();
    if (!claimed_) {
      log(kEnvoyLogError, "phlower: %s: another bootstrap extension has it", path_.c_str());
      return false;
    }
    const phlower_host host = engine_host();
    phlower_err err = no_error();
    if (phlower_engine_new(yaml.data(), yaml.size(), &host, &engine_, &err) == PHLOWER_OK) {
      return true;
    }
    say(err);
    return false;
  }

  /// False: not yet. Another process may have the ring, as during a hot restart of Envoy.
  bool start() {
    if (started_) return true;
    phlower_err err = no_error();
    if (phlower_engine_start(engine_, &err) != PHLOWER_OK) {
      if (trouble_ != err.message) {
        log(kEnvoyLogError, "phlower: cannot start: %s; trying again", err.message);
        trouble_ = err.message;
      }
      return false;
    }
    started_ = true;
    trouble_.clear();
    host_driven_ = tick() != PHLOWER_E_STATE;
    log(kEnvoyLogInfo, "phlower: started with %s", path_.c_str());
    if (host_driven_) {
      log(kEnvoyLogWarn,
          "phlower: %s: plugin.own_thread is off, so the engine works on Envoy's main thread",
          path_.c_str());
    }
    shared_->open(engine_);
    return true;
  }

  /// Whether `tick` must be called, and often.
  bool host_driven() const { return started_ && host_driven_; }

  int32_t tick() {
    phlower_tick_out out{};
    out.struct_size = sizeof out;
    return phlower_engine_tick(engine_, kTickBudget_ns, &out);
  }

  void reload_if_changed() {
    struct stat now {};
    if (::stat(path_.c_str(), &now) != 0 || same(now, seen_)) return;
    std::string yaml;
    if (!read(yaml)) return;
    phlower_err err = no_error();
    phlower_reload_report report{};
    report.struct_size = sizeof report;
    if (phlower_engine_reload(engine_, yaml.data(), yaml.size(), &report, &err) != PHLOWER_OK) {
      say(err);
      return;
    }
    log(kEnvoyLogInfo, "phlower: %s: read again, %d changes in force, %d wait for a restart",
        path_.c_str(), __builtin_popcountll(report.applied),
        __builtin_popcountll(report.needs_restart));
  }

  void say_health() {
    const phlower_health now = health();
    if (now.state == said_) return;
    said_ = now.state;
    if (now.state == PHLOWER_HEALTH_OK) {
      log(kEnvoyLogWarn, "phlower: all is well again");
    } else {
      log(kEnvoyLogWarn, "phlower: in trouble: %s", now.reason);
    }
  }

  phlower_health health() const {
    phlower_health health{};
    health.struct_size = sizeof health;
    phlower_engine_health(engine_, &health);
    return health;
  }

  /// Blocks: at most kDrain_ns. All that was submitted is committed, or is still in the ring.
  void flush() {
    if (!started_) return;
    phlower_drain_out out{};
    out.struct_size = sizeof out;
    if (phlower_engine_flush(engine_, kDrain_ns, &out) != PHLOWER_OK) say_left(out);
  }

  /// Takes no more records, commits those it has, closes everything. Blocks: at most kDrain_ns.
  void end() {
    if (engine_ == nullptr) return;
    if (shared_ != nullptr && claimed_) shared_->close();
    if (started_) {
      phlower_drain_out out{};
      out.struct_size = sizeof out;
      phlower_engine_drain(engine_, kDrain_ns, &out);
      if (out.done == 0) say_left(out);
    }
    phlower_engine_destroy(engine_);
    engine_ = nullptr;
    started_ = false;
  }

  phlower_engine* get() const { return engine_; }
  SharedEngine& shared() const { return *shared_; }
  bool started() const { return started_; }
  const std::string& path() const { return path_; }

 private:
  static phlower_err no_error() {
    phlower_err err{};
    err.struct_size = sizeof err;
    return err;
  }

  static bool same(const struct stat& a, const struct stat& b) {
    return a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
           a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
  }

  bool read(std::string& yaml) {
    std::FILE* const file = std::fopen(path_.c_str(), "re");
    bool good = file != nullptr && ::fstat(::fileno(file), &seen_) == 0;
    char block[4096];
    for (size_t size = 1; good && size != 0;) {
      size = std::fread(block, 1, sizeof block, file);
      yaml.append(block, size);
      good = std::ferror(file) == 0;
    }
    if (!good) {
      log(kEnvoyLogError, "phlower: cannot read %s: %s", path_.c_str(), std::strerror(errno));
    }
    if (file != nullptr) std::fclose(file);
    return good;
  }

  void say(const phlower_err& err) const {
    log(kEnvoyLogError, "phlower: %s:%u:%u: %s", path_.c_str(), err.line, err.column, err.message);
  }

  static void say_left(const phlower_drain_out& out) {
    log(kEnvoyLogWarn, "phlower: %llu records are still in the ring; the next start finds them",
        static_cast<unsigned long long>(out.left));
  }

  std::string path_;
  struct stat seen_ {};
  SharedEngine* shared_ = nullptr;
  phlower_engine* engine_ = nullptr;
  bool claimed_ = false;
  bool started_ = false;
  bool host_driven_ = false;
  std::string trouble_;
  uint32_t said_ = PHLOWER_HEALTH_OK;
};

}  // namespace phlower::envoy
