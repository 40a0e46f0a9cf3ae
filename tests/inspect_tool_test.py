#!/usr/bin/env python3
"""phlower-inspect as its user runs it: inspect_tool_test.py TOOL LIBRARY CONFIG"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL, LIBRARY, CONFIG = None, None, None


def run(*arguments):
    done = subprocess.run([TOOL, *arguments], text=True, capture_output=True)
    return done.returncode, done.stdout, done.stderr


class Inspect(unittest.TestCase):
    def test_tells_what_a_build_is(self):
        code, out, err = run(LIBRARY)
        self.assertEqual((code, err), (0, ""))
        for wanted in ("ABI 1.1", "SQLite 3.", "retention.details", "phlower_committed_total", "no reason to refuse"):
            self.assertIn(wanted, out)

    def test_gives_json(self):
        code, out, _ = run("--json", LIBRARY)
        found = json.loads(out.splitlines()[-1])
        self.assertEqual(code, 0)
        self.assertEqual(found["abi"], [1, 1])
        self.assertEqual(found["refuse"], [])
        self.assertGreater(len(found["metrics"]), 40)
        self.assertIn("THREADSAFE=1", found["sqlite"]["options"])

    def test_refuses_what_is_no_plugin(self):
        for path, why in ((TOOL, "cannot"), ("/nowhere/lib.so", "cannot open"), (sys.argv[0], "")):
            code, out, err = run(path)
            self.assertEqual((code, out), (1, ""))
            self.assertEqual(len(err.splitlines()), 1)
            self.assertIn(why, err)

    def test_tries_a_configuration(self):
        self.assertEqual(run("--quiet", "--config", CONFIG, LIBRARY), (0, "", ""))
        with tempfile.TemporaryDirectory() as folder:
            bad = pathlib.Path(folder, "bad.yaml")
            bad.write_text("retention:\n  detail: 60h\n")
            code, out, _ = run("--config", str(bad), LIBRARY)
            self.assertEqual(code, 1)
            self.assertIn("2:3", out)
            self.assertIn("details", out)
        self.assertEqual(run("--config", "/nowhere/phlower.yaml", LIBRARY)[0], 1)

    def test_says_what_is_wrong_with_its_usage(self):
        code, _, err = run()
        self.assertEqual(code, 2)
        self.assertIn("FILE", err)
        self.assertEqual(run("--help")[0], 0)


if __name__ == "__main__":
    TOOL, LIBRARY, CONFIG = sys.argv[1:4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
