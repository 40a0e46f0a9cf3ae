"""Records every task of a Celery worker in Phlower's history, from inside of the worker: no event
stream, no `-E`.

    app = Celery("shop", broker=...)
    phlower_celery.install(app, config="/etc/phlower.yaml")

Times, states, exceptions and arguments are those of Celery's own events, plus the queue and a
runtime for failures. A task is never failed or held up by its record: what goes wrong is counted
(`install` returns the Recorder that counts) and logged once for each kind in each process.
"""
import functools
import logging
import time
import weakref

from celery import signals
from celery.utils.saferepr import saferepr
from kombu.utils.encoding import safe_repr

import phlower

__all__ = ["Recorder", "install"]

_log = logging.getLogger("phlower")
_ARGS_LENGTH = 1024       # of arguments that came without Celery's own representation
_EXCEPTION_LENGTH = 600   # of a representation; record.max has 1KiB for all names of a record
_SHORT_LENGTH = 100       # where the record is too big even so
_installed = []


def install(app=None, *, config=None, yaml=None, library=None, producer=None):
    """Connects Celery's signals for the tasks of `app` (None: of every app); returns the Recorder.

    Call it where the worker imports it, once a process: a second call for the same app returns the
    first Recorder. `producer` is used instead of one made from `config`, `yaml` and `library`.
    Never raises for a missing library or a wrong configuration: the error is logged, and tasks run
    without a history (`Recorder.error`).
    """
    for recorder in _installed:
        if recorder.app is app:
            return recorder
    error = None
    if producer is None:
        try:
            producer = phlower.Producer(config, library, yaml=yaml)
        except (OSError, phlower.Error) as trouble:
            error = str(trouble)
            _log.error("phlower: no task is recorded: %s", error)
    recorder = Recorder(app, producer, error)
    if producer is not None:
        recorder.connect()
    _installed.append(recorder)
    return recorder


class _Run:
    """One run of a task in this process, kept in its request between prerun and postrun."""

    __slots__ = ("started_at", "started_mono", "exception", "traceback")

    def __init__(self):
        self.started_at = time.time()
        self.started_mono = time.monotonic()
        self.exception = self.traceback = ""


def _guarded(handler):
    @functools.wraps(handler)
    def call(self, *arguments, **named):
        try:
            handler(self, *arguments, **named)
        except Exception as error:  # whatever it is, the task goes on
            self._trouble("handler", f"{handler.__name__}: {error!r}")
    return call


class Recorder:
    """What is connected to the signals. `error`: why nothing is recorded, or None."""

    def __init__(self, app, producer, error=None):
        self.app = app
        self.producer = producer
        self.error = error
        self.troubles = 0  # handlers that failed, in this process
        self._told = set()
        self._worker = ""
        # Of the worker's own process: requests that it still has, for ends that no child reports.
        self._requests = weakref.WeakValueDictionary()

    def connect(self):
        for name in _HANDLERS:
            getattr(signals, name).connect(getattr(self, "_on_" + name), weak=False,
                                           dispatch_uid=self._uid(name))

    def disconnect(self):
        for name in _HANDLERS:
            getattr(signals, name).disconnect(dispatch_uid=self._uid(name))
        if self in _installed:
            _installed.remove(self)

    def _uid(self, name):
        return f"phlower.{id(self)}.{name}"  # Celery tells methods of one class apart by it alone

    def counters(self):
        """Of this process: as Producer.counters, and `troubles`."""
        counts = self.producer.counters() if self.producer else {}
        return {**counts, "troubles": self.troubles}

    # -- In the worker's own process ------------------------------------------------------------

    @_guarded
    def _on_celeryd_init(self, sender=None, **_):
        self._worker = str(sender or "")

    @_guarded
    def _on_task_received(self, request=None, **_):
        if self._is_ours(request.task):
            # The request's dictionary goes to the child that runs the task.
            request.request_dict["phlower_received_at"] = time.time()
            self._requests[request.id] = request

    @_guarded
    def _on_task_revoked(self, sender=None, request=None, **_):
        if self._is_ours(sender):
            known = self._requests.get(request.id)
            self._submit(request.id, sender, request, "REVOKED",
                         started_at=known.time_start if known is not None else None)

    @_guarded
    def _on_task_unknown(self, sender=None, message=None, name=None, id=None, **_):
        if self.app is not None and sender.app is not self.app:
            return
        self._hand_over(
            task_id=id, task_name=name, state="FAILURE", worker=sender.hostname,
            queue=(message.delivery_info or {}).get("routing_key") or "",
            exception_type=f"NotRegistered({name!r})", finished_at=time.time(),
            args=message.headers.get("argsrepr") or "",
            kwargs=message.headers.get("kwargsrepr") or "")

    # -- Where the task runs --------------------------------------------------------------------

    @_guarded
    def _on_task_prerun(self, task=None, **_):
        if self._is_ours(task) and not task.request.is_eager:
            task.request.phlower_run = _Run()

    @_guarded
    def _on_task_retry(self, sender=None, request=None, reason=None, einfo=None, **_):
        if not self._is_ours(sender) or request.is_eager:
            return
        cause = getattr(reason, "exc", None)
        exception = "" if cause is None else _exception_text(cause)
        run = getattr(request, "phlower_run", None)
        if run is None:  # the worker cancels what runs because it lost its broker
            self._submit(request.id, sender, request, "RETRY", exception=exception)
        else:
            run.exception, run.traceback = exception, _traceback_text(einfo)

    @_guarded
    def _on_task_failure(self, sender=None, task_id=None, exception=None, einfo=None, **_):
        if not self._is_ours(sender):
            return
        text, traceback = _exception_text(exception), _traceback_text(einfo)
        request = sender.request
        if request.id == task_id:
            if request.is_eager:
                return
            run = getattr(request, "phlower_run", None)
            if run is not None:
                run.exception, run.traceback = text, traceback
                return
        # A child that died or was stopped by the hard time limit; or an end after the end, when the
        # result could not be stored.
        known = self._requests.get(task_id)
        self._submit(task_id, sender, known, "FAILURE", exception=text, traceback=traceback,
                     started_at=known.time_start if known is not None else None)

    @_guarded
    def _on_task_internal_error(self, sender=None, task_id=None, request=None, exception=None,
                                einfo=None, **_):
        if self._is_ours(sender) and not (request or {}).get("is_eager"):
            self._submit(task_id, sender, self._requests.get(task_id), "FAILURE",
                         exception=_exception_text(exception), traceback=_traceback_text(einfo))

    @_guarded
    def _on_task_postrun(self, task_id=None, task=None, state=None, **_):
        request = task.request
        run = request.__dict__.pop("phlower_run", None)
        if run is None or not state:  # no state: the process is about to end, and its parent says so
            return
        self._submit(task_id, task, request, state, exception=run.exception,
                     traceback=run.traceback, started_at=run.started_at,
                     runtime=time.monotonic() - run.started_mono)

    @_guarded
    def _on_worker_process_shutdown(self, **_):
        self.producer.close()

    # -- Records --------------------------------------------------------------------------------

    def _is_ours(self, task):
        return self.app is None or task.app is self.app

    def _submit(self, task_id, task, request, state, *, exception="", traceback="",
                started_at=None, runtime=None):
        """`request` is Celery's Request of the parent, Context of the child, or None."""
        about = getattr(request, "request_dict", None) or getattr(request, "__dict__", None) or {}
        self._hand_over(
            task_id=task_id, task_name=about.get("shadow") or task.name, state=state,
            worker=self._worker or about.get("hostname") or "",
            queue=(about.get("delivery_info") or {}).get("routing_key") or "",
            exception_type=exception, traceback=traceback,
            args=_arguments_text(about, "args"), kwargs=_arguments_text(about, "kwargs"),
            received_at=about.get("phlower_received_at"), started_at=started_at,
            finished_at=None if state == "RETRY" else time.time(),
            runtime=None if state == "RETRY" else runtime)

    def _hand_over(self, **record):
        outcome = self.producer.submit(**record)
        if outcome is phlower.Outcome.TOO_BIG:
            record["exception_type"] = record["exception_type"][:_SHORT_LENGTH]
            record["task_name"] = record["task_name"][:2 * _SHORT_LENGTH]
            record.update(args="", kwargs="", traceback="")
            outcome = self.producer.submit(**record)
        if not outcome:
            self._tell(outcome, "a task was not recorded: %s: %s", outcome.value,
                       self.producer.last_error)

    def _trouble(self, kind, text):
        self.troubles += 1
        self._tell(kind, "a task was not recorded: %s", text)

    def _tell(self, kind, text, *values):
        if kind not in self._told:
            self._told.add(kind)
            _log.warning("phlower: " + text + " (more of this kind is counted, not logged)", *values)


_HANDLERS = [name[len("_on_"):] for name in vars(Recorder) if name.startswith("_on_")]


def _exception_text(exception):
    return safe_repr(exception)[:_EXCEPTION_LENGTH]


def _traceback_text(einfo):
    return str(getattr(einfo, "traceback", None) or "")


def _arguments_text(about, name):
    """The client's representation where the message has one, as Celery's events do."""
    text = about.get(name + "repr")
    if not text and about.get(name):
        text = saferepr(about[name], maxlen=_ARGS_LENGTH)
    return text or ""
