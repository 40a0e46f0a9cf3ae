#!/usr/bin/env python3
"""A message that names a knob names one that exists: option_names_test.py ROOT

Looks through the string literals of the product for words like `ring.size` and holds them against
the tables of visit_options."""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop() if len(sys.argv) > 1 else ".")
TABLES = ["include/phlower/config/options_fields.hpp", "tools/agent/host/agent_options.hpp"]
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
KEY = re.compile(r'visit\("([a-z_]+\.[a-z_]+)"')
# Words of the same shape that are no knobs: names of files, and fields of other programs.
FILES = re.compile(r"\.(hpp|h|db|yaml|so|ndjson|txt|py|ring|sock|csv|lock|new|tmp|bad|salvage)$")


def known():
    return {key for table in TABLES for key in KEY.findall((ROOT / table).read_text())}


def literals(text):
    """Each run of neighbouring literals as one text, without includes and comments."""
    text = re.sub(r"^\s*#include.*$", "", text, flags=re.M)
    text = re.sub(r'("(?:[^"\\\n]|\\.)*")|//[^\n]*', lambda match: match[1] or "", text)
    text = re.sub(r'"\s*\n\s*"', "", text)
    return LITERAL.findall(text)


def strangers(text, keys):
    sections = "|".join(sorted({key.split(".")[0] for key in keys}))
    word = re.compile(rf"(?<![\w./@-])(?:{sections})\.[a-z][a-z_]*(?![\w/(])")
    return [w for t in literals(text) for w in word.findall(t) if w not in keys and not FILES.search(w)]


class OptionNames(unittest.TestCase):
    def test_of_every_message_exist(self):
        keys = known()
        self.assertGreater(len(keys), 40)
        wrong = []
        for folder in ("include", "plugin", "tools"):
            for path in sorted((ROOT / folder).rglob("*.[hc]pp")):
                wrong += [f"{path}: {w}" for w in strangers(path.read_text(errors="replace"), keys)]
        self.assertEqual(wrong, [])

    def test_that_do_not_exist_are_found(self):
        keys = known()
        self.assertEqual(strangers('x("make ring.size_bytes smaller, or ring.size");', keys), ["ring.size_bytes"])
        self.assertEqual(strangers('x("a ring.si"\n  "zes");', keys), ["ring.sizes"])
        self.assertEqual(strangers('#include "ring.x"\nx("the store. Then"); // "ring.x"', keys), [])


if __name__ == "__main__":
    unittest.main()
