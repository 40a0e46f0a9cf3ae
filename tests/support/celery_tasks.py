"""The tasks of the end-to-end tests, as the worker loads them and as clients call them.

Environment: PHLOWER_TEST_BROKER and PHLOWER_TEST_BACKEND are URLs. With PHLOWER_TEST_CONFIG the
worker writes to Phlower's ring by Celery's signals; with PHLOWER_TEST_ACKED it writes down in that
file, a line each, what was accepted, after it was.
"""
import os
import signal
import time

from celery import Celery
from celery.exceptions import Ignore, Reject

LONG_NAME = "shop." + ".".join(f"department_{n:02}" for n in range(15)) + ".pack"


def make_client(broker, backend):
    """An application to call the tasks of this module by name."""
    app = Celery("client", broker=broker, backend=backend, set_as_current=False)
    app.conf.update(_CONF)
    return app


_CONF = {
    "task_send_sent_event": True,
    "broker_connection_retry_on_startup": True,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_hijack_root_logger": False,
    "broker_transport_options": {"visibility_timeout": 3600},
    "task_default_queue": "celery",
}

app = Celery("celery_tasks", broker=os.environ.get("PHLOWER_TEST_BROKER"),
             backend=os.environ.get("PHLOWER_TEST_BACKEND"))
app.conf.update(_CONF)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def say(*words, **more):
    return " ".join(words)


@app.task(ignore_result=True)
def forget(what):
    return what


@app.task(name=LONG_NAME)
def long_name():
    return 1


class Shortage(Exception):
    """One that the other side can pickle."""


@app.task
def fail(kind, text):
    raise {"ValueError": ValueError, "KeyError": KeyError, "Shortage": Shortage}[kind](text)


@app.task(bind=True, max_retries=5)
def flaky(self, times):
    """Succeeds at the attempt `times`, counted from 0."""
    if self.request.retries < times:
        try:
            raise Shortage(f"attempt {self.request.retries}")
        except Shortage as error:
            raise self.retry(exc=error, countdown=0.1)
    return self.request.retries


@app.task(bind=True, max_retries=1)
def gives_up(self):
    raise self.retry(exc=Shortage("for good"), countdown=0.1)


@app.task
def nap(seconds):
    time.sleep(seconds)
    return seconds


@app.task
def die():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def ignored():
    raise Ignore()


@app.task(acks_late=True)
def rejected():
    raise Reject("not today", requeue=False)


def _install():
    import phlower
    import phlower_celery

    class Acknowledging(phlower.Producer):
        """Writes down what it could rely on."""

        def submit(self, **record):
            outcome = super().submit(**record)
            if outcome:
                line = f"{record['task_id']} {record['state']}\n".encode()
                with open(os.environ["PHLOWER_TEST_ACKED"], "ab", buffering=0) as f:
                    f.write(line)
            return outcome

    config = os.environ["PHLOWER_TEST_CONFIG"]
    if "PHLOWER_TEST_ACKED" in os.environ:
        return phlower_celery.install(app, producer=Acknowledging(config))
    return phlower_celery.install(app, config=config)


if os.environ.get("PHLOWER_TEST_CONFIG"):
    recorder = _install()


@app.task
def recorder_counters():
    """Of the child that runs it."""
    return recorder.counters()
