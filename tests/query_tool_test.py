"""phlower-query as its users run it: what it prints where, where it looks, how it ends.

query_tool_test.py REPLAY QUERY CAPTURE
"""
import fcntl
import json
import os
import pty
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

REPLAY, QUERY, CAPTURE = map(os.path.abspath, sys.argv[1:4])
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PHLOWER_DATA"}


def content(path):
    with open(path) as f:
        return f.read()


def on_a_terminal(words, columns):
    """What the tool writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    tool = subprocess.Popen(words, stdout=theirs, stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    assert tool.wait(60) == 0
    return shown.decode().replace("\r\n", "\n")


class QueryTool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="phlower-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        cls.data = cls.path("data")
        cls.replay(cls.data, "--keep-forever")
        # Rows enough to be asked for a while; they are past their retention, so it is told anew.
        cls.large = cls.path("large")
        cls.replay(cls.large, "--make-backlog", "60000")
        cls.all = cls.write("all.yaml", f"retention: {{keep_forever: true}}\nstore: {{path: {cls.large}}}\n")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.dir, name)

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), "w") as f:
            f.write(text)
        return cls.path(name)

    @classmethod
    def replay(cls, data, *words):
        ring = cls.path("ring")
        subprocess.run([REPLAY, CAPTURE, "--data", data, "--ring", ring, "--quiet", *words], check=True,
                       timeout=240, stdout=subprocess.DEVNULL)
        if os.path.exists(ring):
            os.unlink(ring)

    def run_query(self, *words, code=0, **more):
        done = subprocess.run([QUERY, *map(str, words)], capture_output=True, text=True, timeout=240,
                              **{"env": ENVIRONMENT, **more})
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def ids(self, *words):
        return [row["task_id"] for row in json.loads(self.run_query(*words, "--json").stdout)["records"]]

    # ---- what it prints

    def test_prints_text_into_a_pipe_and_json_where_it_is_asked_for(self):
        task_id = self.ids("list", "--data", self.data, "--limit", 1)[0]
        for words, begins in ((["get", task_id], "task id    " + task_id), (["list"], "time (local)"),
                              (["search", "--state", "FAILURE"], "time (local)"), (["count"], " "),
                              (["times"], "    runs")):
            text = self.run_query(*words, "--data", self.data).stdout
            self.assertTrue(text.startswith(begins), text)
            self.assertGreater(len(text.splitlines()), 2)
            lines = self.run_query(*words, "--data", self.data, "--json").stdout.splitlines()
            self.assertEqual(len(lines), 1)
            self.assertIsInstance(json.loads(lines[0]), dict)

    def test_cuts_lines_to_the_terminal_and_nothing_in_a_pipe(self):
        for command in ("list", "count", "times"):
            shown = on_a_terminal([QUERY, command, "--data", self.data], 40)
            self.assertLessEqual(max(map(len, shown.splitlines())), 40, shown)
            self.assertIn("\u2026", shown)
            self.assertNotIn("\u2026", self.run_query(command, "--data", self.data).stdout)
        for row in self.ids("list", "--data", self.data, "--limit", 5):
            self.assertIn(row, on_a_terminal([QUERY, "list", "--limit", "5", "--data", self.data], 80))

    def test_shows_escapes_that_stand_in_rows_as_text(self):
        file = self.path("hostile.db")
        self.replay(file, "--layout", "single", "--keep-forever")
        with sqlite3.connect(file) as db:
            newest, = db.execute("SELECT task_id FROM invocations ORDER BY finished_at DESC LIMIT 1").fetchone()
            db.execute("UPDATE invocations SET task_name = ?, state = ?, worker = ? WHERE task_id = ?",
                       ("a\x1b[2Jb\nc\u202ed", "FAIL\x1b[1m", "\x07\x9b31m", newest))
        for words in (["list"], ["count"], ["times"], ["get", newest]):
            text = self.run_query(*words, "--data", file).stdout
            self.assertFalse([c for c in text if ord(c) < 32 and c != "\n" or c in "\u202e\x9b"], text)
            self.assertIn("a\\x1b[2Jb" + ("\n" if words[0] == "get" else "\\nc\\u202ed"), text)
        self.assertEqual(json.loads(self.run_query("get", newest, "--json", "--data", file).stdout)["task_name"],
                         "a\x1b[2Jb\nc\u202ed")

    def test_sorts_counts_by_name_or_by_count(self):
        counts = [row["count"] for row in json.loads(
            self.run_query("count", "--sort", "count", "--json", "--data", self.data).stdout)["counts"]]
        self.assertEqual(counts, sorted(counts, reverse=True))
        names = [row["task_name"] for row in json.loads(
            self.run_query("count", "--json", "--data", self.data).stdout)["counts"]]
        self.assertEqual(names, sorted(names))
        self.assertIn("--sort", self.run_query("count", "--sort", "x", "--data", self.data, code=2).stderr)

    def test_finds_states_in_letters_of_either_case_and_hints_at_the_known_ones(self):
        upper = self.ids("search", "--state", "FAILURE", "--data", self.data)
        self.assertGreater(len(upper), 3)
        self.assertEqual(self.ids("search", "--state", "failure", "--data", self.data), upper)
        hint = self.run_query("search", "--state", "failed", "--data", self.data).stderr
        self.assertIn("hint: no row has the state 'failed'", hint)
        self.assertIn("FAILURE", hint)
        self.assertEqual(self.run_query("search", "--state", "RETRY", "--data", self.data).stderr, "")

    # ---- where it looks

    def test_finds_the_history_by_variable_and_by_either_configuration(self):
        whole = self.run_query("count", "--data", self.data).stdout
        engine = self.write("engine.yaml", f"retention: {{keep_forever: true}}\nstore: {{path: {self.data}}}\n")
        agent = self.write("agent.yaml", f"plugin: {{config: {engine}}}\nhttp: {{listen: ''}}\n")
        self.assertEqual(self.run_query("count", env={**ENVIRONMENT, "PHLOWER_DATA": self.data}).stdout, whole)
        for config in (engine, agent):
            self.assertEqual(self.run_query("count", "--config", config).stdout, whole)
        self.assertIn("--data", self.run_query("count", "--config", agent, code=2,
                                               env={**ENVIRONMENT, "PHLOWER_DATA": self.large}).stderr)

    def test_says_what_named_a_history_that_is_not_there(self):
        said = self.run_query("count", code=1, env={**ENVIRONMENT, "PHLOWER_DATA": "/nowhere/data"}).stderr
        self.assertIn("/nowhere/data: no such file", said)
        self.assertIn("(PHLOWER_DATA)", said)

    # ---- how it ends

    def interrupted(self, words, sig):
        """Sends the signal once a file is open; None: the answer was there before it."""
        tool = subprocess.Popen([QUERY, *words, "--config", self.all], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        fds = f"/proc/{tool.pid}/fd"
        while tool.poll() is None:
            try:
                if any("inv-" in os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)):
                    break
            except OSError:  # one that has been closed
                pass
        tool.send_signal(sig)
        out, err = tool.communicate(timeout=120)
        return None if tool.returncode == 0 else (tool.returncode, out, err)

    def test_ends_at_once_with_words_and_as_the_signal_ends_a_process(self):
        for words in (["count", "--json"], ["times"], ["search", "--text", "zebra", "--json"],
                      ["list", "--worker", "nobody"], ["count"]):
            for sig in (signal.SIGINT, signal.SIGTERM):
                ended = next(filter(None, (self.interrupted(words, sig) for _ in range(40))), None)
                self.assertIsNotNone(ended, f"{words}: the signal was never obeyed")
                code, out, err = ended
                self.assertEqual(code, -sig, (words, err))
                self.assertIn("stopped by a signal", err)
                self.assertNotIn("in all", out)
                self.assertNotIn("{", out)

    def test_ends_with_3_when_its_time_is_up_and_goes_on_from_there(self):
        for command in ("count", "times"):
            done = self.run_query(command, "--max-time", "1us", "--config", self.all, code=3)
            self.assertEqual(done.stdout, "")
            self.assertIn("the time was up", done.stderr)
            answer = json.loads(self.run_query(command, "--max-time", "1us", "--json", "--config", self.all,
                                               code=3).stdout)
            self.assertEqual((answer["stopped"], set(answer)),
                             ("deadline", {"stopped", "scanned", "looked_back_to"}))
        words = ["search", "--worker", "nobody", "--json", "--config", self.all]
        whole = json.loads(self.run_query(*words).stdout)
        self.assertEqual((whole["stopped"], whole["next"], whole["records"]), ("end", None, []))
        self.assertGreaterEqual(whole["scanned"], 60000)
        scanned, after, milliseconds = 0, [], 100
        for _ in range(2000):
            done = subprocess.run([QUERY, *words, *after, "--max-time", f"{milliseconds}ms"],
                                  capture_output=True, text=True, env=ENVIRONMENT)
            page = json.loads(done.stdout)
            scanned += page["scanned"]
            if done.returncode == 0:
                break
            self.assertEqual((done.returncode, page["stopped"]), (3, "deadline"))
            if page["next"]:
                self.assertIn("--after " + page["next"], done.stderr)
                after = ["--after", page["next"]]
            milliseconds += 100
        self.assertEqual((page["stopped"], scanned), ("end", whole["scanned"]))

    def test_ends_quietly_when_its_reader_has_gone(self):
        for restore, code in ((True, -signal.SIGPIPE), (False, 141)):  # False: SIGPIPE is ignored
            tool = subprocess.Popen([QUERY, "export", "--config", self.all], stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE, env=ENVIRONMENT, restore_signals=restore)
            self.assertTrue(tool.stdout.readline().startswith(b"{"))
            tool.stdout.close()
            self.assertEqual((tool.wait(60), tool.stderr.read()), (code, b""))
            tool.stderr.close()

    def test_stops_following_when_its_reader_has_gone(self):
        tool = subprocess.Popen([QUERY, "list", "--follow", "--limit", "1", "--data", self.data],
                                stdout=subprocess.PIPE, env=ENVIRONMENT)
        tool.stdout.readline()
        tool.stdout.close()
        self.assertIn(tool.wait(60), (0, -signal.SIGPIPE))

    def test_says_that_the_disk_of_its_output_is_full(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([QUERY, "export", "--data", self.data], stdout=full, stderr=subprocess.PIPE,
                                  text=True, env=ENVIRONMENT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("write to stdout: No space left on device", done.stderr)

    def test_lets_go_of_the_history_while_its_output_waits(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        tool = subprocess.Popen([QUERY, "export", "--data", self.data], stdout=writer, env=ENVIRONMENT)
        os.close(writer)
        waiting = bytearray(4)
        while struct.unpack("i", waiting)[0] < 4096:
            self.assertIsNone(tool.poll())
            fcntl.ioctl(reader, termios.FIONREAD, waiting)
            time.sleep(0.01)
        # 123 to 127: the bytes of a -shm with which a reader pins the log.
        held = [line for line in content("/proc/locks").splitlines()
                if line.split()[4] == str(tool.pid) and 123 <= int(line.split()[6]) <= 127]
        tool.send_signal(signal.SIGTERM)
        self.assertEqual(tool.wait(60), -signal.SIGTERM)
        os.close(reader)
        self.assertEqual(held, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
