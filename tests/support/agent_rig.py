"""phlower-agent for tests: its configuration, its process, its HTTP, and brokers for it to listen to."""
import csv
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

WAIT = 60  # seconds: a guard, never a measurement


def wait_for(what, condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def yaml(sections):
    lines = []
    for section, keys in sections.items():
        lines.append(f"{section}:")
        for key, value in keys.items():
            shown = str(value).lower() if isinstance(value, bool) else value
            quoted = isinstance(value, str) and not re.fullmatch(r"[\w%.]+", value)
            lines.append(f"  {key}: {json.dumps(value) if quoted or value == '' else shown}")
    return "\n".join(lines) + "\n"


class Process:
    """A child whose stderr is kept and can be waited for."""

    def __init__(self, words, stdin=None, cwd=None, env=None, stdout=subprocess.DEVNULL):
        self.text = ""
        self.process = subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                                        cwd=cwd, env=env, text=True, errors="replace")
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stderr:
            self.text += line

    def wait_said(self, pattern, seconds=WAIT):
        def said():
            match = re.search(pattern, self.text)
            if not match and self.process.poll() is not None:
                self.reader.join(5)
                match = re.search(pattern, self.text)
                if not match:
                    raise AssertionError(f"ended without saying {pattern!r}:\n{self.text}")
            return match
        try:
            return wait_for(repr(pattern), said, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.text}") from None

    def end(self, sig=signal.SIGTERM):
        """Sends the signal and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        code = self.process.wait(WAIT)
        self.reader.join(5)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(WAIT)
        if self.process.stdin:
            self.process.stdin.close()
        self.reader.join(5)
        self.process.stderr.close()


class AgentRig:
    """A folder with the configurations of agent and engine, and the agents started on them."""

    def __init__(self, agent, library, query):
        self.agent, self.query_tool = agent, query
        self.dir = tempfile.mkdtemp(prefix="phlower-agent-")
        self.data = os.path.join(self.dir, "data")
        self.engine = {"store": {"path": self.data},
                       "ring": {"path": os.path.join(self.dir, "ring"), "size": "8MiB"},
                       "retention": {"keep_forever": True}}
        self.options = {"plugin": {"library": library, "config": self.path("phlower.yaml")},
                        "http": {"listen": "127.0.0.1:0"}}
        self.started = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self):
        for name, sections in (("phlower.yaml", self.engine), ("agent.yaml", self.options)):
            with open(self.path(name), "w") as f:
                f.write(yaml(sections))

    def start(self, ready=True, **how):
        self.write()
        process = Process([self.agent, "--config", self.path("agent.yaml")], **how)
        self.started.append(process)
        if ready:
            process.wait_said(r"runs with \d+ source")
            listens = re.search(r"listens on 127\.0\.0\.1:(\d+)", process.text)
            self.port = int(listens[1]) if listens else None
        return process

    def get(self, path, headers=None, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def json(self, path):
        status, text = self.get(path)
        return status, json.loads(text)

    def metric(self, name, source=None):
        label = re.escape('{source="%s"}' % source) if source else ""
        text = self.get("/metrics")[1]
        match = re.search(rf"^{name}{label} (\S+)$", text, re.M)
        return None if match is None else float(match[1])

    def rows(self):
        done = subprocess.run([self.query_tool, "export", "--data", self.data, "--format", "csv"],
                              capture_output=True, text=True, timeout=240)
        if done.returncode:
            raise AssertionError(done.stderr)
        return list(csv.DictReader(done.stdout.splitlines()))

    def all_args(self):
        """What each row has of its arguments."""
        done = subprocess.run([self.query_tool, "export", "--data", self.data, "--format", "ndjson"],
                              capture_output=True, text=True, timeout=240, check=True)
        return [json.loads(line)["args_preview"] for line in done.stdout.splitlines()]

    def close(self):
        for process in self.started:
            process.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


def capture_messages(path):
    """(channel, data) of each message of a capture."""
    with open(path) as f:
        return [(message["channel"], message["data"]) for message in map(json.loads, f)]


def make_certificate(folder):
    """A certificate for localhost, signed by itself, and its key."""
    tls = {"cert": os.path.join(folder, "cert.pem"), "key": os.path.join(folder, "key.pem")}
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", tls["key"], "-out", tls["cert"]], check=True, capture_output=True)
    return tls


def expected_rows(path):
    with open(path, newline="") as f:
        return {row["task_id"]: row for row in csv.DictReader(f)}


def compare_rows(test, stored, expected):
    """The stored rows against what Celery's own State held."""
    by_id = {row["task_id"]: row for row in stored}
    test.assertEqual(len(by_id), len(stored), "a task has two rows")
    for task_id, row in expected.items():
        found = by_id.get(task_id)
        test.assertIsNotNone(found, task_id)
        test.assertEqual(found["state"], row["state"], task_id)
        for ours, theirs in (("received_at", "received"), ("started_at", "started"),
                             ("finished_at", "finished")):
            if row[theirs]:
                test.assertAlmostEqual(float(found[ours]), float(row[theirs]), delta=1.1e-6)
            else:
                test.assertEqual(found[ours], "", (task_id, ours))
        if row["runtime"]:
            test.assertAlmostEqual(float(found["runtime_ms"]), 1000 * float(row["runtime"]), delta=0.0006)
        test.assertEqual((found["worker"], found["queue"]), (row["worker"], row["queue"]), task_id)


class Redis:
    """A redis-server of the test's own, on a free port of loopback."""

    def __init__(self, folder, password=None, tls=None):
        self.program = shutil.which("redis-server")
        self.folder, self.password, self.tls = folder, password, tls
        self.port = free_port()
        self.process = None

    def start(self):
        words = [self.program, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                 "--appendonly", "no", "--daemonize", "no"]
        if self.tls:
            words += ["--port", "0", "--tls-port", str(self.port), "--tls-cert-file", self.tls["cert"],
                      "--tls-key-file", self.tls["key"], "--tls-auth-clients", "no"]
        else:
            words += ["--port", str(self.port)]
        if self.password:
            words += ["--requirepass", self.password]
        self.process = Process(words)
        if not self.tls:
            wait_for("redis", lambda: self._answers())

    def _answers(self):
        try:
            self.connection().close()
            return True
        except OSError:
            return False

    def connection(self):
        return RedisConnection(self.port, self.password)

    def stop(self):
        if self.process:
            self.process.end(signal.SIGKILL)
            self.process.kill()
            self.process = None


class RedisConnection:
    """Just enough of Redis's protocol to publish."""

    def __init__(self, port, password=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self.file = self.socket.makefile("rb")
        if password:
            self.ask("AUTH", password)
        if self.ask("PING") != b"+PONG":
            raise OSError("not ready")

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def send(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        for word in words:
            word = word.encode() if isinstance(word, str) else word
            parts.append(b"$%d\r\n%s\r\n" % (len(word), word))
        self.socket.sendall(b"".join(parts))

    def answer(self):
        line = self.file.readline().rstrip(b"\r\n")
        if not line:
            raise OSError("closed")
        return line

    def publish(self, messages):
        """Publishes all and returns how many subscribers each had, the least of them."""
        least = None
        for at in range(0, len(messages), 100):
            part = messages[at:at + 100]
            for channel, data in part:
                self.send("PUBLISH", channel, data)
            for _ in part:
                count = int(self.answer()[1:])
                least = count if least is None else min(least, count)
        return least

    def close(self):
        self.file.close()
        self.socket.close()
