"""phlower-query and phlower-purge by other names than the file's own, and as somebody who may only read.

folder_access_test.py REPLAY QUERY PURGE CAPTURE
"""
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

REPLAY, QUERY, PURGE, CAPTURE = map(os.path.abspath, sys.argv[1:5])
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
IS_ROOT = os.geteuid() == 0 and shutil.which("setpriv") is not None


def picture(folder):
    """Names, bytes and times of all that is in a folder, and of the folder."""
    seen = {".": os.stat(folder).st_mtime_ns}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "rb") as f:
            seen[name] = (f.read(), os.stat(path).st_mtime_ns)
    return seen


class Access(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "data")
        self.ring = os.path.join(self.dir, "ring")

    def run_tool(self, *words, code=0, **more):
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=100, **more)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def replay(self, *words):
        self.run_tool(REPLAY, CAPTURE, "--data", self.data, "--ring", self.ring, "--quiet", *words)
        if os.path.exists(self.ring):
            os.unlink(self.ring)

    def total(self, data, *before):
        done = self.run_tool(*before, QUERY, "count", "--data", data, "--json")
        return json.loads(done.stdout.splitlines()[-1])["total"]

    def everybody_may_read(self):
        os.chmod(self.data, 0o755)
        for name in os.listdir(self.data):
            os.chmod(os.path.join(self.data, name), 0o644)

    def killed_engine(self):
        """A data folder as kill -9 leaves it, and how many rows were committed."""
        engine = subprocess.Popen([REPLAY, CAPTURE, "--data", self.data, "--ring", self.ring, "--rate",
                                   "2000", "--records", "100000", "--quiet"])
        self.addCleanup(engine.kill)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.1)
            if os.path.exists(self.data + "/meta.db") and os.path.exists(self.data + "/pins"):
                asked = subprocess.run([QUERY, "count", "--data", self.data, "--json"],
                                       capture_output=True, text=True)
                if asked.returncode == 0 and json.loads(asked.stdout)["total"] > 500:
                    break
        engine.send_signal(signal.SIGKILL)
        engine.wait(20)
        logs = [n for n in os.listdir(self.data) if n.endswith("-wal")
                and os.path.getsize(os.path.join(self.data, n)) > 0]
        self.assertTrue(logs)
        return self.total(self.data)

    def single_file(self, rows=500):
        path = os.path.join(self.dir, "disk", "history.db")
        os.makedirs(os.path.dirname(path))
        self.run_tool(REPLAY, CAPTURE, "--data", path, "--layout", "single", "--ring", self.ring,
                      "--make-backlog", rows, "--quiet")
        link = os.path.join(self.dir, "link.db")
        os.symlink("disk/history.db", link)
        return path, link

    def test_purges_the_file_that_a_link_leads_to(self):
        path, link = self.single_file()
        company = sqlite3.connect(path, isolation_level=None)
        company.execute("BEGIN IMMEDIATE")
        done = subprocess.run([PURGE, link, "--max-time", "1s"], capture_output=True, text=True, timeout=60)
        self.assertIn(f"(pid {os.getpid()})", done.stderr, "who has the lock, through the link")
        company.execute("ROLLBACK")
        done = json.loads(self.run_tool(PURGE, link, "--json").stdout.splitlines()[-1])
        self.assertEqual((done["done"], done["invocations_deleted"]), (True, 500))
        self.assertTrue(os.path.islink(link))
        self.assertEqual(os.listdir(self.dir).count("link.db-wal"), 0)
        self.assertEqual(company.execute("SELECT count(*) FROM invocations").fetchone(), (0,))
        company.close()
        os.link(path, path + ".2")
        self.assertIn("2 names", self.run_tool(PURGE, link, code=1).stderr)

    def test_reads_and_purges_a_folder_through_a_link(self):
        self.replay("--make-backlog", 3000)
        link = os.path.join(self.dir, "link")
        os.symlink("data", link)
        dry = json.loads(self.run_tool(PURGE, "--dry-run", "--json", link + "/../data//")
                         .stdout.splitlines()[-1])
        self.assertEqual(dry["invocations_expired"], 3000)
        done = json.loads(self.run_tool(PURGE, "--json", link).stdout.splitlines()[-1])
        self.assertEqual((done["done"], done["invocations_deleted"]), (True, 3000))
        self.run_tool(PURGE, "--verify", link)

    def test_a_question_at_rest_leaves_no_trace(self):
        self.replay("--keep-forever")
        before = picture(self.data)
        self.assertGreater(self.total(self.data), 0)
        self.run_tool(PURGE, "--dry-run", "--invocations-older-than", "120h", self.data)
        self.run_tool(PURGE, "--verify", self.data)
        self.assertEqual(picture(self.data), before)

    def test_reads_more_segments_than_the_soft_limit_of_descriptors(self):
        self.replay("--keep-forever", "--make-backlog", 3000)
        segments = sum(n.startswith("inv-") for n in os.listdir(self.data))
        few = max(10, segments // 2)
        limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, 4096))
        self.run_tool(QUERY, "count", "--data", self.data, preexec_fn=limit)
        hard = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (6, 6))
        done = self.run_tool(QUERY, "count", "--data", self.data, code=1, preexec_fn=hard)
        self.assertIn("ulimit -n", done.stderr)

    @unittest.skipUnless(IS_ROOT, "needs root and setpriv, to become somebody who may only read")
    def test_somebody_who_may_only_read_does_so_whatever_a_kill_left(self):
        rows = self.killed_engine()
        self.everybody_may_read()
        for without in ("-nothing", "-shm"):
            for name in os.listdir(self.data):
                if name.endswith(without):
                    os.unlink(os.path.join(self.data, name))
            before = picture(self.data)
            self.assertEqual(self.total(self.data, *NOBODY), rows, without)
            self.run_tool(*NOBODY, PURGE, "--verify", self.data)
            self.assertEqual(picture(self.data), before)
        self.assertEqual(self.total(self.data), rows)

    @unittest.skipUnless(IS_ROOT, "needs root and setpriv, to become somebody who may only read")
    def test_says_what_may_not_be_read_and_what_may_not_be_set_aside(self):
        self.replay("--make-backlog", 3000)
        self.everybody_may_read()
        damaged, = [n for n in sorted(os.listdir(self.data)) if n.startswith("inv-")
                    and n.endswith(".db") and os.path.getsize(self.data + "/" + n) > 40000][:1]
        with open(self.data + "/" + damaged, "r+b") as f:
            f.seek(30000)
            f.write(b"damage")
        done = self.run_tool(*NOBODY, PURGE, "--verify", self.data, code=1)
        self.assertIn(damaged, done.stderr)
        self.assertIn("stay where they are", done.stderr)
        self.assertTrue(os.path.exists(self.data + "/" + damaged))
        os.chmod(self.data + "/meta.db", 0o600)
        done = self.run_tool(*NOBODY, QUERY, "count", "--data", self.data, code=1)
        self.assertIn(f"{self.data}/meta.db: Permission denied", done.stderr)
        os.chmod(self.data, 0o700)
        for tool in ([QUERY, "count", "--data"], [PURGE, "--verify"], [PURGE, "--dry-run"]):
            done = self.run_tool(*NOBODY, *tool, self.data, code=1)
            self.assertIn("Permission denied", done.stderr)
            self.assertIn(self.data, done.stderr)

    @unittest.skipUnless(IS_ROOT and shutil.which("unshare"), "needs root and unshare, to mount")
    def test_reads_on_a_mount_that_is_read_only(self):
        rows = self.killed_engine()
        for name in os.listdir(self.data):
            if name.endswith("-shm"):
                os.unlink(os.path.join(self.data, name))
        mounted = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" '
                   '&& ! touch "$0/x" 2>/dev/null && exec "$@"', self.data]
        if subprocess.run([*mounted, "true"], capture_output=True).returncode != 0:
            self.skipTest("mounts are not possible here")
        self.assertEqual(self.total(self.data, *mounted), rows)
        self.run_tool(*mounted, PURGE, "--verify", self.data)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
