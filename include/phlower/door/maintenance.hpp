// The upkeep of a history from outside its engine, whatever lies at the path: a data folder, or a
// file in one of the origin's schemas; while an engine or another program uses it, or at rest.
// START HERE; the other headers of this room that it includes are its parts.
#pragma once

#include <sys/stat.h>

#include <string>
#include <utility>

#include "phlower/door/file_census.hpp"
#include "phlower/door/file_purge.hpp"
#include "phlower/door/folder_plan.hpp"
#include "phlower/door/folder_purge.hpp"
#include "phlower/door/folder_rescue.hpp"
#include "phlower/door/folder_verify.hpp"
#include "phlower/door/maintenance_options.hpp"
#include "phlower/door/maintenance_report.hpp"
#include "phlower/door/pace.hpp"

namespace phlower {

/// Each call is one run, and its report says how it ended: an error is in `status`, which names the
/// file. Not thread safe. Blocks: until all is done, `max_time` is up or `wanted` says no; what is
/// done by then is good, and another run goes on from there.
class Maintenance {
 public:
  /// `clock` outlives this.
  Maintenance(MaintenanceOptions options, Clock& clock)
      : options_(std::move(options)), clock_(clock) {}

  /// Removes what has expired: rows of a file in short slices, segments of a folder at once.
  /// Whoever uses the history goes on. Errors: kNotFound, kNotOurs, kPermission, kBusy (a lock that
  /// was not to be had), kUnsupported (free pages cannot go back; the rest is done), and of the
  /// stores.
  MaintenanceReport purge() {
    return run([this](Pace& pace, MaintenanceReport& report) {
      if (!report.folder) return purge_file(options_, pace, report);
      if (options_.reclaim)
        return unsupported(": a data folder; free pages are given back of files");
      FolderPlan plan(options_, pace, report);
      if (Status status = plan.take_retention(); !status.ok()) return status;
      return FolderPurge(options_, plan, pace, report).run();
    });
  }

  /// Counts what `purge` would remove, and writes nothing.
  MaintenanceReport dry_run() {
    return run([this](Pace& pace, MaintenanceReport& report) {
      report.dry_run = true;
      if (!report.folder) return count_expired(options_, pace, report);
      FolderPlan plan(options_, pace, report);
      if (Status status = plan.take_retention(); !status.ok()) return status;
      return FolderPurge(options_, plan, pace, report).dry_run();
    });
  }

  /// Of a folder: reads everything and sets aside what is damaged. kCorrupt: there was damage.
  MaintenanceReport verify() {
    return run([this](Pace& pace, MaintenanceReport& report) {
      if (!report.folder) return not_a_folder();
      return FolderVerify(options_, pace, report).run();
    });
  }

  /// Of a folder: copies the newest hours of each adopted file into segments and unlinks that file.
  /// kBusy while an engine has the folder, kNotFound where nothing was adopted.
  MaintenanceReport rescue(Hours newest) { return rescue(newest, false); }
  /// What that would copy and unlink; writes nothing.
  MaintenanceReport dry_rescue(Hours newest) { return rescue(newest, true); }

 private:
  MaintenanceReport rescue(Hours newest, bool dry) {
    return run([this, newest, dry](Pace& pace, MaintenanceReport& report) {
      report.dry_run = dry;
      if (!report.folder) return not_a_folder();
      FolderPlan plan(options_, pace, report);
      if (Status status = plan.take_retention(); !status.ok()) return status;
      FolderRescue work(newest, options_, plan, pace, report);
      return dry ? work.dry_run() : work.run();
    });
  }

  template <class Work>
  MaintenanceReport run(Work&& work) {
    MaintenanceReport report;
    Pace pace(options_, clock_);
    Status status = check_options();
    if (status.ok()) status = look_at(report);
    if (status.ok()) status = work(pace, report);
    report.elapsed = pace.elapsed();
    report.end = status.ok() ? pace.end() : MaintenanceEnd::kProblem;
    report.status = std::move(status);
    return report;
  }

  Status check_options() const {
    const auto fits = [](const std::optional<Hours>& hours) {
      return !hours || (*hours >= Hours(1) && *hours <= Hours(87'600));
    };
    const char* wrong = nullptr;
    if (!fits(options_.invocations)) wrong = "invocations: must be 1h to 87600h";
    if (!fits(options_.details)) wrong = "details: must be 1h to 87600h";
    if (options_.slice <= Nanoseconds(0)) wrong = "slice: must be longer than 0s";
    if (options_.duty_percent < 1 || options_.duty_percent > 100) {
      wrong = "duty_percent: must be 1 to 100";
    }
    if (wrong == nullptr) return Status();
    return Status(Code::kInvalidArgument, "maintenance of " + options_.path + ": " + wrong);
  }

  Status look_at(MaintenanceReport& report) const {
    const std::string& path = options_.path;
    struct ::stat info {};
    if (::stat(path.c_str(), &info) != 0) return Status::from_errno(path);
    report.folder = S_ISDIR(info.st_mode);
    if (report.folder) return Catalog::look_for(path);
    if (!S_ISREG(info.st_mode)) return Status(Code::kNotOurs, path + ": is no regular file");
    return Status();
  }

  Status unsupported(const char* why) const {
    return Status(Code::kUnsupported, options_.path + why);
  }
  Status not_a_folder() const {
    return Status(Code::kNotOurs,
                  options_.path + ": a file; a data folder can be verified, or rescued from");
  }

  MaintenanceOptions options_;
  Clock& clock_;
};

}  // namespace phlower
