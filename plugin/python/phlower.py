"""Hands records of finished tasks to Phlower's ring from any Python process, through libphlower.so.

    with phlower.Producer("/etc/phlower.yaml") as producer:
        outcome = producer.submit(task_id="4f0c", task_name="shop.orders.pack", state="SUCCESS",
                                  finished_at=time.time(), runtime=0.25)
        if not outcome:                      # Outcome.REFUSED, DETACHED ...: a value, no exception
            print(outcome, producer.last_error)

Needs Python 3.8 and nothing else. The declarations below are those of phlower/plugin.h.
"""
import ctypes
import datetime
import enum
import os
import threading
import time
import weakref

__all__ = ["Error", "Outcome", "Plugin", "Producer"]

_ABI_MAJOR = 1
_OK, _REFUSED, _TOO_BIG, _ARGUMENT, _CONFIG, _DETACHED = 0, 1, 2, 3, 4, 14
_FORKED, _HANDLE, _ABI, _STATE = 17, 18, 19, 20
_WRONG_USE = {_ARGUMENT, _CONFIG, _FORKED, _HANDLE, _ABI, _STATE}


class _Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint64)]


class _Err(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("code", ctypes.c_int32),
                ("sys_errno", ctypes.c_int32), ("sqlite_code", ctypes.c_int32),
                ("line", ctypes.c_uint32), ("column", ctypes.c_uint32),
                ("message", ctypes.c_char * 488)]


class _Info(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("abi_version", ctypes.c_uint32),
                ("metrics", ctypes.c_uint32), ("config_keys", ctypes.c_uint32),
                ("sqlite_version", ctypes.c_uint32), ("lanes", ctypes.c_uint32),
                ("version", ctypes.c_char * 32)]


_TEXTS = ("task_id", "task_name", "state", "worker", "queue", "exception_type", "args", "kwargs",
          "traceback")
_TIMES = ("received_at_ns", "started_at_ns", "finished_at_ns", "runtime_ns")


class _Record(ctypes.Structure):
    _fields_ = ([("struct_size", ctypes.c_uint32), ("flags", ctypes.c_uint32)]
                + [(name, _Text) for name in _TEXTS]
                + [(name, ctypes.c_int64) for name in _TIMES])


# What the header says; another size would be a mistake of this file.
_SIZES = {_Text: 16, _Err: 512, _Info: 56, _Record: 184}
for _struct, _size in _SIZES.items():
    if ctypes.sizeof(_struct) != _size:
        raise ImportError(f"phlower: {_struct.__name__} has {ctypes.sizeof(_struct)} bytes here, "
                          f"not {_size}: Phlower is for 64-bit Linux")

_VISIT_FACT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)


def _declare(library):
    pointer, text, size, u32, i32 = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t,
                                     ctypes.c_uint32, ctypes.c_int32)
    for name, result, arguments in (
            ("phlower_abi_version", u32, []),
            ("phlower_plugin_query", i32, [ctypes.POINTER(_Info)]),
            ("phlower_plugin_facts", i32, [_VISIT_FACT, pointer]),
            ("phlower_plugin_quiesced", u32, []),
            ("phlower_strerror", text, [i32]),
            ("phlower_config_check", i32, [text, size, ctypes.POINTER(_Err)]),
            ("phlower_producer_open", i32,
             [text, size, ctypes.POINTER(pointer), ctypes.POINTER(_Err)]),
            ("phlower_producer_submit", i32, [pointer, ctypes.POINTER(_Record)]),
            ("phlower_producer_close", i32, [pointer])):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


class Error(Exception):
    """Wrong use, a wrong configuration, or a library that does not fit. `code` is PHLOWER_E_*."""

    def __init__(self, code, message, line=0, column=0):
        super().__init__(message)
        self.code, self.line, self.column = code, line, column


class Outcome(enum.Enum):
    """What became of a record. True in a condition only when it was accepted."""

    ACCEPTED = "accepted"  # it will be in the history exactly once
    REFUSED = "refused"    # the ring is full: the engine is away for long, or cannot write
    TOO_BIG = "too big"    # an id over 1 KiB, or names over record.max
    DETACHED = "detached"  # no ring (no engine was started yet), or the lane in it was lost
    FAILED = "failed"      # the machine said no; `last_error` has what it said

    def __bool__(self):
        return self is Outcome.ACCEPTED


_OUTCOMES = {_OK: Outcome.ACCEPTED, _REFUSED: Outcome.REFUSED, _TOO_BIG: Outcome.TOO_BIG,
             _DETACHED: Outcome.DETACHED}


class Plugin:
    """libphlower.so itself: what it is, and whether a configuration is right.

    `library` is the file; without it $PHLOWER_LIBRARY, else libphlower.so.1 where the system looks
    for shared libraries.
    """

    def __init__(self, library=None):
        name = os.fspath(library or os.environ.get("PHLOWER_LIBRARY") or "libphlower.so.1")
        try:
            self.library = ctypes.CDLL(name)
            _declare(self.library)
        except (OSError, AttributeError) as error:
            text = str(error)
            raise Error(_ABI, text if name in text else f"{name}: {text}") from None
        if self.abi_version()[0] != _ABI_MAJOR:
            raise Error(_ABI, f"{name}: has version {self.abi_version()} of the ABI; "
                              f"this module knows {_ABI_MAJOR}")

    def abi_version(self):
        """(major, minor)."""
        version = self.library.phlower_abi_version()
        return version >> 16, version & 0xFFFF

    def version(self):
        """Phlower's version, as "1.2.3"."""
        info = _Info(struct_size=ctypes.sizeof(_Info))
        code = self.library.phlower_plugin_query(ctypes.byref(info))
        if code != _OK:
            raise Error(code, self.strerror(code))
        return info.version.decode()

    def facts(self):
        """Everything that can be told about the build, as a dictionary of text."""
        found = {}

        def visit(_, key, value):
            found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")

        code = self.library.phlower_plugin_facts(_VISIT_FACT(visit), None)
        if code != _OK:
            raise Error(code, self.strerror(code))
        return found

    def strerror(self, code):
        """The words for a PHLOWER_E_* code."""
        return self.library.phlower_strerror(code).decode("utf-8", "replace")

    def quiesced(self):
        """How many engines, producers and threads of the library live in this process."""
        return self.library.phlower_plugin_quiesced()

    def config_check(self, yaml):
        """Raises Error, with its line and column, where this YAML text is no configuration."""
        data, err = _encode(yaml), _Err(struct_size=ctypes.sizeof(_Err))
        code = self.library.phlower_config_check(data, len(data), ctypes.byref(err))
        if code != _OK:
            raise self._error(code, err)

    def _error(self, code, err):
        message = err.message.decode("utf-8", "replace") or self.strerror(code)
        return Error(code, message, err.line, err.column)


def _encode(text):
    if isinstance(text, bytes):
        return text
    if not isinstance(text, str):
        raise TypeError(f"text is wanted, not {type(text).__name__}")
    return text.encode("utf-8", "replace")


# No record is longer; the library cuts to its own limits and marks what it cut.
_LONGEST_TEXT = 65536


def _bounded(name, text):
    if text is None:
        return b""
    try:
        return _encode(text[:_LONGEST_TEXT])
    except TypeError:
        raise TypeError(f"{name}: text is wanted, not {type(text).__name__}") from None


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


def _nanoseconds(name, value):
    """A time in Unix seconds or as datetime (naive: of this machine's zone), or a duration."""
    if isinstance(value, datetime.datetime):
        return (value.astimezone(datetime.timezone.utc) - _EPOCH) // _MICROSECOND * 1000
    if isinstance(value, datetime.timedelta):
        return value // _MICROSECOND * 1000
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name}: seconds are wanted, not {type(value).__name__}")
    if not -9e9 < value < 9e9:  # until the year 2255; a NaN is not in between either
        raise ValueError(f"{name}: {value!r} seconds are no time; are they milliseconds?")
    return round(value * 1e9)


def _time(name, value):
    return 0 if value is None else max(0, _nanoseconds(name, value))


class Producer:
    """Puts records into the ring that a configuration names. Never waits for the engine; with
    `store.durability: power` each submit waits for the disk.

    The configuration is a file, or YAML text given as `yaml`; it must be the engine's. Nothing is
    opened before the first submit. While there is no ring, submit says DETACHED and looks again
    after 0.1 s, then less and less often down to every 2 s.

    Thread safety: safe, one thread after the other. After a fork the child's copy goes on with a
    lane of its own and counters from zero.
    """

    _AGAIN_FIRST, _AGAIN_LONGEST = 0.1, 2.0
    _living = weakref.WeakSet()

    def __init__(self, config=None, library=None, *, yaml=None):
        if (config is None) == (yaml is None):
            raise TypeError("Producer: either config, a file, or yaml, its text")
        if config is not None:
            with open(config, "rb") as f:
                yaml = f.read()
        self.plugin = Plugin(library)
        self._yaml = _encode(yaml)
        try:
            self.plugin.config_check(self._yaml)
        except Error as error:
            if config is not None:  # "yaml:2:3: what" of the library gets the file's name
                text = str(error)
                error.args = (os.fspath(config) + (text[4:] if text[:5] == "yaml:" else ": " + text),)
            raise
        self.last_error = ""
        self._handle = ctypes.c_void_p()
        self._closed = False
        self._start_anew()
        Producer._living.add(self)

    def submit(self, *, task_id, task_name="", state="", worker="", queue="", exception_type="",
               args="", kwargs="", traceback="", received_at=None, started_at=None,
               finished_at=None, runtime=None):
        """Hands over one record; returns its Outcome. Texts are str or UTF-8 bytes; times are Unix
        seconds or datetime, the runtime is in seconds or a timedelta; None means "not known".
        Raises TypeError, ValueError or Error for wrong use, never for a record that is not taken.
        """
        texts = [_bounded(name, text) for name, text in zip(_TEXTS, (
            task_id, task_name, state, worker, queue, exception_type, args, kwargs, traceback))]
        if not texts[0]:
            raise ValueError("task_id: a record needs one")
        times = (_time("received_at", received_at), _time("started_at", started_at),
                 _time("finished_at", finished_at),
                 -1 if runtime is None else _nanoseconds("runtime", runtime))
        with self._lock:
            if self._closed:
                raise Error(_STATE, "this Producer was closed")
            outcome = self._put(texts, times)
            self._counts[outcome] += 1
            return outcome

    def counters(self):
        """How many records met which outcome in this process, by their names, and `offered`: their
        sum."""
        with self._lock:
            counts = {outcome.name.lower(): count for outcome, count in self._counts.items()}
        counts["offered"] = sum(counts.values())
        return counts

    def close(self):
        """Leaves the ring; what was accepted stays there. Again: nothing."""
        with self._lock:
            self._closed = True
            handle, self._handle = self._handle, ctypes.c_void_p()
            if handle:
                self.plugin.library.phlower_producer_close(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _put(self, texts, times):
        if not self._handle and not self._open():
            return Outcome.DETACHED
        # A record of its own: a signal handler may submit in the middle of this.
        record = _Record(struct_size=ctypes.sizeof(_Record))
        for name, text in zip(_TEXTS, texts):
            field = getattr(record, name)
            field.data, field.size = text, len(text)
        for name, value in zip(_TIMES, times):
            setattr(record, name, value)
        code = self.plugin.library.phlower_producer_submit(self._handle, ctypes.byref(record))
        if code == _OK:
            return Outcome.ACCEPTED
        self.last_error = self.plugin.strerror(code)
        if code in _WRONG_USE:
            raise Error(code, f"task {texts[0].decode('utf-8', 'replace')}: {self.last_error}")
        return _OUTCOMES.get(code, Outcome.FAILED)

    def _open(self):
        now = time.monotonic()
        if now < self._open_again_at:
            return False
        err = _Err(struct_size=ctypes.sizeof(_Err))
        code = self.plugin.library.phlower_producer_open(
            self._yaml, len(self._yaml), ctypes.byref(self._handle), ctypes.byref(err))
        if code == _OK:
            self._open_again_after = self._AGAIN_FIRST
            return True
        self._handle = ctypes.c_void_p()
        error = self.plugin._error(code, err)
        self.last_error = str(error)
        if code in _WRONG_USE:
            raise error
        self._open_again_at = now + self._open_again_after
        self._open_again_after = min(2 * self._open_again_after, self._AGAIN_LONGEST)
        return False

    def _start_anew(self):
        # Reentrant: a fork in a signal handler must not wait for the thread that it interrupted.
        self._lock = threading.RLock()
        self._counts = {outcome: 0 for outcome in Outcome}
        self._open_again_at = 0.0
        self._open_again_after = self._AGAIN_FIRST


# A fork waits until no thread is inside of a submit: the child would find it there for ever.
_forking = threading.local()


def _before_fork():
    _forking.held = list(Producer._living)
    for producer in _forking.held:
        producer._lock.acquire()


def _after_fork_in_parent():
    for producer in _forking.__dict__.pop("held", ()):
        producer._lock.release()


def _after_fork_in_child():
    _forking.__dict__.pop("held", None)
    for producer in list(Producer._living):
        producer._start_anew()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent,
                    after_in_child=_after_fork_in_child)
