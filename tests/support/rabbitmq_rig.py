"""A RabbitMQ of the test's own: node name, ports, folders, all on loopback; and a way to publish."""
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile

from agent_rig import WAIT, Process, free_port, make_certificate, wait_for

# Celery's own library for AMQP is the one that Debian has for Python.
PUBLISH = """
import json, sys, amqp
with amqp.Connection(f"127.0.0.1:{sys.argv[1]}", "guest", "guest") as connection:
    channel = connection.channel()
    channel.exchange_declare("celeryev", "topic", durable=True, auto_delete=False)
    channel.confirm_select()
    for line in sys.stdin:
        key, body = json.loads(line)
        channel.basic_publish(amqp.Message(body, content_type="application/json",
                                           content_encoding="utf-8"), "celeryev", key)
"""
PYTHON = "/usr/bin/python3"


class RabbitMq:
    @staticmethod
    def missing():
        """Why there can be none here, or None."""
        if not os.path.exists("/usr/lib/rabbitmq/bin/rabbitmq-server"):
            return "no rabbitmq-server on this machine"
        if not shutil.which("epmd"):
            return "no Erlang on this machine"
        if subprocess.run([PYTHON, "-c", "import amqp"], capture_output=True).returncode:
            return "no python3-amqp on this machine"
        return None

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="phlower-rabbitmq-")
        self.port, dist, self.epmd = free_port(), free_port(), free_port()
        config = os.path.join(self.dir, "rabbitmq.conf")
        with open(config, "w") as f:
            f.write(f"listeners.tcp.1 = 127.0.0.1:{self.port}\nvm_memory_high_watermark.absolute = 1GB\n"
                    "disk_free_limit.absolute = 10MB\n")
            if shutil.which("openssl"):
                self.tls, self.tls_port = make_certificate(self.dir), free_port()
                f.write(f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\nssl_options.verify = verify_none\n"
                        f"ssl_options.certfile = {self.tls['cert']}\nssl_options.keyfile = {self.tls['key']}\n")
        with open(os.path.join(self.dir, "enabled_plugins"), "w") as f:
            f.write("[].\n")
        with open(os.path.join(self.dir, ".erlang.cookie"), "w") as f:
            f.write("phlowertest")
        os.chmod(f.name, 0o400)
        self.env = dict(os.environ, HOME=self.dir, RABBITMQ_NODENAME=f"phlower{self.port}@localhost",
                        RABBITMQ_CONFIG_FILE=config, RABBITMQ_MNESIA_BASE=os.path.join(self.dir, "mnesia"),
                        RABBITMQ_LOG_BASE=os.path.join(self.dir, "log"), RABBITMQ_DIST_PORT=str(dist),
                        RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(self.dir, "enabled_plugins"),
                        RABBITMQ_NODE_IP_ADDRESS="127.0.0.1", ERL_EPMD_PORT=str(self.epmd),
                        ERL_EPMD_ADDRESS="127.0.0.1", RABBITMQ_CONF_ENV_FILE="/dev/null",
                        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}")
        self.daemon = Process(["epmd", "-port", str(self.epmd), "-address", "127.0.0.1"], env=self.env)
        self.process = None

    def start(self):
        self.log = open(os.path.join(self.dir, "out.txt"), "ab")
        self.process = subprocess.Popen(["/usr/lib/rabbitmq/bin/rabbitmq-server"], env=self.env, stdout=self.log,
                                        stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True)

        def answers():
            if self.process.poll() is not None:
                with open(self.log.name) as f:
                    raise AssertionError("rabbitmq-server ended:\n" + f.read()[-3000:])
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
                    s.sendall(b"AMQP\x00\x00\x09\x01")
                    return s.recv(1) != b""
            except OSError:
                return False
        wait_for("RabbitMQ", answers, 2 * WAIT)

    def publish(self, messages):
        text = "".join(json.dumps(message) + "\n" for message in messages)
        subprocess.run([PYTHON, "-c", PUBLISH, str(self.port)], input=text, text=True, check=True,
                       timeout=WAIT)

    def stop(self):
        if self.process:
            # The script and the Erlang machine are one session of their own.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(WAIT)
            self.process = None
            self.log.close()

    def close(self):
        self.stop()
        self.daemon.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
