#!/usr/bin/env python3
"""phlower-replay as its user runs it, and the kills that its --engine-only and --acked are for.

    replay_tool_test.py PHLOWER_REPLAY CAPTURE EXPECTED CONFIG
"""
import csv
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

REPLAY, CAPTURE, EXPECTED, CONFIG = sys.argv[1:5]


class ReplayTool(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.db = os.path.join(self.dir, "history.db")
        self.ring = os.path.join(self.dir, "ring")

    def args(self, *more):
        data = [] if "--data" in more else ["--data", self.db]
        data += [] if "--layout" in more else ["--layout", "single"]
        return [REPLAY, *data, "--ring", self.ring, *map(str, more)]

    def run_tool(self, *more, code=0):
        done = subprocess.run(self.args(*more), capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def rows(self, sql):
        with sqlite3.connect(self.db) as db:
            return db.execute(sql).fetchall()

    def test_plays_the_capture_once_as_celery_itself_has_it(self):
        done = self.run_tool(CAPTURE, "--keep-forever", "--json")
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(result["sums_hold"])
        self.assertEqual(result["refused"], 0)
        stored = {row[0]: row[1:] for row in self.rows(
            "SELECT task_id, state, received_at, started_at, finished_at, runtime_ms, worker, "
            "queue, exception_type FROM invocations")}
        with open(EXPECTED, newline="") as f:
            expected = list(csv.DictReader(f))
        self.assertGreaterEqual(len(stored), len(expected))
        number = lambda text: float(text) if text else None
        for row in expected:
            state, received, started, finished, runtime, worker, queue, error = stored[row["task_id"]]
            self.assertEqual(state, row["state"])
            self.assertEqual((received, started, finished),
                             tuple(number(row[k]) for k in ("received", "started", "finished")))
            if row["runtime"]:
                self.assertAlmostEqual(runtime, 1000 * float(row["runtime"]), places=9)
            self.assertEqual((worker, queue), (row["worker"], row["queue"]))
            if state == "FAILURE":
                self.assertTrue(error.startswith(row["exception"]), (error, row["exception"]))

    def test_plays_a_spike_over_a_backlog_and_counts_both_ways(self):
        done = self.run_tool(CAPTURE, "--rate", 2000, "--records", 3000, "--producers", 2,
                             "--backlog", 3000, "--until-purged", "--json", "--look-up", 3)
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(result["sums_hold"])
        self.assertEqual(result["committed"], 3000)
        self.assertEqual(result["purged"], 3000)
        self.assertEqual(self.rows("SELECT count(*) FROM invocations"), [(3000,)])
        for key in ("offered", "accepted", "flush_age_ms", "hold_ms", "submit_ns", "ring_fill_max",
                    "wal_bytes_max", "rss_bytes_max", "elapsed_s"):
            self.assertIn(key, result)
        self.assertIn("age at commit", done.stdout)
        self.assertIn("newest of", done.stdout)

    def test_plays_the_same_again_into_one_history_and_into_another_over_one_ring(self):
        spike = (CAPTURE, "--rate", "max", "--records", 2000, "--producers", 2)
        for turn, (name, layout) in enumerate([("a", "segmented"), ("a", "segmented"), ("b", "single"),
                                               ("a", "segmented"), ("b", "single")]):
            data = os.path.join(self.dir, name)
            done = self.run_tool(*spike, "--seed", turn + 1, "--data", data, "--layout", layout, "--json")
            result = json.loads(done.stdout.splitlines()[-1])
            self.assertTrue(result["sums_hold"], done.stdout)
            self.assertEqual((result["committed"], result["found"], result["in_ring"]), (2000, 0, 0))
        with sqlite3.connect(os.path.join(self.dir, "b")) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM invocations").fetchall(), [(4000,)])

    def test_plays_the_readme_s_own_lines_twice_over_one_ring(self):
        for _ in range(2):
            for data in ("history", "spike"):
                more = ["--rate", "73k/min", "--duration", "1s", "--producers", 2] if data == "spike" else []
                done = self.run_tool(CAPTURE, "--data", os.path.join(self.dir, data), "--layout", "segmented",
                                     *more)
                self.assertRegex(done.stdout, "both sums hold +yes")

    def test_takes_what_a_run_that_was_stopped_left_and_says_how_much(self):
        self.run_tool(CAPTURE, "--data", self.db)
        left = subprocess.Popen(self.args(CAPTURE, "--rate", "max", "--records", 500, "--produce-only"),
                                stdout=subprocess.PIPE, text=True)
        left.communicate(timeout=60)
        other = os.path.join(self.dir, "other")
        done = self.run_tool(CAPTURE, "--data", other, "--layout", "segmented", "--json")
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(result["sums_hold"], done.stdout)
        self.assertEqual(result["found"], 500)
        self.assertIn("was that of the history " + self.db, done.stderr)

    def test_plays_the_old_ways_too(self):
        for way in ("monolith", "batch50k"):
            for path in (self.db, self.ring):
                if os.path.exists(path) and path != self.ring:  # which they share
                    os.unlink(path)
            done = self.run_tool(CAPTURE, "--rate", 2000, "--records", 1000, "--backlog", 2000,
                                 "--baseline", way, "--json")
            result = json.loads(done.stdout.splitlines()[-1])
            self.assertEqual((result["way"], result["committed"]), (way, 1000))

    def test_loses_nothing_when_engine_and_producers_are_killed_again_and_again(self):
        seed = int(os.environ.get("PHLOWER_SEED", time.time_ns() % 10**6))
        print(f"PHLOWER_SEED={seed}", file=sys.stderr)
        chance = random.Random(seed)
        acked = os.path.join(self.dir, "acked")
        start_engine = lambda: subprocess.Popen(
            self.args("--engine-only", "--keep-forever", "--quiet"), stderr=subprocess.DEVNULL)
        start_producer = lambda n: subprocess.Popen(
            self.args(CAPTURE, "--rate", "max", "--records", 10**7, "--producers", 2, "--seed", n,
                      "--produce-only", "--acked", acked, "--quiet"), stderr=subprocess.DEVNULL)
        engine, producer, kills = start_engine(), start_producer(1), 0
        end = time.monotonic() + 6
        while time.monotonic() < end:
            time.sleep(chance.uniform(0.05, 0.4))
            if chance.random() < 0.6:
                engine.send_signal(signal.SIGKILL)
                engine.wait()
                engine = start_engine()
            else:
                producer.send_signal(signal.SIGKILL)
                producer.wait()
                producer = start_producer(kills + 2)
            kills += 1
        producer.send_signal(signal.SIGKILL)
        producer.wait()
        time.sleep(0.3)
        engine.send_signal(signal.SIGKILL)
        engine.wait()
        time.sleep(0.3)  # the producers' own children see their parent go
        self.run_tool("--engine-only", "--keep-forever", "--until-drained", "--quiet")
        with open(acked) as f:
            promised = [line.strip() for line in f if line.endswith("\n")]
        self.assertGreater(kills, 8)
        self.assertGreater(len(promised), 2000)
        self.assertEqual(len(promised), len(set(promised)))
        stored = {row[0] for row in self.rows("SELECT task_id FROM invocations")}
        self.assertEqual(len(set(promised) - stored), 0)
        # A producer killed between the commit in the ring and its acknowledgement leaves one more.
        self.assertLessEqual(len(stored) - len(promised), 4 * (kills + 1))
        delivered = self.rows("SELECT sum(delivered) FROM ring_lane")[0][0]
        self.assertEqual(delivered, len(stored), "a record was delivered twice")
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])

    def test_says_in_one_line_what_is_wrong(self):
        bad = os.path.join(self.dir, "bad.yaml")
        with open(bad, "w") as f:
            f.write("ring:\n  sizze_bytes: 32MiB\n")
        text = os.path.join(self.dir, "text.db")
        with open(text, "w") as f:
            f.write("this is no database, but it is long enough to look like one\n" * 20)
        cases = [
            (["--no-such-option"], 2, "no-such-option"),
            ([CAPTURE, "--rate", "5 apples", "--records", "5"], 2, "--rate"),
            ([CAPTURE, "--rate", "5"], 2, "--duration"),
            ([CAPTURE, "--duration", "5", "--rate", "5"], 2, "--duration"),
            ([CAPTURE, "--baseline", "older"], 2, "--baseline"),
            ([], 2, "CAPTURE"),
            ([CAPTURE, "--config", bad], 2, "bad.yaml:2:3"),
            (["--check-config", bad], 2, "bad.yaml:2:3"),
            ([os.path.join(self.dir, "none.ndjson")], 1, "none.ndjson"),
            ([CAPTURE, "--data", text], 1, "text.db"),
            ([CAPTURE, "--data", os.path.join(self.dir, "no", "dir.db")], 1, "dir.db"),
        ]
        for words, code, part in cases:
            done = self.run_tool(*words, code=code)
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            self.assertIn(part, done.stderr, words)
            self.assertLessEqual(len(lines), 2, (words, done.stderr))

    def test_checks_a_configuration(self):
        done = self.run_tool("--check-config", CONFIG)
        self.assertIn("good", done.stdout)

    def test_tells_its_version_and_shows_examples(self):
        self.assertIn("SQLite", self.run_tool("--version").stdout)
        self.assertIn("Examples", self.run_tool("--help").stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
