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
        self.assertIn("THREADSAFE=1", found["sqlite"]["options"])

    def test_shows_figures_at_the_places_that_hosts_know_them_by(self):
        found = json.loads(run("--json", LIBRARY)[1].splitlines()[-1])["metrics"]
        names = [one["name"] + ("{" + one["label"] + "}" if one["label"] else "") for one in found]
        known = pathlib.Path(__file__).with_name("data").joinpath("metrics_order.txt").read_text().split()
        self.assertEqual(names[:len(known)], known, "a figure keeps its number; a new one comes behind them")

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

    def test_shows_what_a_configuration_comes_to(self):
        with tempfile.TemporaryDirectory() as folder:
            mine = pathlib.Path(folder, "mine.yaml")
            mine.write_text("retention: {invocations: 48h, details: 24h}\n")
            code, out, err = run("--effective", str(mine))
            self.assertEqual((code, err), (0, ""))
            self.assertIn("  invocations: 48h\n", out)
            self.assertIn("store:\n", out)
            mine.write_text(out)  # it can take the place of what it was made from
            self.assertEqual(run("--effective", str(mine)), (0, out, ""))
            mine.write_text("retention: {invocations: 2}\n")
            code, out, err = run("--effective", str(mine))
            self.assertEqual((code, out), (1, ""))
            self.assertIn("retention.invocations", err)

    def test_shows_a_ring(self):
        with tempfile.TemporaryDirectory() as folder:
            yaml = f"ring: {{path: {folder}/ring, size: 2MiB}}\nstore: {{path: {folder}/data}}\n"
            code = ("import ctypes, sys; lib = ctypes.CDLL(sys.argv[1]); engine = ctypes.c_void_p(); "
                    "yaml = sys.argv[2].encode(); "
                    "assert lib.phlower_engine_new(yaml, ctypes.c_size_t(len(yaml)), None, ctypes.byref(engine), None) == 0; "
                    "assert lib.phlower_engine_start(engine, None) == 0; lib.phlower_engine_destroy(engine)")
            subprocess.run([sys.executable, "-c", code, LIBRARY, yaml], check=True)
            code, out, err = run("--json", "--ring", f"{folder}/ring")
            found = json.loads(out.splitlines()[-1])
            self.assertEqual((code, err, found["accepted"], found["in_ring"]), (0, "", 0, 0))
            self.assertGreater(found["chunks"], 4)
            self.assertIn("accepted", run("--ring", f"{folder}/ring")[1])
            pathlib.Path(folder, "none").write_text("no ring" * 1000)
            code, out, err = run("--ring", f"{folder}/none")
            self.assertEqual((code, out), (1, ""))
            self.assertIn(f"{folder}/none", err)

    def test_says_what_is_wrong_with_its_usage(self):
        self.assertEqual(run("--ring", "x", LIBRARY)[0], 2)
        code, _, err = run()
        self.assertEqual(code, 2)
        self.assertIn("FILE", err)
        self.assertEqual(run("--help")[0], 0)


if __name__ == "__main__":
    TOOL, LIBRARY, CONFIG = sys.argv[1:4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
