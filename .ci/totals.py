#!/usr/bin/env python3
"""Prints 'N passed, N failed' over the test logs of all build folders and the steps of CI.

Every GoogleTest case and every other test counts as one, as Meson wrote them down. A step that has
no log of tests (lint, model, envoy, bench) counts as one; a step that failed without a failed test counts too.
"""
import json
import pathlib
import sys
import xml.etree.ElementTree as xml

LOGS = {"test": "build", "asan": "build-asan", "tsan": "build-tsan"}


def count(logs):
    """Cases from the JUnit log. A program that timed out is no failure there, so testlog.json is
    asked too for what did not end well."""
    lines = (logs / "testlog.json").read_text().splitlines()
    programs = {run["name"].split(" / ")[-1]: run["result"] for run in map(json.loads, lines)}
    bad = {name for name, result in programs.items() if result not in ("OK", "SKIP", "EXPECTEDFAIL")}
    passed = failed = skipped = 0
    for case in xml.parse(logs / "testlog.junit.xml").getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        elif case.get("name") in bad:
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped


def main(steps):
    total = [0, 0, 0]
    for name, result in (step.split("=") for step in steps):
        logs = pathlib.Path(LOGS.get(name, "none"), "meson-logs")
        counts = count(logs) if (logs / "testlog.junit.xml").is_file() else (0, 0, 0)
        if result == "failed" and counts[1] == 0:
            counts = (counts[0], 1, counts[2])
        elif name not in LOGS and result != "failed":
            counts = (1, 0, 0) if result == "passed" else (0, 0, 1)
        print(f"{name:>6}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
        total = [a + b for a, b in zip(total, counts)]
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
