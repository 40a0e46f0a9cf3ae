// The lives that are stepped through, and what must hold after the death of either side.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "phlower/ring/layout.hpp"
#include "ring_fixture.hpp"
#include "shared_memory.hpp"
#include "stepper.hpp"

namespace phlower::testing {

enum Answer : std::uint8_t { kNone = 0, kTaken = 1, kNotTaken = 2 };
inline constexpr std::uint32_t kMaxTries = 64;

/// What the stepped producer tells the parent, as it goes.
struct Told {
  volatile std::uint32_t started;
  volatile std::uint8_t answer[kMaxTries];
};

/// The stepped producer's life: attach, submit `tries` records of stream 1, leave.
inline int producer_life(const RingOptions& ring, std::uint32_t tries, Told& told) {
  SystemClock clock;
  std::vector<Record> records;
  for (std::uint32_t i = 0; i < tries; ++i) records.push_back(make_content({1, i}));
  step_mark();
  {
    auto producer = attach_small(ring, clock);
    if (!producer.ok()) return 1;
    for (std::uint32_t i = 0; i < tries; ++i) {
      told.started = i + 1;
      const Status status = producer.value()->submit(records[i].view());
      told.answer[i] = status.ok() ? kTaken : kNotTaken;
    }
  }
  step_mark();
  return 0;
}

/// Each record of the told answers is there exactly once, or not at all; the one in flight may be.
inline std::string check_stream(const RingJournal& journal, const Told& told) {
  std::map<std::uint32_t, int> found;
  std::uint32_t last = 0;
  for (std::uint64_t i = 0; i < journal.row_count(); ++i) {
    const ContentId id = journal.row(i).id;
    if (id.stream != 1) continue;
    if (!found.empty() && id.number <= last) return "out of order at " + std::to_string(id.number);
    last = id.number;
    ++found[id.number];
  }
  for (const auto& [number, times] : found) {
    if (times != 1) return "record " + std::to_string(number) + " is there more than once";
    if (number >= told.started) return "record " + std::to_string(number) + " was never offered";
    if (told.answer[number] == kNotTaken) return "a refused record was delivered";
  }
  for (std::uint32_t i = 0; i < told.started; ++i) {
    if (told.answer[i] == kTaken && !found.contains(i)) {
      return "accepted record " + std::to_string(i) + " is lost";
    }
  }
  return "";
}

/// The sums, when the consumer has read everything and nobody writes.
inline std::string check_sums(const RingStats& stats, std::uint64_t least_offered,
                              std::uint64_t most_offered, std::uint64_t deaths) {
  if (stats.offered < least_offered || stats.offered > most_offered) {
    return "offered is " + std::to_string(stats.offered);
  }
  if (stats.torn > deaths) return "torn is " + std::to_string(stats.torn);
  if (stats.offered != stats.accepted + stats.refused()) return "offered != accepted + refused";
  if (stats.accepted != stats.delivered || stats.unread != 0 || stats.corrupt_records != 0) {
    return "accepted != delivered";
  }
  return "";
}

/// New holders fill and empty the whole ring twice, in stream 2.
inline std::string check_ring_works(const RingOptions& ring, RingConsumer& consumer,
                                    RingJournal& journal, Clock& clock) {
  std::vector<std::unique_ptr<Producer>> holders;
  for (std::uint32_t i = 0; i < ring.lanes; ++i) {
    auto holder = attach_small(ring, clock);
    if (!holder.ok()) return "lane not given: " + std::string(holder.status().message());
    holders.push_back(std::move(holder).value());
  }
  if (attach_small(ring, clock).status().code() != Code::kBusy) return "one lane given twice";
  std::uint32_t taken = 0;
  for (int round = 0; round < 2; ++round) {
    const std::uint32_t before = taken;
    for (std::size_t refused = 0; refused < holders.size();) {
      const Record record = make_content({2, taken});
      const Status status = holders[(taken + refused) % holders.size()]->submit(record.view());
      if (!status.ok() && status.code() != Code::kRefused) return std::string(status.message());
      status.ok() ? (++taken, refused = 0) : ++refused;
    }
    // Every chunk but those that single holders keep for themselves took part.
    if (round == 1 && taken - before < 8) return "the ring does not give its chunks back";
    if (std::string wrong = drain(consumer, journal); !wrong.empty()) return wrong;
  }
  std::set<std::uint32_t> found;
  for (std::uint64_t i = 0; i < journal.row_count(); ++i) {
    const ContentId id = journal.row(i).id;
    if (id.stream == 2 && !found.insert(id.number).second) return "stream 2: one record twice";
  }
  return found.size() == taken ? "" : "stream 2: records are missing";
}

/// All that must hold for the file at `ring.path` after its only producer died.
inline std::string check_after_producer(const RingOptions& ring, const Told& told,
                                        std::uint64_t offered_before) {
  SystemClock clock;
  const Shared<RingJournal> journal;
  auto opened = RingConsumer::open(ring, Durability::kProcess, clock, journal->loader());
  if (!opened.ok()) return "consumer: " + std::string(opened.status().message());
  RingConsumer& consumer = *opened.value();
  if (!consumer.set_aside().empty()) return "the file was set aside";
  if (std::string wrong = drain(consumer, *journal); !wrong.empty()) return wrong;
  if (std::string wrong = check_stream(*journal, told); !wrong.empty()) return wrong;
  const std::uint64_t answered =
      told.started - (told.started > 0 && told.answer[told.started - 1] == kNone ? 1 : 0);
  if (std::string wrong =
          check_sums(consumer.stats(), offered_before + answered, offered_before + told.started, 1);
      !wrong.empty()) {
    return wrong;
  }
  if (std::string wrong = check_ring_works(ring, consumer, *journal, clock); !wrong.empty()) {
    return wrong;
  }
  return check_stream(*journal, told);
}

/// The bytes as they are after the death of `pid`: it cannot be seen to live any more.
inline std::vector<std::byte> as_if_dead(std::vector<std::byte> bytes, pid_t pid) {
  RingIdentity identity;
  std::memcpy(&identity, bytes.data(), sizeof(identity));
  for (std::uint32_t i = 0; i < identity.lanes; ++i) {
    LaneWords lane;
    std::byte* const at = bytes.data() + identity.lane_off + i * kLaneStride;
    std::memcpy(&lane, at, sizeof(lane));
    if (lane.pid != static_cast<std::uint64_t>(pid)) continue;
    ++lane.start_time;  // a process of this number, but another one
    std::memcpy(at, &lane, sizeof(lane));
  }
  return bytes;
}

}  // namespace phlower::testing
