// What the command lines of all tools have in common: --json, --quiet, --version, examples under
// --help, exit codes.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"
#include "phlower/store/sqlite.hpp"
#include "phlower/version.hpp"

namespace phlower::tools {

inline constexpr int kExitDone = 0;
inline constexpr int kExitProblem = 1;  // not done, or a problem was found
inline constexpr int kExitUsage = 2;    // wrong usage or wrong configuration

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

/// One clear line on stderr; returns the exit code of wrong usage.
inline int usage_error(std::string_view tool, const Status& status) {
  std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(tool.size()), tool.data(),
               std::string(status.message()).c_str());
  return kExitUsage;
}

/// Parses; a value means: end with this exit code.
inline std::optional<int> parse_command_line(CLI::App& app, int argc, char** argv,
                                             CommonOptions& common, std::string_view examples) {
  app.add_flag("--json", common.json, "one JSON object on the last line of stdout");
  app.add_flag("--quiet", common.quiet, "no progress and no table");
  app.set_version_flag("--version", version_text());
  app.footer(std::string(examples));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return usage_error(app.get_name(), Status(Code::kInvalidArgument, error.what()));
  }
  return std::nullopt;
}

}  // namespace phlower::tools
