// Another process with a database of ours: it does what it is told before, says when it is ready,
// and ends when it is told to, or is killed.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <stdexcept>
#include <string>

namespace phlower::testing {

/// Made by fork: this process has no database open at that moment, as SQLite's state must not
/// cross.
class OtherProcess {
 public:
  /// `body` runs in the other one; `ready` says so to this one, `told_to_end` asks without waiting.
  class Talk {
   public:
    void ready() const {
      const char byte = 1;
      if (::write(ready_, &byte, 1) != 1) ::_exit(3);
    }
    bool told_to_end() const {
      char byte = 0;
      return ::read(end_, &byte, 1) == 0;
    }

   private:
    friend class OtherProcess;
    int ready_ = -1;
    int end_ = -1;
  };

  explicit OtherProcess(const std::function<bool(const Talk&)>& body) {
    int ready[2];
    int end[2];
    if (::pipe(ready) != 0 || ::pipe(end) != 0) throw std::runtime_error("no pipe");
    child_ = ::fork();
    if (child_ == 0) {
      ::close(end[1]);
      ::fcntl(end[0], F_SETFL, O_NONBLOCK);
      Talk talk;
      talk.ready_ = ready[1];
      talk.end_ = end[0];
      ::_exit(body(talk) ? 0 : 1);
    }
    ::close(ready[1]);
    ::close(end[0]);
    end_ = end[1];
    char byte = 0;
    ready_ = ::read(ready[0], &byte, 1) == 1;
    ::close(ready[0]);
  }
  OtherProcess(const OtherProcess&) = delete;
  OtherProcess& operator=(const OtherProcess&) = delete;
  ~OtherProcess() {
    if (child_ > 0) ::kill(child_, SIGKILL);
    end();
  }

  bool is_ready() const { return ready_; }
  pid_t pid() const { return child_; }
  /// Its exit code; of the signal that ended it: 128 + its number.
  int end() {
    if (end_ >= 0) ::close(end_);
    end_ = -1;
    if (child_ <= 0) return ended_;
    int status = 0;
    ::waitpid(child_, &status, 0);
    child_ = -1;
    ended_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return ended_;
  }
  int kill_it() {
    ::kill(child_, SIGKILL);
    return end();
  }

 private:
  pid_t child_ = -1;
  int end_ = -1;
  int ended_ = -1;
  bool ready_ = false;
};

}  // namespace phlower::testing
