// Which handles live. A handle is looked up before it is looked into, so that a pointer that was
// freed, or never was one, is told apart without touching what it points to.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace phlower::plugin {

enum class HandleKind : std::uint8_t { kEngine = 1, kProducer = 2, kReader = 3 };

/// A page that a child of fork finds empty (MADV_WIPEONFORK): asking costs a load, where getpid is
/// a system call.
class ForkMark {
 public:
  ForkMark() {
    void* const page =
        ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (::madvise(page, 4096, MADV_WIPEONFORK) == 0) {
      word_ = static_cast<std::uint32_t*>(page);
      set();
    } else {
      ::munmap(page, 4096);
      pid_ = ::getpid();
    }
  }
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;
  ~ForkMark() {
    if (word_ != nullptr) ::munmap(word_, 4096);
  }

  /// True in a child of the process that called `set` last.
  bool forked() const noexcept {
    // Relaxed is enough: a child has one thread, and it sees what its parent had before the fork.
    if (word_ != nullptr) return std::atomic_ref(*word_).load(std::memory_order_relaxed) == 0;
    return pid_ != ::getpid();
  }
  void set() noexcept {
    // Relaxed is enough, as above.
    if (word_ != nullptr) std::atomic_ref(*word_).store(1, std::memory_order_relaxed);
    pid_ = ::getpid();
  }

 private:
  std::uint32_t* word_ = nullptr;
  pid_t pid_ = 0;
};

/// All live handles of this shared object. Thread safety: safe. Constant initialised and never
/// destroyed: nothing happens at dlopen and at dlclose.
class Handles {
 public:
  static constexpr std::size_t kMost = 256;

  bool add(HandleKind kind, const void* handle) noexcept {
    const std::uintptr_t word = word_of(kind, handle);
    for (std::size_t i = 0; i < kMost; ++i) {
      std::uintptr_t empty = 0;
      // Release pairs with the acquire in `lives`: whoever finds the handle sees what it is.
      if (!slots_[i].compare_exchange_strong(empty, word, std::memory_order_release,
                                             std::memory_order_relaxed)) {
        continue;
      }
      std::size_t used = used_.load(std::memory_order_relaxed);
      // Relaxed is enough: a look-up that misses the newest slot came before the handle was given
      // out.
      while (used <= i && !used_.compare_exchange_weak(used, i + 1, std::memory_order_relaxed)) {
      }
      return true;
    }
    return false;
  }

  /// False: it was not there. Of several that remove it one gets true.
  bool remove(HandleKind kind, const void* handle) noexcept {
    const std::uintptr_t word = word_of(kind, handle);
    for (std::atomic<std::uintptr_t>& slot : slots_) {
      std::uintptr_t expected = word;
      // Relaxed is enough: what is behind the handle is torn down by whoever removed it.
      if (slot.compare_exchange_strong(expected, 0, std::memory_order_relaxed)) return true;
    }
    return false;
  }

  bool lives(HandleKind kind, const void* handle) const noexcept {
    const std::uintptr_t word = word_of(kind, handle);
    // Relaxed is enough, see `add`.
    const std::size_t used = used_.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < used; ++i) {
      if (slots_[i].load(std::memory_order_acquire) == word) return handle != nullptr;
    }
    return false;
  }

  std::uint32_t count() const noexcept {
    std::uint32_t live = 0;
    for (const std::atomic<std::uintptr_t>& slot : slots_) {
      live += slot.load(std::memory_order_relaxed) != 0;  // relaxed: a moment's picture
    }
    return live;
  }

 private:
  // Handles are aligned to 16 bytes, so the kind fits below.
  static std::uintptr_t word_of(HandleKind kind, const void* handle) noexcept {
    return reinterpret_cast<std::uintptr_t>(handle) ^ static_cast<std::uintptr_t>(kind);
  }

  std::atomic<std::uintptr_t> slots_[kMost] = {};
  std::atomic<std::size_t> used_{0};
};

}  // namespace phlower::plugin
