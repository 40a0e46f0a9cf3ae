# A producer of the ring through the C ABI of libphlower.so, by ctypes alone: for tests of hosts.
import ctypes
import time

OK, REFUSED, NOT_FOUND = 0, 1, 5


class Text(ctypes.Structure):
    _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_uint64)]


class Record(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("flags", ctypes.c_uint32)] + [
        (name, Text) for name in ("task_id", "task_name", "state", "worker", "queue",
                                  "exception_type", "args", "kwargs", "traceback")] + [
        (name, ctypes.c_int64) for name in ("received_at_ns", "started_at_ns", "finished_at_ns",
                                            "runtime_ns")]


class Err(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("code", ctypes.c_int32),
                ("sys_errno", ctypes.c_int32), ("sqlite_code", ctypes.c_int32),
                ("line", ctypes.c_uint32), ("column", ctypes.c_uint32),
                ("message", ctypes.c_char * 488)]


class Producer:
    def __init__(self, library, yaml, patience_s=60):
        """Waits until some engine has made the ring."""
        self.lib = ctypes.CDLL(library)
        self.lib.phlower_producer_submit.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        self.handle = ctypes.c_void_p()
        err = Err(struct_size=ctypes.sizeof(Err))
        end = time.monotonic() + patience_s
        while True:
            code = self.lib.phlower_producer_open(
                ctypes.c_char_p(yaml), ctypes.c_size_t(len(yaml)), ctypes.byref(self.handle),
                ctypes.byref(err))
            if code == OK:
                return
            if code != NOT_FOUND or time.monotonic() > end:
                raise RuntimeError(f"phlower_producer_open: {code}: {err.message.decode()}")
            time.sleep(0.02)

    def submit(self, task_id, name="test.task", state="SUCCESS", args="[]"):
        now = time.time_ns()
        record = Record(struct_size=ctypes.sizeof(Record), received_at_ns=now, started_at_ns=now,
                        finished_at_ns=now, runtime_ns=1000)
        for field, value in (("task_id", task_id), ("task_name", name), ("state", state),
                             ("args", args), ("worker", "test@here"), ("queue", "test")):
            text = value.encode()
            setattr(record, field, Text(text, len(text)))
        return self.lib.phlower_producer_submit(self.handle, ctypes.byref(record))

    def close(self):
        self.lib.phlower_producer_close(self.handle)


COUNTER, GAUGE, HISTOGRAM = 0, 1, 2


class MetricDesc(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("kind", ctypes.c_uint32)] + [
        (name, ctypes.c_char_p) for name in ("name", "unit", "help", "label")]


def metrics(library):
    """(kind, name, label) of each figure in the catalogue, in its order."""
    lib = ctypes.CDLL(library)
    found = []
    desc = MetricDesc(struct_size=ctypes.sizeof(MetricDesc))
    while lib.phlower_metrics_describe(ctypes.c_uint32(len(found)), ctypes.byref(desc)) == OK:
        found.append((desc.kind, desc.name.decode(), desc.label.decode()))
    return found
