#!/usr/bin/env python3
"""A ring that the first version of Phlower left behind with records in it: each is taken in once, field for
field, whatever has become of the machine since; and one of a later version is refused and stays as it is.

    first_version_ring_test.py REPLAY QUERY PURGE CAPTURE LIBPHLOWER
"""
import ctypes
import glob
import json
import os
import struct
import sys
import unittest

sys.dont_write_bytecode = True  # nothing is left in the source tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from first_version import BOOT_ID_AT, VERSION_AT, FirstVersionCase, edit_ring, of_this_boot, snapshot

(FirstVersionCase.REPLAY, FirstVersionCase.QUERY, FirstVersionCase.PURGE, FirstVersionCase.CAPTURE) = sys.argv[1:5]
LIBPHLOWER = sys.argv[5]
OTHER_BOOT = bytes(range(1, 17))
GEOMETRY = """\
ring:
  size: 256KiB
  chunk: 32KiB
  lanes: 3
record:
  max: 8KiB
  args_max: 1KiB
  kwargs_max: 1KiB
  traceback_max: 4KiB
"""
# One record in the ring is of a task that has succeeded already, and changes nothing of it.
ONE_THAT_CHANGES_NOTHING = 1


class Err(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("code", ctypes.c_int32), ("numbers", ctypes.c_uint32 * 4),
                ("message", ctypes.c_char * 488)]


def open_producer(ring):
    """Code and message with which a producer is refused."""
    library = ctypes.CDLL(LIBPHLOWER)
    yaml = f"ring:\n  path: {ring}\n".encode()
    producer, err = ctypes.c_void_p(), Err(ctypes.sizeof(Err))
    code = library.phlower_producer_open(yaml, ctypes.c_size_t(len(yaml)), ctypes.byref(producer), ctypes.byref(err))
    return code, err.message.decode()


class RingCase(FirstVersionCase):
    def setUp(self):
        super().setUp()
        self.same = os.path.join(self.dir, "same.yaml")
        with open(self.same, "w", encoding="utf-8") as f:
            f.write(GEOMETRY)
        self.all = {**self.rows, **self.pending}
        self.waiting = len(self.pending) + ONE_THAT_CHANGES_NOTHING

    def engine(self, *words, data=None, code=0):
        return self.run_tool(self.REPLAY, "--engine-only", "--until-drained", "--keep-forever", "--data",
                             data or self.data, "--ring", self.ring, "--json", *words, code=code)

    def take_in(self, *words, data=None):
        result = json.loads(self.engine(*words, data=data).stdout.splitlines()[-1])
        self.assertEqual((result["in_ring"], result["health"]), (0, "ok"))
        return result["committed"]

    def produce(self, records, code=0):
        return self.run_tool(self.REPLAY, self.CAPTURE, "--produce-only", "--ring", self.ring, "--config", self.same,
                             "--rate", "max", "--records", records, code=code)

    def salvages(self):
        return glob.glob(self.ring + ".*.salvage")

    def expect_taken_in_once(self):
        self.expect_rows(self.export(), self.all)
        self.assertEqual(self.salvages(), [])
        self.assertEqual(self.take_in("--config", self.same), 0, "nothing comes twice")
        self.expect_rows(self.export(), self.all)


class RingOfTheFirstVersion(RingCase):
    def test_is_gone_on_with_in_the_same_boot(self):
        edit_ring(self.ring, BOOT_ID_AT, of_this_boot())
        self.assertEqual(self.take_in("--config", self.same), self.waiting)
        self.expect_taken_in_once()

    def test_is_replaced_by_one_of_another_size_and_read_to_its_end(self):
        edit_ring(self.ring, BOOT_ID_AT, of_this_boot())
        self.assertEqual(self.take_in(), self.waiting)
        self.assertEqual(self.salvages(), [])
        self.expect_rows(self.export(), self.all)

    def test_is_salvaged_after_a_reboot(self):
        edit_ring(self.ring, BOOT_ID_AT, OTHER_BOOT)
        self.assertEqual(self.take_in("--config", self.same), self.waiting)
        self.expect_taken_in_once()

    def test_gives_another_history_what_is_stored_nowhere(self):
        edit_ring(self.ring, BOOT_ID_AT, of_this_boot())
        other = os.path.join(self.dir, "other")
        self.assertEqual(self.take_in("--config", self.same, data=other), self.waiting)
        found = {row["task_id"]: row for row in self.export(data=other)}
        self.assertEqual(found.pop("written-plain")["state"], "RETRY")
        self.expect_rows(found.values(), self.pending)
        self.assertEqual(self.take_in("--config", self.same), 0, "its own history gets nothing twice")
        self.expect_rows(self.export(), self.rows)

    def test_waits_for_its_history_after_a_reboot(self):
        edit_ring(self.ring, BOOT_ID_AT, OTHER_BOOT)
        other = os.path.join(self.dir, "other")
        self.assertEqual(self.take_in("--config", self.same, data=other), 0)
        self.assertEqual(len(self.salvages()), 1)
        self.assertEqual(self.take_in("--config", self.same), self.waiting)
        self.expect_taken_in_once()

    def test_takes_records_of_producers_of_this_build(self):
        edit_ring(self.ring, BOOT_ID_AT, of_this_boot())
        self.produce(40)
        self.assertEqual(self.take_in("--config", self.same), self.waiting + 40)
        found = self.export()
        self.assertEqual(len(found), len(self.all) + 40)
        self.expect_rows([row for row in found if row["task_id"] in self.all], self.all)

    def test_of_an_earlier_boot_refuses_producers_and_says_why(self):
        edit_ring(self.ring, BOOT_ID_AT, OTHER_BOOT)
        before = snapshot(self.dir)
        code, said = open_producer(self.ring)
        self.assertEqual(code, 5, "PHLOWER_E_NOT_FOUND: an engine will make another")
        self.assertRegex(said, self.ring + ".*boot")
        self.assertEqual(snapshot(self.dir), before)


class RingOfALaterBuild(RingCase):
    def test_is_refused_by_engine_and_producer_and_stays_as_it_is(self):
        fresh = os.path.join(self.dir, "fresh.ring")
        self.spike(10, data=os.path.join(self.dir, "fresh"), ring=fresh)
        with open(fresh, "rb") as f:
            f.seek(VERSION_AT)
            known, = struct.unpack("<I", f.read(4))
        place = os.path.join(self.dir, "place")
        os.mkdir(place)
        os.rename(self.ring, os.path.join(place, "ring"))
        self.ring = os.path.join(place, "ring")
        edit_ring(self.ring, BOOT_ID_AT, of_this_boot())
        edit_ring(self.ring, VERSION_AT, struct.pack("<I", known + 1))
        words = f"{self.ring} is a ring of version {known + 1}; this build reads up to version {known}"
        before = snapshot(place)
        code, said = open_producer(self.ring)
        self.assertEqual(code, 11, "PHLOWER_E_VERSION")
        engine = self.engine("--config", self.same, code=1).stderr
        for text in (said, engine, self.produce(1, code=1).stderr):
            self.assertIn(words, text)
            self.assertIn("The newer Phlower that wrote it reads it", text)
            self.assertEqual(snapshot(place), before)
        self.expect_rows(self.export(), self.rows)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], verbosity=2)
