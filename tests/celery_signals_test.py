#!/usr/bin/env python3
"""plugin/python/phlower_celery.py without a worker: what becomes of a task when its record is in
trouble. Needs Celery, and neither a broker nor the shared object.
"""
import logging
import os
import sys
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "support"), os.path.join(HERE, "..", "plugin", "python")]
import celery_rig  # noqa: E402

if __name__ == "__main__":
    celery_rig.need("celery")

import celery  # noqa: E402
import phlower  # noqa: E402
import phlower_celery  # noqa: E402
from celery.app.trace import trace_task  # noqa: E402
from celery.exceptions import Retry  # noqa: E402


class FakeProducer:
    """Keeps what it is given; answers with `answers` and then ACCEPTED."""

    last_error = "as told"

    def __init__(self, *answers):
        self.answers, self.records = list(answers), []

    def submit(self, **record):
        self.records.append(record)
        answer = self.answers.pop(0) if self.answers else phlower.Outcome.ACCEPTED
        if isinstance(answer, Exception):
            raise answer
        return answer

    def counters(self):
        return {"offered": len(self.records)}


class Unspeakable(Exception):
    def __repr__(self):
        raise RuntimeError("no words")
    __str__ = __repr__


class CelerySignals(unittest.TestCase):
    def setUp(self):
        self.app = celery.Celery("t", broker="memory://", backend="cache+memory://",
                                 set_as_current=False)
        self.lines = []
        handler = logging.Handler()
        handler.emit = lambda line: self.lines.append(line.getMessage())
        logger = logging.getLogger("phlower")
        logger.addHandler(handler)
        logger.propagate = False
        self.addCleanup(logger.removeHandler, handler)
        logging.getLogger("celery").setLevel(logging.CRITICAL)

    def install(self, *answers):
        self.producer = FakeProducer(*answers)
        self.recorder = phlower_celery.install(self.app, producer=self.producer)
        self.addCleanup(self.recorder.disconnect)
        return self.producer

    def run_task(self, function, *args, name="t.one", app=None, **request):
        """As a worker's child does; returns what the task returned."""
        def call(*words):
            return function(*words)
        owner = app or self.app
        task = owner.task(name=name, typing=False)(call)
        task = owner.tasks[name]
        task.run = call  # of the last one that had this name
        task.__trace__ = None
        about = {"id": "id-1", "hostname": "w@h", "is_eager": False,
                 "delivery_info": {"routing_key": "q"}, "phlower_received_at": 5.0, **request}
        return trace_task(task, about["id"], args, {}, about, app=owner).retval

    def test_records_a_run(self):
        producer = self.install()
        self.assertEqual(self.run_task(lambda a, b: a + b, 1, 2), 3)
        record, = producer.records
        self.assertEqual(
            [record[key] for key in ("task_id", "task_name", "state", "worker", "queue", "args",
                                     "kwargs", "exception_type", "received_at")],
            ["id-1", "t.one", "SUCCESS", "w@h", "q", "(1, 2)", "", "", 5.0])
        self.assertGreaterEqual(record["finished_at"], record["started_at"])
        self.assertGreaterEqual(record["runtime"], 0)

    def test_records_a_try_that_is_to_be_repeated_without_an_end(self):
        producer = self.install()

        def again():
            raise Retry("in a while", exc=ValueError("not yet"))

        def again_without_a_reason():
            raise Retry("in a while")
        self.run_task(again)
        self.run_task(again_without_a_reason)
        first, second = producer.records
        for record in (first, second):
            self.assertEqual(record["state"], "RETRY")
            self.assertEqual((record["finished_at"], record["runtime"]), (None, None))
            self.assertGreater(record["started_at"], 5.0)
            self.assertIn("Retry", record["traceback"])
        self.assertEqual(first["exception_type"], "ValueError('not yet')")
        self.assertEqual(second["exception_type"], "")

    def test_prefers_the_words_of_the_client(self):
        producer = self.install()
        self.run_task(lambda a: a, 1, argsrepr="('***',)", kwargsrepr="{}", shadow="t.other")
        self.assertEqual([producer.records[0][key] for key in ("args", "kwargs", "task_name")],
                         ["('***',)", "{}", "t.other"])

    def test_records_exceptions_that_have_no_words_or_far_too_many(self):
        producer = self.install()

        def silent():
            raise Unspeakable()

        def loud():
            raise ValueError("\u2603" * 100000)
        self.run_task(silent)
        self.run_task(loud, name="t.two")
        self.assertEqual([r["state"] for r in producer.records], ["FAILURE", "FAILURE"])
        self.assertIn("Unspeakable", producer.records[0]["exception_type"])
        self.assertTrue(producer.records[1]["exception_type"].startswith("ValueError('\u2603"))
        self.assertLessEqual(len(producer.records[1]["exception_type"]), 600)
        self.assertEqual(self.recorder.troubles, 0)

    def test_tries_a_record_that_is_too_big_once_more_without_its_details(self):
        producer = self.install(phlower.Outcome.TOO_BIG)
        self.assertEqual(self.run_task(lambda a: 7, "x" * 5000), 7)
        self.assertEqual(len(producer.records), 2)
        self.assertEqual(producer.records[1]["args"], "")
        self.assertEqual(self.lines, [])

    def test_a_task_succeeds_whatever_becomes_of_its_record_and_each_kind_is_logged_once(self):
        refused, lost = phlower.Outcome.REFUSED, phlower.Outcome.DETACHED
        self.install(refused, refused, lost, RuntimeError("broken"), OSError("broken, too"))
        self.assertEqual([self.run_task(lambda: 7) for _ in range(6)], [7] * 6)
        self.assertEqual(self.recorder.counters(), {"offered": 6, "troubles": 2})
        self.assertEqual(len(self.lines), 3, self.lines)
        for line, part in zip(self.lines, ("refused", "detached", "RuntimeError('broken')")):
            self.assertIn(part, line)

    def test_leaves_out_tasks_of_other_apps_and_those_that_run_in_place(self):
        producer = self.install()
        other = celery.Celery("o", broker="memory://", set_as_current=False)
        self.assertEqual(self.run_task(lambda: 7, app=other), 7)
        @self.app.task(name="t.inner")
        def inner():
            return 8
        self.assertEqual(inner.apply().get(), 8)
        self.assertEqual(producer.records, [])
        self.assertEqual(self.run_task(lambda: inner.apply().get(disable_sync_subtasks=False)), 8)
        self.assertEqual([r["task_name"] for r in producer.records], ["t.one"])

    def test_installs_once_for_an_app(self):
        self.install()
        self.assertIs(phlower_celery.install(self.app, producer=FakeProducer()), self.recorder)
        self.run_task(lambda: 7)
        self.assertEqual(len(self.producer.records), 1)

    def test_goes_on_without_a_library_and_says_so(self):
        recorder = phlower_celery.install(self.app, yaml="", library="/nowhere/libphlower.so")
        self.addCleanup(recorder.disconnect)
        self.assertIn("nowhere", recorder.error)
        self.assertEqual(self.run_task(lambda: 7), 7)
        self.assertEqual(len(self.lines), 1)
        self.assertEqual(recorder.counters(), {"troubles": 0})


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
