#!/usr/bin/env python3
"""Functions that nobody calls: dead_symbols.py ROOT; exit 1 and their names where there are any.

A function of the library, the plugin or a tool whose name stands once in all product code is dead, or it is
there for tests alone: then it is named below. Names are words to this script, so an overload hides another."""
import collections
import pathlib
import re
import sys

# Handles that tests turn, and what is public for embedders.
TESTS_ALONE = {"jump_wall", "chance", "credit", "set_option", "crc32c_portable", "other_resets"}

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
DEFINED = re.compile(
    r"^[ \t]*(?:template <[^\n]*>\s+)?(?:static |inline |constexpr |virtual |explicit |friend |\[\[nodiscard\]\] )*"
    r"[A-Za-z_][\w:<>,&* ]*[ &*>]([a-z_]\w*)\([^;{}]*\)(?: const| noexcept)*\s*\{", re.M)
KEYWORDS = {"if", "for", "while", "switch", "return", "catch", "sizeof"}


def code_of(path):
    return NOISE.sub(" ", path.read_text())


def dead(root):
    words = collections.Counter()
    defined = {}
    for folder in ("include", "plugin", "tools", "bench"):
        for path in sorted(pathlib.Path(root, folder).rglob("*.[ch]*")):
            code = code_of(path)
            words.update(re.findall(r"\b[A-Za-z_]\w*\b", code))
            if folder != "bench" and path.suffix == ".hpp":
                for match in DEFINED.finditer(code):
                    if match.group(1) not in KEYWORDS:
                        defined.setdefault(match.group(1), path.relative_to(root))
    return {name: path for name, path in defined.items() if words[name] == 1 and name not in TESTS_ALONE}


def main(root):
    found = dead(root)
    for name, path in sorted(found.items(), key=lambda one: (one[1], one[0])):
        print(f"{path}: {name} has no caller")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
