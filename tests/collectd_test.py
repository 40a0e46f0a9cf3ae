"""A real collectd with the plugin `phlower` in it, in the foreground and as a daemon.

collectd_test.py PLUGIN LIBRARY QUERY SAMPLE     phlower.so, libphlower.so, phlower-query, phlower.conf
collectd_test.py --produce LIBRARY YAML NAME COUNT SIZE OUT      one producer of records
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
import plugin_abi  # noqa: E402

PATIENCE_S = 60  # a guard against a host that hangs, not an expectation
TYPES = "/usr/share/collectd/types.db"
STOCK = "/usr/lib/collectd"


def produce(library, yaml, name, count, size, out):
    """Submits, once each; writes down what was accepted."""
    with open(yaml, "rb") as f:
        producer = plugin_abi.Producer(library, f.read())
    with open(out, "w") as accepted:
        for i in range(int(count)):
            code = producer.submit(f"{name}-{i}", args="x" * int(size))
            if code == plugin_abi.OK:
                accepted.write(f"{name}-{i}\n")
            elif code != plugin_abi.REFUSED:
                return f"submit: {code}"
    producer.close()
    return 0


class Collectd(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-collectd-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        os.mkdir(self.path("plugins"))
        stock = [f"{STOCK}/{name}.so" for name in ("unixsock", "logfile", "csv")]
        for name in (*stock, PLUGIN):  # collectd takes no links
            shutil.copy(name, self.path("plugins"))
        shutil.copy(LIBRARY, self.path("plugins", "libphlower.so.1"))  # as the plugin asks for it
        self.yaml()
        self.conf()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def yaml(self, more="", ring="ring", data="data", **ring_options):
        ring_options = "".join(f"  {key}: {value}\n" for key, value in ring_options.items())
        with open(self.path("phlower.new"), "w") as f:
            f.write(f"store:\n  path: {self.path(data)}\nring:\n  path: {self.path(ring)}\n"
                    f"{ring_options}{more}")
        os.rename(self.path("phlower.new"), self.path("phlower.yaml"))

    def conf(self, options="Interval 0.1", name="collectd.conf", instance="", block=None):
        with open(self.path(name), "w") as f:
            f.write(f"""
Hostname "here"
FQDNLookup false
Interval 0.5
BaseDir "{self.dir}"
PIDFile "{self.path(instance + 'pid')}"
PluginDir "{self.path('plugins')}"
TypesDB "{TYPES}"
LoadPlugin logfile
<Plugin logfile>
  LogLevel info
  File "{self.path(instance + 'log')}"
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "{self.path(instance + 'csv')}"
</Plugin>
LoadPlugin unixsock
<Plugin unixsock>
  SocketFile "{self.path(instance + 'sock')}"
  SocketGroup "root"
</Plugin>
""")
            f.write(block or f"""
LoadPlugin phlower
<Plugin phlower>
  Config "{self.path('phlower.yaml')}"
  {options}
</Plugin>
""")

    def start(self, *words, name="collectd.conf"):
        """collectd in the foreground."""
        process = subprocess.Popen([PROGRAM, "-f", "-C", self.path(name), *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def end(self, process):
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(PATIENCE_S), 0, self.log())

    def run_to_its_end(self, *words):
        return subprocess.run([PROGRAM, "-C", self.path("collectd.conf"), *words],
                              capture_output=True, text=True, timeout=PATIENCE_S)

    def log(self, instance=""):
        try:
            with open(self.path(instance + "log")) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def until(self, what, holds):
        end = time.monotonic() + PATIENCE_S
        while not holds():
            self.assertLess(time.monotonic(), end, f"{what}; collectd's log:\n{self.log()}")
            time.sleep(0.05)

    def until_logged(self, text, instance=""):
        self.until(f"no '{text}' in the log", lambda: text in self.log(instance))

    def ask(self, command):
        """A command of the plugin unixsock: its status and the lines it answers."""
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE_S)
            self.until("no socket", lambda: peer.connect_ex(self.path("sock")) == 0)
            answer = peer.makefile("rw")
            answer.write(command + "\n")
            answer.flush()
            status, words = answer.readline().split(" ", 1)
            return words.strip(), [answer.readline().strip() for _ in range(max(0, int(status)))]

    def value(self, name):
        words, lines = self.ask(f"GETVAL here/phlower/{name}")
        return float(lines[0].split("=")[1]) if lines else None

    def catalogue(self):
        """What the library says that it measures, by collectd's types."""
        kinds = {plugin_abi.GAUGE: ("gauge", ""), plugin_abi.COUNTER: ("derive", ""),
                 plugin_abi.HISTOGRAM: ("derive", "_count")}
        names = set()
        for kind, name, label in plugin_abi.metrics(LIBRARY):
            type_, more = kinds[kind]
            value = label.partition("=")[2]
            names.add(f"{type_}-{name.removeprefix('phlower_')}{more}{'-' + value if value else ''}")
        return names

    def flush(self):
        words, _ = self.ask("FLUSH plugin=phlower")
        self.assertIn("Done: 1 successful, 0 errors", words)

    def producers(self, names, count, size=100):
        out = {name: self.path(name + ".accepted") for name in names}
        return out, [subprocess.Popen([sys.executable, __file__, "--produce", LIBRARY,
                                       self.path("phlower.yaml"), name, str(count), str(size), path])
                     for name, path in out.items()]

    def accepted_of(self, out, processes):
        ids = set()
        for process in processes:
            self.assertEqual(process.wait(PATIENCE_S), 0)
        for path in out.values():
            with open(path) as f:
                ids |= set(f.read().split())
        return ids

    def rows(self):
        done = subprocess.run([QUERY, "export", "--data", self.path("data")], capture_output=True,
                              text=True, timeout=PATIENCE_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line)["task_id"] for line in done.stdout.splitlines()]

    def assert_rows(self, ids):
        rows = self.rows()
        self.assertEqual(len(rows), len(ids))
        self.assertEqual(set(rows), ids)

    def test_has_every_record_of_producers_in_other_processes(self):
        collectd = self.start()
        ids = self.accepted_of(*self.producers("abcd", 1500))
        self.assertEqual(len(ids), 6000)
        self.flush()
        self.assert_rows(ids)
        self.until("no value", lambda: self.value("records-committed") == 6000)
        self.until("no value", lambda: self.value("records-history") == 6000)
        self.assertEqual(self.value("gauge-health"), 0)
        self.assertEqual(self.value("queue_length-ring"), 0)
        _, listed = self.ask("LISTVAL")
        listed = {line.split("/")[-1] for line in listed if "/phlower/" in line}
        own = {name for name in listed if name.split("-")[0] not in ("gauge", "derive")}
        self.assertEqual(len(own), 14)
        catalogue = self.catalogue()
        self.assertEqual(listed - own, catalogue)
        self.assertGreater(len(catalogue), 50)
        self.until("no value", lambda: self.value("gauge-rows-invocations") == 6000)
        self.end(collectd)
        self.assert_rows(ids)
        self.assertIn("Exiting normally", self.log())
        self.assertTrue(os.listdir(self.path("csv", "here", "phlower")))

    def test_commits_by_flush_and_at_its_end_when_no_tick_comes(self):
        self.conf("Interval 86400")
        collectd = self.start()
        self.until_logged("started with")
        with open(self.path("phlower.yaml"), "rb") as f:
            producer = plugin_abi.Producer(LIBRARY, f.read())
        self.until("the first read", lambda: self.value("gauge-health") is not None)
        self.assertEqual([producer.submit(f"flushed-{i}") for i in range(500)], [0] * 500)
        self.assertEqual(self.rows(), [])
        self.flush()
        self.assert_rows({f"flushed-{i}" for i in range(500)})
        self.assertEqual([producer.submit(f"drained-{i}") for i in range(500)], [0] * 500)
        self.end(collectd)
        self.assert_rows({f"{kind}-{i}" for kind in ("flushed", "drained") for i in range(500)})
        producer.close()

    def test_ends_under_load_and_has_the_rest_after_the_next_start(self):
        collectd = self.start()
        out, processes = self.producers("abcd", 4000)
        self.until("no load", lambda: (self.value("records-committed") or 0) > 100)
        self.end(collectd)
        ids = self.accepted_of(out, processes)
        self.assertGreater(len(ids), 4000)
        again = self.start()
        self.flush()
        self.end(again)
        self.assert_rows(ids)

    def test_has_what_a_ring_took_that_was_too_small_and_counts_the_rest(self):
        self.yaml(size="256KiB", chunk="64KiB", lanes=8)
        self.conf("Interval 0.5\n  Budget 0.01")
        collectd = self.start()
        ids = self.accepted_of(*self.producers("abc", 2000, 400))
        self.assertLess(len(ids), 6000)
        self.until("no value", lambda: self.value("records-committed") == len(ids))
        self.end(collectd)
        self.assert_rows(ids)

    def test_works_as_a_daemon(self):
        done = self.run_to_its_end()  # of the parent, which has read the configuration
        self.assertEqual(done.returncode, 0, done.stderr)
        self.until_logged("started with")
        with open(self.path("pid")) as f:
            pid = int(f.read())
        ended = False
        try:
            out, processes = self.producers("abcd", 1000)
            ids = self.accepted_of(out, processes)
            self.flush()
            self.assert_rows(ids)
            os.kill(pid, signal.SIGTERM)
            self.until("it does not end", lambda: not os.path.exists(self.path("pid")))
            ended = True
        finally:
            if not ended:
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(len(ids), 4000)
        self.assert_rows(ids)
        self.assertNotIn("cannot start", self.log())

    def test_works_as_a_daemon_with_a_thread_of_its_own(self):
        self.yaml(more="plugin:\n  own_thread: true\n")
        self.test_works_as_a_daemon()

    def test_passes_the_test_of_its_reads_with_the_sample(self):
        with open(SAMPLE) as f:
            sample = f.read()
        self.assertIn("#DrainTimeout", sample)
        self.conf(block=sample.replace("/etc/phlower.yaml", self.path("phlower.yaml"))
                  .replace("#Budget", "Budget").replace("#DrainTimeout", "DrainTimeout"))
        done = self.run_to_its_end("-T")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("started with", self.log())
        self.assertEqual(self.rows(), [])

    def test_says_file_line_and_column_of_an_error_and_does_not_start(self):
        self.yaml(more="  sise: 1MiB\n")
        done = self.run_to_its_end("-f")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.path("phlower.yaml") + ":5:3:", self.log())
        self.assertIn("sise", self.log())
        self.assertFalse(os.path.exists(self.path("ring")))

    def test_refuses_options_that_mean_nothing(self):
        for options, said in (("Bugdet 1", "no option Bugdet"), ("Interval 0", "Interval wants"),
                              ("Interval 1\n  Budget 0.6", "over half the Interval"),
                              ("Config 7", "Config wants one path"),
                              ('Config "/nowhere/x.yaml"', "cannot read /nowhere/x.yaml: No such")):
            with self.subTest(options):
                self.conf(options)
                self.assertNotEqual(self.run_to_its_end("-f").returncode, 0)
                self.assertIn(said, self.log())

    def test_reads_its_file_again_and_keeps_what_it_had_when_that_is_wrong(self):
        collectd = self.start()
        self.until_logged("started with")
        self.yaml(more="schedule:\n  flush_age: 20ms\n")
        self.until_logged("read again")
        self.yaml(more="schedule:\n  flush_age: much\n")
        self.until_logged(self.path("phlower.yaml") + ":6:")
        self.yaml()
        ids = self.accepted_of(*self.producers("a", 100))
        self.end(collectd)
        self.assert_rows(ids)

    def test_waits_for_a_ring_that_another_collectd_has(self):
        first = self.start()
        self.until_logged("started with")
        self.conf(name="second.conf", instance="second-")
        second = self.start(name="second.conf")
        self.until_logged("cannot start", "second-")
        ids = self.accepted_of(*self.producers("a", 300))
        self.end(first)
        self.until_logged("started with", "second-")
        self.end(second)
        self.assert_rows(ids)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--produce"]:
        sys.exit(produce(*sys.argv[2:]))
    PLUGIN, LIBRARY, QUERY, SAMPLE = sys.argv[1:5]
    PROGRAM = shutil.which("collectd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if PROGRAM is None or not os.path.exists(TYPES):
        print("there is no collectd here: nothing was tested", file=sys.stderr)
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
