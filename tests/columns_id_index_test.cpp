// The index of ids: a row that is there is always found, others seldom, two indexes are compared in
// one pass, and pages that were damaged or made to harm are refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "phlower/columns/id_compare.hpp"
#include "phlower/columns/id_index_find.hpp"
#include "phlower/columns/id_index_writer.hpp"
#include "phlower/ground/random.hpp"
#include "support/hostile_blob.hpp"

namespace phlower {
namespace {

using testing::each_bit_turned;
using testing::each_truncation;

/// The pages of one index, and how often each was read.
struct Pages {
  IdIndexShape shape;
  std::vector<std::string> filters;
  std::vector<std::string> row_parts;
  std::map<std::uint32_t, int> filter_reads;

  Result<IdFilterPage> filter(std::uint32_t page) {
    EXPECT_LT(page, filters.size());
    if (page >= filters.size()) return Status(Code::kIo);
    ++filter_reads[page];
    return IdFilterPage::open(filters[page], shape, page);
  }
  Result<std::string_view> rows(std::uint32_t page, std::size_t at, std::size_t bytes) {
    EXPECT_LT(page, row_parts.size());
    if (at > row_parts[page].size()) return Status(Code::kIo);
    return std::string_view(row_parts[page]).substr(at, bytes);
  }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::string& part : filters) sum += part.size();
    for (const std::string& part : row_parts) sum += part.size();
    return sum;
  }
};

Pages index_of(IdIndexShape shape, const std::vector<std::uint64_t>& hashes) {
  std::vector<HashedRow> sorted;
  for (std::uint32_t row = 0; row < hashes.size(); ++row) {
    sorted.push_back(hashed_row(hashes[row], row));
  }
  std::sort(sorted.begin(), sorted.end());
  Pages pages{shape, {}, {}, {}};
  IdIndexWriter writer(shape,
                       [&](std::uint32_t page, std::string_view filter, std::string_view rows) {
                         EXPECT_EQ(page, pages.filters.size());
                         pages.filters.emplace_back(filter);
                         pages.row_parts.emplace_back(rows);
                         return Status();
                       });
  for (const HashedRow entry : sorted) {
    const Status status = writer.add(entry);
    EXPECT_TRUE(status.ok()) << status.message();
  }
  const Status status = writer.finish();
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(pages.filters.size(), shape.pages());
  return pages;
}

std::vector<std::uint64_t> random_hashes(Random& random, std::size_t count) {
  std::vector<std::uint64_t> hashes(count);
  for (std::uint64_t& hash : hashes) hash = random.next();
  return hashes;
}

std::vector<std::uint32_t> rows_of(Pages& pages, std::uint64_t hash) {
  std::vector<std::uint32_t> rows;
  const auto found = find_rows(pages, pages.shape, hash, [&](std::uint32_t row) {
    rows.push_back(row);
    return false;
  });
  EXPECT_TRUE(found.ok()) << found.status().message();
  return rows;
}

// Everything that a plain map knows, in find, filter and iteration.
void expect_as_a_map(Pages& pages, const std::vector<std::uint64_t>& hashes) {
  std::map<std::uint64_t, std::set<std::uint32_t>> model;
  for (std::uint32_t row = 0; row < hashes.size(); ++row) model[hashes[row]].insert(row);
  for (const auto& [hash, wanted] : model) {
    const std::vector<std::uint32_t> rows = rows_of(pages, hash);
    const std::set<std::uint32_t> found(rows.begin(), rows.end());
    ASSERT_EQ(found.size(), rows.size()) << "a row twice";
    ASSERT_TRUE(std::includes(found.begin(), found.end(), wanted.begin(), wanted.end())) << hash;
    const auto may = may_hold(pages, pages.shape, hash);
    ASSERT_TRUE(may.ok() && *may);
  }
  IndexedRows rows(pages.shape, pages);
  std::vector<bool> seen(hashes.size());
  std::uint64_t last = 0;
  for (;;) {
    const auto next = rows.next();
    ASSERT_TRUE(next.ok()) << next.status().message();
    if (!next->has_value()) break;
    const RowOfHashes& of = **next;
    ASSERT_LT(of.row, hashes.size());
    ASSERT_FALSE(seen[of.row]);
    seen[of.row] = true;
    ASSERT_LE(last, of.least);
    ASSERT_LE(of.least, index_hash(hashes[of.row]));
    ASSERT_GE(of.greatest, index_hash(hashes[of.row]));
    last = of.least;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), false), 0);
}

TEST(IdIndex, HoldsWhatAMapHoldsInEveryShape) {
  Random random(1);
  for (const std::uint32_t count :
       {0u, 1u, 2u, 3u, 4u, 5u, 7u, 8u, 9u, 255u, 4'096u, 4'097u, 9'000u}) {
    const auto hashes = random_hashes(random, count);
    for (const std::uint8_t bits : {8, 10, 12}) {
      for (const std::uint8_t page_bits : {0, 3, 10, 12}) {
        SCOPED_TRACE(std::to_string(count) + " rows, " + std::to_string(bits) + " bits, pages of " +
                     std::to_string(1 << page_bits));
        if (page_bits == 0 && count > 300) continue;
        Pages pages = index_of({count, bits, page_bits}, hashes);
        expect_as_a_map(pages, hashes);
      }
    }
  }
}

TEST(IdIndex, HoldsIdsThatAreAllTheSame) {
  const std::vector<std::uint64_t> hashes(16'384, 0x1234'5678'9abc'def0);
  for (const IdIndexShape shape : {IdIndexShape::sealed(16'384), IdIndexShape::run(16'384)}) {
    Pages pages = index_of(shape, hashes);
    EXPECT_EQ(rows_of(pages, hashes[0]).size(), hashes.size());
    expect_as_a_map(pages, hashes);
  }
}

TEST(IdIndex, HoldsIdsThatWereMadeToMeetInOneBucket) {
  Random random(2);
  const std::uint32_t count = 600;
  for (const int free_bits : {35, 50}) {  // of one remainder, and of all of a bucket
    for (const std::uint64_t upper : {std::uint64_t{0}, std::uint64_t{77}, ~std::uint64_t{0}}) {
      std::vector<std::uint64_t> hashes = random_hashes(random, count);
      for (std::uint64_t& hash : hashes) {
        if (!random.chance(1, 50)) hash = upper << free_bits | hash >> (64 - free_bits);
      }
      for (const IdIndexShape shape : {IdIndexShape::sealed(count), IdIndexShape::run(count)}) {
        Pages pages = index_of(shape, hashes);
        expect_as_a_map(pages, hashes);
      }
    }
  }
}

TEST(IdIndex, CountsOfBucketsUpToAndBeyondAByteAreKept) {
  for (const std::uint32_t count : {253u, 254u, 255u, 256u, 300u}) {
    std::vector<std::uint64_t> hashes;
    for (std::uint32_t row = 0; row < count; ++row) hashes.push_back(std::uint64_t{row} << 24);
    for (std::uint32_t row = 0; row < count; ++row) hashes.push_back(~(std::uint64_t{row} << 24));
    Pages pages = index_of(IdIndexShape::sealed(2 * count), hashes);
    expect_as_a_map(pages, hashes);
  }
}

TEST(IdIndex, SeldomTakesAnAbsentIdForOneThatIsThere) {
  Random random(3);
  const auto hashes = random_hashes(random, 50'000);
  const auto absent = random_hashes(random, 50'000);
  for (const std::uint8_t bits : {8, 10, 12}) {
    Pages pages = index_of({50'000, bits, 10}, hashes);
    // Checked once, as a reader that keeps its filters does.
    struct Kept {
      Pages& pages;
      std::vector<IdFilterPage> open;
      Result<IdFilterPage> filter(std::uint32_t page) { return open[page]; }
      Result<std::string_view> rows(std::uint32_t page, std::size_t at, std::size_t bytes) {
        return pages.rows(page, at, bytes);
      }
    } kept{pages, {}};
    for (std::uint32_t page = 0; page < pages.shape.pages(); ++page) {
      const auto filter = pages.filter(page);
      ASSERT_TRUE(filter.ok());
      kept.open.push_back(*filter);
    }
    std::size_t hits = 0;
    for (const std::uint64_t hash : absent) hits += *may_hold(kept, pages.shape, hash) ? 1u : 0u;
    const double expected = 50'000 * 4.0 / (1 << bits);
    EXPECT_LT(static_cast<double>(hits), 1.5 * expected + 20) << int{bits};
    EXPECT_GT(static_cast<double>(hits), 0.5 * expected - 20) << int{bits};
  }
}

TEST(IdIndex, HasTheBytesThatThePageTells) {
  Random random(4);
  const auto hashes = random_hashes(random, 100'000);
  const Pages sealed = index_of(IdIndexShape::sealed(100'000), hashes);
  // A quarter of a byte for the count, 10 bits of hash, 17 of row, and two heads for 4,096 rows.
  const double bytes = 0.25 + 10 / 8.0 + 17 / 8.0 + 100.0 / 4'096;
  EXPECT_NEAR(static_cast<double>(sealed.bytes()) / 100'000, bytes, 0.01);
}

TEST(IdIndexShape, KnowsItsGreatestNumberOfRows) {
  const IdIndexShape most = IdIndexShape::sealed(kIndexedRowsMax);
  EXPECT_TRUE(most.valid());
  EXPECT_EQ(most.row_bits(), 24u);
  EXPECT_EQ(most.buckets(), (1u << 22) - 1);
  EXPECT_EQ(most.pages(), 4'096u);
  EXPECT_EQ(most.buckets_in(most.pages() - 1), 1'023u);
  const std::uint64_t greatest = (std::uint64_t{1} << kIndexHashBits) - 1;
  EXPECT_EQ(most.key_of(greatest) >> most.remainder_bits, most.buckets() - 1);
  EXPECT_EQ(most.key_of(0), 0u);
  EXPECT_EQ(most.least_hash((most.key_of(greatest) + 1)), greatest + 1);
  Random random(5);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t hash = index_hash(random.next());
    const std::uint64_t key = most.key_of(hash);
    ASSERT_LE(most.least_hash(key), hash);
    ASSERT_GT(most.least_hash(key + 1), hash);
    ASSERT_EQ(most.key_of(most.least_hash(key)), key);
  }
  EXPECT_FALSE(IdIndexShape::sealed(kIndexedRowsMax + 1).valid());
  EXPECT_EQ(IdIndexShape::sealed(0).pages(), 0u);
  EXPECT_EQ(IdIndexShape::sealed(1).row_bits(), 0u);
  EXPECT_EQ(IdIndexShape::run(16'384).pages(), 1u);
}

TEST(IdIndexWriter, RefusesRowsOutOfOrderAndTooFewOrTooMany) {
  const auto sink = [](std::uint32_t, std::string_view, std::string_view) { return Status(); };
  IdIndexWriter few(IdIndexShape::sealed(2), sink);
  EXPECT_TRUE(few.add(hashed_row(~0ull, 1)).ok());
  EXPECT_EQ(few.add(hashed_row(0, 0)).code(), Code::kInvalidArgument);
  EXPECT_EQ(few.add(hashed_row(~0ull, 2)).code(), Code::kInvalidArgument);
  EXPECT_EQ(few.finish().code(), Code::kInvalidArgument);
  EXPECT_TRUE(few.add(hashed_row(~0ull, 1)).ok());
  EXPECT_EQ(few.add(hashed_row(~0ull, 1)).code(), Code::kInvalidArgument);
  EXPECT_TRUE(few.finish().ok());
  IdIndexWriter failing(
      IdIndexShape::sealed(1),
      [](std::uint32_t, std::string_view, std::string_view) { return Status(Code::kDiskFull); });
  EXPECT_TRUE(failing.add(hashed_row(0, 0)).ok());
  EXPECT_EQ(failing.finish().code(), Code::kDiskFull);
}

// Every pair that has the same hash, once, and not too many others; each filter is read once.
template <class Younger>
void expect_all_pairs(Younger& younger, const std::vector<std::uint64_t>& young, Pages& older,
                      const std::vector<std::uint64_t>& old, double false_share) {
  std::multimap<std::uint64_t, std::uint32_t> model;
  for (std::uint32_t row = 0; row < old.size(); ++row) model.emplace(old[row], row);
  std::set<std::pair<std::uint32_t, std::uint32_t>> wanted;
  for (std::uint32_t row = 0; row < young.size(); ++row) {
    for (auto [at, end] = model.equal_range(young[row]); at != end; ++at) {
      wanted.emplace(row, at->second);
    }
  }
  std::set<std::pair<std::uint32_t, std::uint32_t>> found;
  older.filter_reads.clear();
  const auto done = compare_ids(younger, older.shape, older, [&](std::uint32_t a, std::uint32_t b) {
    EXPECT_TRUE(found.emplace(a, b).second) << "a pair twice";
    return false;
  });
  ASSERT_TRUE(done.ok()) << done.status().message();
  EXPECT_TRUE(std::includes(found.begin(), found.end(), wanted.begin(), wanted.end()));
  EXPECT_LT(static_cast<double>(found.size() - wanted.size()),
            false_share * static_cast<double>(young.size()) + 20);
}

TEST(CompareIds, FindsEveryPairInOnePass) {
  Random random(6);
  for (const auto& [young_count, old_count] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 100}, {100, 0}, {1, 1}, {30'000, 30'000}, {500, 40'000}, {40'000, 500}}) {
    const auto old = random_hashes(random, old_count);
    auto young = random_hashes(random, young_count);
    for (std::uint64_t& hash : young) {
      if (!old.empty() && random.chance(1, 30)) hash = old[random.below(old.size())];
    }
    Pages older = index_of(IdIndexShape::sealed(static_cast<std::uint32_t>(old_count)), old);
    Pages younger = index_of(IdIndexShape::sealed(static_cast<std::uint32_t>(young_count)), young);
    std::vector<HashedRow> sorted;
    for (std::uint32_t row = 0; row < young.size(); ++row) {
      sorted.push_back(hashed_row(young[row], row));
    }
    std::sort(sorted.begin(), sorted.end());
    HashedRows exact(sorted);
    expect_all_pairs(exact, young, older, old, 1.5 * 4 / 1024);
    for (const auto& [page, reads] : older.filter_reads) EXPECT_EQ(reads, 1) << page;
    IndexedRows pages(younger.shape, younger);
    const double wider = static_cast<double>(old_count) / static_cast<double>(young_count + 1);
    expect_all_pairs(pages, young, older, old, 1.5 * 4 / 1024 * (2 + wider));
  }
}

TEST(CompareIds, EndsWhenNobodyWantsMoreAndPassesErrorsOn) {
  const std::vector<std::uint64_t> hashes(100, 7);
  Pages older = index_of(IdIndexShape::sealed(100), hashes);
  Pages younger = index_of(IdIndexShape::sealed(100), hashes);
  IndexedRows rows(younger.shape, younger);
  int pairs = 0;
  const auto done = compare_ids(rows, older.shape, older,
                                [&](std::uint32_t, std::uint32_t) { return ++pairs == 3; });
  EXPECT_TRUE(done.ok() && *done);
  EXPECT_EQ(pairs, 3);
  older.filters[0].back() ^= 1;
  IndexedRows again(younger.shape, younger);
  EXPECT_EQ(
      compare_ids(again, older.shape, older, [](std::uint32_t, std::uint32_t) { return false; })
          .status()
          .code(),
      Code::kCorrupt);
}

// What is believed is read in every way, and gives no row that the index has not.
void use(Pages& pages) {
  for (std::uint64_t i = 0; i < 16; ++i) {
    const auto found = find_rows(pages, pages.shape, i << 60 | i << 40, [&](std::uint32_t row) {
      EXPECT_LT(row, pages.shape.rows);
      return false;
    });
    if (!found.ok()) {
      EXPECT_NE(found.status().code(), Code::kIo) << found.status().message();
    }
  }
  IndexedRows rows(pages.shape, pages);
  Pages copy = pages;
  (void)compare_ids(rows, copy.shape, copy, [](std::uint32_t, std::uint32_t) { return false; });
}

TEST(IdIndex, LeadsNowhereWhateverBitOfAPageIsTurned) {
  Random random(7);
  std::vector<std::uint64_t> crowded(258, std::uint64_t{5} << 60);
  for (const std::uint64_t hash : random_hashes(random, 20)) crowded.push_back(hash);
  for (const auto& hashes : {random_hashes(random, 23), crowded}) {
    const auto count = static_cast<std::uint32_t>(hashes.size());
    const Pages good = index_of({count, 10, 2}, hashes);
    each_bit_turned(good.filters[0],
                    [&](const std::string& blob, bool sealed, const std::string& what) {
                      SCOPED_TRACE(what);
                      Pages pages = good;
                      pages.filters[0] = blob;
                      if (!sealed) {
                        EXPECT_EQ(pages.filter(0).status().code(), Code::kCorrupt);
                      }
                      use(pages);
                    });
    each_bit_turned(good.row_parts[0], [&](const std::string& blob, bool, const std::string& what) {
      SCOPED_TRACE(what);
      Pages pages = good;
      pages.row_parts[0] = blob;
      use(pages);
    });
  }
}

TEST(IdIndex, OfCutPagesIsNotBelieved) {
  Random random(8);
  const auto hashes = random_hashes(random, 19);
  const Pages good = index_of({19, 10, 10}, hashes);
  each_truncation(good.filters[0], [&](const std::string& blob, const std::string& what) {
    EXPECT_EQ(IdFilterPage::open(blob, good.shape, 0).status().code(), Code::kCorrupt) << what;
  });
  each_truncation(good.row_parts[0], [&](const std::string& blob, const std::string& what) {
    EXPECT_EQ(check_rows_page(blob, good.shape, 0, 19).code(), Code::kCorrupt) << what;
    Pages pages = good;
    pages.row_parts[0] = blob;
    use(pages);
  });
  EXPECT_EQ(
      IdFilterPage::open(testing::resealed(good.filters[0] + '\0'), good.shape, 0).status().code(),
      Code::kCorrupt);
}

TEST(IdIndex, PagesInEachOthersPlaceAreRefused) {
  Random random(9);
  Pages pages = index_of({40, 10, 2}, random_hashes(random, 40));
  std::swap(pages.filters[0], pages.filters[1]);
  std::swap(pages.row_parts[0], pages.row_parts[1]);
  EXPECT_EQ(pages.filter(0).status().code(), Code::kCorrupt);
  EXPECT_EQ(check_rows_page(pages.row_parts[0], pages.shape, 0, 4).code(), Code::kCorrupt);
  EXPECT_EQ(IdFilterPage::open(pages.filters[0], IdIndexShape{41, 10, 2}, 1).status().code(),
            Code::kCorrupt);
  const auto head = read_id_page_head(pages.filters[0], kIdFilterPage);
  ASSERT_TRUE(head.ok());
  EXPECT_EQ(head->shape, pages.shape);
  std::string later = pages.filters[1];
  later[1] = 1;
  EXPECT_EQ(IdFilterPage::open(testing::resealed(later), pages.shape, 0).status().code(),
            Code::kUnsupported);
}

}  // namespace
}  // namespace phlower
