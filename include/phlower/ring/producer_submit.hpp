// Producer, the path of each record: count, encode in place, publish, wake.
#pragma once

#include "phlower/ring/producer.hpp"

namespace phlower {

inline Status Producer::submit(const RecordView& record, bool whole) {
  if (in_submit_) {
    count_unattached();
    return Status(Code::kRefused);
  }
  in_submit_ = true;
  Status status;
  if (ready()) [[likely]] {
    status = put(record, whole);
  } else {
    count_unattached();
    status = Status(Code::kDetached);
  }
  in_submit_ = false;
  return status;
}

inline Status Producer::put(const RecordView& record, bool whole) {
  // Before it is an attempt: who waits asks again and again, and has lost nothing.
  if (whole && !takes_whole(record)) return Status(Code::kRefused);
  LaneWords& lane = view_.lane(hold_.lane);
  // (a) Before all else, so that whatever happens next the attempt is counted. Relaxed is enough:
  // the swap of (c) and the counters' release stores keep it before them.
  store_counter(lane.sequence, ++sequence_);
  if (!encodable(record)) {
    bump_counter(lane.aborted);
    return Status(Code::kInvalidArgument);
  }
  RecordView fitted = fit(record);
  if (shedding_ && !whole) shed_details(fitted);
  std::size_t payload = encoded_bytes(fitted);
  if (record.task_id.size() > kTaskIdBytesMax || record_span(payload) > most_bytes()) {
    bump_counter(lane.drop_big);
    return Status(Code::kTooBig);
  }
  if (!has_room(record_span(payload))) {
    Status status = next_chunk();
    if (!status.ok()) {
      if (status.code() == Code::kRefused) bump_counter(lane.drop_full);
      return status;
    }
    if (shedding_ && !whole && shed_details(fitted)) payload = encoded_bytes(fitted);
  }
  return write(fitted, payload);
}

inline Status Producer::write(const RecordView& record, std::size_t payload_bytes) {
  // Relaxed is enough, (c) decides. Looking first keeps us from writing where somebody else does
  // now, and a refused record from lying whole below a damaged `used`.
  if (view_.ctl(chunk_).load(std::memory_order_relaxed) != word_) return lose_lane();
  // (b) Bytes above `used`: nobody else may look at them yet.
  std::byte* const at = view_.chunk(chunk_) + used_bytes_;
  const std::uint64_t span = record_span(payload_bytes);
  // Coarse is enough for an age, and it makes a record look older, not younger.
  const auto now = static_cast<std::uint64_t>(clock_.mono_coarse().time_since_epoch().count());
  std::memset(at + span - 8, 0, 8);  // the fill after the payload, which is written over this
  encode_record(record, now, {at + kRecordHeaderBytes, payload_bytes});
  RecordHeader header{};
  header.length = static_cast<std::uint32_t>(payload_bytes);
  header.sequence = sequence_;
  header.type = kRecordInvocation;
  header.lane = static_cast<std::uint16_t>(hold_.lane);
  header.tag = static_cast<std::uint32_t>(generation_);
  std::memcpy(at, &header, sizeof(header));
  header.crc = record_crc(seed_, at, header.length, used_bytes_);
  std::memcpy(at + offsetof(RecordHeader, crc), &header.crc, sizeof(header.crc));

  // (c) T2; pairs with the consumer's acquire loads of the word: who sees the new `used` sees the
  // bytes. seq_cst for (d).
  std::uint64_t expected = word_;
  const std::uint64_t moved = word_ + span / 8;
  if (!view_.ctl(chunk_).compare_exchange_strong(expected, moved, std::memory_order_seq_cst,
                                                 std::memory_order_relaxed)) {
    return lose_lane();
  }
  word_ = moved;
  used_bytes_ += span;

  // (d) Against "sleeping = 1, then look again" of RingConsumer::wait: all four are seq_cst, so
  // one of the two sees the other. The exchange lets one producer of many pay for the wake-up.
  std::atomic_ref<std::uint32_t> sleeping(view_.header().sleeping);
  if (sleeping.load(std::memory_order_seq_cst) != 0 &&
      sleeping.exchange(0, std::memory_order_seq_cst) != 0) {
    futex_wake(&view_.header().sleeping);
  }
  if (view_.identity().durability != 0) return sync(used_bytes_ - span, span);
  return Status();
}

/// Somebody else changed our chunk or the file: the attempt counts as torn, the next call attaches.
inline Status Producer::lose_lane() {
  lost_ = true;
  leave();
  attach_again_ = MonoTime{};
  return Status(Code::kDetached);
}

/// Puts the pages of one record on the disk. The control word needs no sync: salvage goes by
/// checksums alone.
inline Status Producer::sync(std::uint64_t from, std::uint64_t bytes) {
  std::byte* const chunk = view_.chunk(chunk_);  // page aligned, as chunks are
  const std::uint64_t first = from / kPageBytes * kPageBytes;
  if (::msync(chunk + first, from + bytes - first, MS_SYNC) == 0) return Status();
  return Status::from_errno("the record is in the ring but not on the disk: msync " + path_);
}

}  // namespace phlower
