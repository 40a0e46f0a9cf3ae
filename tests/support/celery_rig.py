"""Real programs for end-to-end tests: a broker, a Celery worker, clients, Celery's own State, an
engine. All of them on loopback or UNIX sockets, with their data below one folder, and gone at the
end.

A test calls `need(...)` first: it exits 77, which is "skipped" to Meson, where something is missing.
"""
import ctypes
import importlib.util
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

SUPPORT = os.path.dirname(os.path.abspath(__file__))
MODULES = os.path.normpath(os.path.join(SUPPORT, "..", "..", "plugin", "python"))
RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server"
SKIPPED = 77
PATIENCE = 60  # seconds; a guard, not a measure


def need(*packages):
    """Goes on in a Python that has these packages, or ends the test as skipped."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if not missing:
        return
    debian = "/usr/bin/python3"
    if os.path.realpath(sys.executable) != os.path.realpath(debian) and os.path.exists(debian):
        os.execv(debian, [debian, *sys.argv])
    print("skipped: no Python package", ", ".join(missing))
    sys.exit(SKIPPED)


def need_program(program):
    if shutil.which(program) is None:
        print("skipped: no program", program)
        sys.exit(SKIPPED)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, patience=PATIENCE):
    """The first true value of `condition()`."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.02)


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def _die_with_parent():
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Rig(unittest.TestCase):
    """A folder, processes that end with the test, and what they print where it helps to read it."""

    def setUp(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # still cleans up
        self.dir = tempfile.mkdtemp(prefix="phlower-test-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def start(self, name, words, env=None):
        """Starts a program whose output goes to the file NAME.log."""
        with open(self.path(name + ".log"), "ab") as log:
            process = subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, **(env or {})}, cwd=self.dir, start_new_session=True,
                preexec_fn=_die_with_parent)
        self.addCleanup(self.kill, process)
        return process

    def kill(self, process):
        """The process and what it started, at once."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def stop(self, process, how=signal.SIGTERM):
        process.send_signal(how)
        code = process.wait(PATIENCE)
        self.kill(process)
        return code

    def log(self, name):
        with open(self.path(name + ".log"), errors="replace") as f:
            return f.read()

    def run(self, result=None):
        broken = len(result.failures) + len(result.errors) if result is not None else 0
        super().run(result)
        if result is not None and len(result.failures) + len(result.errors) > broken:
            print(self.last_words, file=sys.stderr)
        return result

    last_words = ""

    def tearDown(self):
        # Kept for `run`, which prints it when the test has failed: the folder is gone by then.
        words = []
        for name in sorted(os.listdir(self.dir)):
            if name.endswith(".log"):
                words += [f"---- {name}", self.log(name[:-4])[-4000:]]
        self.last_words = "\n".join(words)

    # -- Brokers --------------------------------------------------------------------------------

    def start_redis(self, port=0):
        """On a port of loopback, or on the socket redis.sock; keeps what it had at a restart."""
        words = ["redis-server", "--dir", self.dir, "--save", "", "--appendonly", "yes",
                 "--appendfsync", "no", "--daemonize", "no"]
        if port:
            words += ["--port", port, "--bind", "127.0.0.1"]
        else:
            words += ["--port", "0", "--unixsocket", self.path("redis.sock")]
        process = self.start("redis", words)
        import redis
        client = (redis.Redis(port=port) if port else
                  redis.Redis(unix_socket_path=self.path("redis.sock")))

        def answers():
            try:
                return client.ping()
            except redis.exceptions.RedisError:
                return False
        wait_for("redis-server", answers)
        client.close()
        return process

    def start_rabbitmq(self, port):
        home = self.path("rabbitmq")
        os.makedirs(home, exist_ok=True)
        epmd_port = free_port()
        env = {
            "HOME": home, "ERL_EPMD_PORT": str(epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "phlower@localhost", "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port), "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": os.path.join(home, "mnesia"), "RABBITMQ_LOG_BASE": home,
            "RABBITMQ_PID_FILE": os.path.join(home, "pid"),
            "RABBITMQ_CONFIG_FILE": os.path.join(home, "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": os.path.join(home, "env"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": os.path.join(home, "plugins"),
            # Small: a test needs neither all processors nor a lot of tables.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 4",
            "RABBITMQ_SERVER_START_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        self.start("epmd", ["epmd", "-port", epmd_port, "-address", "127.0.0.1"], env)
        process = self.start("rabbitmq", [RABBITMQ], env)

        def answers():
            if process.poll() is not None:
                raise AssertionError("rabbitmq-server ended: " + self.log("rabbitmq"))
            try:
                import amqp
                connection = amqp.Connection(f"127.0.0.1:{port}", connect_timeout=2)
                connection.connect()
                connection.close()
                return True
            except OSError:
                return False
        wait_for("rabbitmq-server", answers)
        return process

    # -- Celery ---------------------------------------------------------------------------------

    def use_broker(self, broker, backend):
        """Makes `self.app`, the clients' side of tests/support/celery_tasks.py."""
        os.environ.update(PHLOWER_TEST_BROKER=broker, PHLOWER_TEST_BACKEND=backend)
        if SUPPORT not in sys.path:
            sys.path.insert(0, SUPPORT)
        import celery_tasks
        import kombu.pools
        kombu.pools.reset()  # connections to a broker that was restarted
        self.app = celery_tasks.make_client(broker, backend)

    def end_of(self, task_id):
        """The state that Celery's backend has, or None before the end."""
        state = self.app.backend.get_task_meta(task_id)["status"]
        return state if state in ("SUCCESS", "FAILURE", "REVOKED") else None

    def call(self, name, *args):
        """Runs a task and returns what it returned."""
        task_id = self.app.send_task(name, args).id
        wait_for("the result of " + name, lambda: self.end_of(task_id))
        return self.app.backend.get_task_meta(task_id)["result"]

    def wait_for_ends(self, task_ids, stall=20):
        """Until Celery's backend has an end for each; those left when none came for `stall` s."""
        left, last = set(task_ids), time.monotonic()
        while left and time.monotonic() < last + stall:
            ended = [i for i in left if self.end_of(i)]
            if ended:
                left.difference_update(ended)
                last = time.monotonic()
            time.sleep(0.02)
        return left

    def start_worker(self, *more, env=None, name="w@phlower", pool="prefork", concurrency=2):
        """A worker, with two children where nothing else is said; returns when it answers."""
        process = self.start("worker", [
            sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "-n", name,
            "--pool", pool, "--concurrency", str(concurrency), "--loglevel", "info", "--without-gossip",
            "--without-mingle", *more],
            {"PYTHONPATH": os.pathsep.join([SUPPORT, MODULES]), "PYTHONDONTWRITEBYTECODE": "1",
             "C_FORCE_ROOT": "1", **(env or {})})

        def ready():
            if process.poll() is not None:
                raise AssertionError("the worker ended: " + self.log("worker"))
            return self.log("worker").count(name + " ready.") > before
        before = self.log("worker").count(name + " ready.")
        wait_for("the worker", ready)
        return process

    # -- The history ----------------------------------------------------------------------------

    def write_config(self, **more):
        """The configuration of engine, agent and producers of this test."""
        sections = {"store": {"path": self.path("data")}, "ring": {"path": self.path("ring")}}
        for section, keys in more.items():
            sections.setdefault(section, {}).update(keys)
        self.config = self.path("phlower.yaml")
        with open(self.config, "w") as f:
            for section, keys in sections.items():
                f.write(section + ":\n" + "".join(f"  {k}: {json.dumps(v)}\n" for k, v in keys.items()))
        return self.config

    def start_engine(self, replay, *more):
        """phlower-replay as the engine; returns when the ring is there."""
        process = self.start("engine", [replay, "--engine-only", "--config", self.config, *more])
        wait_for("the ring", lambda: os.path.exists(self.path("ring")) or process.poll() is not None)
        return process

    def history(self, query):
        """Every row by its task_id; asserts that no id comes twice."""
        done = subprocess.run([query, "export", "--data", self.path("data")], capture_output=True,
                              text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        by_id = {row["task_id"]: row for row in rows}
        self.assertEqual(len(by_id), len(rows), "a task is in the history twice")
        return by_id

    def wait_for_rows(self, query, task_ids):
        """The history, once it has these tasks in a final state."""
        wanted = set(task_ids)

        def there():
            if not os.path.exists(self.path("data", "meta.db")):
                return None
            rows = self.history(query)
            missing = {i for i in wanted if i not in rows or rows[i]["state"] == "RETRY"}
            self.missing = missing
            return None if missing else rows
        self.missing = wanted
        try:
            return wait_for("the history", there, 20)
        except AssertionError:
            raise AssertionError(f"{len(self.missing)} of {len(wanted)} tasks are not in the "
                                 f"history: {sorted(self.missing)[:5]}") from None


def state_of(task):
    """Of a task of Celery's State, which takes REJECTED for something before STARTED."""
    return "REJECTED" if task.rejected else task.state


class StateWatcher:
    """Celery's own State, kept by Celery's own receiver in a thread of this process."""

    def __init__(self, app):
        from celery.events.state import State
        self.app = app
        self.state = State(max_tasks_in_memory=100000)
        self.events = 0
        self._stop = False
        self._receiver = None
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _event(self, event):
        self.events += 1
        self.state.event(event)

    def _watch(self):
        while not self._stop:
            try:
                with self.app.connection() as connection:
                    self._receiver = self.app.events.Receiver(
                        connection, handlers={"*": self._event})
                    # One capture without an end: each subscribes anew, and misses what is between.
                    self._receiver.capture(limit=None, timeout=None, wakeup=False)
            except Exception:  # the broker is away: kombu has many names for that
                time.sleep(0.1)

    def stop(self):
        self._stop = True
        if self._receiver is not None:
            self._receiver.should_stop = True
        self._thread.join(10)

    def task(self, task_id):
        return self.state.tasks.get(task_id)

    def wait_for(self, task_ids):
        """Until Celery's State has an end for each of these."""
        ends = ("SUCCESS", "FAILURE", "REVOKED", "REJECTED")
        left = lambda: [i for i in task_ids
                        if i not in self.state.tasks or state_of(self.state.tasks[i]) not in ends]
        try:
            wait_for("Celery's State", lambda: not left(), 15)
        except AssertionError:
            known = [(i, self.state.tasks.get(i)) for i in left()]
            raise AssertionError(f"Celery's State has no end of {known}") from None
