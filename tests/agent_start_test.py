"""phlower-agent before and at its start: what it says, what --check-config finds, what SIGHUP reads.

agent_start_test.py AGENT LIBRARY QUERY
"""
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import AgentRig, WAIT  # noqa: E402

AGENT, LIBRARY, QUERY = sys.argv[1:4]


class StartTest(unittest.TestCase):
    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)


class Start(StartTest):
    def test_sighup_reads_the_agents_own_file_and_says_what_takes_a_restart(self):
        agent = self.rig.start()

        def reload(text):
            with open(self.rig.path("agent.yaml"), "w") as f:
                f.write(text)
            agent.process.send_signal(signal.SIGHUP)

        with open(self.rig.path("agent.yaml")) as f:
            good = f.read()
        reload(good)
        agent.wait_said(r"reloaded .*phlower\.yaml: nothing changed; .*agent\.yaml: nothing changed\n")
        began = self.rig.metric("phlower_agent_config_last_reload_success_timestamp_seconds")
        self.assertAlmostEqual(began, time.time(), delta=WAIT)
        reload(good + "stdin:\n  enabld: true\n")
        agent.wait_said(r"not reloaded, the old configuration stays: .*agent\.yaml:\d+:3: 'enabld'")
        self.assertEqual(self.rig.metric("phlower_agent_config_last_reload_successful"), 0)
        reload(good + "stdin:\n  enabled: true\n")
        agent.wait_said(r"agent\.yaml: after a restart only: stdin\.enabled\n")
        self.assertEqual(self.rig.metric("phlower_agent_config_last_reload_successful"), 1)
        self.assertGreaterEqual(
            self.rig.metric("phlower_agent_config_last_reload_success_timestamp_seconds"), began)

    def test_a_start_says_where_the_history_is_what_is_in_it_and_that_nothing_feeds_it(self):
        self.rig.options["stdin"] = {"enabled": True}
        self.rig.engine["retention"] = {"invocations": "48h", "details": "7h"}
        agent = self.rig.start(ready=False, stdin=subprocess.PIPE)
        agent.process.stdin.write(json.dumps({"task_id": "one", "finished_at": time.time()}))
        agent.process.stdin.close()
        self.assertEqual(agent.process.wait(WAIT), 0)
        agent.wait_said(r"history in \S+/data: 0 rows, kept for 48h, their details for 7h; "
                        r"ring \S+/ring of 8MiB with 0 records in it")
        agent.wait_said(r"info .* runs with 1 source: stdin")
        del self.rig.options["stdin"]
        agent = self.rig.start()
        agent.wait_said(r"history in \S+/data: 1 rows")
        agent.wait_said(r"warning .* runs with 0 sources: .* write redis\.url or rabbitmq\.url")


class Check(StartTest):
    def check(self, text):
        with open(self.rig.path("a.yaml"), "w") as f:
            f.write(text.replace("LIBRARY", LIBRARY))
        done = subprocess.run([AGENT, "--check-config", self.rig.path("a.yaml")], timeout=WAIT,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_what_a_start_would_not_find_on_this_machine_is_named_all_at_once(self):
        token, secret = self.rig.path("token"), self.rig.path("secret")
        for path in (token, secret):
            with open(path, "w") as f:
                f.write("short\n")
            os.chmod(path, 0o600)
        code, said = self.check(f"""
plugin: {{library: libnowhere.so, config: {self.rig.path("none.yaml")}}}
redis: {{url: "rediss://localhost/0", password_file: {self.rig.path("gone")}, ca_file: /no/ca.pem}}
capture: {{path: {self.rig.path("none.ndjson")}}}
socket: {{path: /no/folder/sock}}
http: {{token_file: {token}}}
""")
        self.assertEqual(code, 2, said)
        for expected in (r"plugin\.library: libnowhere\.so: .*a name without a slash .*write the path",
                         r"redis\.password_file: \S+gone: No such file", r"redis\.ca_file: /no/ca\.pem: No such",
                         r"capture\.path: .*none\.ndjson: No such file", r"socket\.path: /no/folder: No such",
                         r"http\.token_file: \S+token: the token has under 16 characters"):
            self.assertRegex(said, expected)
        code, said = self.check(f"plugin: {{library: LIBRARY, config: {self.rig.path('none.yaml')}}}\n")
        self.assertEqual(code, 2, said)
        self.assertRegex(said, r"none\.yaml: No such file")

    def test_what_need_not_keep_a_start_from_its_end_is_a_note(self):
        with open(self.rig.path("token"), "w") as f:
            f.write("0123456789abcdef\n")
        os.chmod(self.rig.path("token"), 0o644)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            code, said = self.check(f"""
plugin: {{library: LIBRARY}}
http: {{listen: "127.0.0.1:{listener.getsockname()[1]}", token_file: {self.rig.path("token")}}}
""")
        self.assertEqual((code, said.count(": good\n")), (0, 2), said)
        self.assertRegex(said, r"note: http\.token_file: \S+ can be read by everybody")
        self.assertRegex(said, r"note: http\.listen: 127\.0\.0\.1:\d+ is taken")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
