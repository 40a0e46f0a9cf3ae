"""phlower-agent's HTTP with the real plugin: what it answers, and what HTTP asks of a server.

agent_http_test.py AGENT LIBRARY QUERY CAPTURE EXPECTED
"""
import json
import os
import re
import socket
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import AgentRig, WAIT, expected_rows, wait_for  # noqa: E402

AGENT, LIBRARY, QUERY, CAPTURE, EXPECTED = sys.argv[1:6]
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"


def answers(data, most=100):
    """(status, headers, body) of each answer in what a server sent, `most` of them at most."""
    found = []
    while data and len(found) < most:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        size = int(headers.get("content-length", 0))
        found.append((int(first.split()[1]), headers, data[:size].decode("utf-8", "replace")))
        data = data[size:]
    return found


class HttpTest(unittest.TestCase):
    """One agent with the rows of the capture for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.rig = AgentRig(AGENT, LIBRARY, QUERY)
        cls.addClassCleanup(cls.rig.close)
        cls.rig.options["capture"] = {"path": CAPTURE}
        cls.agent = cls.rig.start()
        cls.agent.wait_said("read to its end")
        expected = len(expected_rows(EXPECTED))
        wait_for("the rows", lambda: cls.rig.json("/healthz")[1]["rows"]["invocations"] >= expected)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.rig.port), timeout=WAIT)
        self.addCleanup(s.close)
        return s

    def raw(self, data):
        """All that the server sends until it closes."""
        with self.connect() as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass  # it may close before it has read all of what it refuses
            got = b""
            try:
                while piece := s.recv(65536):
                    got += piece
            except ConnectionError:
                pass
            return got

    def statuses(self, data, most=100):
        return [status for status, _, _ in answers(self.raw(data), most)]


class Protocol(HttpTest):
    def test_each_request_gets_what_the_standard_asks_for(self):
        get = b"GET /livez HTTP/1.1\r\n"
        for request, expected in (
            (get + HOST + CLOSE, [200]),
            (b"GET /livez HTTP/1.0\r\n", [200]),  # closes by itself, and needs no Host
            (b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /readyz HTTP/1.0\r\n", [200, 200]),
            (b"GET /livez HTTP/1.7\r\n" + HOST + CLOSE, [200]),
            (b"GET /livez HTTP/9.9\r\n" + HOST, [505]),
            (b"GET /livez HTTP/0.9\r\n" + HOST, [505]),
            (b"GET /livez\r\n", [400]),
            (b"GET /livez http/1.1\r\n" + HOST, [400]),
            (b"GARBAGE\r\n", []),  # closed without a word
            (b"\r\n\r\n" + get + HOST + CLOSE, [200]),
            (get.replace(b"\r\n", b"\n") + b"Host: localhost\nConnection: close\n\n", [200]),
            # one good Host
            (get, [400]),
            (get + HOST + HOST, [400]),
            (get + b"Host: a b\r\n", [400]),
            (get + b"Host: me@localhost\r\n", [400]),
            (get + b"hOST:localhost:80 \r\n" + CLOSE, [200]),
            (get + b"Host: [::1]:80\r\n" + CLOSE, [200]),
            (get + b"Host: LocalHost\r\n" + CLOSE, [200]),
            (get + b"Host: evil.example\r\n" + CLOSE, [421]),
            # the address in its four forms
            (b"GET http://127.0.0.1:80/livez HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE, [200]),
            (b"GET HTTP://localhost/livez?x=1 HTTP/1.1\r\n" + HOST + CLOSE, [200]),
            (b"GET http://evil.example/livez HTTP/1.1\r\n" + HOST + CLOSE, [421]),
            (b"GET http://localhost HTTP/1.1\r\n" + HOST + CLOSE, [404]),
            (b"GET http:///livez HTTP/1.1\r\n" + HOST, [400]),
            (b"GET http://a@localhost/livez HTTP/1.1\r\n" + HOST, [400]),
            (b"GET ftp://localhost/livez HTTP/1.1\r\n" + HOST, [400]),
            (b"GET livez HTTP/1.1\r\n" + HOST, [400]),
            (b"GET /li vez HTTP/1.1\r\n" + HOST, [400]),
            (b"GET /livez#x HTTP/1.1\r\n" + HOST, [400]),
            (b"GET * HTTP/1.1\r\n" + HOST, [400]),
            (b"OPTIONS * HTTP/1.1\r\n" + HOST + CLOSE, [204]),
            (b"OPTIONS /search HTTP/1.1\r\n" + HOST + CLOSE, [204]),
            (b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST, [405]),
            # methods
            (b"FROB /livez HTTP/1.1\r\n" + HOST, [501]),
            (b"get /livez HTTP/1.1\r\n" + HOST, [501]),
            (b"TRACE /livez HTTP/1.1\r\n" + HOST, [405]),
            # where a request ends
            (get + HOST + b"Content-Length: 3\r\n\r\nabc" + get + HOST + CLOSE, [200, 200]),
            (get + HOST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + get + HOST + CLOSE,
             [200, 200]),
            (get + HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc" + get + HOST, [400]),
            (get + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" + get + HOST, [400]),
            (get + HOST + b"Content-Length: 3, 3\r\n\r\nabc" + get + HOST, [400]),
            (get + HOST + b"Content-Length: -3\r\n\r\nabc" + get + HOST, [400]),
            (get + HOST + b"Content-Length: 9999999\r\n\r\nabc" + get + HOST, [413]),
            (get + HOST + b"Content-Length: 99999999999999999999999\r\n\r\nabc" + get + HOST, [413]),
            (get + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\nabc" + get + HOST, [501]),
            (get + HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [501]),
            (b"GET /livez HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
            (get + HOST + b"Expect: 100-continue\r\n" + CLOSE + b"Content-Length: 1\r\n\r\na", [100, 200]),
            (b"POST / HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 1\r\n", [405]),
            (get + HOST + b"Expect: tea\r\n", [417]),
            # header lines
            (get + HOST + b"X : a\r\n", [400]),
            (get + b" Host: localhost\r\n", [400]),
            (get + HOST + b"no colon\r\n", [400]),
            (get + HOST + b"X: a\x01b\r\n", [400]),
            (get + HOST + b"Range: bytes=0-,0-,0-\r\n" + CLOSE, [200]),
            # sizes
            (b"GET /" + b"x" * 7900 + b" HTTP/1.1\r\n" + HOST + CLOSE, [404]),
            (b"GET /" + b"x" * 8100 + b" HTTP/1.1\r\n" + HOST, [414]),
            (b"GET /" + b"x" * 70000 + b" HTTP/1.1\r\n" + HOST, [414]),
            (get + HOST + b"X: " + b"x" * 8000 + b"\r\n" + CLOSE, [200]),
            (get + HOST + b"X: " + b"x" * 70000 + b"\r\n", [431]),
            (get + HOST + b"X: 1\r\n" * 5000, [431]),
        ):
            with self.subTest(request[:120]):
                self.assertEqual(self.statuses(request + b"\r\n", len(expected) or 1), expected)

    def test_a_request_that_is_refused_for_its_form_is_the_last_of_its_connection(self):
        get = b"GET /livez HTTP/1.1\r\n" + HOST
        for bad in (b"Transfer-Encoding: gzip\r\n", b"Content-Length: 1\r\nContent-Length: 2\r\n", HOST,
                    b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"):
            with self.subTest(bad):
                self.assertEqual(len(self.statuses(get + bad + b"\r\n" + get + CLOSE + b"\r\n")), 1)

    def test_head_is_get_without_the_body(self):
        for path in (b"/livez", b"/metrics", b"/search?limit=1", b"/nonsense"):
            request = b" " + path + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"
            got = self.raw(b"GET" + request)
            only_head = self.raw(b"HEAD" + request)
            self.assertTrue(only_head.endswith(b"\r\n\r\n"), path)
            status, headers, body = answers(got)[0]
            self.assertEqual(int(headers["content-length"]), len(body.encode()), path)
            self.assertEqual(answers(only_head)[0][0], status)
            if path != b"/metrics":  # which counts this very request
                self.assertEqual(answers(only_head)[0][1]["content-length"], headers["content-length"])

    def test_answers_carry_the_headers_that_they_need(self):
        for path, status, type_ in ((b"/healthz", 200, "application/json"), (b"/x", 404, "application/json"),
                                    (b"/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
                                    (b"/search?limit=1", 200, "application/json")):
            got, headers, _ = answers(self.raw(b"GET " + path + b" HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"))[0]
            self.assertEqual((got, headers["content-type"]), (status, type_))
            self.assertEqual(headers["cache-control"], "no-store")
            self.assertRegex(headers["date"], r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$")
            self.assertEqual(headers["connection"], "close")
        for method in (b"POST", b"OPTIONS"):
            _, headers, _ = answers(self.raw(method + b" /livez HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"))[0]
            self.assertEqual(headers["allow"], "GET, HEAD, OPTIONS")

    def test_addresses_are_decoded_once_and_strictly(self):
        for path, status in (
            ("/%6civez", 200), ("/livez?", 200), ("/livez?&&", 200), ("/search?task=a+b%2Bc", 200),
            ("/search?details=false&limit=1", 200), ("/search?%6cimit=1", 200),
            ("/", 404), ("/invocations/", 404), ("/tasks//invocations", 404), ("/nonsense", 404),
            ("/livez/", 404), ("/%2fivez", 404), ("/invocations/a%2Fb", 404), ("/invocations/a+b", 404),
            ("/livez%", 400), ("/livez%0", 400), ("/livez%zz", 400), ("/livez%00", 400),
            ("/search?limit=0", 400), ("/search?limit=99999999", 400), ("/search?limit=-1", 400),
            ("/search?limit=+1", 400), ("/search?limit", 400), ("/search?=1", 400),
            ("/search?limit=1&limit=2", 400), ("/search?limit=1&%6cimit=1", 400),
            ("/search?sttae=x", 400), ("/search?since=soon", 400), ("/invocations/x?details=true", 400),
            ("/search?after=nonsense", 400), ("/search?after=" + "A" * 5000, 400),
            ("/search?text=%ff%fe", 400), ("/search?text=%zz", 400), ("/invocations/%c3%28", 400),
            ("/search?text=%ed%a0%80", 400), ("/search?text=%c0%80", 400), ("/search?text=%0a", 400),
            ("/invocations/" + "x" * 1024, 404), ("/invocations/" + "x" * 1025, 400),
            ("/invocations/" + "%C3%BC" * 512, 404), ("/invocations/" + "%C3%BC" * 513, 400), ("/invocations/a%00b", 400),
        ):
            self.assertEqual(self.rig.get(path)[0], status, path[:60])

    def test_states_match_in_either_case_and_an_unknown_one_gets_a_hint(self):
        upper = self.rig.json("/search?state=FAILURE")[1]
        self.assertGreater(len(upper["records"]), 3)
        self.assertNotIn("hint", upper)
        self.assertEqual(self.rig.json("/search?state=failure")[1]["records"], upper["records"])
        status, none = self.rig.json("/search?state=failed")
        self.assertEqual((status, none["records"], none["stopped"]), (200, [], "end"))
        self.assertIn("FAILURE", none["hint"])
        self.assertNotIn("hint", self.rig.json("/search?state=RETRY&worker=nobody")[1])

    def test_requests_behind_each_other_on_one_connection_are_all_answered_in_order(self):
        rows = sorted(expected_rows(EXPECTED))[:5]
        data = b"".join(b"GET /invocations/%s HTTP/1.1\r\n%s\r\nGET /readyz HTTP/1.1\r\n%s\r\n"
                        % (task_id.encode(), HOST, HOST) for task_id in rows)
        found = answers(self.raw(data + b"GET /nonsense HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"))
        self.assertEqual([status for status, _, _ in found], [200] * 10 + [404])
        self.assertEqual([json.loads(body)["task_id"] for _, _, body in found[:10:2]], rows)

    def test_a_connection_stays_open_after_answers_that_are_errors(self):
        with self.connect() as s:
            for path, status in ((b"/nonsense", b"404"), (b"/search?limit=0", b"400"), (b"/livez", b"200")):
                s.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertIn(status, s.recv(65536).split(b"\r\n")[0])


class Content(HttpTest):
    def test_health_tells_rows_sums_and_disk(self):
        status, health = self.rig.json("/healthz")
        self.assertEqual((status, health["status"], health["reasons"]), (200, "ok", []))
        sums = health["records"]
        self.assertEqual(sums["offered"], sums["accepted"] + sums["refused"])
        self.assertEqual(sums["accepted"], sums["committed"] + sums["in_ring"])
        self.assertGreater(health["disk"]["total_bytes"], health["disk"]["free_bytes"])
        self.assertEqual(self.rig.get("/readyz")[0], 200)
        self.assertEqual(self.rig.get("/livez")[0], 200)

    def test_one_task_is_found_by_its_id(self):
        task_id, row = next((i, r) for i, r in expected_rows(EXPECTED).items() if r["state"] == "FAILURE")
        status, found = self.rig.json(f"/invocations/{task_id}")
        self.assertEqual((status, found["state"], found["task_id"]), (200, "FAILURE", task_id))
        self.assertTrue(found["traceback_snippet"])
        self.assertEqual(self.rig.get("/invocations/none-such")[0], 404)

    def test_pages_of_a_task_follow_each_other_without_gap_or_repeat(self):
        name = "shop.orders.charge_card"
        wanted = {i for i, r in expected_rows(EXPECTED).items() if r["task_name"] == name}
        seen, after = [], ""
        while True:
            status, page = self.rig.json(f"/tasks/{name}/invocations?limit=7{after}")
            self.assertEqual(status, 200)
            seen += [row["task_id"] for row in page["records"]]
            if page["next"] is None:
                break
            after = "&after=" + page["next"]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertEqual(wanted - set(seen), set())

    def test_search_filters(self):
        for words, key, value in (("state=FAILURE", "state", "FAILURE"),
                                  ("task=shop.email.send", "task_name", "shop.email.send")):
            rows = self.rig.json(f"/search?{words}")[1]["records"]
            self.assertTrue(rows)
            self.assertEqual({row[key] for row in rows}, {value})
        self.assertEqual(self.rig.json("/search?since=2099-01-01")[1]["records"], [])
        self.assertNotIn("args_preview", self.rig.json("/search?details=false")[1]["records"][0])

    def test_metrics_have_histograms_and_the_sums_of_the_engine(self):
        text = self.rig.get("/metrics")[1]
        for line in text.splitlines():
            self.assertRegex(line, r"^(# (HELP|TYPE) |[a-z_]+(\{[^}]*\})? \S+$)")
        buckets = re.findall(r"^(phlower_\w+)_bucket\{le=\"([^\"]+)\"\} (\d+)$", text, re.M)
        names = {name for name, _, _ in buckets}
        for word in ("slice", "hold", "age", "submit"):
            self.assertTrue([n for n in names if word in n], (word, names))
        for name in names:
            counts = [int(count) for n, _, count in buckets if n == name]
            self.assertEqual(counts, sorted(counts), name)
            self.assertEqual(counts[-1], int(re.search(rf"^{name}_count (\d+)$", text, re.M)[1]))
        self.assertGreater(self.rig.metric("phlower_agent_events_total", "capture"), 600)


class SlowClients(HttpTest):
    def test_clients_that_send_slowly_keep_nobody_else_waiting_and_are_cut(self):
        slow = [self.connect() for _ in range(200)]
        for s in slow:
            s.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        self.assertEqual(self.rig.get("/healthz")[0], 200)
        self.assertEqual(slow[-1].recv(100), b"")  # cut by the server
        self.assertGreater(self.rig.metric("phlower_agent_http_cut_total"), 0)

    def test_a_byte_now_and_then_does_not_keep_a_connection(self):
        with self.connect() as s:
            s.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
            s.settimeout(0.05)
            for _ in range(WAIT * 20):
                try:
                    if s.recv(100) == b"":
                        return
                except TimeoutError:
                    s.sendall(b"x")
                except ConnectionError:
                    return
        self.fail("was never cut")

    def test_a_client_that_does_not_read_is_cut(self):
        before = self.rig.metric("phlower_agent_http_cut_total")
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", self.rig.port))
            s.settimeout(WAIT)
            for _ in range(400):
                try:
                    s.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
                except (ConnectionError, TimeoutError):
                    break
            wait_for("the cut", lambda: self.rig.metric("phlower_agent_http_cut_total") > before)


class Connections(unittest.TestCase):
    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)

    def connect(self, data=b""):
        s = socket.create_connection(("127.0.0.1", self.rig.port), timeout=WAIT)
        self.addCleanup(s.close)
        s.sendall(data)
        return s

    def test_one_too_many_takes_the_place_of_the_one_that_has_sent_its_request_for_longest(self):
        self.rig.options["http"].update(connections_max=8, timeout="60s")
        self.rig.start()
        slow = [self.connect(b"GET /livez HTTP/1.1\r\nX-Slow: ") for _ in range(8)]
        self.assertEqual(self.rig.get("/livez")[0], 200)
        self.assertEqual(slow[0].recv(100), b"")
        self.assertGreater(self.rig.metric("phlower_agent_http_cut_total"), 0)
        slow[-1].sendall(b"over\r\n" + HOST + CLOSE + b"\r\n")
        self.assertIn(b" 200 ", slow[-1].recv(65536).split(b"\r\n")[0])

    def test_one_that_asks_for_nothing_more_ends_without_being_counted_as_cut(self):
        self.rig.options["http"]["timeout"] = "200ms"
        self.rig.start()
        s = self.connect(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
        with s.makefile("rb") as f:
            self.assertIn(b" 200 ", f.read().split(b"\r\n")[0])  # to the end of the connection
        self.assertEqual(self.rig.metric("phlower_agent_http_cut_total"), 0)


class Token(unittest.TestCase):
    def setUp(self):
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)

    def test_with_a_token_nobody_is_answered_without_it(self):
        token = "0123456789abcdef"
        with open(self.rig.path("token"), "w") as f:
            f.write(token + "\n")
        self.rig.options["http"] = {"listen": "0.0.0.0:0", "token_file": self.rig.path("token")}
        agent = self.rig.start()
        self.rig.port = int(re.search(r"listens on 0\.0\.0\.0:(\d+)", agent.text)[1])
        for value in (None, "", "Bearer", "Bearer ", "Bearer 0123456789abcdeg", "Bearer 0123456789abcde",
                      f"Bearer {token}x", f"Bearer {token * 2}", f"Bearer {token} x", f"Basic {token}",
                      f"Bearer{token}", token):
            headers = {} if value is None else {"Authorization": value}
            for path in ("/healthz", "/search", "/nonsense"):
                self.assertEqual(self.rig.get(path, headers)[0], 401, value)
        for scheme in ("Bearer", "bearer", "BEARER", "bEaReR "):
            self.assertEqual(self.rig.get("/livez", {"Authorization": f"{scheme} {token} "})[0], 200, scheme)
        with socket.create_connection(("127.0.0.1", self.rig.port), timeout=WAIT) as s:
            s.sendall(b"GET /livez HTTP/1.1\r\nHost: me.example\r\nConnection: close\r\n\r\n")
            self.assertIn("Bearer ", answers(s.makefile("rb").read())[0][1]["www-authenticate"])

    def test_a_unix_socket_serves_too(self):
        self.rig.options["http"] = {"listen": "unix:" + self.rig.path("http.sock")}
        self.rig.start()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(WAIT)
            s.connect(self.rig.path("http.sock"))
            s.sendall(b"GET /readyz HTTP/1.1\r\nHost: phlower\r\n\r\n")
            self.assertIn("200", s.makefile("rb").readline().decode())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:])
