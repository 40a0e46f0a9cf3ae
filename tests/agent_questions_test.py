"""phlower-agent under questions that take long: what is found at once is answered beside them, and none
goes on that nobody waits for.

agent_questions_test.py AGENT LIBRARY QUERY CAPTURE EXPECTED REPLAY
"""
import http.client
import json
import os
import select
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from agent_rig import AgentRig, WAIT, wait_for  # noqa: E402

AGENT, LIBRARY, QUERY, CAPTURE, _, REPLAY = sys.argv[1:7]
ROWS = 150_000
SCANS = 8
BRUTE_FORCE = "/search?text=no-such-text&worker=none"  # looks at every row


class Questions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.first = AgentRig(AGENT, LIBRARY, QUERY)
        cls.addClassCleanup(cls.first.close)
        subprocess.run([REPLAY, CAPTURE, "--data", cls.first.data, "--ring", cls.first.path("r"), "--rate", "max",
                        "--records", str(ROWS), "--keep-forever", "--quiet"], check=True, timeout=600)

    def start(self, **http_options):
        """An agent of the test's own on the rows."""
        self.rig = AgentRig(AGENT, LIBRARY, QUERY)
        self.addCleanup(self.rig.close)
        self.rig.engine["store"]["path"] = self.first.data
        self.rig.options["http"].update({"question_timeout": "10m"}, **http_options)
        self.rig.start()
        self.rows = self.rig.json("/healthz")[1]["rows"]["invocations"]
        self.assertGreaterEqual(self.rows, ROWS // 2)  # a task of the capture may have several records

    def ask(self, path=BRUTE_FORCE):
        """A connection whose answer has not come yet."""
        s = socket.create_connection(("127.0.0.1", self.rig.port), timeout=WAIT)
        self.addCleanup(s.close)
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return s

    def answer(self, s):
        answer = http.client.HTTPResponse(s)
        answer.begin()
        return answer.status, dict(answer.getheaders()), json.loads(answer.read())

    def load(self):
        return (self.rig.metric("phlower_agent_http_running"), self.rig.metric("phlower_agent_http_waiting"))

    def unanswered(self, asked):
        return [s for s in asked if not select.select([s], [], [], 0)[0]]

    def test_what_is_found_at_once_is_answered_beside_searches_that_look_at_every_row(self):
        self.start()
        task_id = self.rig.json("/search?limit=1")[1]["records"][0]["task_id"]
        asked = [self.ask() for _ in range(SCANS)]
        wait_for("two searches under way", lambda: self.load()[0] == 2)
        # More of them than there are searches: if each waited for one, none of those would be left.
        for _ in range(SCANS):
            for path in (f"/invocations/{task_id}", "/search?limit=5", "/healthz"):
                self.assertEqual(self.rig.get(path)[0], 200, path)
        self.assertTrue(self.unanswered(asked))

    def test_a_search_ends_when_its_client_has_gone(self):
        self.start()
        asked = [self.ask() for _ in range(SCANS)]
        wait_for("two searches under way", lambda: self.load()[0] == 2)
        left = len(self.unanswered(asked))
        for s in asked:
            s.close()
        wait_for("their end", lambda: self.load() == (0, 0))
        self.assertGreater(left, 2)
        self.assertGreaterEqual(self.rig.metric("phlower_agent_http_left_total"), left - 2)
        # Those that waited looked at next to nothing.
        self.assertLess(self.rig.metric("phlower_agent_http_rows_scanned_total"), (SCANS - 2) * self.rows)

    def test_an_answer_that_was_cut_short_says_so_and_goes_on_where_it_was(self):
        self.start()
        query = "/search?state=FAILURE&details=false&limit=1000&since=2020-01-01"
        whole, after = [], ""
        while True:
            page = self.rig.json(query + after)[1]
            whole += [row["task_id"] for row in page["records"]]
            self.assertEqual(page["stopped"], "end" if page["next"] is None else "limit")
            if page["next"] is None or len(whole) >= 3000:
                break
            after = "&after=" + page["next"]
        page = self.rig.json(f"{BRUTE_FORCE}&timeout=1ms")[1]
        self.assertEqual((page["stopped"], page["records"]), ("deadline", []))
        self.assertIsNotNone(page["next"])
        self.assertLess(page["scanned"], self.rows)
        parts, after, cut = [], "&timeout=1ms", False
        while len(parts) < len(whole):
            page = self.rig.json(query + after)[1]
            cut = cut or page["stopped"] == "deadline"
            parts += [row["task_id"] for row in page["records"]]
            if page["next"] is None:
                break
            after = "&after=" + page["next"]
        self.assertTrue(cut)
        self.assertEqual(parts[:len(whole)], whole)

    def test_the_bound_of_the_configuration_holds_for_those_that_name_none(self):
        self.start(question_timeout="100ms", page_max=10_000)
        # Ten thousand rows of text take longer; where not, every row was looked at.
        page = self.rig.json(BRUTE_FORCE)[1]
        self.assertIn(page["stopped"], ("deadline", "end"))
        self.assertEqual(page["next"] is None, page["stopped"] == "end")
        for wrong in ("0s", "101ms", "2", "soon", "-1s"):
            self.assertEqual(self.rig.get(f"/search?timeout={wrong}")[0], 400, wrong)

    def test_a_page_tells_how_far_back_it_looked(self):
        self.start()
        page = self.rig.json("/search?limit=10")[1]
        self.assertEqual(page["stopped"], "limit")
        last = page["records"][-1]
        self.assertEqual(page["looked_back_to"], last["finished_at"] or last["started_at"] or last["received_at"])
        self.assertGreaterEqual(page["scanned"], 10)

    def test_one_question_more_than_may_wait_is_told_to_come_again(self):
        self.start(threads=2, waiting_max=2)
        asked = [self.ask()]
        wait_for("the search", lambda: self.load() == (1, 0))
        asked += [self.ask() for _ in range(2)]
        wait_for("the queue", lambda: self.load() == (1, 2))
        status, headers, body = self.answer(self.ask())
        self.assertEqual((status, headers["Retry-After"]), (503, "1"), body)
        self.assertEqual(self.rig.metric("phlower_agent_http_refused_total"), 1)
        # Who has gone makes room.
        asked.pop().close()
        wait_for("the goodbye", lambda: self.rig.metric("phlower_agent_http_left_total") == 1)
        asked.append(self.ask())
        wait_for("the queue", lambda: self.load() == (1, 2) or not self.unanswered(asked[:1]))
        self.assertEqual(self.rig.metric("phlower_agent_http_refused_total"), 1)

    def test_many_short_questions_at_once_are_all_answered(self):
        self.start()
        failed = []

        def ask_often():
            connection = http.client.HTTPConnection("127.0.0.1", self.rig.port, timeout=WAIT)
            for _ in range(5):
                connection.request("GET", "/search?limit=50&details=false")
                answer = connection.getresponse()
                if answer.status != 200 or len(json.loads(answer.read())["records"]) != 50:
                    failed.append(answer.status)
            connection.close()

        askers = [threading.Thread(target=ask_often) for _ in range(50)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.assertEqual(failed, [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[7:])
