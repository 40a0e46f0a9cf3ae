// A host's memory that runs out at a chosen allocation, and a host's clock that throws: for a host
// in C that cannot do either.
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <new>
#include <stdexcept>

namespace {

std::atomic<long> fails_in{0};  // 0: never
std::atomic<bool> on_main{false};
std::atomic<bool> clock_throws{false};
std::atomic<int> thrown{0};

bool is_main() { return ::gettid() == ::getpid(); }

uint64_t read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

extern "C" {

/* The k-th allocation from now on fails, once, of those of the main thread or of all others. */
void fail_new(long k, int of_main) {
  on_main = of_main != 0;
  fails_in = k;
}
/* Whether the chosen one has come. */
int new_has_failed(void) { return fails_in <= 0; }

void break_clock(int broken) {
  thrown = 0;
  clock_throws = broken != 0;
}
/* Since it was broken. */
int clock_has_thrown(void) { return thrown; }
uint64_t breaking_clock(void*) {
  if (clock_throws && !is_main()) {
    ++thrown;
    throw std::runtime_error("a clock that throws");
  }
  return read_clock(CLOCK_MONOTONIC);
}
uint64_t wall_clock(void*) { return read_clock(CLOCK_REALTIME); }
}

void* operator new(std::size_t size) {
  if (fails_in > 0 && is_main() == on_main && --fails_in == 0) throw std::bad_alloc();
  if (void* const made = std::malloc(size == 0 ? 1 : size)) return made;
  throw std::bad_alloc();
}
// Sanitizers have one of their own, whose memory must not come to the `delete` here.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* what) noexcept { std::free(what); }
void operator delete(void* what, std::size_t) noexcept { std::free(what); }
