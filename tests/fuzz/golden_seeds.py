#!/usr/bin/env python3
"""The columns of tests/data/columns as inputs for the fuzzers: golden_seeds.py FOLDER."""
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "data" / "columns"


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for path in GOLDEN.glob("*.col"):
        parts = [line.partition(" ") for line in path.read_text().split("\n")]
        for kind, mode in (("blob", 1), ("zone", 2)):  # the first byte: what is made right again
            bytes_ = bytes.fromhex("".join(rest for what, _, rest in parts if what == kind))
            (folder / f"{path.stem}.{kind}").write_bytes(bytes([mode]) + bytes_)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
