# What the tests of phlower-purge share: small databases of every schema, and a reference DELETE.
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

PURGE = sys.argv[1]
HOUR = 3600.0
ROWS, DETAILS = 120 * HOUR, 60 * HOUR
CORE = ("task_id TEXT PRIMARY KEY, task_name TEXT NOT NULL, state TEXT NOT NULL, received_at REAL,"
        " started_at REAL, finished_at REAL, runtime_ms REAL, worker TEXT, queue TEXT,"
        " exception_type TEXT")
TEXTS = ("args_preview", "kwargs_preview", "traceback_snippet")
DETAIL = ", ".join(f"{name} TEXT" for name in TEXTS)
KEYS = {"done", "invocations_deleted", "details_deleted", "slices", "hold_ms", "wal_bytes_max",
        "bytes_reclaimed", "elapsed_s"}
SCHEMAS = ("single", "presplit", "partitioned", "legacy")


def day(finished):
    return time.strftime("_%Y%m%d", time.gmtime(finished))


def suffix_of(schema, row):
    """The end of the names of the tables that a row is in."""
    if schema == "legacy":  # older rows in tables set aside, newer ones in tables of days
        return "_legacy" if row["at"] < row["now"] - 24 * HOUR else day(row["at"])
    return day(row["at"]) if schema == "partitioned" else ""


def made_rows(expired, thin=300, fresh=300, seed=1):
    """Rows of three ages, some at ten minutes from a cutoff, some without an end or any time."""
    chance, now = random.Random(seed), time.time()
    ages = [chance.uniform(ROWS + 600, ROWS + 60 * HOUR) for _ in range(expired - 1)]
    ages += [ROWS + 600, ROWS - 600, DETAILS + 600, DETAILS - 600]
    ages += [chance.uniform(DETAILS + 600, ROWS - 600) for _ in range(thin)]
    ages += [chance.uniform(60, 8 * HOUR) for _ in range(fresh)]
    rows = []
    for i, age in enumerate(ages):
        at = now - age
        times = (at, at, at) if i % 11 else (at, None, None) if i % 2 else (at, at, None)
        core = (f"{chance.getrandbits(128):032x}", f"shop.task_{i % 37}", "SUCCESS", *times,
                1.5 * i, f"celery@{i % 7}", "celery", None if i % 20 else "ValueError")
        detail = (f"[{i}]", "{'k': '" + "x" * (i * 37 % 500) + "'}",
                  None if i % 20 else "Traceback\n" * 60)
        rows.append({"at": at, "age": age, "now": now, "core": core, "detail": detail})
    return rows


def create(db, schema, suffix):
    core = CORE + (", " + DETAIL if schema == "presplit" else "")
    db.execute(f"CREATE TABLE IF NOT EXISTS invocations{suffix} ({core})")
    db.execute(f"CREATE INDEX IF NOT EXISTS idx{suffix}_f ON invocations{suffix} (finished_at)")
    db.execute(f"CREATE INDEX IF NOT EXISTS idx{suffix}_t ON invocations{suffix} "
               "(task_name, finished_at)")
    if schema != "presplit":
        db.execute(f"CREATE TABLE IF NOT EXISTS invocation_details{suffix} "
                   f"(task_id TEXT PRIMARY KEY, {DETAIL})")


def insert(db, schema, suffix, row):
    if schema == "presplit":
        db.execute(f"INSERT INTO invocations VALUES ({','.join('?' * 13)})",
                   row["core"] + row["detail"])
        return
    db.execute(f"INSERT INTO invocations{suffix} VALUES ({','.join('?' * 10)})", row["core"])
    db.execute(f"INSERT INTO invocation_details{suffix} VALUES (?,?,?,?)",
               row["core"][:1] + row["detail"])


def make(path, schema, rows, auto_vacuum="NONE"):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("BEGIN")
    for row in rows:
        suffix = suffix_of(schema, row)
        create(db, schema, suffix)
        insert(db, schema, suffix, row)
    create(db, schema, day(time.time()) if schema in ("partitioned", "legacy") else "")
    db.execute("CREATE TABLE metadata (key TEXT, value TEXT)")
    db.execute("COMMIT")
    db.close()


def content(path):
    """Every row and all details of the file, from whatever tables they are in."""
    rows, details = set(), set()
    db = sqlite3.connect(path, timeout=30)
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
    for name in names:
        if name.startswith("invocations"):
            for row in db.execute(f"SELECT * FROM {name}"):
                rows.add(row[:10])
                if any(text is not None for text in row[10:]):
                    details.add(row[:1] + row[10:])
        elif name.startswith("invocation_details"):
            details.update(db.execute(f"SELECT * FROM {name}"))
    db.close()
    return rows, details


def reference(path, schema):
    """What one DELETE after the rules leaves of a copy of the file."""
    copy = path + ".reference"
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as db:
        source.backup(db)
        at, now = "coalesce(finished_at, started_at, received_at)", time.time()
        names = [n for (n,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        for name in (n for n in names if n.startswith("invocations")):
            old = f"(SELECT task_id FROM {name} WHERE {at} <= {now - DETAILS!r})"
            if schema == "presplit":
                db.execute(f"UPDATE {name} SET {'=NULL, '.join(TEXTS)}=NULL WHERE task_id IN {old}")
            else:
                other = name.replace("invocations", "invocation_details")
                db.execute(f"DELETE FROM {other} WHERE task_id IN {old}")
            db.execute(f"DELETE FROM {name} WHERE {at} <= {now - ROWS!r}")
    db.close()
    source.close()
    left = content(copy)
    os.unlink(copy)
    return left


def write_on(path, schema, ready, stop, acked):
    """Another process: adds fresh rows until told to stop, and says which were committed."""
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    written, made = [], time.time()
    while not stop.is_set():
        now = time.time()
        row = {"at": made, "now": now, "detail": ("[]", "{}", None),
               "core": (f"live-{len(written)}", "live", "SUCCESS", now, now, now, 1.0, "w", "q",
                        None)}
        db.execute("BEGIN IMMEDIATE")
        suffix = suffix_of(schema, row)
        create(db, schema, suffix)
        insert(db, schema, suffix, row)
        db.execute("COMMIT")
        written.append((now, row["core"], row["core"][:1] + row["detail"]))
        ready.set()
        time.sleep(0.002)
    db.close()
    acked.put(written)


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.01)
    return False


class PurgeToolCase(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.db = os.path.join(self.dir, "history.db")

    def path(self, name, text=None):
        path = os.path.join(self.dir, name)
        if text is not None:
            with open(path, "w") as f:
                f.write(text)
        return path

    def keep_company(self):
        """Opens the database: while nobody does, slices are long and there are no pauses."""
        company = sqlite3.connect(self.db)
        self.addCleanup(company.close)
        company.execute("SELECT count(*) FROM sqlite_master").fetchall()

    def run_tool(self, *words, code=0, **more):
        done = subprocess.run([PURGE, *map(str, words)], capture_output=True, text=True,
                              timeout=100, **more)
        self.assertEqual(done.returncode, code, (words, done.stdout + done.stderr))
        return done

    def start_tool(self, *words):
        tool = subprocess.Popen([PURGE, *map(str, words)], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

        def end():
            tool.kill()
            tool.communicate()
        self.addCleanup(lambda: tool.poll() is None and end())
        return tool

    def json_of(self, text):
        result = json.loads(text.splitlines()[-1])
        self.assertLessEqual(KEYS, set(result))
        self.assertEqual(set(result["hold_ms"]), {"p50", "p99", "max"})
        return result

    def assert_sound(self):
        with sqlite3.connect(self.db) as db:
            self.assertEqual(db.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        db.close()

    def picture(self):
        """Names, bytes and times of change of everything in the folder, and of the folder."""
        seen = {".": os.stat(self.dir).st_mtime_ns}
        for name in sorted(os.listdir(self.dir)):
            with open(os.path.join(self.dir, name), "rb") as f:
                seen[name] = (hashlib.sha256(f.read()).hexdigest(),
                              os.stat(os.path.join(self.dir, name)).st_mtime_ns)
        return seen
