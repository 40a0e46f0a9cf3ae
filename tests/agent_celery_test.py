#!/usr/bin/env python3
"""phlower-agent behind a real broker: what a real Celery worker says by its events comes to be in
the history as Celery's own State has it.

    agent_celery_test.py PHLOWER_AGENT PHLOWER_QUERY LIBPHLOWER
"""
import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import celery_rig  # noqa: E402

AGENT, QUERY, LIBRARY = map(os.path.abspath, sys.argv[1:4])
# Workers send what they gathered at least once a second, later under load: so long before a kill an event may have
# happened and not have been sent.
GATHERING_S = 3


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, **more):
        super().__init__("localhost", **more)  # a path is no Host
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Stream(threading.Thread):
    """Calls one small task after the other until it is told to stop."""

    def __init__(self, app):
        super().__init__(daemon=True)
        self.app, self.sent, self.stopping = app, [], False
        self.start()

    def run(self):
        while not self.stopping:
            self.sent.append(self.app.send_task("celery_tasks.add", (len(self.sent), 1)).id)
            time.sleep(0.01)

    def stop(self):
        self.stopping = True
        self.join()
        return self.sent


class AgentBehindABroker(celery_rig.Rig):
    def start_agent(self, **sources):
        """Returns when it is subscribed."""
        self.write_config(retention={"keep_forever": True})
        sections = {"plugin": {"library": LIBRARY, "config": self.config},
                    "http": {"listen": "unix:" + self.path("http.sock")},
                    **{name: {"url": url, "retry_longest": "500ms"} for name, url in sources.items()}}
        with open(self.path("agent.yaml"), "w") as f:
            f.write(json.dumps(sections, indent=1))  # JSON is YAML
        before = self.subscriptions()
        agent = self.start("agent", [AGENT, "--config", self.path("agent.yaml")])

        def subscribed():
            if agent.poll() is not None:
                raise AssertionError("phlower-agent ended: " + self.log("agent"))
            return self.subscriptions() > before
        celery_rig.wait_for("the agent", subscribed)
        return agent

    def subscriptions(self):
        if not os.path.exists(self.path("agent.log")):
            return 0
        return self.log("agent").count("subscribed to")

    def ask(self, path):
        connection = UnixConnection(self.path("http.sock"), timeout=celery_rig.PATIENCE)
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    def watch(self):
        """Celery's State, once it and the agent are told of a task that this sends."""
        watcher = celery_rig.StateWatcher(self.app)
        self.addCleanup(watcher.stop)
        self.wait_until_heard(watcher)
        return watcher

    def wait_until_heard(self, watcher):
        probes = []

        def heard():
            probes.append(self.app.send_task("celery_tasks.add", (0, 0)).id)
            time.sleep(0.2)
            return any(watcher.task(i) and self.ask("/invocations/" + i)[0] == 200 for i in probes)
        celery_rig.wait_for("the first task in both", heard)

    def run_and_compare_a_round(self, watcher, **options):
        import celery_round
        sent = celery_round.Round(self.app, **options)
        left = self.wait_for_ends(sent.with_result())
        self.assertEqual([(i, sent.labels[i], sent.expected[i]) for i in left], [])
        watcher.wait_for(sent.expected)
        rows = self.wait_for_rows(QUERY, sent.expected)
        for task_id, end in sent.expected.items():
            self.assertEqual(rows[task_id]["state"], end, (sent.labels[task_id], rows[task_id]))
            celery_round.compare(self, rows[task_id], watcher.task(task_id), exact=True)
        return sent

    def compare_around_gaps(self, watcher, sent, gaps):
        """Tasks whose events all came outside of the gaps [(from, until)]: each is there as Celery
        has it. Of the others as many as ended in a gap may be missing."""
        import celery_round
        inside = lambda at: any(start - GATHERING_S <= at <= end for start, end in gaps)
        missing = []
        compared = 0
        rows = self.history(QUERY)
        for task_id in sent:
            task = watcher.task(task_id)
            known = [at for at in (task.sent, task.received, task.started, task.succeeded) if at]
            if task_id not in rows:
                self.assertTrue(any(map(inside, known)), task.info())
                missing.append(task_id)
            elif not any(map(inside, known)):
                celery_round.compare(self, rows[task_id], task, exact=True)
                compared += 1
        print(f"{len(sent)} tasks, {compared} compared, {len(missing)} in a gap", file=sys.stderr)
        self.assertGreater(compared, len(sent) // 4)
        return missing

    def kill_in_the_middle(self, agent, watcher, **sources):
        stream = Stream(self.app)
        gaps = []
        for _ in range(2):
            time.sleep(GATHERING_S + 1)
            start = time.time()
            self.kill(agent)
            time.sleep(0.3)
            agent = self.start_agent(**sources)
            gaps.append((start, time.time()))
        time.sleep(GATHERING_S + 1)
        sent = stream.stop()
        self.assertEqual(self.wait_for_ends(sent), set())
        watcher.wait_for(sent)
        self.wait_until_heard(watcher)  # what was sent before it has come, too
        missing = self.compare_around_gaps(watcher, sent, gaps)
        self.assertLess(len(missing), len(sent) // 2)
        self.end_in_order(agent)

    def end_in_order(self, agent):
        status, text = self.ask("/metrics")
        self.assertEqual(status, 200)
        sums = {line.split("{")[0].split(" ")[0]: float(line.rsplit(" ", 1)[1])
                for line in text.splitlines() if line and line[0] != "#"}
        self.assertEqual(sums["phlower_refused_total"], 0)
        self.assertEqual(self.stop(agent), 0, self.log("agent"))


class BehindRedis(AgentBehindABroker):
    def setUp(self):
        super().setUp()
        self.port = celery_rig.free_port()
        self.redis = self.start_redis(self.port)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.use_broker(self.url, self.url)

    def test_every_task_is_in_the_history_also_after_redis_was_restarted(self):
        agent = self.start_agent(redis=self.url)
        worker = self.start_worker("-E")
        watcher = self.watch()
        first = self.run_and_compare_a_round(watcher)
        before = self.subscriptions()
        self.stop(self.redis)
        celery_rig.wait_for("the agent to notice", lambda: "connection lost" in self.log("agent"))
        self.start_redis(self.port)
        celery_rig.wait_for("the agent's return", lambda: self.subscriptions() > before)
        self.use_broker(self.url, self.url)  # the client's connections are of the time before
        self.wait_until_heard(watcher)
        # A worker takes tasks before it hears of revocations again.
        celery_rig.wait_for("the worker to be told again", lambda: self.app.control.ping(timeout=1))
        self.run_and_compare_a_round(watcher, slow_ends=False)
        self.assertLessEqual(set(first.expected), set(self.history(QUERY)))
        self.assertEqual(self.ask("/healthz")[0], 200)
        self.end_in_order(agent)
        self.stop(worker)

    def test_what_the_agent_saw_is_there_once_though_it_is_killed(self):
        agent = self.start_agent(redis=self.url)
        self.start_worker("-E")
        self.kill_in_the_middle(agent, self.watch(), redis=self.url)


class BehindRabbitmq(AgentBehindABroker):
    def setUp(self):
        if not os.path.exists(celery_rig.RABBITMQ):
            self.skipTest("rabbitmq-server is not installed")
        super().setUp()
        self.start_redis()  # for results alone
        self.port = celery_rig.free_port()
        self.rabbitmq = self.start_rabbitmq(self.port)
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.backend = "redis+socket://" + self.path("redis.sock")
        self.use_broker(self.url, self.backend)

    def test_every_task_is_in_the_history_though_the_agent_is_killed(self):
        agent = self.start_agent(rabbitmq=self.url)
        self.start_worker("-E")
        watcher = self.watch()
        self.run_and_compare_a_round(watcher, broker_expires=True)
        self.kill_in_the_middle(agent, watcher, rabbitmq=self.url)

    def test_goes_on_after_rabbitmq_was_killed_and_restarted(self):
        agent = self.start_agent(rabbitmq=self.url)
        self.start_worker("-E")
        watcher = self.watch()
        before = self.subscriptions()
        self.kill(self.rabbitmq)
        celery_rig.wait_for("the agent to notice", lambda: "connection lost" in self.log("agent"))
        self.start_rabbitmq(self.port)
        celery_rig.wait_for("the agent's return", lambda: self.subscriptions() > before)
        self.use_broker(self.url, self.backend)
        self.wait_until_heard(watcher)
        self.run_and_compare_a_round(watcher, slow_ends=False, broker_expires=True)
        self.end_in_order(agent)


if __name__ == "__main__":
    celery_rig.need("celery", "redis", "amqp")
    celery_rig.need_program("redis-server")
    unittest.main(argv=[sys.argv[0], *sys.argv[4:]], verbosity=2, warnings="ignore")
