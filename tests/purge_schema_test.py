#!/usr/bin/env python3
"""phlower-purge on files whose owner has added to them: triggers, keys, indexes, journal modes.

    purge_schema_test.py PHLOWER_PURGE
"""
import os
import sqlite3
import sys
import time
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from purge_tool import CORE, DETAIL, HOUR, PurgeToolCase, made_rows, make


class OwnersFile(PurgeToolCase):
    """Two rows, one of them expired, and what the owner adds in SQL of their own."""

    def make_file(self, added="", core=CORE, index=True, journal="wal", before=""):
        if os.path.exists(self.db):
            os.unlink(self.db)
        db = sqlite3.connect(self.db, isolation_level=None)
        db.executescript(f"PRAGMA page_size=4096; {before}; PRAGMA journal_mode={journal};"
                         f"CREATE TABLE invocations ({core});"
                         f"CREATE TABLE invocation_details (task_id TEXT PRIMARY KEY, {DETAIL});")
        if index:
            db.execute("CREATE INDEX f ON invocations (finished_at)")
        return db

    def fill(self, db, old=None, new=None):
        now = time.time()
        for name, at in (("old", old or now - 200 * HOUR), ("new", new or now - 600)):
            db.execute("INSERT INTO invocations (task_id, task_name, state, finished_at) "
                       "VALUES (?, 't', 'SUCCESS', ?)", (name, at))
            db.execute("INSERT INTO invocation_details VALUES (?, '(1,)', '{}', NULL)", (name,))
        db.close()

    def one(self, sql):
        with sqlite3.connect(self.db) as db:
            found = db.execute(sql).fetchall()
        db.close()
        return [row[0] for row in found]

    def ids(self):
        return self.one("SELECT task_id FROM invocations ORDER BY 1")

    def purge(self, code=0):
        """The dry run first, which must say the same."""
        before = self.picture()
        dry = self.run_tool(self.db, "--dry-run", "--json", code=code)
        self.assertEqual(self.picture(), before)
        done = self.run_tool(self.db, "--json", "--max-time", "20s", code=code)
        if code == 0:
            expired = self.json_of(dry.stdout)["invocations_expired"]
            self.assertEqual(self.json_of(done.stdout)["invocations_deleted"], expired)
        self.assert_sound()
        return dry, done


class Triggers(OwnersFile):
    def test_on_full_text_tables_work(self):
        db = self.make_file()
        db.executescript("""
            CREATE VIRTUAL TABLE fts USING fts5(args_preview, content='invocation_details');
            CREATE TRIGGER i AFTER INSERT ON invocation_details BEGIN
              INSERT INTO fts(rowid, args_preview) VALUES (new.rowid, new.args_preview); END;
            CREATE TRIGGER d AFTER DELETE ON invocation_details BEGIN
              INSERT INTO fts(fts, rowid, args_preview)
                VALUES ('delete', old.rowid, old.args_preview); END""")
        self.fill(db)
        self.purge()
        self.assertEqual(self.ids(), ["new"])
        self.assertEqual(self.one("SELECT count(*) FROM fts WHERE fts MATCH '1'"), [1])
        self.assertEqual(self.one("INSERT INTO fts(fts) VALUES ('integrity-check')"), [])

    def test_with_functions_of_sqlite_work(self):
        db = self.make_file()
        db.executescript("""
            CREATE TABLE audit (at TEXT, what TEXT);
            CREATE VIRTUAL TABLE boxes USING rtree(id, a, b);
            CREATE TRIGGER t AFTER DELETE ON invocations BEGIN
              INSERT INTO audit VALUES (datetime('now'), json_object('id', old.task_id));
              INSERT INTO boxes VALUES (old.rowid, 1, 2); END""")
        self.fill(db)
        self.purge()
        self.assertEqual(self.ids(), ["new"])
        self.assertEqual(self.one("SELECT what FROM audit"), ['{"id":"old"}'])
        self.assertEqual(self.one("SELECT count(*) FROM boxes"), [1])

    def test_with_what_this_program_has_not_are_refused_before_anything_is_done(self):
        for added, part in (("CREATE TRIGGER t AFTER DELETE ON invocations BEGIN "
                             "SELECT notify_shop(old.task_id); END", "notify_shop"),
                            ("CREATE TRIGGER t AFTER DELETE ON invocation_details BEGIN "
                             "DELETE FROM gone WHERE id = old.task_id; END", "gone")):
            with self.subTest(part):
                db = self.make_file()
                self.fill(db)
                with sqlite3.connect(self.db) as db:
                    db.execute(added)
                db.close()
                with open(self.db, "rb") as file:
                    before = file.read()
                for words in ([self.db, "--dry-run"], [self.db]):
                    done = self.run_tool(*words, code=1)
                    self.assertIn(part, done.stderr)
                    self.assertIn("cannot be deleted from table", done.stderr)
                with open(self.db, "rb") as file:
                    self.assertEqual(file.read(), before)

    def test_that_keep_rows_end_the_purge_and_are_named(self):
        for word, part in (("RAISE(IGNORE)", "a trigger keeps rows"), ("RAISE(ABORT, 'mine')", "mine")):
            with self.subTest(word):
                db = self.make_file()
                db.execute("CREATE TRIGGER t BEFORE DELETE ON invocations BEGIN "
                           f"SELECT {word}; END")
                self.fill(db)
                done = self.run_tool(self.db, "--max-time", "20s", code=1)
                self.assertIn(part, done.stderr)
                self.assertEqual(self.ids(), ["new", "old"])
                self.assertEqual(len(self.one("SELECT * FROM invocation_details")), 2)


class Keys(OwnersFile):
    def test_of_other_tables_are_left_alone_and_that_is_said(self):
        db = self.make_file()
        db.execute("CREATE TABLE notes (id REFERENCES invocations(task_id) ON DELETE CASCADE)")
        db.execute("INSERT INTO notes VALUES ('old'), ('new')")
        self.fill(db)
        for done in self.purge():
            self.assertIn("stay in: notes", done.stderr)
        self.assertEqual(self.ids(), ["new"])
        self.assertEqual(self.one("SELECT count(*) FROM notes"), [2])

    def test_by_a_collation_that_is_not_there_are_refused(self):
        db = self.make_file()
        db.create_collation("shop", lambda a, b: (a > b) - (a < b))
        db.execute("CREATE INDEX c ON invocations (task_name COLLATE shop)")
        self.fill(db)
        for words in ([self.db, "--dry-run"], [self.db]):
            self.assertIn("shop", self.run_tool(*words, code=1).stderr)


class Columns(OwnersFile):
    def test_that_are_generated_are_read(self):
        core = CORE.replace("finished_at REAL", "ended TEXT, finished_at REAL GENERATED ALWAYS AS "
                            "(CAST(strftime('%s', ended) AS REAL)) STORED")
        for index in (True, False):
            with self.subTest(index):
                db = self.make_file(core=core, index=index)
                for name, hours in (("old", 200), ("new", 1)):
                    db.execute("INSERT INTO invocations (task_id, task_name, state, ended) VALUES "
                               f"('{name}', 't', 'S', datetime('now', '-{hours} hours'))")
                db.close()
                self.purge()
                self.assertEqual(self.ids(), ["new"])

    def test_with_other_indexes_than_ours_lose_the_same(self):
        for index in ("(finished_at) WHERE state = 'X'", "(abs(finished_at))", "(finished_at DESC)",
                      "(lower(task_name), finished_at)", "(finished_at COLLATE NOCASE)"):
            with self.subTest(index):
                db = self.make_file(index=False)
                db.execute("CREATE INDEX o ON invocations " + index)
                self.fill(db)
                self.purge()
                self.assertEqual(self.ids(), ["new"])

    def test_of_dates_as_text_are_judged_by_what_is_certain(self):
        def text(hours):
            return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - hours * HOUR))
        for index in (True, False):
            for old, code, left in ((text(200), 0, ["new"]), (text(125), 0, ["new", "old"]),
                                    ("long ago", 0, ["new", "old"])):
                with self.subTest((index, old)):
                    self.fill(self.make_file(index=index), old, text(0.1))
                    dry, done = self.purge(code)
                    self.assertEqual(self.ids(), left)
                    for said in (dry.stderr, done.stderr):
                        self.assertEqual("1 have a time that is not understood (as "
                                         "invocations.finished_at = 'long ago' of task 'old')"
                                         in said, old == "long ago")


class Files(OwnersFile):
    def test_keep_their_journal_mode(self):
        for mode, kept in (("delete", "delete"), ("truncate", "delete"), ("persist", "delete"),
                           ("memory", "delete"), ("wal", "wal")):
            with self.subTest(mode):
                self.fill(self.make_file(journal=mode))
                self.purge()
                self.assertEqual(self.ids(), ["new"])
                self.assertEqual(self.one("PRAGMA journal_mode"), [kept])
                self.assertEqual([n for n in os.listdir(self.dir) if n.endswith("-journal")
                                  and os.path.getsize(self.path(n))], [])

    def test_without_a_log_are_purged_beside_a_reader_and_the_holder_of_a_lock_is_named(self):
        self.fill(self.make_file(journal="delete"))
        other = sqlite3.connect(self.db, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN EXCLUSIVE")
        done = self.run_tool(self.db, "--max-time", "300ms", code=1)
        self.assertIn(f"(pid {os.getpid()})", done.stderr)
        other.execute("ROLLBACK")
        self.run_tool(self.db)
        self.assertEqual(self.ids(), ["new"])

    def test_that_shrink_by_themselves_need_no_reclaim(self):
        make(self.db, "single", made_rows(3000), auto_vacuum="FULL")
        size = os.path.getsize(self.db)
        done = self.run_tool(self.db, "--reclaim")
        self.assertIn("auto_vacuum = FULL", done.stderr)
        self.assertNotIn("VACUUM;", done.stderr)
        self.assertLess(os.path.getsize(self.db), size / 2)

    def test_that_cannot_shrink_are_a_problem_of_reclaim(self):
        make(self.db, "single", made_rows(300))
        done = self.run_tool(self.db, "--reclaim", "--json", code=1)
        self.assertTrue(self.json_of(done.stdout)["done"])
        self.assertIn("VACUUM", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
