#!/usr/bin/env python3
"""Prints 'N passed, N failed' over the test logs of all build folders and the steps of CI.

Every GoogleTest case and every other test counts as one, as Meson wrote them down. A step that has
no log of tests (lint, model, envoy, bench) counts as one; a step that failed without a failed test
counts too. What failed is named at the end, with what it said: who sees only the last lines of a
long run still knows where to look.
"""
import json
import pathlib
import re
import sys
import xml.etree.ElementTree as xml

MOST_LINES = 12  # of what a failed test said
MOST_COLUMNS = 200
# Where what a sanitizer or GoogleTest has to say begins, in a long output.
BEGINS = re.compile(r"runtime error:|ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|: Failure$")
LOGS = {"test": "build", "asan": "build-asan", "tsan": "build-tsan"}


def count(logs):
    """Cases from the JUnit log. A program that timed out is no failure there, so testlog.json is
    asked too for what did not end well. The failed ones with their names and what they said."""
    lines = (logs / "testlog.json").read_text().splitlines()
    programs = {run["name"].split(" / ")[-1]: run for run in map(json.loads, lines)}
    bad = {
        name: "\n".join(filter(None, (run["result"], run.get("stdout"), run.get("stderr"))))
        for name, run in programs.items()
        if run["result"] not in ("OK", "SKIP", "EXPECTEDFAIL")
    }
    passed = skipped = 0
    failed = []
    for case in xml.parse(logs / "testlog.junit.xml").getroot().iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        wrong = case.find("failure")
        wrong = case.find("error") if wrong is None else wrong
        if wrong is not None:
            # A program that a sanitizer ended says why in its output alone.
            said = wrong.get("message") or wrong.text or bad.get(case.get("name"), "")
            failed.append((name, said))
        elif case.find("skipped") is not None or case.get("result") == "skipped":
            skipped += 1
        elif case.get("name") in bad:
            failed.append((name, bad[case.get("name")]))
        else:
            passed += 1
    return passed, failed, skipped


def telling(said):
    """The lines that say what was wrong: from the first fault on, else the last ones."""
    lines = said.strip().splitlines()
    first = next((at for at, line in enumerate(lines) if BEGINS.search(line)), None)
    return lines[-MOST_LINES:] if first is None else lines[first : first + MOST_LINES]


def main(steps):
    total = [0, 0, 0]
    named = []
    for name, result in (step.split("=") for step in steps):
        logs = pathlib.Path(LOGS.get(name, "none"), "meson-logs")
        passed, failed, skipped = (
            count(logs) if (logs / "testlog.junit.xml").is_file() else (0, [], 0)
        )
        named += [(f"{name}: {case}", said) for case, said in failed]
        counts = (passed, len(failed), skipped)
        if result == "failed" and not failed:
            named.append((f"./dev {name}", "no test of it failed: see what it printed"))
            counts = (counts[0], 1, counts[2])
        elif name not in LOGS and result != "failed":
            counts = (1, 0, 0) if result == "passed" else (0, 0, 1)
        print(f"{name:>6}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped")
        total = [a + b for a, b in zip(total, counts)]
    for case, said in named:
        print(f"failed: {case}")
        print("".join(f"  | {line[:MOST_COLUMNS]}\n" for line in telling(said)), end="")
    print(f"{total[0]} passed, {total[1]} failed")
    return 1 if total[1] or not total[0] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
