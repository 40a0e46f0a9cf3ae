#!/usr/bin/env python3
"""A real Celery worker that writes to Phlower's ring from its own processes, by Celery's signals.

    celery_worker_test.py PHLOWER_REPLAY PHLOWER_QUERY LIBPHLOWER
"""
import importlib.util
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import celery_rig  # noqa: E402

REPLAY, QUERY, LIBRARY = map(os.path.abspath, sys.argv[1:4])


class CeleryWorker(celery_rig.Rig):
    def setUp(self):
        super().setUp()
        self.start_redis()
        url = "redis+socket://" + self.path("redis.sock")
        self.use_broker(url, url)
        self.acked = self.path("acked")
        self.env = {"PHLOWER_LIBRARY": LIBRARY, "PHLOWER_TEST_CONFIG": self.path("phlower.yaml"),
                    "PHLOWER_TEST_ACKED": self.acked}

    def acked_lines(self):
        if not os.path.exists(self.acked):
            return []
        with open(self.acked) as f:
            return [line.rstrip("\n").rsplit(" ", 1) for line in f if line.endswith("\n")]

    def test_has_every_task_as_celery_has_it(self):
        import celery_round
        self.write_config()
        self.start_engine(REPLAY, "--keep-forever")
        worker = self.start_worker("-E", env=self.env)
        watcher = celery_rig.StateWatcher(self.app)
        self.addCleanup(watcher.stop)
        celery_rig.wait_for("the first event", lambda: watcher.events)
        sent = celery_round.Round(self.app)
        running = self.app.send_task("celery_tasks.nap", (20,))
        ignored = self.app.send_task("celery_tasks.ignored")
        celery_rig.wait_for("its start", lambda: (watcher.task(running.id) or running).state == "STARTED")
        self.app.control.revoke(running.id, terminate=True, signal="KILL")
        sent.keep("REVOKED", "while it ran", running.id)
        left = self.wait_for_ends(sent.with_result())
        self.assertEqual([(i, sent.labels[i], sent.expected[i]) for i in left], [])
        watcher.wait_for(sent.expected)
        rows = self.wait_for_rows(QUERY, [*sent.expected, ignored.id])

        self.assertEqual(set(rows), {*sent.expected, ignored.id})
        for task_id, end in sent.expected.items():
            row = rows[task_id]
            self.assertEqual(row["state"], end, (sent.labels[task_id], row))
            celery_round.compare(self, row, watcher.task(task_id), exact=False)
        for task_id in sent.with_result():
            self.assertEqual(rows[task_id]["state"], self.end_of(task_id))
        self.assertEqual(rows[ignored.id]["state"], "IGNORED")
        flaky, = sent.of("celery_tasks.flaky")
        states = [state for task_id, state in self.acked_lines() if task_id == flaky]
        self.assertEqual(states, ["RETRY", "RETRY", "SUCCESS"])
        lost, = sent.of("celery_tasks.die")
        self.assertIn("WorkerLostError", rows[lost]["exception_type"])
        failed = rows[sent.of("celery_tasks.fail")[0]]
        self.assertGreater(failed["runtime_ms"], 0)
        self.assertEqual(self.stop(worker), 0)
        self.assertNotIn("was not recorded", self.log("worker"))

    def test_loses_nothing_when_children_and_engine_are_killed(self):
        seed = int(os.environ.get("PHLOWER_SEED", time.time_ns() % 10**6))
        print(f"PHLOWER_SEED={seed}", file=sys.stderr)
        chance = random.Random(seed)
        self.write_config(store={"layout": "single", "path": self.path("history.db")})
        engine = self.start_engine(REPLAY, "--keep-forever")
        worker = self.start_worker(env=self.env)
        sent = [self.app.send_task("celery_tasks.nap", (0.01,)).id for _ in range(400)]
        child_kills = engine_kills = 0
        while child_kills + engine_kills < 12:
            time.sleep(chance.uniform(0.05, 0.3))
            if (child_kills + engine_kills) % 3 == 2:
                self.kill(engine)
                time.sleep(chance.uniform(0, 0.2))
                engine = self.start_engine(REPLAY, "--keep-forever")
                engine_kills += 1
            elif children := celery_rig.children_of(worker.pid):
                os.kill(chance.choice(children), signal.SIGKILL)
                child_kills += 1
        # What was on its way to a killed child Celery keeps for the next worker.
        left = self.wait_for_ends(sent, 5)
        self.kill(worker)
        self.kill(engine)
        subprocess.run([REPLAY, "--engine-only", "--config", self.config, "--keep-forever",
                        "--until-drained", "--quiet"], check=True, timeout=celery_rig.PATIENCE)
        with sqlite3.connect(self.path("history.db")) as db:
            rows = dict((row[0], row[1:]) for row in db.execute(
                "SELECT task_id, state, exception_type FROM invocations"))
            delivered, = db.execute("SELECT sum(delivered) FROM ring_lane").fetchone()

        acked = self.acked_lines()
        self.assertEqual({task_id for task_id, _ in acked} - set(rows), set())
        # Who is killed after the record is in the ring and before it says so leaves one more.
        self.assertGreaterEqual(delivered, len(acked))
        self.assertLessEqual(delivered, len(acked) + child_kills + 2)
        self.assertLessEqual(len(left), child_kills)
        self.assertEqual(set(rows) - left, set(sent) - left)
        lost = 0
        for task_id in set(sent) - left:
            state, exception = rows[task_id]
            lost += state == "FAILURE"
            if state == "FAILURE":  # the worker says so even where the result had been stored
                self.assertIn("WorkerLostError", exception)
            else:
                self.assertEqual(state, self.end_of(task_id))
        self.assertLessEqual(lost, child_kills)

    def test_has_every_task_of_any_pool(self):
        self.write_config()
        self.start_engine(REPLAY, "--keep-forever")
        for pool, needs, concurrency in (("solo", None, 1), ("threads", None, 8),
                                         ("gevent", "gevent", 50), ("eventlet", "eventlet", 50)):
            with self.subTest(pool=pool):
                if needs and not importlib.util.find_spec(needs):
                    self.skipTest(needs + " is not installed")
                worker = self.start_worker(env=self.env, pool=pool, concurrency=concurrency)
                naps = [self.app.send_task("celery_tasks.nap", (0.02,)).id for _ in range(60)]
                flaky = self.app.send_task("celery_tasks.flaky", (1,)).id
                failed = self.app.send_task("celery_tasks.fail", ("KeyError", "k")).id
                self.assertEqual(self.wait_for_ends([*naps, flaky, failed]), set())
                rows = self.wait_for_rows(QUERY, [*naps, flaky, failed])
                self.assertEqual({rows[i]["state"] for i in [*naps, flaky]}, {"SUCCESS"})
                self.assertEqual(rows[failed]["state"], "FAILURE")
                self.assertTrue(all(rows[i]["runtime_ms"] >= 20 for i in naps), rows)
                self.assertEqual(self.stop(worker), 0)
                self.assertNotIn("was not recorded", self.log("worker"))

    def test_runs_tasks_without_a_ring_and_records_them_once_there_is_one(self):
        self.write_config()
        worker = self.start_worker(env=self.env)
        add = lambda: self.call("celery_tasks.add", 1, 2)
        self.assertEqual([add() for _ in range(8)], [3] * 8)
        self.assertEqual(self.acked_lines(), [])
        self.start_engine(REPLAY, "--keep-forever")
        celery_rig.wait_for("a record", lambda: add() and self.acked_lines())
        counters = self.call("celery_tasks.recorder_counters")
        self.assertGreaterEqual(counters["detached"], 1)
        self.assertEqual(counters["offered"], sum(
            counters[name] for name in ("accepted", "refused", "too_big", "detached", "failed")))
        self.assertEqual(counters["troubles"], 0)
        self.wait_for_rows(QUERY, [task_id for task_id, _ in self.acked_lines()])
        self.assertEqual(self.stop(worker), 0)
        told = self.log("worker").count("was not recorded: detached")
        self.assertTrue(1 <= told <= 3, told)  # once in each process

    def test_runs_tasks_with_a_wrong_configuration_and_says_so(self):
        self.write_config(ring={"sizze": "32MiB"})
        del self.env["PHLOWER_TEST_ACKED"]
        self.start_worker(env=self.env)
        self.assertEqual(self.call("celery_tasks.add", 1, 2), 3)
        self.assertIn("no task is recorded", self.log("worker"))
        self.assertIn("'sizze'", self.log("worker"))


if __name__ == "__main__":
    celery_rig.need("celery", "redis")
    celery_rig.need_program("redis-server")
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2, warnings="ignore")
