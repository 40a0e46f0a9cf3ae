#!/usr/bin/env python3
"""Ids, their index and slots as doc/column_format.md has them: a second reader reads what the engine's writer
made, and finds what it was made of."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
import column_ids  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "data" / "column_ids"


def golden(name):
    """What the lines of a file say under each word, hex as bytes."""
    said = {}
    for line in (FOLDER / name).read_text().split("\n"):
        word, _, rest = line.partition(" ")
        said.setdefault(word, []).append(bytes.fromhex(rest))
    return said


class ThePage(unittest.TestCase):
    def test_tells_enough_to_read_ids_in_every_form(self):
        for name, flags in (("uuid.ids", 0), ("uuid4.ids", 1), ("mixed.ids", 2)):
            with self.subTest(name):
                said = golden(name)
                self.assertEqual(said["blob"][0][1], flags)
                self.assertEqual(column_ids.ids(said["blob"][0]), said["id"])

    def test_tells_enough_to_find_every_id_in_an_index(self):
        for name in ("sealed.index", "run.index"):
            with self.subTest(name):
                said = golden(name)
                entries = []
                for number, parts in enumerate(zip(said["filter"], said["rows"])):
                    found, (n, r, _), page = column_ids.page(*parts)
                    self.assertEqual((n, page), (len(said["id"]), number))
                    entries += found
                self.assertEqual([key for key, _ in entries], sorted(key for key, _ in entries))
                self.assertEqual({row: key for key, row in entries},
                                 {row: column_ids.key_of(id_, n, r) for row, id_ in enumerate(said["id"])})

    def test_tells_enough_to_read_a_slot(self):
        said = golden("commit.slot")
        members, outdone = column_ids.slot(said["blob"][0])
        self.assertEqual(members[0, 2], said["id"])
        self.assertEqual(members[1, 0], [7, 7, 7])
        self.assertEqual(members[5, 0], [-1, 300, 70_000])
        self.assertEqual(members[6, 0], [-2**63, 0, 2**63 - 1])
        self.assertEqual(members[9, 0], [0, 65_535, 65_535])
        self.assertEqual(members[9, 1], [b"a text", b""])
        self.assertEqual(outdone, [3, 1_000_000])


if __name__ == "__main__":
    unittest.main()
