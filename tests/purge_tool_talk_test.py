#!/usr/bin/env python3
"""What phlower-purge says: wrong words, wrong files, locks, a terminal; and what it is told.

    purge_tool_talk_test.py PHLOWER_PURGE CONFIG
"""
import fcntl
import os
import pty
import re
import sqlite3
import struct
import subprocess
import sys
import termios
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from purge_tool import PURGE, PurgeToolCase, content, made_rows, make, reference

CONFIG = sys.argv[2]


class Configuration(PurgeToolCase):
    def test_gives_way_to_options_beside_it(self):
        make(self.db, "single", made_rows(500))
        before, left = content(self.db), reference(self.db, "single")
        long = self.path("long.yaml", "retention:\n  invocations: 2000h\n  details: 2000h\n")
        self.run_tool(self.db, "--config", long)
        self.assertEqual(content(self.db), before)
        self.run_tool(self.db, "--config", long, "--invocations-older-than", "120h",
                      "--details-older-than", "60h")
        self.assertEqual(content(self.db), left)

    def test_that_keeps_for_ever_gives_way_to_an_age_that_is_named(self):
        make(self.db, "single", made_rows(500))
        left = reference(self.db, "single")
        for_ever = self.path("ever.yaml", "retention:\n  keep_forever: true\n")
        self.run_tool(self.db, "--config", for_ever, "--invocations-older-than", "120h")
        self.assertEqual(content(self.db), left)

    def test_of_the_example_file_purges_as_no_file_does(self):
        make(self.db, "single", made_rows(500))
        left = reference(self.db, "single")
        self.run_tool(self.db, "--config", CONFIG)
        self.assertEqual(content(self.db), left)


class Talk(PurgeToolCase):
    def complain(self, words, code, *parts, **more):
        """One line on stderr that names the thing; nothing else; nothing was changed."""
        before = self.picture()
        done = self.run_tool(*words, code=code, **more)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertTrue(lines[0].startswith("phlower-purge: "), lines)
        for part in parts:
            self.assertIn(part, lines[0])
        self.assertEqual(done.stdout, "")
        after = self.picture()
        unchanged = {name: what[0] for name, what in before.items() if name != "."}
        self.assertEqual({n: w[0] for n, w in after.items() if n in unchanged}, unchanged)

    def test_says_in_one_line_which_word_is_wrong(self):
        make(self.db, "single", made_rows(100))
        bad = self.path("bad.yaml", "store:\n  wal_sofft: 1MiB\n")
        for_ever = self.path("ever.yaml", "retention:\n  keep_forever: true\n")
        for words, part in (
                (["--no-such-option"], "no-such-option"),
                ([], "TARGET"),
                ([self.db, "extra.db"], "extra.db"),
                ([self.db, "--slice", "5"], "--slice"),
                ([self.db, "--slice", "5s"], "--slice"),
                ([self.db, "--duty", "5%"], "--duty"),
                ([self.db, "--duty", "80"], "--duty"),
                ([self.db, "--max-time", "soon"], "--max-time"),
                ([self.db, "--max-time", "0s"], "--max-time"),
                ([self.db, "--invocations-older-than", "90min"], "--invocations-older-than"),
                ([self.db, "--invocations-older-than", "-5h"], "--invocations-older-than"),
                ([self.db, "--details-older-than", "200h"], "--details-older-than"),
                ([self.db, "--dry-run", "--reclaim"], "--reclaim"),
                ([self.db, "--baseline", "monolith"], "--baseline"),
                ([self.db, "--config", bad], "bad.yaml:2:3"),
                ([self.db, "--config", for_ever], "keep_forever"),
                ([self.db, "--config", self.path("none.yaml")], "none.yaml")):
            with self.subTest(words[1:]):
                self.complain(words, 2, part)

    def test_says_in_one_line_what_is_wrong_with_the_file(self):
        text = self.path("text.db", "this is no database, but it is long enough\n" * 50)
        foreign = self.path("foreign.db")
        with sqlite3.connect(foreign) as db:
            db.execute("CREATE TABLE photos (id INTEGER)")
        db.close()
        make(self.db, "single", made_rows(300))
        with open(self.db, "rb") as f:
            good = f.read()
        cut = self.path("cut.db")
        with open(cut, "wb") as f:
            f.write(good[:len(good) // 3 // 4096 * 4096])
        for path in (self.path("none.db"), self.dir, text, foreign, self.path("empty.db", ""), cut):
            for words in ([path], [path, "--dry-run"], [path, "--reclaim"]):
                with self.subTest(words):
                    self.complain(words, 1, os.path.basename(path))

    def test_names_a_damaged_page_and_stops(self):
        make(self.db, "single", made_rows(1000))
        with open(self.db, "r+b") as f:
            pages = os.path.getsize(self.db) // 4096
            for page in range(20, pages - 1):
                f.seek(page * 4096)
                f.write(b"\xa5" * 4096)
        self.complain([self.db], 1, "history.db", "malformed")

    def test_says_that_a_file_cannot_be_written(self):
        make(self.db, "single", made_rows(100))
        os.chmod(self.db, 0o444)
        other = {}
        if os.geteuid() == 0:  # who may write everything cannot see it
            other = {"user": 65534, "group": 65534, "extra_groups": []}
            os.chmod(self.dir, 0o755)
            try:
                subprocess.run([PURGE, "--version"], check=True, capture_output=True, **other)
            except (OSError, subprocess.SubprocessError):
                self.skipTest("another user cannot run the tool here")
        self.complain([self.db], 1, "history.db", **other)

    def test_gives_up_on_a_lock_and_names_the_file(self):
        make(self.db, "single", made_rows(100))
        for begin in ("BEGIN IMMEDIATE", "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE"):
            with self.subTest(begin):
                # Read before and after: closing the file would drop this process's locks on it.
                with open(self.db, "rb") as f:
                    before = f.read()
                holder = sqlite3.connect(self.db, isolation_level=None)
                for statement in begin.split("; "):
                    holder.execute(statement)
                done = self.run_tool(self.db, "--max-time", "300ms", code=1)
                self.assertRegex(done.stderr, r"history\.db.*lock")
                self.assertEqual(len(done.stderr.splitlines()), 1)
                holder.close()
                with open(self.db, "rb") as f:
                    self.assertEqual(f.read(), before)

    def test_is_silent_when_told_so(self):
        make(self.db, "single", made_rows(200))
        done = self.run_tool(self.db, "--quiet")
        self.assertEqual((done.stdout, done.stderr), ("", ""))

    def test_tells_its_version_and_shows_examples(self):
        self.assertIn("SQLite", self.run_tool("--version").stdout)
        self.assertIn("Examples", self.run_tool("--help").stdout)

    def test_draws_lines_that_fit_a_terminal_and_takes_the_last_one_away(self):
        make(self.db, "single", made_rows(6000))
        self.keep_company()
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        tool = subprocess.Popen([PURGE, self.db, "--slice", "1ms", "--duty", "10%"],
                                stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        drawn = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                part = b""
            if not part:
                break
            drawn += part
        os.close(ours)
        self.assertEqual(tool.wait(20), 0)
        lines = drawn.decode().split("\r\033[K")
        self.assertEqual((lines[0], lines[-1]), ("", ""))
        self.assertGreater(len(lines), 2)
        for line in lines[1:-1]:
            self.assertLess(len(line), 80, line)
            self.assertTrue(re.match(r"\[[#.]{10,}\] +\d+ %", line), line)
        self.assertTrue(any("/s" in line for line in lines), lines)
        self.assertTrue(any(line.count(" left") for line in lines), lines)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
