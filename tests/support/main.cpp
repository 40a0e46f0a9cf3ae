// The main of the test programs. A name given to it, as in `ring_tests ring_kill_test`, is a source
// file: only the tests in there run. A name without tests is an error, so that none is lost unseen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <string>

namespace {

/// The tests in the source file `<name>.cpp`, as a filter of GoogleTest.
std::string tests_of(const std::string& name) {
  std::string filter;
  const auto& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const auto& suite = *all.GetTestSuite(i);
    for (int k = 0; k < suite.total_test_count(); ++k) {
      const auto& test = *suite.GetTestInfo(k);
      if (std::filesystem::path(test.file()).stem() != name) continue;
      filter += std::string(suite.name()) + '.' + test.name() + ':';
    }
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string tests = tests_of(argv[i]);
    if (tests.empty()) {
      std::fprintf(stderr, "%s: no tests in a file %s.cpp\n", argv[0], argv[i]);
      return 2;
    }
    filter += tests;
  }
  if (argc > 1) GTEST_FLAG_SET(filter, filter);
  return RUN_ALL_TESTS();
}
