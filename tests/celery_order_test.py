#!/usr/bin/env python3
"""Every order of a task's events comes to what Celery's own State comes to, but where
include/phlower/celery/task_history.hpp says why not. The events go through phlower-replay.

    celery_order_test.py REPLAY QUERY EVENTS
"""
import base64
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import celery_rig  # noqa: E402

if __name__ == "__main__":
    celery_rig.need("celery")

from celery import states  # noqa: E402
from celery.events.state import State  # noqa: E402

ORDERS = 240  # of each set of events, or all there are
NOW = 1795000000.0
LIFE = ["sent", "received", "started", "retried", "rejected", "revoked", "failed", "succeeded"]
ENDS = {"succeeded": "SUCCESS", "failed": "FAILURE", "revoked": "REVOKED", "rejected": "REJECTED"}

# Kinds of events in the order of their times, one second after the other.
SETS = [text.split() for text in (
    "sent received started succeeded", "received started failed rejected",
    "received started rejected failed", "sent received started failed",
    "received started succeeded revoked", "received started revoked succeeded",
    "received revoked started failed", "sent revoked", "received started rejected",
    "received rejected received started succeeded",
    "received started succeeded received started failed",
    "received started failed received started succeeded",
    "received started succeeded received started succeeded",
    "received started failed failed", "received started received", "received started",
    "sent received started sent retried received started succeeded",
    "received started retried received started failed", "received retried revoked",
    "received started retried", "received started retried received",
    "received retried received started retried received started succeeded",
    "received started succeeded retried", "started succeeded retried started failed",
    "received started progress succeeded", "received progress revoked", "received started progress",
    "failed", "revoked received started succeeded rejected", "received started succeeded sent")]


def made(kinds):
    """Events as a worker sends them; those before the first `received` of a second delivery, too."""
    events = []
    for i, kind in enumerate(kinds):
        event = {"type": "task-" + kind, "uuid": "", "clock": i + 1, "timestamp": NOW + i, "utcoffset": 0,
                 "pid": 7, "hostname": "client@web" if kind == "sent" else "w@a"}
        if kind in ("sent", "received"):
            event.update(name="shop.pack", args="(1,)", kwargs="{'a': 2}", retries=0)
        if kind in ("failed", "retried"):
            event.update(exception="KeyError(%d)" % i, traceback="Traceback %d" % i)
        if kind == "succeeded":
            event.update(runtime=0.25, result="None")
        events.append(event)
    return events


def kind_of(event):
    return event["type"].partition("-")[2]


def in_time(events):
    return sorted(events, key=lambda e: (e["timestamp"], LIFE.index(kind_of(e)) if kind_of(e) in LIFE else -1))


def state_of(events):
    """Celery's own word on these events in this order."""
    state = State()
    for event in events:
        state.event({**event, "local_received": event["timestamp"]})
    return state.tasks[events[0]["uuid"]]


def known(events):
    """Without what changes no state here: custom events, and what a client has sent."""
    return [event for event in events if kind_of(event) in LIFE and kind_of(event) != "sent"]


def expected_state(events):
    """By State in the order of the times, with the deviations that task_history.hpp names."""
    events = in_time(known(events))
    if not events:
        return None  # only sent: no row
    ends = [ENDS[kind_of(event)] for event in events if kind_of(event) in ENDS]
    if not ends:
        return state_of(events).state
    final = [end for end in ends if end != "REJECTED"]
    return min(final, key=states.precedence) if final else "REJECTED"


def state_is_bound_to_agree(events):
    """State must come to the same for this order of arrival: there is nothing that it depends on."""
    kinds = [kind_of(event) for event in known(events)]
    if len(kinds) != len([e for e in events if kind_of(e) != "sent"]):
        return False  # a custom event
    if not kinds or ("rejected" in kinds and not set(kinds) & {"succeeded", "failed", "revoked"}):
        return False
    if "retried" not in kinds:
        return True
    if any(kind_of(event) == "sent" for event in events):
        return False
    in_order = [id(e) for e in in_time(known(events))] == [id(e) for e in known(events)]
    ends = [i for i, kind in enumerate(kinds) if kind in ENDS]
    return in_order and not (ends and "retried" in kinds[ends[0]:])


def expected_times(events, state):
    ends = [e for e in in_time(events) if ENDS.get(kind_of(e)) == state]
    finished = ends[-1]["timestamp"] if ends else None
    times = {"finished_at": finished}
    for kind in ("received", "started"):
        all_of = [e["timestamp"] for e in in_time(events) if kind_of(e) == kind]
        before = [at for at in all_of if finished is None or at <= finished]
        times[kind + "_at"] = before[-1] if before else all_of[0] if all_of else None
    return times, ends[-1] if ends else None


class Order(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="phlower-test-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name
        self.random = random.Random(20261125)

    def orders_of(self, events):
        if len(events) <= 5:
            return list(itertools.permutations(events))
        return [self.random.sample(events, len(events)) for _ in range(ORDERS)] + [in_time(events)]

    def play(self, tasks):
        """Rows by task id, after all of it went through the program."""
        capture = os.path.join(self.dir, "capture.ndjson")
        with open(capture, "w") as out:
            for events in tasks.values():
                body = base64.b64encode(json.dumps(events).encode()).decode()
                data = {"body": body, "content-type": "application/json", "content-encoding": "utf-8",
                        "properties": {"body_encoding": "base64"}}
                out.write(json.dumps({"channel": "/0.celeryev/task.multi", "data": json.dumps(data)}) + "\n")
        history = os.path.join(self.dir, "history")
        subprocess.run([REPLAY, capture, "--data", history, "--ring", os.path.join(self.dir, "ring"),
                        "--keep-forever", "--quiet"], check=True, stdout=subprocess.DEVNULL)
        done = subprocess.run([QUERY, "export", "--data", history], check=True, capture_output=True, text=True)
        return {row["task_id"]: row for row in map(json.loads, done.stdout.splitlines())}

    def compare(self, sets):
        tasks = {}
        for name, events in sets.items():
            for i, order in enumerate(self.orders_of(events)):
                tasks["%s-%d" % (name, i)] = [{**event, "uuid": "%s-%d" % (name, i)} for event in order]
        rows = self.play(tasks)
        agreed = 0
        for task_id, events in tasks.items():
            with self.subTest(task_id, events=[(kind_of(e), e["timestamp"]) for e in events]):
                agreed += self.compare_one(rows.get(task_id), events)
        return len(tasks), agreed

    def compare_one(self, row, events):
        wanted = expected_state(events)
        if wanted is None:
            self.assertIsNone(row)
            return False
        self.assertEqual(row["state"], wanted)
        times, end = expected_times(events, wanted)
        for key, at in times.items():
            self.assertAlmostEqual(row[key] or 0, at or 0, delta=2e-6, msg=key)
        if wanted == "SUCCESS":
            self.assertFalse(row["exception_type"])
        elif wanted == "FAILURE":
            self.assertEqual(row["exception_type"] or "", end.get("exception", ""))
            self.assertEqual(row["traceback_snippet"] or "", end.get("traceback", ""))
        if not state_is_bound_to_agree(events):
            return False
        self.compare_with_state(row, events, state_of(events))
        return True

    def compare_with_state(self, row, events, task):
        self.assertEqual(row["state"], task.state)
        kinds = [kind_of(event) for event in events]
        once = all(kinds.count(kind) == 1 for kind in kinds)
        if once:
            kind = {state: kind for kind, state in ENDS.items()}.get(task.state)
            self.assertAlmostEqual(row["received_at"] or 0, task.received or 0, delta=2e-6)
            self.assertAlmostEqual(row["started_at"] or 0, task.started or 0, delta=2e-6)
            self.assertAlmostEqual(row["finished_at"] or 0, (getattr(task, kind) if kind else 0) or 0, delta=2e-6)
            if task.state == "FAILURE":
                self.assertEqual(row["exception_type"], task.exception)
                self.assertEqual(row["traceback_snippet"] or None, task.traceback)
        if len({e["hostname"] for e in known(events)}) == 1:
            self.assertEqual(row["worker"], task.worker.hostname)
        for key, field in (("task_name", "name"), ("args_preview", "args"), ("kwargs_preview", "kwargs")):
            if len({e[field] for e in events if e.get(field)}) == 1:
                self.assertEqual(row[key], getattr(task, field))

    def test_made_sets_in_all_their_orders(self):
        compared, agreed = self.compare({"-".join(kinds): made(kinds) for kinds in SETS})
        self.assertGreater(compared, 2000)
        self.assertGreater(agreed, 800)  # word for word what State has for that very order

    def test_tasks_of_a_real_worker_in_many_orders(self):
        sets = {}
        with open(EVENTS) as lines:
            for line in lines:
                event = json.loads(line)
                sets.setdefault(event["uuid"], []).append(event)
        compared, agreed = self.compare(sets)
        self.assertGreater(compared, 200 * len([s for s in sets.values() if len(s) > 5]))
        self.assertGreater(agreed, 200)


if __name__ == "__main__":
    REPLAY, QUERY, EVENTS = sys.argv[1:4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
