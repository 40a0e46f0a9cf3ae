#!/usr/bin/env python3
"""phlower-purge as its user runs it, on every schema it knows, beside others who use the file.

    purge_tool_test.py PHLOWER_PURGE
"""
import multiprocessing
import os
import signal
import sqlite3
import sys
import time
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from purge_tool import (SCHEMAS, PurgeToolCase, content, made_rows, make, reference,
                        wait_for, write_on)


class Deletes(PurgeToolCase):
    def check_schema(self, schema):
        make(self.db, schema, made_rows(4000))
        before = content(self.db)
        left_rows, left_details = reference(self.db, schema)
        self.assertLess(len(left_rows), len(before[0]) - 3000)
        fork = multiprocessing.get_context("fork")
        ready, stop, acked = fork.Event(), fork.Event(), fork.Queue()
        writer = fork.Process(target=write_on, args=(self.db, schema, ready, stop, acked))
        writer.start()
        self.assertTrue(ready.wait(20))
        began = time.time()
        done = self.run_tool(self.db, "--json", "--slice", "1ms", "--duty", "20%")
        ended = time.time()
        stop.set()
        written = acked.get(timeout=20)
        writer.join(20)
        self.assertEqual(writer.exitcode, 0)
        self.assertGreater(sum(began < at < ended for at, _, _ in written), 5)
        rows, details = content(self.db)
        self.assertEqual(rows, left_rows | {core for _, core, _ in written})
        self.assertEqual(details, left_details | {detail for _, _, detail in written})
        result = self.json_of(done.stdout)
        self.assertTrue(result["done"])
        self.assertEqual(result["invocations_deleted"], len(before[0]) - len(left_rows))
        gone = len(before[1]) - len(left_details)
        if schema == "presplit":  # what went with its row is not counted
            self.assertGreater(result["details_deleted"], 0)
            self.assertLess(result["details_deleted"], gone)
        else:
            self.assertEqual(result["details_deleted"], gone)
        self.assertGreater(result["slices"], 5)
        self.assert_sound()
        again = self.json_of(self.run_tool(self.db, "--json").stdout)
        self.assertEqual((again["invocations_deleted"], again["details_deleted"]), (0, 0))

    def test_leaves_what_one_delete_leaves_in_the_single_schema(self):
        self.check_schema("single")

    def test_leaves_what_one_delete_leaves_in_the_presplit_schema(self):
        self.check_schema("presplit")

    def test_leaves_what_one_delete_leaves_in_tables_of_days(self):
        self.check_schema("partitioned")

    def test_leaves_what_one_delete_leaves_in_tables_set_aside(self):
        self.check_schema("legacy")

    def test_counts_in_a_dry_run_and_changes_no_byte_and_no_time(self):
        for schema in SCHEMAS:
            with self.subTest(schema):
                if os.path.exists(self.db):
                    os.unlink(self.db)
                make(self.db, schema, made_rows(500))
                all_rows, _ = content(self.db)
                left_rows, _ = reference(self.db, schema)
                before = self.picture()
                done = self.run_tool(self.db, "--dry-run", "--json")
                self.assertEqual(self.picture(), before)
                result = self.json_of(done.stdout)
                self.assertEqual(result["invocations_expired"], len(all_rows) - len(left_rows))
                self.assertEqual(result["invocations_deleted"], 0)
                self.assertIn("nothing was written", done.stdout)

    def test_stops_in_order_at_a_signal_and_another_run_goes_on(self):
        make(self.db, "single", made_rows(8000))
        left = reference(self.db, "single")
        full = len(content(self.db)[1])
        self.keep_company()
        for number in (signal.SIGINT, signal.SIGTERM):
            tool = self.start_tool(self.db, "--json", "--slice", "1ms", "--duty", "10%")
            seen = sqlite3.connect(self.db, timeout=30)
            count = lambda: seen.execute("SELECT count(*) FROM invocation_details").fetchone()[0]
            self.assertTrue(wait_for(lambda: count() < full))
            tool.send_signal(number)
            out, err = tool.communicate(timeout=20)
            full = count()
            seen.close()
            self.assertEqual(tool.returncode, 1, err)
            self.assertIn("stopped by a signal", err)
            self.assertIn("are left", out)
            self.assertFalse(self.json_of(out)["done"])
            self.assertGreater(full, len(left[1]))
            self.assert_sound()
        result = self.json_of(self.run_tool(self.db, "--json").stdout)
        self.assertTrue(result["done"])
        self.assertNotIn("time_up", result)
        self.assertEqual(content(self.db), left)

    def test_stops_after_max_time(self):
        make(self.db, "single", made_rows(4000))
        left = reference(self.db, "single")
        self.keep_company()
        done = self.run_tool(self.db, "--slice", "1ms", "--duty", "10%", "--max-time", "100ms",
                             "--json", code=3)
        self.assertIn("--max-time 100ms", done.stderr)
        result = self.json_of(done.stdout)
        self.assertEqual((result["done"], result["time_up"]), (False, True))
        self.assertGreater(len(content(self.db)[0]), len(left[0]))


class FreePages(PurgeToolCase):
    def test_go_back_to_the_disk_where_the_file_was_made_for_it(self):
        make(self.db, "single", made_rows(3000), "INCREMENTAL")
        before, left = os.path.getsize(self.db), reference(self.db, "single")
        done = self.run_tool(self.db, "--reclaim", "--json")
        result = self.json_of(done.stdout)
        self.assertGreater(result["bytes_reclaimed"], before // 2)
        self.assertEqual(os.path.getsize(self.db), before - result["bytes_reclaimed"])
        self.assertIn("given back", done.stdout)
        self.assertEqual(content(self.db), left)
        self.assert_sound()

    def test_stay_in_the_file_where_it_was_not_and_the_tool_says_what_is_needed(self):
        make(self.db, "single", made_rows(1000))
        before, left = os.path.getsize(self.db), reference(self.db, "single")
        done = self.run_tool(self.db, "--reclaim", "--json", code=1)
        self.assertEqual(self.json_of(done.stdout)["bytes_reclaimed"], 0)
        self.assertIn("auto_vacuum", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertEqual(os.path.getsize(self.db), before)
        self.assertEqual(content(self.db), left)


class Log(PurgeToolCase):
    def test_stays_within_its_bound_while_a_reader_pins_an_old_state(self):
        make(self.db, "single", made_rows(9000))
        left = reference(self.db, "single")
        bound = 4 << 20
        config = self.path("small.yaml", "store:\n  wal_soft: 1MiB\n  wal_hard: 4MiB\n")
        reader = sqlite3.connect(self.db, isolation_level=None)
        reader.execute("BEGIN")
        all_rows = reader.execute("SELECT count(*) FROM invocations").fetchone()
        tool = self.start_tool(self.db, "--config", config, "--json")
        line = tool.stderr.readline()  # it stands still and says why
        self.assertIn("reads an old state", line)
        with open("/proc/locks") as f:  # empty in some containers
            if str(os.getpid()) in f.read().split():
                self.assertIn(str(os.getpid()), line)
        self.assertIsNone(tool.poll())
        self.assertEqual(reader.execute("SELECT count(*) FROM invocations").fetchone(), all_rows)
        self.assertLessEqual(os.path.getsize(self.db + "-wal"), bound)
        reader.execute("COMMIT")
        reader.close()
        out, err = tool.communicate(timeout=60)
        self.assertEqual(tool.returncode, 0, err)
        result = self.json_of(out)
        self.assertGreater(result["wal_bytes_max"], bound // 4)
        self.assertLessEqual(result["wal_bytes_max"], bound)
        self.assertEqual(content(self.db), left)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
