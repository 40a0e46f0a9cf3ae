"""phlower-agent with the real plugin: its sources without a broker, signals, configuration.

agent_test.py AGENT LIBRARY QUERY CAPTURE EXPECTED AGENT_YAML
"""
import json
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import AgentRig, WAIT, compare_rows, expected_rows, wait_for  # noqa: E402

AGENT, LIBRARY, QUERY, CAPTURE, EXPECTED, AGENT_YAML = sys.argv[1:7]


def record(number, **more):
    return json.dumps({"task_id": f"task-{number:06}", "task_name": "t.one", "state": "SUCCESS",
                       "finished_at": 1.8e9 + number, "runtime_ms": 1.5, **more}) + "\n"


class AgentTest(unittest.TestCase):
    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)

    def client(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(WAIT)
        s.connect(self.rig.path("sock"))
        self.addCleanup(s.close)
        return s


class Sources(AgentTest):
    def test_a_capture_is_in_the_history_as_celery_itself_has_it(self):
        self.rig.options["capture"] = {"path": CAPTURE, "at_end": "end"}
        self.assertEqual(self.rig.start().process.wait(WAIT), 0)
        compare_rows(self, self.rig.rows(), expected_rows(EXPECTED))

    def test_lines_of_stdin_become_rows_and_bad_ones_are_counted(self):
        self.rig.options["stdin"] = {"enabled": True}
        agent = self.rig.start(ready=False, stdin=subprocess.PIPE)
        agent.process.stdin.write(record(1) + '{"task_id":""}\nnonsense\n' + record(2).rstrip("\n"))
        agent.process.stdin.close()
        self.assertEqual(agent.process.wait(WAIT), 0)
        agent.wait_said(r'"lines":4,"accepted":2,"bad":2')
        self.assertEqual(sorted(r["task_id"] for r in self.rig.rows()), ["task-000001", "task-000002"])

    def test_a_line_that_is_too_long_is_skipped_and_costs_no_memory(self):
        self.rig.options["stdin"] = {"enabled": True, "line_max": "1KiB"}
        agent = self.rig.start(ready=False, stdin=subprocess.PIPE)
        agent.process.stdin.write(record(1) + record(2, args="x" * 300_000) + record(3))
        agent.process.stdin.close()
        self.assertEqual(agent.process.wait(WAIT), 0)
        agent.wait_said(r'"lines":3,"accepted":2,"bad":1')

    def test_a_client_of_the_socket_gets_errors_and_sums(self):
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        self.assertEqual(os.stat(self.rig.path("sock")).st_mode & 0o777, 0o600)
        s = self.client()
        s.sendall((record(1) + '{"task_id":"x","stat":"SUCCESS"}\n\n').encode())
        f = s.makefile()
        bad = json.loads(f.readline())
        self.assertEqual(bad["line"], 2)
        self.assertIn("did you mean 'state'?", bad["error"])
        self.assertEqual(json.loads(f.readline()), {"lines": 3, "accepted": 1, "bad": 1})
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(f.readline()), {"lines": 3, "accepted": 1, "bad": 1})
        self.assertEqual(f.readline(), "")
        self.assertEqual(agent.end(), 0)
        self.assertEqual(len(self.rig.rows()), 1)
        self.assertFalse(os.path.exists(self.rig.path("sock")))

    def test_a_full_ring_holds_clients_back_and_loses_nothing(self):
        self.rig.engine["ring"].update(size="256KiB", chunk="32KiB")
        self.rig.engine["record"] = {"max": "8KiB", "args_max": "1KiB", "kwargs_max": "1KiB",
                                     "traceback_max": "2KiB"}
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()

        def send(s, first):
            s.sendall("".join(record(i, args="y" * 900) for i in range(first, first + 1000)).encode())
            s.shutdown(socket.SHUT_WR)

        clients = [self.client() for _ in range(8)]
        senders = [threading.Thread(target=send, args=(s, 1000 * i)) for i, s in enumerate(clients)]
        for sender in senders:
            sender.start()
        for s in clients:
            self.assertEqual(json.loads(s.makefile().readline()), {"lines": 1000, "accepted": 1000, "bad": 0})
        for sender in senders:
            sender.join()
        self.assertEqual(self.rig.metric("phlower_agent_records_refused_total", "socket"), 0)
        self.assertGreater(self.rig.metric("phlower_agent_waits_total", "socket"), 0)
        self.assertEqual(agent.end(), 0)
        self.assertEqual(self.rig.all_args(), ["y" * 900] * 8000)  # no details were shed either

    def test_a_ring_at_its_high_water_holds_stdin_back_and_sheds_nothing(self):
        self.rig.engine["ring"].update(size="1MiB", chunk="32KiB", high_water="25%")
        self.rig.engine["record"] = {"max": "8KiB", "args_max": "1KiB", "kwargs_max": "1KiB",
                                     "traceback_max": "2KiB"}
        self.rig.options["stdin"] = {"enabled": True}
        agent = self.rig.start(ready=False, stdin=subprocess.PIPE)
        agent.process.stdin.write("".join(record(i, args="y" * 600) for i in range(5000)))
        agent.process.stdin.close()
        self.assertEqual(agent.process.wait(WAIT), 0)
        self.assertEqual(self.rig.all_args(), ["y" * 600] * 5000)


class Life(AgentTest):
    def test_after_kill_9_and_a_restart_every_accepted_record_is_there_once(self):
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        accepted = set()
        number = 0
        for round_ in range(4):
            agent = self.rig.start()
            s = self.client()
            f = s.makefile()
            for _ in range(random.randrange(5, 40)):
                first, number = number, number + 50
                lines = "".join(record(i) for i in range(first, number))
                s.sendall((lines + "\n").encode())
                sums = json.loads(f.readline())
                self.assertEqual(sums["bad"], 0)
                accepted.update(f"task-{i:06}" for i in range(first, number))
            s.sendall("".join(record(i) for i in range(number, number + 20)).encode())
            number += 20  # not answered: they may be there or not
            agent.end(signal.SIGKILL)
            s.close()
        self.assertEqual(self.rig.start().end(), 0)
        stored = [row["task_id"] for row in self.rig.rows()]
        self.assertEqual(len(stored), len(set(stored)))
        self.assertEqual(accepted - set(stored), set())

    def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one_with_its_line(self):
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        self.rig.engine["schedule"] = {"flush_age": "20ms"}
        self.rig.write()
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_said(r"reloaded .*schedule\.flush_age changed")
        with open(self.rig.path("phlower.yaml"), "a") as f:
            f.write("retension:\n  details: 3h\n")
        with open(self.rig.path("phlower.yaml")) as f:
            line = len(f.read().splitlines()) - 1
        agent.process.send_signal(signal.SIGHUP)
        agent.wait_said(rf"not reloaded.*phlower\.yaml:{line}:1: .*'retention'")
        s = self.client()
        s.sendall(record(7).encode())
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(s.makefile().readline())["accepted"], 1)
        self.assertEqual(self.rig.get("/readyz")[0], 200)
        self.assertEqual(agent.end(), 0)

    def test_sigterm_writes_what_is_in_the_ring_and_says_the_sums(self):
        self.rig.engine["schedule"] = {"flush_age": "10s"}
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        s = self.client()
        s.sendall("".join(record(i) for i in range(300)).encode())
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(s.makefile().readline())["accepted"], 300)
        self.assertEqual(agent.end(), 0)
        agent.wait_said(r"ended: 300 records accepted, 300 committed, \d+ of them while draining\n")
        self.assertEqual(len(self.rig.rows()), 300)

    def test_tells_records_that_were_too_old_from_those_that_are_stored(self):
        self.rig.engine["retention"] = {"invocations": "120h"}
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        s = self.client()
        s.sendall((record(1) + record(2, finished_at=1e9) + record(3, finished_at=1.1e9)).encode())
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(s.makefile().readline())["accepted"], 3)
        sums = lambda: self.rig.json("/healthz")[1]["records"]
        wait_for("the commit", lambda: sums()["committed"] == 3)
        wait_for("the count", lambda: sums()["too_old"] == 2)
        self.assertIn("phlower_too_old_total 2", self.rig.get("/metrics")[1])
        self.assertEqual(agent.end(), 0)
        agent.wait_said(r"3 committed, .*; 2 were past their retention when they came, and are not stored")

    def test_a_page_ends_at_its_size_and_the_next_one_goes_on_there(self):
        self.rig.engine["record"] = {"max": "64KiB", "args_max": "40KiB"}
        self.rig.engine["ring"].update(size="16MiB", chunk="256KiB")
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        self.rig.start()
        s = self.client()
        s.sendall("".join(record(i, args="y" * 40_000) for i in range(150)).encode())
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(json.loads(s.makefile().readline())["accepted"], 150)
        wait_for("the commit", lambda: self.rig.json("/healthz")[1]["records"]["committed"] == 150)
        first = self.rig.json("/search?limit=1000")[1]
        self.assertEqual(first["stopped"], "size")
        self.assertLess(len(first["records"]), 150)
        rest = self.rig.json("/search?limit=1000&after=" + first["next"])[1]
        self.assertEqual((rest["stopped"], rest["next"]), ("end", None))
        ids = [row["task_id"] for row in first["records"] + rest["records"]]
        self.assertEqual(ids, [f"task-{i:06}" for i in reversed(range(150))])

    def test_while_it_waits_for_room_at_its_end_it_answers_and_is_not_ready(self):
        self.rig.engine["store"]["layout"] = "single"
        self.rig.engine["ring"].update(size="1MiB", chunk="64KiB", high_water="25%")
        self.rig.options["loop"] = {"drain_deadline": f"{WAIT}s"}
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        holder = sqlite3.connect(self.rig.data, isolation_level=None)
        self.addCleanup(holder.close)
        holder.execute("BEGIN IMMEDIATE")  # nothing can be committed
        s = self.client()
        s.setblocking(False)
        rest = "".join(record(i, args="y" * 600) for i in range(1000)).encode()

        def full():
            nonlocal rest
            try:
                rest = rest[s.send(rest):]
            except BlockingIOError:
                pass
            return self.rig.metric("phlower_agent_waits_total", "socket") > 0
        wait_for("a full ring", full)
        self.assertEqual(self.rig.json("/readyz"), (200, {"ready": True, "draining": False}))
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_said("ends: asked to by a signal")
        wait_for("the news", lambda: self.rig.json("/readyz") == (503, {"ready": False, "draining": True}))
        self.assertTrue(self.rig.json("/healthz")[1]["draining"])
        self.assertEqual(self.rig.get("/livez")[0], 200)
        holder.execute("ROLLBACK")
        self.assertEqual(agent.process.wait(WAIT), 0)

    def test_ids_of_a_kilobyte_are_rows_and_answers_and_longer_ones_are_not(self):
        self.rig.options["socket"] = {"path": self.rig.path("sock")}
        agent = self.rig.start()
        s = self.client()
        s.sendall((record(1, task_id="x" * 1024) + record(2, task_id="y" * 1025)).encode())
        s.shutdown(socket.SHUT_WR)
        self.assertIn("longer than 1024 bytes", s.makefile().readline())
        row = wait_for("the row", lambda: (found := self.rig.json("/invocations/" + "x" * 1024))[0] == 200 and found)
        self.assertEqual(row[1]["task_id"], "x" * 1024)
        self.assertEqual(self.rig.get("/invocations/" + "y" * 1025)[0], 400)
        self.assertEqual(agent.end(), 0)

    def test_a_second_agent_on_the_same_history_does_not_start(self):
        self.rig.start()
        second = self.rig.start(ready=False)
        self.assertEqual(second.process.wait(WAIT), 1)
        second.wait_said("the engine does not start")

    def test_a_notify_socket_hears_of_each_state_and_of_life(self):
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(notify.close)
        notify.bind(self.rig.path("notify"))
        notify.settimeout(WAIT)
        env = dict(os.environ, NOTIFY_SOCKET=self.rig.path("notify"), WATCHDOG_USEC="300000")
        env.pop("WATCHDOG_PID", None)
        agent = self.rig.start(env=env)
        heard = ""
        while "READY=1" not in heard or "WATCHDOG=1" not in heard:
            heard += notify.recv(4096).decode() + "\n"
        agent.process.send_signal(signal.SIGHUP)
        while not re.search(r"RELOADING=1\nMONOTONIC_USEC=\d+(.|\n)*READY=1", heard):
            heard += notify.recv(4096).decode() + "\n"
        agent.process.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += notify.recv(4096).decode() + "\n"
        self.assertEqual(agent.process.wait(WAIT), 0)

    def test_messages_can_be_json(self):
        self.rig.options["log"] = {"format": "json"}
        agent = self.rig.start()
        self.assertEqual(agent.end(), 0)
        for line in agent.text.splitlines():
            self.assertEqual(list(json.loads(line)), ["time", "level", "part", "message"])


class Configuration(AgentTest):
    def check(self, text, library=LIBRARY):
        with open(self.rig.path("a.yaml"), "w") as f:
            f.write(text.replace("LIBRARY", library))
        done = subprocess.run([AGENT, "--check-config", self.rig.path("a.yaml")], timeout=WAIT,
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def test_the_shipped_file_is_good_once_the_library_is_found(self):
        with open(AGENT_YAML) as f:
            text = f.read().replace("library: libphlower.so.1", f"library: {LIBRARY}")
        code, said = self.check(text)
        self.assertEqual((code, said.count(": good\n")), (0, 2), said)

    def test_each_mistake_is_named_with_its_place_and_what_would_be_right(self):
        for text, expected in (
            ("redis:\n  ulr: x\n", r"a\.yaml:2:3: 'ulr' is an unknown key of 'redis'; did you mean 'url'\?"),
            ("rediss:\n  url: x\n", r"a\.yaml:1:1: .*did you mean 'redis'\?"),
            ("loop:\n  tick_budget: 5\n", r"a\.yaml:2:16: loop\.tick_budget: '5' has no unit"),
            ("http:\n  threads: many\n", r"a\.yaml:2:12: http\.threads: 'many' is no count"),
            ("http:\n  threads: [1]\n", r"a\.yaml:2:12: http\.threads: is a list"),
            ("redis:\n  url: http://x\n", r"a\.yaml:2:8: redis\.url: begins with no known scheme"),
            ("http:\n  listen: 0.0.0.0:80\n", r"a\.yaml:2:11: http\.listen: .*token_file"),
            ("redis:\n  retry_first: 40s\n", r"redis\.retry_first: 40s is longer than"),
        ):
            code, said = self.check(text)
            self.assertEqual(code, 2, (text, said))
            self.assertRegex(said, expected)

    def test_a_password_is_not_shown_with_the_mistake_beside_it(self):
        code, said = self.check("redis:\n  url: redis://:hunter2@host:port/0\n")
        self.assertEqual(code, 2)
        self.assertNotIn("hunter2", said)

    def test_the_engines_mistakes_are_told_too(self):
        with open(self.rig.path("e.yaml"), "w") as f:
            f.write("store:\n  path: x\n  cahce: 1MiB\n")
        code, said = self.check(f"plugin:\n  library: LIBRARY\n  config: {self.rig.path('e.yaml')}\n")
        self.assertEqual(code, 2)
        self.assertRegex(said, r"e\.yaml:3:3: .*did you mean 'cache'\?")

    def test_a_library_that_is_none_is_told_apart(self):
        code, said = self.check("plugin:\n  library: libc.so.6\n")
        self.assertEqual(code, 2)
        self.assertIn("no plugin of Phlower", said)
        self.assertEqual(self.check("plugin:\n  library: /nonexistent.so\n")[0], 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[7:])
