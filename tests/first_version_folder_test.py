#!/usr/bin/env python3
"""A data folder that the first version of Phlower left behind, in the hands of this build: read, gone on
with, purged; and one that a later build has written, which is refused and stays as it is.

    first_version_folder_test.py REPLAY QUERY PURGE CAPTURE
"""
import collections
import csv
import io
import json
import os
import sqlite3
import sys
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import first_version_run
from first_version import SEGMENTS, FirstVersionCase, fact, set_fact, snapshot

(FirstVersionCase.REPLAY, FirstVersionCase.QUERY, FirstVersionCase.PURGE, FirstVersionCase.CAPTURE) = sys.argv[1:5]
SECONDS = ("received_at", "started_at", "finished_at")


class FolderOfTheFirstVersion(FirstVersionCase):
    def test_holds_what_a_folder_in_mid_life_holds(self):
        """Else the other tests would show less than they say."""
        one = lambda name, sql: self.number(name, sql)
        states = "SELECT count(*) FROM segment WHERE family = 0 AND state = "
        for state in (2, 3, 4, 5, 6, 7, 8):  # writing to set aside: doc/segment_format.md, 2.2
            self.assertGreater(one("meta.db", states + str(state)), 0, state)
        self.assertIn(one(SEGMENTS["sealing"], "SELECT whole FROM phlower_state WHERE key = 'index_parts'"),
                      range(1, 64))
        self.assertGreater(one(SEGMENTS["sealed"], "SELECT count(*) FROM id_index"), 0)
        self.assertGreater(one(SEGMENTS["sealed"], "SELECT sum(length(bits)) FROM id_filter"), 0)
        self.assertEqual(one("det-2.db", "SELECT count(*) FROM dictionary"), 1)
        for with_dictionary in ("0", "1"):
            self.assertGreater(one("det-2.db", "SELECT count(*) FROM block WHERE substr(hex(data), 2, 1) = '"
                                   + with_dictionary + "'"), 0)
        written = SEGMENTS["writing"]
        for column in ("name", "worker", "exception"):
            for kind in ("integer", "text"):
                self.assertGreater(one(written, f"SELECT count(*) FROM task WHERE typeof({column}) = '{kind}'"), 0)
        for kind in ("blob", "text"):
            self.assertGreater(one(written, f"SELECT count(*) FROM task WHERE typeof(id) = '{kind}'"), 0)
        self.assertEqual(one(written, "SELECT count(DISTINCT flags & 3) FROM task"), 4)
        self.assertGreater(one(written, "SELECT count(*) FROM ring_chunk"), 0)

    def number(self, name, sql):
        db = sqlite3.connect(os.path.join(self.data, name))
        value, = db.execute(sql).fetchone()
        db.close()
        return value

    def test_is_exported_field_for_field_and_stays_as_it_is(self):
        before = snapshot(self.dir)
        found = self.export()
        self.expect_rows(found, self.rows)
        ends = [row["finished_at"] for row in found if row["finished_at"]]
        self.assertEqual(ends, sorted(ends, reverse=True), "the newest first")
        text = self.query("export", "--format", "csv").stdout
        table = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["task_id"] for row in table], [row["task_id"] for row in found])
        for row in table:
            typed = {name: None if value == "" and name != "state" else
                     float(value) if name in SECONDS + ("runtime_ms",) else value for name, value in row.items()}
            self.expect_row({**typed, **{name: value for name, value in self.rows[row["task_id"]].items()
                                         if name.startswith("details_")}}, self.rows[row["task_id"]])
        self.assertEqual(snapshot(self.dir), before)

    def test_answers_every_question(self):
        pages, after = [], []
        while True:
            page = json.loads(self.query("list", "--limit", 17, *after).stdout)
            pages += page["records"]
            if page["next"] is None:
                break
            after = ["--after", page["next"]]
        self.expect_rows(pages, self.rows)
        counted = json.loads(self.query("count").stdout)
        wanted = collections.Counter((row["task_name"] or "", row["state"]) for row in self.rows.values())
        self.assertEqual({(row["task_name"], row["state"]): row["count"] for row in counted["counts"]}, wanted)
        times = json.loads(self.query("times").stdout)
        self.assertEqual(sum(task["runs"] for task in times["tasks"]),
                         sum(row["runtime_ms"] is not None for row in self.rows.values()))
        for task_id in list(self.rows)[::5] + ["of-three-files", "without-time", "old-without-time"]:
            self.expect_row(json.loads(self.query("get", task_id).stdout), self.rows[task_id])
        self.query("get", "never-there", code=1)
        for option, column, value in (("--state", "state", "FAILURE"), ("--worker", "worker", "celery@kept-1"),
                                      ("--queue", "queue", "late"), ("--task", "task_name", "kept.tasks.large")):
            some = {task_id: row for task_id, row in self.rows.items() if row[column] == value}
            self.expect_rows(self.export(option, value), some)

    def test_is_whole(self):
        done = self.run_tool(self.PURGE, "--verify", "--json", self.data)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["damaged"], 0)

    def test_is_gone_on_with_twice_and_nothing_is_lost(self):
        for turn in (1, 2):
            self.assertEqual(self.spike(400, "--seed", turn)["committed"], 400)
            self.expect_kept_among(400 * turn)
        for _ in range(60):  # what was begun is finished: at leisure, beside the records
            if self.number("meta.db", "SELECT count(*) FROM segment WHERE state IN (4, 6)") == 0:
                break
            self.run_tool(self.REPLAY, "--engine-only", "--duration", "1s", "--data", self.data, "--ring",
                          os.path.join(self.dir, "new.ring"), "--keep-forever", "--quiet")
        else:
            self.fail("a segment is still being sealed, or about to go")
        self.expect_kept_among(800)
        self.test_is_whole()
        # Late rows find the versions that are there.
        self.run_tool(self.REPLAY, self.CAPTURE, "--data", self.data, "--ring", os.path.join(self.dir, "new.ring"),
                      "--keep-forever", "--quiet")
        self.assertGreaterEqual(len(self.export()), len(self.rows) + 800)

    def expect_kept_among(self, others):
        found = self.export()
        self.assertEqual(len(found), len(self.rows) + others)
        self.expect_rows([row for row in found if row["task_id"] in self.rows], self.rows)

    def test_is_purged_and_gone_on_with(self):
        ages = ("--invocations-older-than", "24h", "--details-older-than", "24h", self.data)
        before = snapshot(self.dir)
        dry = self.run_tool(self.PURGE, "--dry-run", "--json", *ages)
        self.assertGreater(json.loads(dry.stdout.splitlines()[-1])["invocations_expired"], len(self.rows) / 2)
        self.assertEqual(snapshot(self.dir), before)
        self.run_tool(self.PURGE, *ages)
        self.assertEqual(self.export(), [], "also what was written, late or being sealed")
        self.assertFalse(os.path.exists(self.old), "what was adopted goes with its retention")
        self.assertEqual(self.spike(100)["committed"], 100)
        self.run_tool(self.PURGE, *ages)
        self.assertEqual(len(self.export()), 100)


class RunOfTheFirstVersion(FirstVersionCase):
    def test_leads_to_its_ids_before_an_engine_comes_while_one_writes_and_when_it_is_sealed(self):
        folder = os.path.join(self.dir, "run")
        self.rows = first_version_run.make_folder(folder)
        self.ids = list(self.rows)[::1000] + list(self.rows)[-3:]
        self.expect_found(folder, 0)
        self.spike(50, data=folder)
        self.expect_found(folder, 50)
        self.run_tool(self.PURGE, folder)  # nothing goes, and what is over is sealed
        self.assertEqual(segment_states(folder, 1), [5])
        self.expect_found(folder, 50)
        self.run_tool(self.PURGE, "--verify", folder)

    def expect_found(self, folder, others):
        self.assertEqual(json.loads(self.query("count", data=folder).stdout)["total"], len(self.rows) + others)
        for task_id in self.ids:
            self.expect_row(json.loads(self.query("get", task_id, data=folder).stdout), self.rows[task_id])
        self.query("get", "00000000-0000-4000-8000-000000000000", data=folder, code=1)


def segment_states(folder, seq):
    db = sqlite3.connect(os.path.join(folder, "meta.db"))
    states = [state for state, in db.execute("SELECT state FROM segment WHERE seq = ?", (seq,))]
    db.close()
    return states


class FolderOfALaterVersion(FirstVersionCase):
    def setUp(self):
        super().setUp()
        fresh = os.path.join(self.dir, "fresh")
        self.spike(10, data=fresh)
        self.known = {key: fact(os.path.join(fresh, name), key)
                      for name, key in (("meta.db", "catalog_version"), ("inv-1.db", "segment_version"))
                      if os.path.exists(os.path.join(fresh, name))}
        if "segment_version" not in self.known:
            name = next(n for n in os.listdir(fresh) if n.startswith("inv-") and n.endswith(".db"))
            self.known["segment_version"] = fact(os.path.join(fresh, name), "segment_version")

    def expect_refusal(self, folder, path, version, commands):
        before = snapshot(folder)
        for tool, *words in commands:
            with self.subTest(words):
                done = self.run_tool(tool, *words, code=1)
                self.assertIn(path, done.stderr)
                self.assertIn(f"version {version}; this build reads up to version {version - 1}", done.stderr)
                self.assertIn("The newer Phlower that wrote it reads it", done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertEqual(snapshot(folder), before)

    def commands(self, data):
        ring = os.path.join(self.dir, "new.ring")
        asks = [(self.QUERY, *words, "--data", data)
                for words in (("export",), ("count",), ("list",), ("times",), ("get", "written-plain"))]
        return asks + [(self.PURGE, "--dry-run", "--invocations-older-than", "1h", "--details-older-than", "1h", data),
                       (self.PURGE, "--invocations-older-than", "1h", "--details-older-than", "1h", data),
                       (self.REPLAY, self.CAPTURE, "--data", data, "--ring", ring, "--quiet")]

    def test_is_refused_for_its_catalog_and_stays_as_it_is(self):
        path = os.path.join(self.data, "meta.db")
        version = self.known["catalog_version"] + 1
        set_fact(path, "catalog_version", version)
        self.expect_refusal(self.data, path, version,
                            self.commands(self.data) + [(self.PURGE, "--verify", self.data)])

    def test_is_refused_for_one_segment_of_any_state_and_stays_as_it_is(self):
        version = self.known["segment_version"] + 1
        for state, name in SEGMENTS.items():
            with self.subTest(state):
                path = os.path.join(self.data, name)
                was = fact(path, "segment_version")
                set_fact(path, "segment_version", version)
                self.expect_refusal(self.data, path, version,
                                    self.commands(self.data) + [(self.PURGE, "--verify", self.data)])
                set_fact(path, "segment_version", was)
        self.expect_rows(self.export(), self.rows)

    def test_is_refused_as_a_file_and_is_not_adopted(self):
        version = fact(self.old, "schema_version") + 1
        set_fact(self.old, "schema_version", version)
        folder = os.path.join(self.dir, "alone")
        os.mkdir(folder)
        old = os.path.join(folder, "old.db")
        os.rename(self.old, old)
        ring = os.path.join(self.dir, "new.ring")
        self.expect_refusal(folder, old, version, self.commands(old) + [
            (self.REPLAY, self.CAPTURE, "--data", os.path.join(self.dir, "other"), "--adopt", old, "--ring", ring,
             "--layout", "segmented", "--quiet")])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
