"""phlower-query, phlower-purge and phlower-replay on a data folder, as their users run them.

folder_tools_test.py REPLAY QUERY PURGE CAPTURE EXPECTED
"""
import csv
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

REPLAY, QUERY, PURGE, CAPTURE, EXPECTED = sys.argv[1:6]


def content(path):
    with open(path, "rb") as f:
        return f.read()


class FolderTools(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.data = os.path.join(self.dir, "data")
        self.ring = os.path.join(self.dir, "ring")

    def run_tool(self, tool, *words, code=0):
        done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def replay(self, *words, code=0):
        return self.run_tool(REPLAY, CAPTURE, "--data", self.data, "--ring", self.ring, *words,
                             code=code)

    def query(self, command, *words, code=0):
        """The answer as JSON, as programs ask for it."""
        as_json = [] if command == "export" else ["--json"]
        return self.run_tool(QUERY, command, *words, *as_json, "--data", self.data, code=code)

    def export(self, *words):
        return [json.loads(line) for line in self.query("export", *words).stdout.splitlines()]

    def old_file(self, rows=200, hours=1):
        path = os.path.join(self.dir, "old.db")
        self.run_tool(REPLAY, CAPTURE, "--data", path, "--layout", "single", "--ring", self.ring,
                      "--make-backlog", rows, "--quiet")
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA journal_mode=DELETE")
            newest, = db.execute("SELECT max(finished_at) FROM invocations").fetchone()
            move = time.time() - hours * 3600 - newest
            db.execute("UPDATE invocations SET finished_at = finished_at + ?, "
                       "started_at = started_at + ?, received_at = received_at + ?", (move,) * 3)
        os.unlink(self.ring) if os.path.exists(self.ring) else None
        return path

    def test_has_the_capture_as_celery_itself_has_it(self):
        self.replay("--keep-forever", "--quiet")
        stored = {row["task_id"]: row for row in self.export()}
        with open(EXPECTED, newline="") as f:
            expected = list(csv.DictReader(f))
        for row in expected:
            found = stored[row["task_id"]]
            self.assertEqual(found["state"], row["state"])
            for ours, theirs in (("received_at", "received"), ("started_at", "started"),
                                 ("finished_at", "finished")):
                if row[theirs]:
                    self.assertAlmostEqual(found[ours], float(row[theirs]), delta=1.1e-6)
                else:
                    self.assertIsNone(found[ours])
            if row["runtime"]:
                self.assertAlmostEqual(found["runtime_ms"], 1000 * float(row["runtime"]), delta=0.0006)
            self.assertEqual((found["worker"] or "", found["queue"] or ""), (row["worker"], row["queue"]))

    def test_answers_the_same_from_a_folder_and_from_a_file_of_the_old_layout(self):
        self.replay("--keep-forever", "--quiet")
        folder = self.export()
        count = json.loads(self.query("count").stdout)
        listed = json.loads(self.query("list", "--task", "shop.email.send", "--limit", 7).stdout)
        one = json.loads(self.query("get", listed["records"][0]["task_id"]).stdout)
        self.assertEqual(one["args_preview"], listed["records"][0]["args_preview"])
        os.unlink(self.ring)
        self.data = os.path.join(self.dir, "single.db")
        self.replay("--keep-forever", "--quiet", "--layout", "single")
        self.assertEqual(json.loads(self.query("count").stdout), count)
        again = json.loads(self.query("list", "--task", "shop.email.send", "--limit", 7).stdout)
        self.assertEqual([r["task_id"] for r in again["records"]],
                         [r["task_id"] for r in listed["records"]])
        by_id = {row["task_id"]: row for row in self.export()}
        self.assertEqual(len(by_id), len(folder))
        for row in folder:
            for key in ("state", "task_name", "worker", "exception_type", "args_preview",
                        "kwargs_preview", "traceback_snippet"):
                self.assertEqual(row[key], by_id[row["task_id"]][key], row["task_id"])

    def test_walks_through_everything_with_cursors_and_writes_csv(self):
        self.replay("--keep-forever", "--quiet")
        whole = [row["task_id"] for row in self.export()]
        pages, after = [], []
        while True:
            page = json.loads(self.query("list", "--limit", 13, *after).stdout)
            pages += [row["task_id"] for row in page["records"]]
            if page["next"] is None:
                break
            after = ["--after", page["next"]]
        self.assertEqual(pages, whole)
        text = self.query("export", "--format", "csv").stdout
        rows = list(csv.DictReader(text.splitlines(keepends=True)))
        self.assertEqual([row["task_id"] for row in rows], whole)

    def test_reads_while_an_engine_writes_and_follows(self):
        engine = subprocess.Popen([REPLAY, CAPTURE, "--data", self.data, "--ring", self.ring, "--rate",
                                   "400", "--records", "1600", "--quiet"])
        self.addCleanup(engine.kill)
        while not os.path.exists(os.path.join(self.data, "meta.db")):
            time.sleep(0.02)
        time.sleep(0.5)
        out = open(os.path.join(self.dir, "followed"), "w+")
        self.addCleanup(out.close)
        follower = subprocess.Popen([QUERY, "list", "--data", self.data, "--follow", "--limit", "5",
                                     "--json"],
                                    stdout=out)
        self.addCleanup(follower.kill)
        counts = []
        while engine.poll() is None:
            counts.append(json.loads(self.query("count").stdout)["total"])
            time.sleep(0.1)
        self.assertEqual(engine.returncode, 0)
        self.assertEqual(counts, sorted(counts))
        self.assertGreater(len(set(counts)), 3)
        time.sleep(0.8)
        follower.send_signal(signal.SIGINT)
        self.assertEqual(follower.wait(20), 0)
        out.seek(0)
        followed = [json.loads(line) for line in out]
        self.assertGreater(len(followed), 300)
        self.assertEqual(len(followed), len({row["task_id"] for row in followed}))
        self.assertEqual(json.loads(self.query("count").stdout)["total"], 1600)

    def test_purges_a_folder_with_and_without_an_engine(self):
        self.replay("--make-backlog", 3000, "--quiet")
        dry = json.loads(self.run_tool(PURGE, "--dry-run", "--json", self.data).stdout.splitlines()[-1])
        self.assertEqual(dry["invocations_expired"], 3000)
        self.assertEqual(self.export(), [], "what has expired is not shown, purged or not")
        copy = self.data + "-2"
        shutil.copytree(self.data, copy)
        done = json.loads(self.run_tool(PURGE, "--json", self.data).stdout.splitlines()[-1])
        self.assertEqual((done["done"], done["invocations_deleted"]), (True, 3000))
        self.assertIn("would unlink 0 segments", self.run_tool(PURGE, "--dry-run", self.data).stdout)

        self.data = copy
        engine = subprocess.Popen([REPLAY, "--data", self.data, "--ring", self.ring, "--engine-only",
                                   "--keep-forever", "--quiet"])
        self.addCleanup(engine.kill)
        time.sleep(0.7)
        kept = json.loads(self.run_tool(PURGE, "--json", self.data).stdout.splitlines()[-1])
        self.assertEqual((kept["done"], kept["invocations_deleted"]), (True, 0))
        self.assertIn("for ever", kept["note"], "the engine's retention is the folder's")
        done = json.loads(self.run_tool(PURGE, "--json", "--invocations-older-than", "120h",
                                        "--details-older-than", "60h", self.data).stdout.splitlines()[-1])
        self.assertEqual((done["done"], done["invocations_deleted"]), (True, 3000))
        self.assertIn("engine", done["note"])
        self.assertIsNone(engine.poll())
        engine.terminate()
        self.assertEqual(engine.wait(20), 0)
        self.run_tool(PURGE, "--verify", self.data)

    def test_purges_the_folder_that_is_named_elsewhere_and_no_other(self):
        self.replay("--make-backlog", 300, "--quiet")
        variable = {**os.environ, "PHLOWER_DATA": self.data}

        def purge(*words, **more):
            return subprocess.run([os.path.abspath(PURGE), *words], capture_output=True, text=True,
                                  cwd=self.dir, **more)
        done = purge("--json", env=variable)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["invocations_deleted"], 300)
        self.assertIn(f"the folder is {self.data} (PHLOWER_DATA)", done.stderr)
        variable["PHLOWER_DATA"] = self.old_file()
        before = content(variable["PHLOWER_DATA"])
        done = purge(env=variable)
        self.assertEqual(done.returncode, 2, "a file is named on the command line")
        self.assertIn("is no folder", done.stderr)
        self.assertEqual(content(variable["PHLOWER_DATA"]), before)
        del variable["PHLOWER_DATA"]
        shutil.copytree(self.data, os.path.join(self.dir, "phlower-data"))
        done = purge(env=variable)
        self.assertEqual(done.returncode, 2, "the default names nothing to delete from")
        self.assertIn("TARGET is missing", done.stderr)
        agent, engine = (os.path.join(self.dir, name) for name in ("agent.yaml", "engine.yaml"))
        with open(engine, "w") as f:
            f.write(f"store: {{path: {self.data}}}\n")
        with open(agent, "w") as f:
            f.write(f"plugin: {{config: {engine}}}\nstdin: {{enabled: true}}\n")
        done = purge("--config", agent, "--dry-run", env=variable)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("(store.path of", done.stderr)

    def test_verifies_and_sets_a_damaged_segment_aside(self):
        self.replay("--make-backlog", 3000, "--quiet")
        self.run_tool(PURGE, "--verify", self.data)
        with sqlite3.connect(os.path.join(self.data, "meta.db")) as db:
            seq, = db.execute("SELECT max(seq) FROM segment WHERE family=0 AND state=5").fetchone()
        path = os.path.join(self.data, f"inv-{seq}.db")
        with open(path, "r+b") as f:
            f.seek(os.path.getsize(path) // 2)
            byte = f.read(1)
            f.seek(-1, os.SEEK_CUR)
            f.write(bytes([byte[0] ^ 4]))
        copy = self.data + "-2"
        shutil.copytree(self.data, copy)
        done = self.run_tool(PURGE, "--verify", self.data, code=1)
        self.assertIn(f"inv-{seq}.db", done.stderr)
        quiet = self.run_tool(PURGE, "--verify", "--quiet", copy, code=1)
        self.assertEqual(quiet.stdout, "")
        self.assertEqual(quiet.stderr.replace(copy, self.data), done.stderr, "damage is told in any case")
        self.assertTrue(os.path.exists(os.path.join(self.data, "quarantine", f"inv-{seq}.db")))
        self.run_tool(PURGE, "--verify", self.data)

    def test_verifies_a_folder_whose_newest_segment_is_missing(self):
        self.replay("--rate", "200", "--records", "50", "--quiet")
        path, = [os.path.join(self.data, name) for name in os.listdir(self.data)
                 if name.startswith("inv-") and name.endswith(".db")]
        os.unlink(path)
        self.assertIn("missing", self.run_tool(PURGE, "--verify", self.data, code=1).stderr)
        self.run_tool(PURGE, "--verify", self.data)
        self.assertEqual(json.loads(self.query("count").stdout)["total"], 0)

    def test_follows_from_where_the_list_began(self):
        self.replay("--rate", "200", "--records", "50", "--quiet")
        follower = subprocess.Popen([QUERY, "list", "--data", self.data, "--follow", "--limit", "3"],
                                    stdout=subprocess.PIPE, text=True)
        time.sleep(1.2)
        follower.send_signal(signal.SIGINT)
        self.assertEqual(len(follower.communicate(timeout=20)[0].splitlines()), 1 + 3)  # a head

    def test_follows_what_is_new_from_a_cursor_too(self):
        self.replay("--rate", "200", "--records", "50", "--quiet")
        after = json.loads(self.query("list", "--limit", "47").stdout)["next"]
        with open(os.path.join(self.dir, "followed"), "w+") as out:
            follower = subprocess.Popen([QUERY, "list", "--data", self.data, "--follow", "--after", after,
                                         "--limit", "3", "--json"], stdout=out)
            self.addCleanup(follower.kill)
            time.sleep(0.6)
            self.replay("--rate", "200", "--records", "20", "--quiet")
            time.sleep(0.8)
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(20), 0)
            out.seek(0)
            followed = {json.loads(line)["task_id"] for line in out}
        whole = [row["task_id"] for row in self.export()]
        self.assertLessEqual(set(whole[:20]), followed, "what came since")

    def test_adopts_a_file_and_lets_it_go_or_rescues_its_newest_hours(self):
        old = self.old_file()
        before = content(old)
        self.replay("--adopt", old, "--quiet")
        with sqlite3.connect(f"file:{old}?mode=ro&immutable=1", uri=True) as db:
            names = {row[0] for row in db.execute("SELECT task_id FROM invocations")}
        self.assertLessEqual(names, {row["task_id"] for row in self.export()})
        self.assertEqual(content(old)[100:], before[100:], "an adopted file is not written")
        said = self.run_tool(PURGE, "--rescue", "12h", "--dry-run", "--json", self.data).stdout
        self.assertIn(f"THE ORIGINAL FILE {old} would be unlinked", said)
        plan = json.loads(said.splitlines()[-1])
        self.assertEqual((plan["dry_run"], plan["unlinks"]), (True, [old]))
        self.assertEqual(content(old)[100:], before[100:], "a dry run unlinks nothing")
        rescue = self.run_tool(PURGE, "--rescue", "12h", "--json", self.data)
        self.assertIn(f"THE ORIGINAL FILE {old} WILL BE UNLINKED", rescue.stderr)
        done = json.loads(rescue.stdout.splitlines()[-1])
        self.assertEqual(done["rescued"], plan["rescued"])
        self.assertTrue(done["done"])
        self.assertTrue(80 <= done["rescued"] <= 110, done["rescued"])
        self.assertFalse(os.path.exists(old))
        left = {row["task_id"] for row in self.export()} & names
        self.assertEqual(len(left), done["rescued"])
        self.run_tool(PURGE, "--verify", self.data)

    def test_says_in_one_line_what_is_wrong(self):
        empty = os.path.join(self.dir, "empty")
        os.mkdir(empty)
        file = os.path.join(self.dir, "file")
        with open(file, "w") as f:
            f.write("no database " * 100)
        self.data = file
        cases = [
            (QUERY, ["get"], 2, "TASK_ID"),
            (QUERY, ["list", "--data", os.path.join(self.dir, "none")], 1, "none"),
            (QUERY, ["list", "--data", empty], 1, "empty"),
            (QUERY, ["list", "--data", file], 1, "file"),
            (QUERY, ["list", "--data", empty, "--since", "soon"], 2, "--since"),
            (QUERY, ["list", "--data", empty, "--after", "x"], 2, "--after"),
            (QUERY, ["export", "--data", empty, "--format", "xml"], 2, "--format"),
            (QUERY, ["list", "--data", empty, "--limit", "0"], 2, "--limit"),
            (QUERY, ["list", "--data", empty], 1, "meta.db"),
            (QUERY, ["frobnicate"], 2, "subcommand"),
            (PURGE, [empty], 1, "empty"),
            (PURGE, ["--rescue", "12h", file], 1, "folder"),
            (PURGE, ["--rescue", "soon", file], 2, "--rescue"),
            (PURGE, ["--verify", "--dry-run", empty], 2, "--verify"),
            (REPLAY, [CAPTURE, "--layout", "double"], 2, "--layout"),
            (REPLAY, [CAPTURE, "--data", self.dir + "/d", "--ring", self.ring, "--adopt", empty], 1, "empty"),
            (REPLAY, [CAPTURE, "--data", self.dir + "/e", "--ring", self.ring, "--adopt", file], 1, "file"),
        ]
        for tool, words, code, part in cases:
            done = self.run_tool(tool, *words, code=code)
            self.assertIn(part, done.stderr, words)
            self.assertLessEqual(len(done.stderr.strip().splitlines()), 2, done.stderr)

    def test_follows_what_is_of_now_beside_a_time_in_the_future(self):
        self.data = os.path.join(self.dir, "single.db")
        self.replay("--layout", "single", "--rate", "100", "--records", "20", "--quiet")
        with sqlite3.connect(self.data) as db:
            db.execute("UPDATE invocations SET finished_at = finished_at + 1e8 WHERE task_id = "
                       "(SELECT min(task_id) FROM invocations)")
        out = open(os.path.join(self.dir, "followed"), "w+")
        self.addCleanup(out.close)
        follower = subprocess.Popen([QUERY, "list", "--data", self.data, "--follow", "--json"],
                                    stdout=out)
        self.addCleanup(follower.kill)
        time.sleep(0.6)
        self.replay("--layout", "single", "--rate", "100", "--records", "30", "--quiet")
        time.sleep(0.8)
        follower.send_signal(signal.SIGINT)
        self.assertEqual(follower.wait(20), 0)
        out.seek(0)
        self.assertEqual(len({json.loads(line)["task_id"] for line in out}), 30)

    def test_tells_its_version_and_shows_examples(self):
        self.assertIn("SQLite", self.run_tool(QUERY, "--version").stdout)
        self.assertIn("Examples", self.run_tool(QUERY, "--help").stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
