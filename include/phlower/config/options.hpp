// Every knob of Phlower with its default, its range and what raising it costs. Range and name in
// the file stand in options_fields.hpp; config/phlower.yaml shows the same knobs; a test holds the
// two against each other.
#pragma once

#include <cstdint>
#include <string>

#include "phlower/ground/clock.hpp"

namespace phlower {

using Hours = std::chrono::hours;

/// What an OK from `submit` survives.
enum class Durability : std::uint8_t {
  kProcess,  // kill -9 of any process and restart of the container; not power loss
  kPower,    // power loss too: the ring must be on a disk, every submit waits for it
};

/// How the history lies on the disk.
enum class Layout : std::uint8_t {
  kSegmented,  // a folder with one file for each span of time; what expires is unlinked
  kSingle,     // one file in the origin's schema, purged row by row
};

struct StoreOptions {
  Layout layout = Layout::kSegmented;
  std::string path = "phlower-data";  // the folder, or the file where the layout is single
  std::string adopt;                  // a file of another layout, taken over as the oldest segment
  Durability durability = Durability::kProcess;
  std::uint64_t cache_bytes = 32ull << 20;  // SQLite page cache, 1MiB..4GiB; memory against reads
  std::uint64_t wal_soft_bytes = 16ull << 20;  // checkpoint from here; larger: longer fsyncs
  std::uint64_t wal_hard_bytes = 64ull << 20;  // nothing is added before a checkpoint here
  bool reclaim = true;                         // give free pages back where auto_vacuum allows it
  std::uint32_t segment_rows = 2'000'000;      // a segment with as many is complete; 10 bytes each
  std::uint64_t segment_bytes = 512ull << 20;  // or one of this size
  bool helper_thread = true;  // for what cannot be cut into slices; false: some slices are long
};

/// Who may write a shared file: its owner, its group too, or everybody on the machine.
enum class FileAccess : std::uint8_t { kOwner, kGroup, kAll };

/// What the segments may take of the disk. Above it the oldest go before their time.
struct DiskOptions {
  std::uint64_t cap_bytes = 64ull << 30;
  std::uint32_t cap_percent = 80;  // of the file system
  Hours floor{1};                  // what is younger stays, whatever it takes
};

struct RetentionOptions {
  Hours invocations{120};  // rows, counted from finished_at; 1h..87600h
  Hours details{60};       // arguments and tracebacks; at most `invocations`
  bool keep_forever = false;
};

struct RingOptions {
  std::string path = "/dev/shm/phlower.ring";
  FileAccess access = FileAccess::kGroup;   // who may submit: 0600, 0660, 0666, whatever the umask
  std::uint64_t size_bytes = 32ull << 20;   // data of the ring; all of it is allocated at creation
  std::uint64_t chunk_bytes = 64ull << 10;  // 32KiB..256KiB; every live producer pins one chunk
  std::uint32_t lanes = 1024;               // producers (threads) at the same time; 1..4096
  std::uint32_t high_water_percent = 75;    // of chunks in use; above it details are shed
};

struct RecordOptions {
  std::uint64_t max_bytes = 16ull << 10;      // whole encoded record; over it: cut further
  std::uint64_t args_max_bytes = 2ull << 10;  // longer text is cut and marked
  std::uint64_t kwargs_max_bytes = 2ull << 10;
  std::uint64_t traceback_max_bytes = 8ull << 10;
};

struct ScheduleOptions {
  Milliseconds slice{5};  // aim for one transaction, 1ms..100ms; longer: more rows/s, more wait
  std::uint32_t duty_percent = 80;  // share of time the write lock may be held, 10..100
  Milliseconds round{20};           // one round of the fair queue, 5ms..1s
  Milliseconds flush_age{50};  // a pending record waits at most this long for company; 1ms..10s
};

struct CeleryOptions {
  std::uint32_t in_flight_max = 100'000;         // tasks without an end that are remembered
  std::uint64_t in_flight_bytes = 128ull << 20;  // memory for them, and for ends just seen
  Hours in_flight_age{24};                       // and for how long
};

/// For hosts that load the shared object.
struct PluginOptions {
  bool own_thread = false;  // the engine runs by itself; false: when the host ticks
};

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warning, error, off
};

/// The whole configuration. Defaults are a working configuration.
struct Options {
  StoreOptions store;
  RetentionOptions retention;
  DiskOptions disk;
  RingOptions ring;
  RecordOptions record;
  ScheduleOptions schedule;
  CeleryOptions celery;
  PluginOptions plugin;
  LogOptions log;
};

}  // namespace phlower
