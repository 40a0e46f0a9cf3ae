"""One task of every kind that Celery knows, run for real, and how a row of the history must look
beside Celery's own State."""
import datetime
import uuid

import celery_rig
import celery_tasks as tasks

ENDS = {"SUCCESS": "succeeded", "FAILURE": "failed", "REVOKED": "revoked", "REJECTED": "rejected"}


class Round:
    """Sends the tasks; `expected` is the end of each by its id, `labels` what it is."""

    def __init__(self, app, worker="w@phlower", slow_ends=True, broker_expires=False):
        self.app = app
        self.worker = worker
        self.expected = {}
        self.labels = {}
        self._send_successes()
        self._send_failures()
        self._send_revoked(slow_ends, broker_expires)
        self._send_groups()

    def send(self, end, name, args=(), kwargs=None, **options):
        result = self.app.send_task(name, args, kwargs or {}, **options)
        self.keep(end, name, result.id)

    def keep(self, end, name, task_id):
        self.expected[task_id] = end
        self.labels[task_id] = name

    def with_result(self):
        """Tasks whose end Celery's backend is told."""
        return [task_id for task_id, label in self.labels.items()
                if label != "celery_tasks.forget" and self.expected[task_id] != "REJECTED"]

    def of(self, name):
        return [task_id for task_id, label in self.labels.items() if label == name]

    def _send_successes(self):
        self.send("SUCCESS", "celery_tasks.add", (2, 3))
        self.send("SUCCESS", "celery_tasks.add", kwargs={"x": 2, "y": 3})
        self.send("SUCCESS", "celery_tasks.say", ("gr\u00fc\u00df", "\u2603", "\U0001f40c", "a\x00b"),
                  {"quote": "it's \"so\"\n", "deep": {"list": [1, None, 2.5]}})
        self.send("SUCCESS", "celery_tasks.say", ["word " * 3000])
        self.send("SUCCESS", "celery_tasks.forget", ("me",))
        self.send("SUCCESS", tasks.LONG_NAME)
        self.send("SUCCESS", "celery_tasks.flaky", (2,))
        self.send("SUCCESS", "celery_tasks.add", (1, 1), countdown=0.3)
        self.send("SUCCESS", "celery_tasks.add", (1, 1), task_id="order/42 \u00fc " + "x" * 150)

    def _send_failures(self):
        self.send("FAILURE", "celery_tasks.fail", ("ValueError", "no \u2603 left"))
        self.send("FAILURE", "celery_tasks.fail", ("KeyError", "who?"))
        self.send("FAILURE", "celery_tasks.fail", ("Shortage", "long " * 100))
        self.send("FAILURE", "celery_tasks.add", (1,))  # one argument is missing
        self.send("FAILURE", "celery_tasks.gives_up")
        self.send("FAILURE", "celery_tasks.nap", (20,), soft_time_limit=1)
        self.send("FAILURE", "no.such.task", (1,))
        self.send("REJECTED", "celery_tasks.rejected")

    def _send_revoked(self, slow_ends, broker_expires):
        task_id = str(uuid.uuid4())
        self.app.control.revoke(task_id, destination=[self.worker], reply=True,
                                timeout=5, limit=1)
        self.send("REVOKED", "celery_tasks.add", (1, 2), task_id=task_id)
        if not broker_expires:  # RabbitMQ lets what has expired vanish by itself
            past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=10)
            self.send("REVOKED", "celery_tasks.add", (1, 3), expires=past)
        if slow_ends:
            self.send("FAILURE", "celery_tasks.nap", (20,), time_limit=1)
            self.send("FAILURE", "celery_tasks.die")

    def _send_groups(self):
        from celery import chain, chord, group
        add = lambda *args: self.app.signature("celery_tasks.add", args)
        total = self.app.signature("celery_tasks.total")
        for result in group(add(i, i) for i in range(5)).apply_async().children:
            self.keep("SUCCESS", "in a group", result.id)
        sum_of = chord([add(i, 1) for i in range(3)], app=self.app)(total)
        self.keep("SUCCESS", "of a chord", sum_of.id)
        for result in sum_of.parent.children:
            self.keep("SUCCESS", "in a chord", result.id)
        last = chain(add(1, 2), add(3), add(4)).apply_async()
        while last is not None:
            self.keep("SUCCESS", "in a chain", last.id)
            last = last.parent


def compare(test, row, task, exact):
    """`row` of the history against `task` of Celery's State. `exact`: made from the same events;
    else beside them, from inside of the worker."""
    about = (row, {name: getattr(task, name) for name in task._fields})
    state = celery_rig.state_of(task)
    test.assertEqual(row["state"], state, about)
    if task.name is not None:
        test.assertEqual(row["task_name"], task.name, about)
    test.assertEqual(row["worker"], task.worker.hostname, about)
    test.assertEqual(row["queue"], task.routing_key, about)
    for ours, theirs in ((row["args_preview"], task.args), (row["kwargs_preview"], task.kwargs)):
        test.assertEqual(ours or "", theirs or "", about)
    if state == "FAILURE":
        # Celery 5.2 with billiard 4 names its wrapper in events that the worker's parent sends.
        if exact:
            test.assertEqual(row["exception_type"], task.exception, about)
        elif task.exception != "ExceptionWithTraceback()":
            test.assertEqual(row["exception_type"], task.exception[:600], about)
        test.assertEqual(row["traceback_snippet"] or "", task.traceback or "", about)
    else:
        test.assertIsNone(row["exception_type"], about)
    times = (("received_at", task.received), ("started_at", task.started),
             ("finished_at", getattr(task, ENDS[state])))
    for name, theirs in times:
        if theirs is None:
            test.assertTrue(row[name] is None or not exact, about)
        else:
            # Beside the events: two processes look at one clock, one after the other.
            test.assertIsNotNone(row[name], (name, about))
            test.assertAlmostEqual(row[name], theirs, delta=1.1e-6 if exact else 5, msg=about)
    known = [row[name] for name, _ in times if row[name] is not None]
    if not exact:
        test.assertEqual(known, sorted(known), about)
    if state == "SUCCESS":
        test.assertAlmostEqual(row["runtime_ms"], 1000 * task.runtime, delta=0.001 if exact else 5000)
