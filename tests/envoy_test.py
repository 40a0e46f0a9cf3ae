"""A real Envoy with libphlower_envoy.so in it, on loopback, by the sample configuration.

envoy_test.py ENVOY MODULE LIBRARY QUERY SAMPLE      SAMPLE: plugin/envoy/envoy.yaml
"""
import collections
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PATIENCE_S = 60  # a guard against a host that hangs, not an expectation


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Upstream(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # one packet for one answer
    patience = threading.Event()  # set: nothing is slow any more
    slow = 0

    def do_GET(self):
        if self.path.startswith("/slow"):
            Upstream.slow += 1
            Upstream.patience.wait(PATIENCE_S)
        code = {"/miss": 404, "/fail": 500}.get(self.path[:5], 200)
        try:
            self.send_response(code)
            self.send_header("Content-Length", "3")
            self.end_headers()
            self.wfile.write(b"ok\n")
        except OSError:
            pass  # Envoy has gone

    def log_message(self, *_):
        pass


class UpstreamServer(http.server.ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = True

    def handle_error(self, *_):
        pass  # Envoy has gone


class RealEnvoy(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-envoy-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        shutil.copy(MODULE, self.dir)
        shutil.copy(LIBRARY, os.path.join(self.dir, "libphlower.so.1"))  # as the module asks for it
        Upstream.patience.clear()
        Upstream.slow = 0
        self.addCleanup(Upstream.patience.set)
        server = UpstreamServer(("127.0.0.1", 0), Upstream)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.web, self.admin, self.app = free_port(), free_port(), server.server_address[1]
        self.yaml()
        self.conf()

    def path(self, name):
        return os.path.join(self.dir, name)

    def yaml(self, more="", own_thread="true"):
        with open(self.path("new"), "w") as f:
            f.write(f"store:\n  path: {self.path('data')}\nring:\n  path: {self.path('ring')}\n"
                    f"plugin:\n  own_thread: {own_thread}\n{more}")
        os.rename(self.path("new"), self.path("phlower.yaml"))

    def conf(self, *changes):
        with open(SAMPLE) as f:
            text = f.read()
        for old, new in (("/etc/phlower.yaml", self.path("phlower.yaml")),
                         ("port_value: 9901", f"port_value: {self.admin}"),
                         ("port_value: 10000", f"port_value: {self.web}"),
                         ("port_value: 8080", f"port_value: {self.app}"), *changes):
            self.assertIn(old, text)
            text = text.replace(old, new)
        with open(self.path("envoy.yaml"), "w") as f:
            f.write(text)

    def listener_apart(self):
        """The sample with its listener in a file of its own, which Envoy watches."""
        with open(self.path("envoy.yaml")) as f:
            head, rest = f.read().split("  listeners:\n  - name: web\n")
        listener, clusters = rest.split("  clusters:\n")
        with open(self.path("envoy.yaml"), "w") as f:
            f.write("node: {id: test, cluster: test}\ndynamic_resources:\n  lds_config:\n"
                    "    resource_api_version: V3\n"
                    f"    path_config_source: {{path: {self.path('lds.yaml')}}}\n"
                    f"{head}  clusters:\n{clusters}")
        self.listener = ("resources:\n"
                         '- "@type": type.googleapis.com/envoy.config.listener.v3.Listener\n'
                         "  name: web\n" + "".join(line[2:] for line in listener.splitlines(True)))
        self.listener = self.listener.replace("*module", "{name: phlower_envoy}")

    def replace_listener(self, stat_prefix):
        with open(self.path("lds.new"), "w") as f:
            f.write(self.listener.replace("stat_prefix: web", f"stat_prefix: {stat_prefix}"))
        os.rename(self.path("lds.new"), self.path("lds.yaml"))

    def launch(self, *words, log="log"):
        with open(self.path(log), "w") as out:
            process = subprocess.Popen(
                [ENVOY, "-c", self.path("envoy.yaml"), "--concurrency", "2", "--disable-hot-restart",
                 *words], stdout=out, stderr=out,
                env={**os.environ, "ENVOY_DYNAMIC_MODULES_SEARCH_PATH": self.dir})
        self.addCleanup(process.kill)
        return process

    def start(self, *words):
        process = self.launch(*words)
        self.until_logged("starting main dispatch loop")
        self.until("the listener", lambda: self.answers(self.web))
        return process

    def end(self, process, signals=1):
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE_S), 0, self.log())

    def refused(self, *words):
        """The log of an Envoy that does not start."""
        self.assertNotIn(self.launch(*words).wait(PATIENCE_S), (0, None))
        return self.log()

    def log(self, name="log", without="[source/server/server.cc"):
        with open(self.path(name), encoding="utf-8") as f:
            return "".join(line for line in f if not without or without not in line)

    def until(self, what, holds):
        end = time.monotonic() + PATIENCE_S
        while not holds():
            self.assertLess(time.monotonic(), end, f"{what}; Envoy's log:\n{self.log()}")
            time.sleep(0.05)

    def until_logged(self, text, log="log"):
        self.until(f"no '{text}' in the log", lambda: text in self.log(log, ""))

    @staticmethod
    def answers(port):
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", port)) == 0

    def ask(self, path, method="GET"):
        peer = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE_S)
        peer.request(method, path)
        answer = peer.getresponse()
        body = answer.read().decode()
        peer.close()
        return answer.status, body

    def page(self):
        status, body = self.ask("/phlower")
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def stat(self, name):
        for line in self.ask("/stats?filter=" + name.replace(".", "\\."))[1].splitlines():
            key, value = line.split(": ")
            if key == name:
                return int(value)
        return None

    def request(self, peer, path, request_id):
        peer.request("GET", path, headers={"x-request-id": request_id})
        answer = peer.getresponse()
        answer.read()
        return answer.status

    def client(self, number, count, paths, statuses, stop=None):
        """Requests over one connection; statuses[id] is what came back, None what was cut."""
        peer = http.client.HTTPConnection("127.0.0.1", self.web, timeout=PATIENCE_S)
        for i in range(count):
            request_id = f"client-{number}-{i}"
            try:
                statuses[request_id] = self.request(peer, paths[i % len(paths)], request_id)
            except (OSError, http.client.HTTPException):
                statuses[request_id] = None
                peer.close()
            if statuses[request_id] is None and stop is not None and stop.is_set():
                break
        peer.close()

    def load(self, connections, count, paths, **more):
        statuses = {}
        clients = [threading.Thread(target=self.client, args=(n, count, paths, statuses), kwargs=more)
                   for n in range(connections)]
        for one in clients:
            one.start()
        return clients, statuses

    def loaded(self, *words):
        clients, statuses = self.load(*words)
        for one in clients:
            one.join()
        return statuses

    def rows(self):
        done = subprocess.run([QUERY, "export", "--data", self.path("data")], capture_output=True,
                              text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(rows), len({row["task_id"] for row in rows}))
        return {row["task_id"]: row for row in rows}

    def test_has_a_record_of_every_request(self):
        envoy = self.start()
        paths = ("/work?secret=1", "/health", "/missing", "/fail", "/down/there")
        statuses = self.loaded(8, 500, paths)
        self.assertEqual(collections.Counter(statuses.values()),
                         {200: 1600, 404: 800, 500: 800, 503: 800})
        self.until("not committed", lambda: self.page()["committed"] == 4000)
        self.until("no statistics", lambda: self.stat("phlower.committed_total") == 4000)
        self.assertEqual(self.stat("phlower.missed_total"), 0)
        self.assertEqual(self.page()["state"], "ok")
        self.assertEqual(self.ask("/drain_listeners?graceful", "POST")[0], 200)
        self.end(envoy)
        rows = self.rows()
        self.assertEqual(set(rows), set(statuses))
        states = {200: "SUCCESS", 404: "REJECTED", 500: "FAILURE", 503: "FAILURE"}
        for request_id, status in statuses.items():
            self.assertEqual(rows[request_id]["state"], states[status])
        app, health, missing, fail, down = (rows[f"client-3-{i}"] for i in range(5))
        self.assertEqual((app["task_name"], app["queue"]), ("web.app", "app"))
        self.assertEqual(app["worker"], f"127.0.0.1:{self.app}")
        self.assertEqual(app["args_preview"], "GET /work")
        self.assertIsNone(app["exception_type"])
        self.assertGreater(app["runtime_ms"], 0)
        self.assertEqual(health["task_name"], "web.health")
        self.assertEqual((missing["exception_type"], fail["exception_type"]), ("via_upstream",) * 2)
        self.assertEqual((down["task_name"], down["queue"]), ("web.down", "nobody"))
        self.assertIn("upstream_reset_before_response_started", down["exception_type"])
        self.assertIn("Envoy drains", self.log())
        self.assertIn("ABI version v0.", self.log())

    def test_loses_nothing_that_was_answered_when_it_ends_under_load(self):
        self.conf(("timeout: 5s", "timeout: 60s"))
        envoy, stop = self.start(), threading.Event()
        clients, statuses = self.load(8, 1000000, ("/work", "/health"), stop=stop)
        slow, slow_statuses = [], {}
        for n in range(4):
            slow.append(threading.Thread(target=self.client, args=(f"slow{n}", 1, ("/slow",),
                                                                   slow_statuses)))
            slow[-1].start()
        self.until("no load", lambda: self.page()["committed"] > 2000 and Upstream.slow == 4)
        stop.set()
        self.end(envoy, signals=3)
        for one in clients + slow:
            one.join()
        rows = self.rows()
        answered = {request_id for request_id, status in statuses.items() if status is not None}
        self.assertGreater(len(answered), 2000)
        self.assertEqual(sorted(answered - set(rows))[:9], [])
        # Cut in the middle, and still recorded.
        self.assertEqual(set(slow_statuses.values()), {None})
        self.assertLessEqual(set(slow_statuses), set(rows))

    def test_has_a_record_of_every_request_while_listeners_are_replaced(self):
        self.conf(("do_not_close: true", "do_not_close: false"))
        self.listener_apart()
        self.replace_listener("web0")
        envoy, stop = self.start("--drain-time-s", "1"), threading.Event()
        clients, statuses = self.load(4, 1000000, ("/work", "/health"), stop=stop)
        for n in range(1, 4):
            self.replace_listener(f"web{n}")
            self.until("no such listener", lambda: self.stat("listener_manager.lds.update_success") == n + 1)
            self.until("the old one stays", lambda: self.stat(
                "listener_manager.total_filter_chains_draining") == 0 and self.stat(
                    "listener_manager.total_listeners_draining") == 0)
        stop.set()
        self.end(envoy)
        for one in clients:
            one.join()
        answered = {request_id for request_id, status in statuses.items() if status is not None}
        self.assertGreater(len(answered), 500)
        self.assertEqual(sorted(answered - set(self.rows()))[:9], [])

    def test_gives_requests_without_an_id_one_of_their_own(self):
        self.conf(("stat_prefix: web", "stat_prefix: web\n          generate_request_id: false"),
                  ("do_not_close: true", "do_not_close: false"))
        envoy = self.start()
        peer = http.client.HTTPConnection("127.0.0.1", self.web, timeout=PATIENCE_S)
        ids = ["", "", "", "x" * 500, "good"]
        for one in ids:
            self.assertEqual(self.request(peer, "/health", one), 200)
        peer.close()
        self.end(envoy)
        rows = self.rows()
        self.assertEqual(len(rows), len(ids))
        self.assertEqual(len([one for one in rows if one.startswith("envoy-")]), 4)

    def test_does_not_start_with_a_wrong_file_and_says_where(self):
        self.yaml(more="schedule:\n  flush_age: much\n")
        place = self.path("phlower.yaml") + ":8:14:"
        self.assertIn(place, self.refused())
        self.assertIn(place, self.refused("--mode", "validate"))
        self.assertFalse(os.path.exists(self.path("ring")))

    def test_does_not_start_with_a_logger_that_names_another_file(self):
        self.conf(("                value: " + self.path("phlower.yaml"),
                   "                value: /other.yaml"))
        self.assertIn('logger_config is "/other.yaml"', self.refused())

    def test_validates_without_touching_anything(self):
        self.assertEqual(self.launch("--mode", "validate").wait(PATIENCE_S), 0)
        self.assertFalse(os.path.exists(self.path("ring")))
        self.assertFalse(os.path.exists(self.path("data")))

    def test_reads_its_file_again_and_keeps_what_it_had_when_that_is_wrong(self):
        envoy = self.start()
        self.yaml(more="schedule:\n  flush_age: 20ms\n")
        self.until_logged("read again, 1 changes in force")
        self.yaml(more="schedule:\n  flush_age: much\n")
        self.until_logged(self.path("phlower.yaml") + ":8:14:")
        statuses = self.loaded(2, 50, ("/work",))
        self.end(envoy)
        self.assertEqual(set(self.rows()), set(statuses))

    def test_works_on_the_main_thread_too_and_says_so(self):
        self.yaml(own_thread="false")
        envoy = self.start()
        self.assertIn("works on Envoy's main thread", self.log())
        statuses = self.loaded(4, 250, ("/work",))
        self.until("not committed", lambda: self.page()["committed"] == 1000)
        self.end(envoy)
        self.assertEqual(set(self.rows()), set(statuses))

    def test_waits_for_a_ring_that_another_envoy_has(self):
        first = self.start()
        web, self.web, self.admin = self.web, free_port(), free_port()
        self.conf()
        second = self.launch(log="second")
        self.until_logged("cannot start", "second")
        self.until("the listener", lambda: self.answers(self.web))
        self.assertNotEqual(self.web, web)
        self.end(first)
        self.until_logged("phlower: started with", "second")
        statuses = self.loaded(2, 50, ("/work",))
        self.end(second)
        self.assertEqual(set(self.rows()), set(statuses))


if __name__ == "__main__":
    ENVOY, MODULE, LIBRARY, QUERY, SAMPLE = sys.argv[1:6]
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], verbosity=2)
