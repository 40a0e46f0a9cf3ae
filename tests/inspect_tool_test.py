#!/usr/bin/env python3
"""phlower-inspect as its user runs it: inspect_tool_test.py TOOL LIBRARY CONFIG CC"""
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOOL, LIBRARY, CONFIG, CC = None, None, None, None
INCLUDE = pathlib.Path(__file__).resolve().parent.parent / "include"

# What of a plugin is looked at, and can be told to the compiler.
MADE_UP = """
#include "phlower/plugin.h"
uint32_t phlower_abi_version(void) { return ABI; }
int32_t phlower_plugin_query(phlower_plugin_info* info) {
  info->abi_version = ABI;
  info->sqlite_version = SQLITE;
  return PHLOWER_OK;
}
int32_t phlower_plugin_facts(void (*visit)(void*, const char*, const char*), void* ctx) {
  visit(ctx, "sqlite.threadsafe", THREADSAFE);
  visit(ctx, "sqlite.option", OPTION);
  return PHLOWER_OK;
}
uint32_t phlower_plugin_quiesced(void) { return QUIESCED; }
int32_t phlower_metrics_describe(uint32_t index, phlower_metric_desc* desc) {
  return index == 0 && desc == 0 ? PHLOWER_OK : PHLOWER_E_NOT_FOUND;
}
const char* phlower_config_key(uint32_t index) { return index == 0 ? "store.path" : 0; }
"""


def run(*arguments, **more):
    done = subprocess.run([TOOL, *arguments], text=True, capture_output=True, **more)
    return done.returncode, done.stdout, done.stderr


def make_plugin(folder, without=(), **told):
    """A shared object with the functions of plugin.h but some, that is good unless told otherwise."""
    made, others = pathlib.Path(folder, "made.c"), pathlib.Path(folder, "others.c")
    made.write_text(MADE_UP)
    names = set(re.findall(r"\b(phlower_\w+)\(", INCLUDE.joinpath("phlower/plugin.h").read_text()))
    names -= {*re.findall(r"\b(phlower_\w+)\(", MADE_UP), *without}
    others.write_text("".join(f"int {name}(void) {{ return 0; }}\n" for name in sorted(names)))
    values = {"ABI": "PHLOWER_ABI_VERSION", "SQLITE": "3040000", "THREADSAFE": '"1"', "OPTION": '"X"',
              "QUIESCED": "0", **told}
    library = os.path.join(folder, "libmade.so")
    subprocess.run([CC, "-shared", "-fPIC", "-w", f"-I{INCLUDE}", *(f"-D{n}={v}" for n, v in values.items()),
                    "-o", library, made, others], check=True)
    return library


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

    def test_looks_beside_itself_for_a_name_without_a_folder(self):
        folder, name = os.path.split(os.path.abspath(LIBRARY))
        self.assertEqual(run("--quiet", name, cwd=folder), (0, "", ""))

    def test_says_why_a_host_should_refuse_a_build(self):
        with tempfile.TemporaryDirectory() as folder:
            code, out, err = run(make_plugin(folder))
            self.assertEqual((code, err), (0, ""), out)
            self.assertIn("no reason to refuse", out)
            for told, why in (({"ABI": "0x20003"}, "its ABI is 2.3, hosts of today want 1"),
                              ({"THREADSAFE": '"0"'}, "SQLITE_THREADSAFE=0"),
                              ({"SQLITE": "3034001"}, "older than 3.35"),
                              ({"OPTION": '"OMIT_WAL"'}, "without WAL"),
                              ({"QUIESCED": "1"}, "engines or threads before any was made")):
                library = make_plugin(folder, **told)
                code, out, err = run(library)
                self.assertEqual((code, err, out.count("refuse it: ")), (1, "", 1), out)
                self.assertIn(why, out)
                refused = json.loads(run("--json", "--quiet", library)[1])["refuse"]
                self.assertEqual(len(refused), 1)
                self.assertIn(why, refused[0])

    def test_calls_nothing_of_a_build_that_has_not_all_of_it(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("phlower_plugin_quiesced", "phlower_engine_tick"):
                library = make_plugin(folder, without=[name], **{name: "phlower_of_old"})
                code, out, err = run(library)
                self.assertEqual((code, out), (1, ""))
                self.assertEqual(err, f"phlower-inspect: {library}: {name} is missing\n")

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
    TOOL, LIBRARY, CONFIG, CC = os.path.abspath(sys.argv[1]), *sys.argv[2:5]
    unittest.main(argv=sys.argv[:1], verbosity=2)
