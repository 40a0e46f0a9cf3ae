# A data folder as an engine of the first version left it when it was killed after 16,384 rows: their
# ids are in a run, and those behind it in no index. Too large to be kept: written here by hand from
# doc/segment_format.md of that day, with a hash that is not ours.
import ctypes
import os
import random
import sqlite3
import uuid

RUN = 16_384
BASE_US = 1_732_400_000_000_000  # 2024-11-23
HOUR_US = 3_600_000_000
STATE = "CREATE TABLE phlower_state (key TEXT PRIMARY KEY, number REAL, whole INTEGER) WITHOUT ROWID;"
CATALOG = STATE + """
CREATE TABLE segment (seq INTEGER PRIMARY KEY, family INTEGER NOT NULL, state INTEGER NOT NULL,
  from_us INTEGER NOT NULL, until_us INTEGER NOT NULL, oldest_us INTEGER NOT NULL, newest_us INTEGER NOT NULL,
  closed_us INTEGER NOT NULL, row_count INTEGER NOT NULL, details INTEGER NOT NULL, bytes INTEGER NOT NULL,
  checksum INTEGER NOT NULL, path TEXT NOT NULL);
CREATE TABLE metadata (key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, value));
CREATE TABLE aggregate_snapshots (task_name TEXT PRIMARY KEY, snapshot_ts REAL NOT NULL, data BLOB NOT NULL);
"""
ROWS = STATE + """
CREATE TABLE task (seq INTEGER PRIMARY KEY, id NOT NULL, name, state, at INTEGER NOT NULL, started INTEGER,
  received INTEGER, runtime INTEGER, worker, queue, exception, details INTEGER, flags INTEGER NOT NULL);
CREATE INDEX task_by_name ON task (name, at);
CREATE TABLE row_chunk (chunk INTEGER PRIMARY KEY, oldest INTEGER NOT NULL, newest INTEGER NOT NULL);
CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE id_run (page INTEGER PRIMARY KEY, entries BLOB NOT NULL);
CREATE TABLE id_index (page INTEGER PRIMARY KEY, entries BLOB NOT NULL);
CREATE TABLE id_filter (part INTEGER PRIMARY KEY, bits BLOB NOT NULL);
CREATE TABLE ring_chunk (ring BLOB NOT NULL, chunk INTEGER NOT NULL, generation INTEGER NOT NULL,
  used INTEGER NOT NULL, PRIMARY KEY (ring, chunk)) WITHOUT ROWID;
CREATE TABLE ring_lane (ring BLOB NOT NULL, lane INTEGER NOT NULL, delivered INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL, PRIMARY KEY (ring, lane)) WITHOUT ROWID;
"""
WORDS = ["kept.tasks.many", "SUCCESS", "celery@kept", "kept"]


def tag_of(data):
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    return library.XXH3_64bits(data, ctypes.c_size_t(len(data))) >> 32


def run_pages(stored_ids):
    """`id_run` of the first run: page, entries."""
    pages = {}
    for row, stored in enumerate(stored_ids[:RUN]):
        tag = tag_of(stored)
        pages.setdefault(tag >> 26, []).append((tag % 2**26) << 14 | row)
    return [(page, b"".join(entry.to_bytes(5, "little") for entry in sorted(entries)))
            for page, entries in sorted(pages.items())]


def make_folder(folder, rows=RUN + 100, seed=1):
    """Its rows as a query shows them, by their ids."""
    chance = random.Random(seed)
    ids = [uuid.UUID(int=chance.getrandbits(128), version=4) for _ in range(rows)]
    os.mkdir(folder, 0o750)
    with sqlite3.connect(os.path.join(folder, "meta.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(CATALOG)
        db.executemany("INSERT INTO phlower_state (key, whole) VALUES (?, ?)",
                       [("catalog_version", 1), ("next_segment", 2), ("retention_invocations_h", 0),
                        ("retention_details_h", 0)])
        db.execute("INSERT INTO segment VALUES (1, 0, 2, ?, ?, 0, 0, 0, 0, 0, 0, 0, '')",
                   (BASE_US - HOUR_US, BASE_US + 4 * HOUR_US))
    db.close()
    with sqlite3.connect(os.path.join(folder, "inv-1.db")) as db:
        db.execute("PRAGMA page_size = 4096")
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(ROWS)
        db.executemany("INSERT INTO phlower_state (key, whole) VALUES (?, ?)",
                       [("segment_version", 1), ("base_us", BASE_US), ("details", 0), ("details_segment", 0),
                        ("index_bits", 0), ("index_parts", 0)])
        db.executemany("INSERT INTO word (text) VALUES (?)", [(word,) for word in WORDS])
        db.executemany("INSERT INTO task (id, name, state, at, started, received, runtime, worker, queue, flags) "
                       "VALUES (?, 1, 2, ?, 1500, 2500, 1250, 3, 4, 0)",
                       [(row.bytes, 1000 * i) for i, row in enumerate(ids)])
        db.executemany("INSERT INTO row_chunk VALUES (?, ?, ?)",
                       [(c, 1000 * 1024 * c, 1000 * (1024 * c + 1023)) for c in range(rows // 1024)])
        db.executemany("INSERT INTO id_run VALUES (?, ?)", run_pages([row.bytes for row in ids]))
    db.close()
    return {str(row): shown(str(row), (BASE_US + 1000 * i) / 1e6) for i, row in enumerate(ids)}


def shown(task_id, ended):
    return {"task_id": task_id, "task_name": WORDS[0], "state": WORDS[1], "received_at": ended - 0.0025,
            "started_at": ended - 0.0015, "finished_at": ended, "runtime_ms": 1.25, "worker": WORDS[2],
            "queue": WORDS[3], "exception_type": None, "args_preview": None, "kwargs_preview": None,
            "traceback_snippet": None}
