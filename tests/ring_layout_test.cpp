// The bytes of a ring file: control words, the two-scan rule, the identity in the header, and the
// decision what to do with a file that was found.
#include "phlower/ring/layout.hpp"

#include <gtest/gtest.h>

#include "phlower/ring/ring_file.hpp"
#include "phlower/ring/worklist.hpp"

namespace phlower {
namespace {

TEST(ControlWord, GivesBackWhatWasPacked) {
  for (const ChunkState state : {ChunkState::kFree, ChunkState::kOwned, ChunkState::kFull}) {
    for (const std::uint32_t lane : {0u, 1u, 4095u}) {
      for (const std::uint64_t generation : {std::uint64_t{0}, std::uint64_t{7}, kGenerationMask}) {
        for (const std::uint32_t used : {0u, 1u, 32768u, 65535u}) {
          const Ctl ctl = unpack(pack({state, lane, generation, used}));
          EXPECT_EQ(ctl.state, state);
          EXPECT_EQ(ctl.lane, lane);
          EXPECT_EQ(ctl.generation, generation);
          EXPECT_EQ(ctl.used, used);
        }
      }
    }
  }
}

TEST(ControlWord, HasTheBitsThatTheFormatSays) {
  EXPECT_EQ(pack({ChunkState::kOwned, 5, 3, 9}), (1ull << 62) | (5ull << 50) | (3ull << 16) | 9);
  EXPECT_EQ(pack({ChunkState::kFull, 0, 0, 0}), 2ull << 62);
  EXPECT_EQ(unpack(0).state, ChunkState::kFree);  // a file of zeros is a ring of free chunks
}

TEST(ControlWord, MovesUsedByAddition) {
  const std::uint64_t word = pack({ChunkState::kOwned, 4095, kGenerationMask, 100});
  EXPECT_EQ(word + 28, pack({ChunkState::kOwned, 4095, kGenerationMask, 128}));
}

TEST(ControlWord, StartsAgainWhenTheGenerationsAreUsedUp) {
  EXPECT_EQ(free_word_after(41), pack({ChunkState::kFree, 0, 42, 0}));
  EXPECT_EQ(free_word_after(kGenerationMask), 0u);
}

TEST(ControlWord, IsImplausibleWhenItCannotBeOfThisRing) {
  const std::uint32_t lanes = 8;
  const std::uint32_t bytes = 8192;
  EXPECT_TRUE(plausible({ChunkState::kFree, 0, 5, 0}, lanes, bytes));
  EXPECT_TRUE(plausible({ChunkState::kOwned, 7, 5, 1024}, lanes, bytes));
  EXPECT_FALSE(plausible({ChunkState::kFree, 1, 5, 0}, lanes, bytes));
  EXPECT_FALSE(plausible({ChunkState::kFree, 0, 5, 1}, lanes, bytes));
  EXPECT_FALSE(plausible({ChunkState::kOwned, 8, 5, 0}, lanes, bytes));
  EXPECT_FALSE(plausible({ChunkState::kFull, 0, 5, 1025}, lanes, bytes));
  EXPECT_FALSE(plausible({ChunkState::kInvalid, 0, 5, 0}, lanes, bytes));
}

TEST(RecordSpan, CountsHeaderPayloadAndFill) {
  EXPECT_EQ(record_span(1), 32u);
  EXPECT_EQ(record_span(8), 32u);
  EXPECT_EQ(record_span(9), 40u);
}

TEST(RecordSeed, DependsOnRingChunkAndTheWholeGeneration) {
  RingId ring{};
  const std::uint32_t seed = record_seed(ring, 3, 5);
  EXPECT_EQ(record_seed(ring, 3, 5), seed);
  EXPECT_NE(record_seed(ring, 4, 5), seed);
  EXPECT_NE(record_seed(ring, 3, 6), seed);
  EXPECT_NE(record_seed(ring, 3, 5 + (1ull << 32)), seed);  // the tag does not tell these apart
  ring[15] = 1;
  EXPECT_NE(record_seed(ring, 3, 5), seed);
}

std::vector<std::uint32_t> chunks_after_rule(std::vector<ScanEntry> first,
                                             std::vector<ScanEntry> second) {
  std::vector<std::uint64_t> limits(8);
  apply_two_scan_rule(first, second, limits);
  EXPECT_EQ(limits, std::vector<std::uint64_t>(8));
  std::vector<std::uint32_t> chunks;
  for (const ScanEntry& entry : second) chunks.push_back(entry.chunk);
  return chunks;
}

TEST(TwoScanRule, TakesEarlierChunksThatOnlyTheSecondScanSaw) {
  const ScanEntry late{1, 3, 20, 0, 0};
  const ScanEntry early{1, 0, 10, 0, 0};
  EXPECT_EQ(chunks_after_rule({late}, {early, late}), (std::vector<std::uint32_t>{0, 3}));
}

TEST(TwoScanRule, LeavesOutWhatBeganAfterTheFirstScan) {
  const ScanEntry seen{1, 3, 20, 0, 0};
  const ScanEntry newer{1, 4, 30, 0, 0};
  EXPECT_EQ(chunks_after_rule({seen}, {newer, seen}), (std::vector<std::uint32_t>{3}));
  EXPECT_TRUE(chunks_after_rule({}, {newer}).empty());
}

TEST(TwoScanRule, BoundsEachLaneByItself) {
  const ScanEntry lane2{2, 5, 100, 0, 0};
  const ScanEntry lane1{1, 6, 7, 0, 0};
  const ScanEntry lane1_newer{1, 7, 8, 0, 0};
  EXPECT_EQ(chunks_after_rule({lane2, lane1}, {lane2, lane1_newer, lane1}),
            (std::vector<std::uint32_t>{6, 5}));
}

TEST(TwoScanRule, PutsTheChunkFirstThatWaitsLongest) {
  const std::vector<ScanEntry> seen{{1, 0, 10, 500, 0}, {1, 1, 20, 900, 0}, {2, 2, 7, 600, 0}};
  EXPECT_EQ(chunks_after_rule(seen, seen), (std::vector<std::uint32_t>{0, 2, 1}));
}

TEST(TwoScanRule, KeepsTheOrderOfALaneWhateverTimesSay) {
  const std::vector<ScanEntry> seen{{1, 0, 10, 900, 0}, {1, 1, 20, 100, 0}, {2, 2, 7, 600, 0}};
  EXPECT_EQ(chunks_after_rule(seen, seen), (std::vector<std::uint32_t>{2, 0, 1}));
}

TEST(TwoScanRule, TakesADamagedSequenceAsItIs) {
  const ScanEntry damaged{1, 2, UINT64_MAX, 0, 0};
  EXPECT_EQ(chunks_after_rule({damaged}, {damaged}), (std::vector<std::uint32_t>{2}));
  const ScanEntry zero{1, 2, 0, 0, 0};
  EXPECT_EQ(chunks_after_rule({zero}, {zero}), (std::vector<std::uint32_t>{2}));
}

RingIdentity good_identity() {
  RingOptions options;
  options.size_bytes = 1 << 20;
  RingIdentity identity = wanted_identity(options, Durability::kProcess).value();
  identity.created_ns = 42;
  identity.ring_id[3] = 9;
  seal_identity(identity);
  return identity;
}

TEST(RingIdentity, PassesItsOwnCheck) {
  const RingIdentity identity = good_identity();
  EXPECT_TRUE(check_identity(identity, identity.file_bytes).ok());
  EXPECT_EQ(identity.chunks, 16u);
  EXPECT_EQ(identity.ctl_off, 0x1000u + 1024 * 128);
  EXPECT_EQ(identity.data_off % 4096, 0u);
}

TEST(RingIdentity, FailsItsCheckAfterAnyFlippedBit) {
  const RingIdentity good = good_identity();
  for (std::size_t bit = 0; bit < sizeof(RingIdentity) * 8; ++bit) {
    RingIdentity damaged = good;
    reinterpret_cast<unsigned char*>(&damaged)[bit / 8] ^=
        static_cast<unsigned char>(1u << (bit % 8));
    const Code code = check_identity(damaged, good.file_bytes).code();
    const Code expected = bit < 64 ? Code::kNotOurs : bit < 128 ? Code::kVersion : Code::kCorrupt;
    EXPECT_EQ(code, expected) << bit;
  }
}

TEST(RingIdentity, FailsItsCheckWhenTheFileWasTruncated) {
  const RingIdentity identity = good_identity();
  EXPECT_EQ(check_identity(identity, identity.file_bytes - 1).code(), Code::kCorrupt);
}

TEST(RingIdentity, FailsItsCheckWithARightChecksumAroundAWrongGeometry) {
  for (int which = 0; which < 6; ++which) {
    RingIdentity wrong = good_identity();
    if (which == 0) wrong.lanes = 4097;
    if (which == 1) wrong.chunks = 0;
    if (which == 2) wrong.chunk_bytes = 5000;
    if (which == 3) wrong.data_off += 4096;
    if (which == 4) wrong.durability = 2;
    if (which == 5) wrong.chunk_bytes = 1u << 31;
    wrong.header_crc = identity_crc(wrong);
    EXPECT_EQ(check_identity(wrong, wrong.file_bytes).code(), Code::kCorrupt) << which;
  }
}

TEST(RingIdentity, RefusesOptionsOutOfRange) {
  const auto code = [](auto change) {
    RingOptions options;
    change(options);
    return wanted_identity(options, Durability::kProcess).status().code();
  };
  EXPECT_EQ(code([](RingOptions&) {}), Code::kOk);
  EXPECT_EQ(code([](RingOptions& o) { o.chunk_bytes = 1000; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](RingOptions& o) { o.chunk_bytes = 1 << 20; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](RingOptions& o) { o.lanes = 0; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](RingOptions& o) { o.lanes = 4097; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](RingOptions& o) { o.size_bytes = 1; }), Code::kInvalidArgument);
  EXPECT_EQ(code([](RingOptions& o) { o.size_bytes = 1ull << 62; }), Code::kInvalidArgument);
}

TEST(JudgeRing, DecidesByIdentityBootAndGeometry) {
  const RingIdentity wanted = good_identity();
  BootId here{};
  BootId elsewhere{};
  elsewhere[0] = 1;
  RingIdentity other = wanted;
  other.lanes = 3;
  RingIdentity power = wanted;
  power.durability = 1;
  const Status ok;
  EXPECT_EQ(judge_ring(ok, wanted, wanted, here, false, false), FoundRing::kAttach);
  EXPECT_EQ(judge_ring(ok, wanted, wanted, elsewhere, false, false), FoundRing::kSalvage);
  EXPECT_EQ(judge_ring(ok, other, wanted, here, false, false), FoundRing::kSalvage);
  EXPECT_EQ(judge_ring(ok, power, wanted, here, false, false), FoundRing::kSalvage);
  EXPECT_EQ(judge_ring(ok, wanted, wanted, here, true, false), FoundRing::kSalvage);
  EXPECT_EQ(judge_ring(ok, wanted, wanted, here, false, true), FoundRing::kSalvage);
  EXPECT_EQ(judge_ring(Status(Code::kCorrupt), {}, wanted, here, false, false), FoundRing::kBad);
  EXPECT_EQ(judge_ring(Status(Code::kVersion), {}, wanted, here, false, false), FoundRing::kRefuse);
  EXPECT_EQ(judge_ring(Status(Code::kNotOurs), {}, wanted, here, false, false), FoundRing::kRefuse);
  EXPECT_EQ(judge_ring(Status(Code::kIo), {}, wanted, here, false, false), FoundRing::kRefuse);
}

}  // namespace
}  // namespace phlower
