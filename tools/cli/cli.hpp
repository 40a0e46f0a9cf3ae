// What the command lines of all tools have in common: --json, --quiet, --version, examples under
// --help.
#pragma once

#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "cli/exit_codes.hpp"
#include "phlower/ground/status.hpp"
#include "phlower/sqlite/sqlite.hpp"
#include "phlower/version.hpp"

namespace phlower::tools {

inline constexpr const char* kJsonLine = "one JSON object on the last line of stdout";

struct CommonOptions {
  bool json = false;
  bool quiet = false;
};

/// Phlower, SQLite, and those of its compile options that change what Phlower can do.
inline std::string version_text() {
  std::string text = fmt::format("Phlower {}\nSQLite {}\n", PHLOWER_VERSION, sqlite3_libversion());
  for (const char* name : {"SECURE_DELETE", "DEFAULT_WAL_SYNCHRONOUS=2", "THREADSAFE=1",
                           "ENABLE_UPDATE_DELETE_LIMIT", "MAX_ATTACHED=125"}) {
    text += fmt::format("  {:<28} {}\n", name, sqlite3_compileoption_used(name) ? "yes" : "no");
  }
  return text;
}

/// A history has a file for each span of its lifetime, and who reads all of it has all of them
/// open; the limit that a shell gives is low, the one that this process may have is not.
inline void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Parses; a value means: end with this exit code.
inline std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv,
                                             CommonOptions& common, std::string_view examples,
                                             const char* json = kJsonLine) {
  app.add_flag("--json", common.json, json);
  app.add_flag("--quiet", common.quiet, "no progress and no table");
  app.set_version_flag("--version", version_text());
  app.footer(std::string(examples));
  raise_descriptor_limit();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return usage_error(app.get_name(), Status(Code::kInvalidArgument, error.what()));
  }
  return std::nullopt;
}

}  // namespace phlower::tools
