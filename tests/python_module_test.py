#!/usr/bin/env python3
"""plugin/python/phlower.py with the shared object and an engine, as a script would use it.

    python_module_test.py PHLOWER_REPLAY PHLOWER_QUERY LIBPHLOWER PLUGIN_H
"""
import ctypes
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "plugin", "python"))
import phlower  # noqa: E402

REPLAY, QUERY, LIBRARY, HEADER = map(os.path.abspath, sys.argv[1:5])
Outcome = phlower.Outcome


class PythonModule(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.config = self.path("phlower.yaml")
        self.write_config()
        self.engine = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def write_config(self, ring=""):
        with open(self.config, "w") as f:
            f.write(f"store: {{path: {self.path('data')}}}\n"
                    f"ring: {{path: {self.path('ring')}, size: 2MiB{ring}}}\n")

    def start_engine(self):
        self.engine = subprocess.Popen([REPLAY, "--engine-only", "--config", self.config,
                                        "--keep-forever", "--quiet"], stdout=subprocess.DEVNULL)
        self.addCleanup(self.kill_engine)
        end = time.monotonic() + 30
        while not os.path.exists(self.path("ring")):
            self.assertLess(time.monotonic(), end, "the engine made no ring")
            time.sleep(0.01)

    def kill_engine(self):
        self.engine.kill()
        self.engine.wait()

    def producer(self, **options):
        producer = phlower.Producer(self.config, LIBRARY, **options)
        self.addCleanup(producer.close)
        return producer

    def stored(self):
        """Everything that was accepted, by task_id."""
        self.kill_engine()
        subprocess.run([REPLAY, "--engine-only", "--config", self.config, "--keep-forever",
                        "--until-drained", "--quiet"], check=True, timeout=60,
                       stdout=subprocess.DEVNULL)
        text = subprocess.run([QUERY, "export", "--data", self.path("data")], check=True,
                              capture_output=True, text=True, timeout=60).stdout
        rows = [json.loads(line) for line in text.splitlines()]
        self.assertEqual(len(rows), len({row["task_id"] for row in rows}))
        return {row["task_id"]: row for row in rows}

    def submit_when_there(self, producer, **record):
        end = time.monotonic() + 30
        while not producer.submit(**record):
            self.assertLess(time.monotonic(), end, producer.last_error)
            time.sleep(0.01)

    def test_has_the_layout_of_the_header(self):
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("g++")
        if compiler is None:
            self.skipTest("no C compiler")
        structs = {"phlower_text": phlower._Text, "phlower_err": phlower._Err,
                   "phlower_plugin_info": phlower._Info, "phlower_record": phlower._Record}
        with open(self.path("layout.c"), "w") as f:
            f.write(f'#include "{HEADER}"\n#include <stdio.h>\nint main(void) {{\n')
            for name, struct in structs.items():
                f.write(f'printf("{name} %zu\\n", sizeof({name}));\n')
                for field, _ in struct._fields_:
                    f.write(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));\n')
            f.write("return 0; }\n")
        subprocess.run([compiler, "-o", self.path("layout"), self.path("layout.c")], check=True)
        said = subprocess.run([self.path("layout")], check=True, capture_output=True, text=True).stdout
        theirs = {key: int(value) for key, value in (line.split() for line in said.splitlines())}
        for name, struct in structs.items():
            self.assertEqual(ctypes.sizeof(struct), theirs[name], name)
            for field, _ in struct._fields_:
                self.assertEqual(getattr(struct, field).offset, theirs[f"{name}.{field}"], field)

    def test_tells_what_the_library_is_and_checks_configurations(self):
        plugin = phlower.Plugin(LIBRARY)
        self.assertEqual(plugin.abi_version()[0], 1)
        self.assertTrue(plugin.version())
        self.assertTrue(plugin.facts())
        self.assertEqual(plugin.quiesced(), 0)
        self.assertEqual(plugin.strerror(1), "refused")
        self.assertIsNone(plugin.config_check("ring:\n  size: 2MiB\n"))
        with self.assertRaises(phlower.Error) as caught:
            plugin.config_check("ring:\n  sizze: 2MiB\n")
        self.assertIn("sizze", str(caught.exception))
        self.assertEqual((caught.exception.code, caught.exception.line), (4, 2))

    def test_records_every_field(self):
        self.start_engine()
        at = datetime.datetime(2026, 5, 4, 3, 2, 1, 250000, datetime.timezone.utc)
        with self.producer() as producer:
            self.submit_when_there(
                producer, task_id="one", task_name="shop.gr\u00fc\u00df", state="FAILURE", worker="w@h",
                queue="q", exception_type="KeyError('x')", args="('\u2603',)", kwargs=b"{'a': 1}",
                traceback="Traceback\n  line\x00 and \ud800", received_at=at.timestamp(),
                started_at=at, finished_at=at + datetime.timedelta(milliseconds=5),
                runtime=datetime.timedelta(seconds=1.5))
            self.assertTrue(producer.submit(task_id="two", finished_at=time.time(), runtime=0.25))
            self.assertEqual(producer.plugin.quiesced(), 1)
        self.assertEqual(producer.plugin.quiesced(), 0)
        rows = self.stored()
        self.assertEqual(rows["two"]["runtime_ms"], 250)
        self.assertIsNone(rows["two"]["received_at"])
        one = rows["one"]
        self.assertEqual(one["received_at"], at.timestamp())
        self.assertEqual(one["started_at"], at.timestamp())
        self.assertAlmostEqual(one["finished_at"], at.timestamp() + 0.005, delta=1.1e-6)
        self.assertEqual(one["runtime_ms"], 1500)
        self.assertEqual(
            [one[key] for key in ("task_name", "state", "worker", "queue", "exception_type",
                                  "args_preview", "kwargs_preview", "traceback_snippet")],
            ["shop.gr\u00fc\u00df", "FAILURE", "w@h", "q", "KeyError('x')", "('\u2603',)", "{'a': 1}",
             "Traceback\n  line\x00 and ?"])

    def test_raises_for_wrong_use_only(self):
        producer = self.producer()
        for record, error in (({"task_id": ""}, "task_id"), ({"task_id": "a", "args": 5}, "args"),
                              ({"task_id": "a", "finished_at": float("nan")}, "finished_at"),
                              ({"task_id": "a", "started_at": 1.7e12}, "milliseconds"),
                              ({"task_id": "a", "runtime": "long"}, "runtime")):
            with self.assertRaisesRegex((TypeError, ValueError), error):
                producer.submit(**record)
        self.assertEqual(producer.counters()["offered"], 0)
        with self.assertRaisesRegex(phlower.Error, "nowhere.so"):
            phlower.Producer(self.config, self.path("nowhere.so"))
        with self.assertRaises(FileNotFoundError):
            phlower.Producer(self.path("nowhere.yaml"), LIBRARY)
        self.write_config(ring=", chunk: huge")
        with self.assertRaisesRegex(phlower.Error, "phlower.yaml.*chunk"):
            phlower.Producer(self.config, LIBRARY)
        producer.close()
        producer.close()
        with self.assertRaisesRegex(phlower.Error, "closed"):
            producer.submit(task_id="a")

    def test_waits_for_no_ring_and_attaches_when_there_is_one(self):
        producer = self.producer()
        opened = []
        library = producer.plugin.library
        real = library.phlower_producer_open
        library.phlower_producer_open = lambda *arguments: opened.append(1) or real(*arguments)
        clock = iter(range(1000))  # a submit every 10 ms
        with mock.patch.object(phlower.time, "monotonic", lambda: next(clock) / 100):
            outcomes = {producer.submit(task_id=f"early {n}") for n in range(1000)}
        self.assertEqual(outcomes, {Outcome.DETACHED})
        self.assertFalse(Outcome.DETACHED)
        self.assertIn("ring", producer.last_error)
        # At 0, 0.1, 0.3, 0.7, 1.5, 3.1 s, and every 2 s from then on.
        self.assertEqual(len(opened), 9)
        self.start_engine()
        self.submit_when_there(producer, task_id="late", finished_at=time.time())
        counts = producer.counters()
        self.assertEqual(counts["accepted"], 1)
        self.assertEqual(counts["offered"], counts["detached"] + 1)
        self.assertGreaterEqual(counts["detached"], 1000)
        self.assertEqual(set(self.stored()), {"late"})

    def test_says_refused_when_the_ring_is_full_and_too_big(self):
        self.start_engine()
        producer = self.producer()
        self.submit_when_there(producer, task_id="first", finished_at=time.time())
        self.assertIs(producer.submit(task_id="n" * 1025), Outcome.TOO_BIG)
        self.kill_engine()
        accepted = 1
        for n in range(100000):
            outcome = producer.submit(task_id=f"r{n}", args="x" * 500, finished_at=time.time())
            if not outcome:
                break
            accepted += 1
        self.assertIs(outcome, Outcome.REFUSED)
        self.assertEqual(producer.last_error, "refused")
        self.assertGreater(accepted, 100)
        counts = producer.counters()
        self.assertEqual((counts["accepted"], counts["refused"], counts["too_big"]), (accepted, 1, 1))
        self.assertEqual(len(self.stored()), accepted)

    def test_does_not_fork_while_a_thread_is_inside_of_a_submit(self):
        self.start_engine()
        producer = self.producer()
        self.submit_when_there(producer, task_id="first", finished_at=time.time())
        inside = threading.Event()
        library = producer.plugin.library
        real = library.phlower_producer_submit

        def slow(*arguments):
            inside.set()
            time.sleep(0.05)
            code = real(*arguments)
            inside.clear()
            return code
        library.phlower_producer_submit = slow
        thread = threading.Thread(target=producer.submit, kwargs={"task_id": "slow"})
        thread.start()
        inside.wait(30)
        pid = os.fork()
        if pid == 0:
            os._exit(1 if inside.is_set() else 0)
        thread.join()
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def test_goes_on_in_forked_children_while_threads_submit(self):
        self.start_engine()
        producer = self.producer()
        self.submit_when_there(producer, task_id="first", finished_at=time.time())
        stop = threading.Event()

        def submit_until_told(name):
            n = 0
            while not stop.is_set():
                self.assertIsInstance(producer.submit(task_id=f"{name}-{n}"), Outcome)
                n += 1
                time.sleep(0)
        threads = [threading.Thread(target=submit_until_told, args=(f"t{n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        children = []
        for child in range(20):
            pid = os.fork()
            if pid == 0:
                outcomes = {producer.submit(task_id=f"c{child}-{n}", finished_at=time.time())
                            for n in range(20)}
                exact = producer.counters()["accepted"] == 20 == producer.counters()["offered"]
                os._exit(0 if outcomes == {Outcome.ACCEPTED} and exact else 1)
            children.append(pid)
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(codes, [0] * 20)
        counts = producer.counters()
        rows = self.stored()
        self.assertEqual(len(rows), counts["accepted"] + 400)
        self.assertEqual(len([row for row in rows if row.startswith("c")]), 400)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[5:]], verbosity=2)
