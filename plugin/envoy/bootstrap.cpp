// libphlower_envoy.so: Phlower as a native dynamic module of Envoy. This file has the bootstrap
// extension, which owns the engine; access_logger.cpp feeds it.
//
// Thin, and linked to libphlower.so (DT_NEEDED, found by $ORIGIN) rather than opened with dlopen:
// Envoy reports the dynamic linker's words when it cannot load a module, one mapping serves both
// extension points, and dlclose of the module takes libphlower.so along. Envoy's callbacks are
// weak: the module links and loads without any Envoy, and one that is missing is NULL.
//
// The engine has a thread of its own (plugin.own_thread: true); without, a timer on Envoy's main
// thread drives it. All hooks here come on the main thread. Workers may log until the extension is
// destroyed: connections that a shutdown cuts are logged after its hook. So that hook flushes on a
// thread of its own (Envoy's goes on), and the last drain is in `destroy`.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "host.hpp"
#include "owned_engine.hpp"
#include "published_metrics.hpp"
#include "status_page.hpp"

namespace phlower::envoy {
namespace {

constexpr uint64_t kUpkeep_ms = 1000;
constexpr uint64_t kTick_ms = 10;
constexpr uint64_t kFlushed = 1;  // the event that the flushing thread sends
constexpr std::string_view kPage = "/phlower";

class Bootstrap {
 public:
  explicit Bootstrap(void* host) : host_(host) {}
  Bootstrap(const Bootstrap&) = delete;
  Bootstrap& operator=(const Bootstrap&) = delete;
  ~Bootstrap() { end(); }

  bool make(std::string_view path) {
    if (!engine_.make(path)) return false;
    metrics_.define(host_);
    // Exactly once, or Envoy never takes traffic. It asks for no more than what is done here: the
    // engine starts before the workers do.
    if (envoy_dynamic_module_callback_bootstrap_extension_config_signal_init_complete != nullptr) {
      envoy_dynamic_module_callback_bootstrap_extension_config_signal_init_complete(host_);
    }
    return true;
  }

  void server_initialized() {
    if (envoy_dynamic_module_callback_is_validation_mode != nullptr &&
        envoy_dynamic_module_callback_is_validation_mode()) {
      return;
    }
    engine_.start();
    if (envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_new != nullptr &&
        envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_commit != nullptr) {
      scheduler_ = envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_new(host_);
    }
    if (envoy_dynamic_module_callback_bootstrap_extension_file_watcher_add_watch != nullptr) {
      envoy_dynamic_module_callback_bootstrap_extension_file_watcher_add_watch(
          host_, text(engine_.path()), kEnvoyFileMovedTo | kEnvoyFileModified);
    }
    if (envoy_dynamic_module_callback_bootstrap_extension_register_admin_handler != nullptr &&
        !envoy_dynamic_module_callback_bootstrap_extension_register_admin_handler(
            host_, text(kPage), text("state and figures of Phlower"), true, false)) {
      log(kEnvoyLogWarn, "phlower: Envoy has no admin listener, or its %s is taken", kPage.data());
    }
    if (envoy_dynamic_module_callback_bootstrap_extension_timer_new != nullptr) {
      timer_ = envoy_dynamic_module_callback_bootstrap_extension_timer_new(host_);
      arm();
    }
  }

  void timer_fired() {
    if (engine_.host_driven()) engine_.tick();
    const auto now = std::chrono::steady_clock::now();
    if (now - upkeep_at_ >= std::chrono::milliseconds(kUpkeep_ms / 2)) {
      upkeep_at_ = now;
      if (engine_.start()) engine_.say_health();
      engine_.reload_if_changed();  // also where the file is a link that moved: not watched
      metrics_.publish(host_, engine_.get(), engine_.shared().missed());
    }
    arm();
  }

  void file_changed() {
    if (!ending_) engine_.reload_if_changed();  // the flushing thread has the engine by then
  }

  void drain_started() {
    log(kEnvoyLogInfo, "phlower: Envoy drains");
    phlower_engine_wake(engine_.get());
  }

  // Again for each further SIGTERM, also while the first is being flushed: each has a completion of
  // its own.
  void shutdown(phlower_envoy_done done, void* context) {
    waiting_.emplace_back(done, context);
    drop_timer();
    if (!ending_ && engine_.started() && scheduler_ != nullptr) {
      try {
        flusher_ = std::thread([this] {
          engine_.flush();
          envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_commit(scheduler_,
                                                                                    kFlushed);
        });
      } catch (const std::system_error&) {
        log(kEnvoyLogWarn, "phlower: no thread to flush on");
      }
    }
    if (!ending_ && !flusher_.joinable()) engine_.flush();
    ending_ = true;
    if (!flusher_.joinable()) complete();
  }

  void scheduled(uint64_t event) {
    if (event != kFlushed) return;
    join();
    complete();
  }

  uint32_t admin_request() {
    const StatusPage page = status_page(engine_.get());
    if (envoy_dynamic_module_callback_bootstrap_extension_admin_set_response != nullptr) {
      envoy_dynamic_module_callback_bootstrap_extension_admin_set_response(host_, text(page.body));
    }
    return page.code;
  }

  /// No worker runs any more.
  void end() {
    join();
    drop_timer();
    if (scheduler_ != nullptr &&
        envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_delete != nullptr) {
      envoy_dynamic_module_callback_bootstrap_extension_config_scheduler_delete(scheduler_);
    }
    scheduler_ = nullptr;
    engine_.end();
  }

 private:
  void arm() {
    if (timer_ == nullptr ||
        envoy_dynamic_module_callback_bootstrap_extension_timer_enable == nullptr) {
      return;
    }
    envoy_dynamic_module_callback_bootstrap_extension_timer_enable(
        timer_, engine_.host_driven() ? kTick_ms : kUpkeep_ms);
  }

  void drop_timer() {
    if (timer_ != nullptr &&
        envoy_dynamic_module_callback_bootstrap_extension_timer_delete != nullptr) {
      envoy_dynamic_module_callback_bootstrap_extension_timer_delete(timer_);
    }
    timer_ = nullptr;
  }

  void join() {
    if (flusher_.joinable()) flusher_.join();
  }

  // Each exactly once: twice frees twice, never leaves Envoy hanging.
  void complete() {
    for (const auto& [done, context] : std::exchange(waiting_, {})) done(context);
  }

  void* const host_;
  OwnedEngine engine_;
  PublishedMetrics metrics_;
  void* timer_ = nullptr;
  void* scheduler_ = nullptr;
  std::thread flusher_;
  bool ending_ = false;
  std::vector<std::pair<phlower_envoy_done, void*>> waiting_;  // for the end of a shutdown
  std::chrono::steady_clock::time_point upkeep_at_;
};

Bootstrap* ours(const void* handle) {
  // Envoy hands our own pointer back as const.
  return static_cast<Bootstrap*>(const_cast<void*>(handle));
}

// No exception may reach Envoy. Memory that runs out is all that is left to throw here.
template <typename Work>
void guarded(const char* hook, const Work& work) noexcept {
  try {
    work();
  } catch (const std::exception& error) {
    log(kEnvoyLogError, "phlower: %s: %s", hook, error.what());
  }
}

}  // namespace
}  // namespace phlower::envoy

using phlower::envoy::guarded;
using phlower::envoy::ours;

extern "C" {

const char* envoy_dynamic_module_on_program_init(void) {
  if (phlower_abi_version() >> 16 != PHLOWER_ABI_MAJOR) return nullptr;  // refuses to be loaded
  return ::dlsym(RTLD_DEFAULT, PHLOWER_ENVOY_ABI_V2_SIGN) != nullptr ? PHLOWER_ENVOY_ABI_V2
                                                                     : PHLOWER_ENVOY_ABI_V1;
}

const void* envoy_dynamic_module_on_bootstrap_extension_config_new(void* host, phlower_envoy_text,
                                                                   phlower_envoy_text config) {
  const void* made = nullptr;
  guarded("config_new", [&] {
    auto bootstrap = std::make_unique<phlower::envoy::Bootstrap>(host);
    if (bootstrap->make(phlower::envoy::view(config))) made = bootstrap.release();
  });
  return made;
}

void envoy_dynamic_module_on_bootstrap_extension_config_destroy(const void* config) {
  guarded("config_destroy", [&] { delete ours(config); });
}

// One object plays both parts: Envoy makes one extension of one configuration.
const void* envoy_dynamic_module_on_bootstrap_extension_new(const void* config, void*) {
  return config;
}

void envoy_dynamic_module_on_bootstrap_extension_destroy(const void* extension) {
  guarded("destroy", [&] { ours(extension)->end(); });
}

void envoy_dynamic_module_on_bootstrap_extension_server_initialized(void*, const void* extension) {
  guarded("server_initialized", [&] { ours(extension)->server_initialized(); });
}

void envoy_dynamic_module_on_bootstrap_extension_drain_started(void*, const void* extension) {
  guarded("drain_started", [&] { ours(extension)->drain_started(); });
}

void envoy_dynamic_module_on_bootstrap_extension_shutdown(void*, const void* extension,
                                                          phlower_envoy_done done, void* context) {
  guarded("shutdown", [&] { ours(extension)->shutdown(done, context); });
}

void envoy_dynamic_module_on_bootstrap_extension_config_scheduled(void*, const void* config,
                                                                  uint64_t event) {
  guarded("config_scheduled", [&] { ours(config)->scheduled(event); });
}

void envoy_dynamic_module_on_bootstrap_extension_timer_fired(void*, const void* config, void*) {
  guarded("timer_fired", [&] { ours(config)->timer_fired(); });
}

void envoy_dynamic_module_on_bootstrap_extension_file_changed(void*, const void* config,
                                                              phlower_envoy_text, uint32_t) {
  guarded("file_changed", [&] { ours(config)->file_changed(); });
}

uint32_t envoy_dynamic_module_on_bootstrap_extension_admin_request(void*, const void* config,
                                                                   phlower_envoy_text,
                                                                   phlower_envoy_text,
                                                                   phlower_envoy_text) {
  uint32_t code = 500;
  guarded("admin_request", [&] { code = ours(config)->admin_request(); });
  return code;
}

// Envoy requires these; there is nothing to do in them.
void envoy_dynamic_module_on_bootstrap_extension_worker_thread_initialized(void*, const void*) {}
void envoy_dynamic_module_on_bootstrap_extension_http_callout_done(void*, const void*, uint64_t,
                                                                   uint32_t, void*, size_t,
                                                                   phlower_envoy_text*, size_t) {}
void envoy_dynamic_module_on_bootstrap_extension_cluster_add_or_update(void*, const void*,
                                                                       phlower_envoy_text) {}
void envoy_dynamic_module_on_bootstrap_extension_cluster_removal(void*, const void*,
                                                                 phlower_envoy_text) {}
void envoy_dynamic_module_on_bootstrap_extension_listener_add_or_update(void*, const void*,
                                                                        phlower_envoy_text) {}
void envoy_dynamic_module_on_bootstrap_extension_listener_removal(void*, const void*,
                                                                  phlower_envoy_text) {}

}  // extern "C"
