#!/usr/bin/env python3
"""doc/metrics.md is what the plugin's catalogue says: metrics_page.py INSPECT LIBRARY PAGE [--write]

Without --write: exit 1 where the page says something else."""
import json
import pathlib
import subprocess
import sys

HEAD = """# Metrics

What `libphlower.so` measures: at `/metrics` of the agent, in collectd and Envoy, and through
`phlower_metrics_describe`. This page is made from the catalogue of `libphlower.so` by `./dev docs`; a test
holds it against that. The agent adds figures of its own under `phlower_agent_*`, each with
its help at `/metrics`.

| name | kind | unit | means |
|---|---|---|---|
"""


def page(metrics):
    """One line a name; the labels that tell its metrics apart stand behind it."""
    by_name = {}
    for metric in metrics:
        by_name.setdefault(metric["name"], []).append(metric)
    lines = []
    for name, ones in sorted(by_name.items()):
        labels = [one["label"] for one in ones if one["label"]]
        shown = f"`{name}`" + (f" by `{labels[0].split('=')[0]}`: " if labels else "")
        shown += ", ".join(label.split("=")[1] for label in labels)
        lines.append(f"| {shown} | {ones[0]['kind']} | {ones[0]['unit']} | {ones[0]['help']} |\n")
    return HEAD + "".join(lines)


def main(inspect, library, path, *write):
    found = subprocess.run([inspect, "--json", library], check=True, text=True, capture_output=True).stdout
    wanted = page(json.loads(found.splitlines()[-1])["metrics"])
    if write:
        pathlib.Path(path).write_text(wanted)
    elif pathlib.Path(path).read_text() != wanted:
        print(f"{path} is not what the catalogue says; run ./dev docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
