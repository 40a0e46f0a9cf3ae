"""phlower-agent with a real Redis and a real RabbitMQ, each started by the test on loopback.

agent_brokers_test.py AGENT LIBRARY QUERY CAPTURE EXPECTED
"""
import base64
import json
import os
import shutil
import signal
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import (AgentRig, Redis, WAIT, capture_messages, compare_rows,  # noqa: E402
                       expected_rows, make_certificate, wait_for)
from rabbitmq_rig import RabbitMq  # noqa: E402

AGENT, LIBRARY, QUERY, CAPTURE, EXPECTED = sys.argv[1:6]


class BrokerTest(unittest.TestCase):
    source = ""

    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)
        self.messages = capture_messages(CAPTURE)

    def wait_connected(self, value=1):
        wait_for("the subscription",
                 lambda: self.rig.metric("phlower_agent_connected", self.source) == value)

    def wait_messages(self, count):
        wait_for(f"{count} messages",
                 lambda: self.rig.metric("phlower_agent_messages_total", self.source) >= count)

    def ended(self, agent):
        """SIGTERM hands over the tasks in flight, too: as the capture has them at its end."""
        self.assertEqual(agent.end(), 0, agent.text)
        compare_rows(self, self.rig.rows(), expected_rows(EXPECTED))


@unittest.skipUnless(shutil.which("redis-server"), "no redis-server on this machine")
class FromRedis(BrokerTest):
    source = "redis"

    def redis(self, **how):
        redis = Redis(self.rig.dir, **how)
        self.addCleanup(redis.stop)
        redis.start()
        return redis

    def publish(self, redis, messages):
        connection = redis.connection()
        try:
            self.assertEqual(connection.publish(messages), 1)
        finally:
            connection.close()

    def listen_to(self, redis, **more):
        self.rig.options["redis"] = {"url": f"redis://127.0.0.1:{redis.port}/0", "retry_first": "50ms",
                                     "retry_longest": "200ms", **more}
        agent = self.rig.start()
        self.wait_connected()
        return agent

    def test_events_on_their_channels_become_the_rows_that_celery_has(self):
        redis = self.redis()
        agent = self.listen_to(redis)
        self.publish(redis, self.messages)
        self.wait_messages(len(self.messages))
        self.assertEqual(self.rig.metric("phlower_agent_messages_bad_total", "redis"), 0)
        self.ended(agent)

    def test_only_the_database_of_the_url_is_listened_to(self):
        redis = self.redis()
        self.listen_to(redis)
        connection = redis.connection()
        self.addCleanup(connection.close)
        self.assertEqual(connection.publish([("/1.celeryev/task.sent", "{}"), ("/0.celery.pidbox", "x")]), 0)

    def test_redis_restarted_in_the_middle_is_found_again_and_the_gap_is_counted(self):
        redis = self.redis()
        agent = self.listen_to(redis)
        half = len(self.messages) // 2
        self.publish(redis, self.messages[:half])
        self.wait_messages(half)
        redis.stop()
        self.wait_connected(0)
        self.assertEqual(self.rig.get("/healthz")[0], 503)
        self.assertEqual(self.rig.get("/livez")[0], 200)
        redis.start()
        self.wait_connected()
        self.assertEqual(self.rig.get("/healthz")[0], 200)
        self.publish(redis, self.messages[half:])
        self.wait_messages(len(self.messages))
        self.assertEqual(self.rig.metric("phlower_agent_connections_lost_total", "redis"), 1)
        self.assertEqual(self.rig.metric("phlower_agent_connects_total", "redis"), 2)
        self.assertGreater(self.rig.metric("phlower_agent_unsubscribed_milliseconds_total", "redis"), 0)
        self.ended(agent)

    def test_a_burst_of_more_than_the_ring_holds_waits_for_room(self):
        redis = self.redis()
        self.rig.engine["ring"]["size"] = "1MiB"
        agent = self.listen_to(redis)
        bursts = []
        for number in range(12_000):
            task = {"uuid": f"burst-{number}", "hostname": "celery@w", "clock": number, "utcoffset": 0,
                    "pid": 1, "timestamp": time.time(), "type": "task-succeeded", "runtime": 0.5}
            body = base64.b64encode(json.dumps(task).encode()).decode()
            bursts.append(("/0.celeryev/task.succeeded", json.dumps({
                "body": body, "content-encoding": "utf-8", "content-type": "application/json",
                "headers": {}, "properties": {"body_encoding": "base64"}})))
        agent.process.send_signal(signal.SIGSTOP)
        self.publish(redis, bursts)
        agent.process.send_signal(signal.SIGCONT)
        self.wait_messages(len(bursts))
        self.assertEqual(agent.end(), 0, agent.text)
        self.assertEqual({row["task_id"] for row in self.rig.rows()},
                         {f"burst-{number}" for number in range(len(bursts))})

    def test_the_agent_killed_in_the_middle_keeps_what_it_had_accepted(self):
        redis = self.redis()
        agent = self.listen_to(redis)
        half = len(self.messages) // 2
        self.publish(redis, self.messages[:half])
        self.wait_messages(half)
        accepted = self.rig.metric("phlower_agent_records_accepted_total", "redis")
        agent.end(signal.SIGKILL)
        agent = self.listen_to(redis)
        self.publish(redis, self.messages[half:])
        self.wait_messages(len(self.messages) - half)
        self.assertEqual(agent.end(), 0)
        rows = {row["task_id"]: row for row in self.rig.rows()}
        self.assertGreaterEqual(len(rows), accepted * 0.5)  # a task may have several records
        # Every task that ended: before the kill it was accepted, after it its end was published.
        for task_id, row in expected_rows(EXPECTED).items():
            if row["finished"]:
                self.assertEqual(rows[task_id]["state"], row["state"], task_id)

    def test_a_password_from_a_file_and_a_wrong_one(self):
        redis = self.redis(password="correct horse")
        with open(self.rig.path("secret"), "w") as f:
            f.write("wrong\n")
        self.rig.options["redis"] = {"url": f"redis://127.0.0.1:{redis.port}/0", "retry_first": "50ms",
                                     "retry_longest": "100ms", "password_file": self.rig.path("secret")}
        agent = self.rig.start()
        agent.wait_said("AUTH: WRONGPASS")
        self.assertNotIn("correct horse", agent.text)
        with open(self.rig.path("secret"), "w") as f:
            f.write("correct horse\n")
        self.wait_connected()
        self.publish(redis, self.messages[:10])
        self.wait_messages(10)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_tls_with_a_certificate_that_is_checked(self):
        tls = make_certificate(self.rig.dir)
        redis = self.redis(tls=tls)
        self.rig.options["redis"] = {"url": f"rediss://localhost:{redis.port}/0", "retry_first": "50ms",
                                     "retry_longest": "200ms", "ca_file": tls["cert"]}
        agent = self.rig.start()
        self.wait_connected()
        self.assertEqual(agent.end(), 0)
        for change in ({"ca_file": "/etc/ssl/certs/ca-certificates.crt"},
                       {"url": f"rediss://127.0.0.1:{redis.port}/0"}):
            self.rig.options["redis"].update(change)
            agent = self.rig.start()
            agent.wait_said(r"TLS: ")
            self.assertEqual(self.rig.metric("phlower_agent_connected", "redis"), 0)
            self.assertEqual(agent.end(), 0)
            self.rig.options["redis"].update(ca_file=tls["cert"])
        for options, connects in ((f"ssl_cert_reqs=required&ssl_ca_certs={tls['cert']}", True),
                                  ("ssl_cert_reqs=none", True), ("ssl_cert_reqs=required", False)):
            self.rig.options["redis"] = {"url": f"redis://localhost:{redis.port}/0?{options}"}
            agent = self.rig.start()
            if connects:
                self.wait_connected()
            else:
                agent.wait_said(r"TLS: ")
            self.assertEqual("whoever answers there is believed" in agent.text, "none" in options)
            self.assertEqual(agent.end(), 0)

    def test_what_is_no_event_is_counted_and_does_no_harm(self):
        redis = self.redis()
        agent = self.listen_to(redis)
        bad = ["", "{", "[]", "null", '{"body": 7}', '{"body": "!!!", "properties": {"body_encoding": "base64"}}',
               json.dumps({"body": "x", "content-type": "application/x-python-serialize"}),
               json.dumps({"body": base64.b64encode(b"\xff\xfe").decode(),
                           "properties": {"body_encoding": "base64"}}), "[" * 5000]
        self.publish(redis, [("/0.celeryev/task.sent", text) for text in bad])
        self.publish(redis, self.messages)
        self.wait_messages(len(bad) + len(self.messages))
        self.assertGreaterEqual(self.rig.metric("phlower_agent_messages_bad_total", "redis"), len(bad) - 1)
        self.ended(agent)

    def test_what_does_not_speak_redis_is_left_and_tried_again(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(8)
            listener.settimeout(WAIT)
            self.rig.options["redis"] = {"url": f"redis://127.0.0.1:{listener.getsockname()[1]}/0",
                                         "retry_first": "50ms", "retry_longest": "50ms"}
            agent = self.rig.start()
            for _ in range(3):
                connection, _ = listener.accept()
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.close()
            agent.wait_said("not the protocol of Redis")
            self.assertEqual(agent.end(), 0)

    def test_of_several_brokers_the_next_is_tried_when_one_is_away(self):
        one, other = self.redis(), self.redis()
        url = ";".join(f"redis://127.0.0.1:{redis.port}/0" for redis in (one, other))
        self.listen_to(one, url=url)
        self.publish(one, self.messages[:5])
        self.wait_messages(5)  # what Redis has not sent yet goes with it
        one.stop()
        wait_for("the other one", lambda: self.rig.metric("phlower_agent_connects_total", "redis") == 2)
        self.wait_connected()
        self.publish(other, self.messages[:5])
        self.wait_messages(10)

    def test_a_broker_that_has_gone_silent_is_given_up(self):
        redis = self.redis()
        self.listen_to(redis, silence="300ms")
        os.kill(redis.process.process.pid, signal.SIGSTOP)
        self.wait_connected(0)
        os.kill(redis.process.process.pid, signal.SIGCONT)
        self.wait_connected()


class FromRabbitMq(BrokerTest):
    source = "rabbitmq"

    @classmethod
    def setUpClass(cls):
        why_not = RabbitMq.missing()
        if why_not:
            raise unittest.SkipTest(why_not)
        cls.broker = RabbitMq()
        cls.addClassCleanup(cls.broker.close)
        cls.broker.start()

    def listen(self, **more):
        self.rig.options["rabbitmq"] = {"url": f"amqp://guest:guest@127.0.0.1:{self.broker.port}//",
                                        "retry_first": "50ms", "retry_longest": "200ms", **more}
        agent = self.rig.start()
        self.wait_connected()
        return agent

    def publish(self, messages):
        self.broker.publish([(channel.split("/")[-1], base64.b64decode(json.loads(data)["body"]).decode())
                             for channel, data in messages])

    def test_events_of_the_exchange_become_the_rows_that_celery_has(self):
        agent = self.listen()
        self.publish(self.messages)
        self.wait_messages(len(self.messages))
        self.assertEqual(self.rig.metric("phlower_agent_messages_bad_total", "rabbitmq"), 0)
        self.ended(agent)

    def test_the_broker_restarted_in_the_middle_is_found_again(self):
        agent = self.listen()
        half = len(self.messages) // 2
        self.publish(self.messages[:half])
        self.wait_messages(half)
        self.broker.stop()
        self.wait_connected(0)
        self.broker.start()
        self.wait_connected()
        self.publish(self.messages[half:])
        self.wait_messages(len(self.messages))
        self.assertEqual(self.rig.metric("phlower_agent_connections_lost_total", "rabbitmq"), 1)
        self.ended(agent)

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_tls_with_a_certificate_that_is_checked(self):
        ca = self.broker.tls["cert"]
        for host, ca_file, connects in (("localhost", ca, True), ("127.0.0.1", ca, False),
                                        ("localhost", "/etc/ssl/certs/ca-certificates.crt", False)):
            self.rig.options["rabbitmq"] = {"url": f"amqps://{host}:{self.broker.tls_port}",
                                            "retry_first": "50ms", "ca_file": ca_file}
            agent = self.rig.start()
            if connects:
                self.wait_connected()
            else:
                agent.wait_said("not connected, tries again")
            self.assertEqual(self.rig.metric("phlower_agent_connected", "rabbitmq"), int(connects))
            self.assertEqual(agent.end(), 0)

    def test_who_hears_nothing_names_its_exchange_and_virtual_host(self):
        agent = self.listen(heard_within="1s")
        agent.wait_said(r"nothing is heard on exchange celeryev of the virtual host / for 1s: ")
        self.publish(self.messages[:1])
        agent.wait_said("rabbitmq: is heard now")

    def test_of_several_brokers_the_next_is_tried_when_one_is_away(self):
        self.listen(url=f"amqp://127.0.0.1:1//;amqp://127.0.0.1:{self.broker.port}?heartbeat=30")

    def test_a_wrong_password_is_said_and_not_shown(self):
        self.rig.options["rabbitmq"] = {"url": f"amqp://guest:sesame@127.0.0.1:{self.broker.port}//"}
        agent = self.rig.start()
        agent.wait_said("not connected, tries again: .*login")
        self.assertNotIn("sesame", agent.text)
        self.assertEqual(agent.end(), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
