# What the first version of Phlower left on a disk: tests/data/first_version/kept.tar.xz, and what
# must be read from it for ever. README.md there says how it was made.
import json
import os
import shutil
import sqlite3
import struct
import subprocess
import tarfile
import tempfile
import unittest

KEPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "first_version", "kept.tar.xz")
# Files of the folder in each state that a segment has, as the catalog there names them.
SEGMENTS = {"sealed": "inv-3.db", "sealing": "inv-8.db", "writing": "inv-10.db", "late": "inv-12.db",
            "sealed details": "det-7.db", "written details": "det-11.db", "late details": "det-13.db"}
VERSION_AT, BOOT_ID_AT, HEADER_CRC_AT = 0x08, 0x50, 0x6C  # doc/ring_format.md, 2.1


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def edit_ring(path, at, value):
    """Changes bytes of the header, and its checksum."""
    with open(path, "r+b") as f:
        header = bytearray(f.read(HEADER_CRC_AT))
        header[at:at + len(value)] = value
        f.seek(0)
        f.write(header + struct.pack("<I", crc32c(header)))


def of_this_boot():
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as f:
        return bytes.fromhex(f.read().strip().replace("-", ""))


def snapshot(folder):
    """Name, bytes and last change of all that is in a folder, and of the folder itself."""
    found = {}
    for base, _, names in os.walk(folder):
        for name in ["."] + names:
            path = os.path.join(base, name)
            content = b""
            if name != ".":
                with open(path, "rb") as f:
                    content = f.read()
            found[os.path.relpath(path, folder)] = (os.stat(path).st_mtime_ns, content)
    return found


def fact(path, key):
    with sqlite3.connect(path) as db:
        row = db.execute("SELECT whole FROM phlower_state WHERE key = ?", (key,)).fetchone()
    db.close()
    return row[0]


def set_fact(path, key, value):
    db = sqlite3.connect(path)
    with db:
        db.execute("UPDATE phlower_state SET whole = ? WHERE key = ?", (value, key))
    db.close()


def lines(path):
    with open(path, encoding="utf-8") as f:
        return {row["task_id"]: row for row in map(json.loads, f)}


class FirstVersionCase(unittest.TestCase):
    """A copy of the folder, of the file that it has adopted, and of its ring, for each test."""
    maxDiff = None
    REPLAY = QUERY = PURGE = CAPTURE = ""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        with tarfile.open(KEPT) as kept:
            kept.extractall(self.dir)
        self.data, self.ring, self.old = (os.path.join(self.dir, name) for name in ("data", "ring", "old.db"))
        self.rows, self.pending = (lines(os.path.join(self.dir, name)) for name in ("rows.ndjson", "pending.ndjson"))
        # An adopted file is known by its place.
        with sqlite3.connect(os.path.join(self.data, "meta.db")) as db:
            was, = db.execute("SELECT path FROM segment WHERE path <> ''").fetchone()
            db.execute("UPDATE segment SET path = ? WHERE path = ?", (self.old, was))
            db.execute("UPDATE phlower_state SET key = ? WHERE key = ?", ("adopted:" + self.old, "adopted:" + was))
        db.close()

    def run_tool(self, tool, *words, code=0):
        done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done

    def query(self, command, *words, data=None, code=0):
        as_json = [] if command == "export" else ["--json"]
        return self.run_tool(self.QUERY, command, *words, *as_json, "--data", data or self.data, code=code)

    def export(self, *words, data=None):
        done = self.query("export", *words, data=data)
        self.assertEqual(done.stderr, "", "nothing is left out")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def spike(self, records, *words, data=None, ring=None):
        """An engine that takes so many new tasks in."""
        done = self.run_tool(self.REPLAY, self.CAPTURE, "--data", data or self.data, "--ring",
                             ring or os.path.join(self.dir, "new.ring"), "--rate", "max", "--records", records,
                             "--producers", 2, "--keep-forever", "--json", *words)
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(result["sums_hold"], done.stdout)
        return result

    def expect_row(self, found, wanted):
        """Times are kept to the microsecond, runtimes as well."""
        about = {"received_at": 1.1e-6, "started_at": 1.1e-6, "finished_at": 1.1e-6, "runtime_ms": 0.0006}
        for name in wanted.keys() | (found.keys() & {"details_cut", "details_shed"}):
            is_, want = found.get(name), wanted.get(name)
            place = f"{wanted['task_id']}: {name}"
            if name in about and want is not None and is_ is not None:
                self.assertAlmostEqual(is_, want, delta=about[name], msg=place)
            else:
                self.assertEqual(is_, want, place)

    def expect_rows(self, found, wanted):
        self.assertEqual(sorted(row["task_id"] for row in found), sorted(wanted))
        for row in found:
            self.expect_row(row, wanted[row["task_id"]])
