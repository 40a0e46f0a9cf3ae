"""phlower-agent with a real Redis: what it knows of workers and of tasks that have not ended.

agent_watch_test.py AGENT LIBRARY QUERY
"""
import base64
import json
import os
import shutil
import signal
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import AgentRig, Redis, wait_for  # noqa: E402

AGENT, LIBRARY, QUERY = sys.argv[1:4]


def enveloped(**event):
    """A message as Celery publishes it on Redis."""
    full = {"utcoffset": 0, "pid": 1, "clock": 1, "timestamp": time.time(), **event}
    return json.dumps({"body": base64.b64encode(json.dumps(full).encode()).decode(),
                       "content-encoding": "utf-8", "content-type": "application/json", "headers": {},
                       "properties": {"body_encoding": "base64"}})


def heartbeat(worker, processed):
    return enveloped(type="worker-heartbeat", hostname=worker, processed=processed, active=0, freq=2.0)


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server on this machine")
class Watch(unittest.TestCase):
    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)
        self.redis = Redis(self.rig.dir)
        self.addCleanup(self.redis.stop)
        self.redis.start()

    def listen_to(self, redis, **more):
        self.rig.options["redis"] = {"url": f"redis://127.0.0.1:{redis.port}/0", **more}
        agent = self.rig.start()
        wait_for("the subscription", lambda: self.rig.metric("phlower_agent_connected", "redis") == 1)
        return agent

    def publish(self, redis, messages):
        connection = redis.connection()
        self.addCleanup(connection.close)
        self.assertEqual(connection.publish(messages), 1)

    def wait_messages(self, count):
        wait_for(f"{count} messages",
                 lambda: self.rig.metric("phlower_agent_messages_total", "redis") >= count)

    def test_who_hears_nothing_says_where_there_are_events_and_that_it_hears_again(self):
        redis = self.redis
        agent = self.listen_to(redis, heard_within="1s")
        elsewhere = redis.connection()
        self.addCleanup(elsewhere.close)

        def told():
            elsewhere.publish([("it's:/3.celeryev/worker.heartbeat", heartbeat("w@a", 0))])
            return "write redis.pattern" in agent.text
        wait_for("the remedy", told)
        agent.wait_said(r"nothing is heard on /0\.celeryev/\* for 1s, but .* on this Redis, on "
                        r"'it's:/3\.celeryev/worker\.heartbeat': write redis.pattern: "
                        r"'it''s:/3\.celeryev/\*'\n")
        wait_for("one subscriber of its own again", lambda: elsewhere.publish(
            [("it's:/3.celeryev/worker.heartbeat", "x")]) == 0)
        self.assertEqual(self.rig.metric("phlower_agent_messages_total", "redis"), 0)
        self.publish(redis, [("/0.celeryev/worker.heartbeat", heartbeat("w@a", 0))])
        agent.wait_said("redis: is heard now")
        self.assertEqual(self.rig.metric("phlower_agent_connects_total", "redis"), 1)

    def test_who_hears_nothing_where_there_is_nothing_asks_for_the_worker(self):
        agent = self.listen_to(self.redis, heard_within="1s")
        agent.wait_said(r"nothing is heard on /0\.celeryev/\* for 1s, and no other events of Celery on "
                        r"this Redis: is a worker running.*'PREFIX/DB\.celeryev/\*'")

        def degraded():
            status, health = self.rig.json("/healthz")
            self.assertEqual(status, 200)  # nothing of the agent fails
            return health if health["status"] == "degraded" else None
        health = wait_for("the reason", degraded)
        self.assertIn("redis: nothing is heard on", health["reasons"][0])
        self.assertEqual(health["sources"], [{"name": "redis", "connected": True, "last_event_s": None, "workers": 0}])

    def test_who_ends_has_no_complaint_that_a_broker_is_away(self):
        self.rig.engine["store"]["layout"] = "single"
        self.rig.options["loop"] = {"drain_deadline": "60s"}
        agent = self.listen_to(self.redis)
        holder = sqlite3.connect(self.rig.data, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN IMMEDIATE")  # nothing can be committed
        ended = enveloped(type="task-succeeded", hostname="w@a", uuid="u", runtime=1.0, result="0")
        self.publish(self.redis, [("/0.celeryev/task.multi", ended)])
        self.wait_messages(1)
        self.redis.stop()
        reasons = lambda: " ".join(self.rig.json("/healthz")[1]["reasons"])
        wait_for("the complaint", lambda: "redis: not subscribed" in reasons())
        agent.process.send_signal(signal.SIGTERM)
        wait_for("the end's beginning", lambda: self.rig.json("/healthz")[1]["draining"])
        self.assertNotIn("not subscribed", reasons())
        holder.execute("ROLLBACK")
        self.assertEqual(agent.process.wait(60), 0)

    def test_a_worker_that_runs_tasks_without_events_is_named_once(self):
        redis = self.redis
        agent = self.listen_to(redis)
        channel = "/0.celeryev/worker.heartbeat"
        self.publish(redis, [(channel, heartbeat("mute@a", processed)) for processed in (3, 5, 5)])
        agent.wait_said(r"mute@a runs tasks and sends no events of them: start workers with -E")
        self.publish(redis, [(channel, heartbeat("mute@a", 6))])
        wait_for("the gauge", lambda: self.rig.metric("phlower_agent_workers_without_events", "redis") == 1)
        health = wait_for("the reason", lambda: [h for h in [self.rig.json("/healthz")[1]] if h["reasons"]])[0]
        self.assertIn("redis: mute@a runs tasks", health["reasons"][0])
        self.assertEqual(health["sources"][0]["workers"], 1)
        self.assertGreaterEqual(health["sources"][0]["last_event_s"], 0)
        self.publish(redis, [("/0.celeryev/task.multi", enveloped(type="task-started", hostname="mute@a", uuid="u"))])
        self.publish(redis, [(channel, heartbeat("mute@a", 7))])
        wait_for("the gauge", lambda: self.rig.metric("phlower_agent_workers_without_events", "redis") == 0)
        self.assertEqual(agent.end(), 0)
        self.assertEqual(agent.text.count("runs tasks and sends"), 1)

    def test_tasks_in_flight_are_seen_until_they_end(self):
        redis = self.redis
        self.listen_to(redis)

        def tell(number, *types):
            more = {"uuid": f"t-{number}", "hostname": f"w{number % 2}@a", "name": "shop.pack", "args": "(7,)"}
            self.publish(redis, [("/0.celeryev/task.multi", enveloped(type=type_, **more)) for type_ in types])

        for number in range(5):
            tell(number, "task-received", *["task-started"] * (number > 0))
        self.wait_messages(9)
        tasks = self.rig.json("/in-flight")[1]["records"]
        self.assertEqual([task["task_id"] for task in tasks], [f"t-{number}" for number in range(5)])
        self.assertEqual({(task["in_flight"], task["source"]) for task in tasks}, {(True, "redis")})
        for parameters, expected in (("limit=2", [0, 1]), ("state=RECEIVED", [0]), ("worker=w1@a", [1, 3]),
                                     ("task=shop.pack&worker=w0@a&limit=2", [0, 2]), ("task=none", [])):
            found = self.rig.json(f"/in-flight?{parameters}")[1]["records"]
            self.assertEqual([task["task_id"] for task in found], [f"t-{n}" for n in expected], parameters)
        for parameters in ("limit=0", "text=x", "since=1h", "stat=x"):
            self.assertEqual(self.rig.get(f"/in-flight?{parameters}")[0], 400, parameters)
        status, one = self.rig.json("/invocations/t-3")
        self.assertEqual((status, one["state"], one["in_flight"], one["args_preview"], one["finished_at"]),
                         (200, "STARTED", True, "(7,)", None))
        self.assertGreaterEqual(one["silent_ms"], 0)
        self.assertEqual(self.rig.get("/invocations/t-9")[0], 404)
        tell(3, "task-succeeded")
        wait_for("the row", lambda: self.rig.json("/invocations/t-3")[1].get("state") == "SUCCESS")
        self.assertEqual(len(self.rig.json("/in-flight")[1]["records"]), 4)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
