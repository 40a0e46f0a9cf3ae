#!/usr/bin/env python3
"""The commands of phlower-query and phlower-purge that README.md and their --help show, as they stand there,
each twice in a row over copies.

    shown_commands_test.py PHLOWER_PURGE PHLOWER_QUERY PHLOWER_REPLAY CAPTURE README
"""
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from purge_tool import PurgeToolCase, content, made_rows, make, reference

PURGE, QUERY, REPLAY, CAPTURE, README = map(os.path.abspath, sys.argv[1:6])
TASK_ID = "0029aaec-f501-47ca-bc7a-c19c14194d07"  # of the capture
NEVER_ENDS = "--follow"


def shown(text, tool):
    """The commands that stand alone on indented lines, in their order."""
    text = text.replace("\\\n", " ")
    return re.findall(rf"^ +({tool} .*?)(?: +#.*)?$", text, re.M)


class ShownCommands(PurgeToolCase):
    def run_shown(self, command):
        """As a shell would, in the folder of this test; what never ends is told to."""
        words = shlex.split(command.replace("/var/lib/phlower/", "").replace("TASK_ID", TASK_ID))
        words[0] = {"phlower-purge": PURGE, "phlower-query": QUERY}[words[0]]
        run = subprocess.Popen(words, cwd=self.dir, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if NEVER_ENDS in words:
            time.sleep(1)
            run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=100)
        return run.returncode, out, err

    def replay(self, *words):
        subprocess.run([REPLAY, CAPTURE, "--data", "phlower-data", "--ring", "ring", "--quiet", *map(str, words)],
                       cwd=self.dir, check=True, timeout=100)

    def commands(self, tool, program, least):
        with open(README) as page:
            from_page = shown(page.read(), tool)
        said = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
        from_help = shown(said[said.index("Examples:"):], tool)
        self.assertGreaterEqual(len(from_page), least, "is it another layout of the page?")
        self.assertGreaterEqual(len(from_help), least)
        return from_page + from_help

    def test_of_queries_answer_the_same_twice(self):
        self.replay("--keep-forever")
        for command in self.commands("phlower-query", QUERY, 6):
            with self.subTest(command):
                first, second = self.run_shown(command), self.run_shown(command)
                self.assertEqual(first[0], 0, first)
                self.assertEqual(second, first)
                if " get " in command:
                    self.assertIn(TASK_ID, first[1])
                if " list " in command:
                    self.assertEqual(len(first[1].splitlines()), 1 + 20, "a head and what was asked for")
                if " export " in command:
                    self.assertIn("task_id,", first[1].splitlines()[0])

    def test_of_purges_do_their_work_once(self):
        make(self.db, "single", made_rows(800), "INCREMENTAL")
        left = reference(self.db, "single")
        old = os.path.join(self.dir, "old.db")
        make(old, "single", made_rows(300))
        with sqlite3.connect(old) as db:
            db.execute("PRAGMA journal_mode=DELETE")
        db.close()
        self.replay("--make-backlog", 3000)
        commands = self.commands("phlower-purge", PURGE, 2)
        for command in commands:
            with self.subTest(command):
                if "--rescue" in command:
                    self.replay("--adopt", old)
                code, first, err = self.run_shown(command)
                self.assertEqual(code, 0, (first, err))
                again, out, err = self.run_shown(command)
                if "--rescue" in command:
                    self.assertEqual((again, "no adopted file" in err), (1, True), err)
                    self.assertFalse(os.path.exists(old))
                    continue
                self.assertEqual(again, 0, (out, err))
                if "segments" in out and "--verify" not in command:
                    self.assertIn("3,000 rows", first, "something was there to do")
                if not re.search("--dry-run|--verify", command):
                    self.assertRegex(out, r"(deleted 0 rows and 0 details|unlinked 0 segments)")
                if command.endswith("phlower-purge /var/lib/phlower/history.db"):
                    self.assertEqual(content(self.db), left)
        for sort in ("--dry-run", "--reclaim", "--verify", "--rescue"):
            self.assertTrue(any(sort in command for command in commands), sort)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
