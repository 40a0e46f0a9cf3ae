#!/usr/bin/env python3
"""Columns as doc/column_format.md has them: columns_page_test.py DATA-FOLDER. A second reader reads what the
engine's writer made, and finds what it was made of."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "support"))
import columns  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent / "data" / "columns"
PAGE = pathlib.Path(__file__).resolve().parent.parent / "doc" / "column_format.md"


class Golden:
    def __init__(self, path):
        first, *lines = path.read_text().split("\n")
        self.kind, self.member, *self.words = first.split(" ")
        parts = [line.partition(" ") for line in lines]
        self.rows = [rest for what, _, rest in parts if what == "row"]
        self.zone = bytes.fromhex("".join(rest for what, _, rest in parts if what == "zone"))
        self.blob = bytes.fromhex("".join(rest for what, _, rest in parts if what == "blob"))


def as_row(value):
    if isinstance(value, bytes):
        return "text " + value.decode()
    return f"word {value}"


class ThePage(unittest.TestCase):
    def all(self):
        paths = sorted(FOLDER.glob("*.col"))
        self.assertGreaterEqual(len(paths), 9)
        for path in paths:
            with self.subTest(path.name):
                yield Golden(path)

    def test_tells_enough_to_read_every_column(self):
        for golden in self.all():
            if not golden.blob:
                continue
            if golden.kind == "numbers":
                read = ["-" if one is None else str(one) for one in columns.numbers(golden.blob)]
            else:
                read = [as_row(one) for one in columns.words(golden.blob)]
            self.assertEqual(read, golden.rows)

    def test_tells_enough_to_read_every_zone(self):
        for golden in self.all():
            ((member, flags, size, first, second),) = columns.zones(golden.zone)
            self.assertEqual((member, size), (int(golden.member), len(golden.blob)))
            if golden.kind == "numbers":
                known = [int(row) for row in golden.rows if row != "-"]
                self.assertEqual((first, second), (min(known), max(known)))
                self.assertEqual(bool(flags & 1), "-" in golden.rows)
            elif flags & 2:
                self.assertEqual({f"word {first}"}, set(golden.rows))
            else:
                bits = (first % 2**64) | (second % 2**64) << 64
                held = {int(row[5:]) for row in golden.rows if row.startswith("word ")}
                self.assertEqual(bits, sum(1 << bit for bit in {word % 128 for word in held}))

    def test_has_an_example_that_is_one(self):
        text = PAGE.read_text()
        example = text[text.index("<!-- example -->"): text.index("<!-- end of example -->")]
        bytes_ = [line.split("|")[1] for line in example.split("\n") if line.startswith("    |")]
        blob = bytes.fromhex("".join("".join(bytes_).split()))
        self.assertEqual(columns.numbers(blob), [1000, 1003, None, 1001, 5000])


if __name__ == "__main__":
    unittest.main(verbosity=2)
