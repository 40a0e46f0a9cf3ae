#!/usr/bin/env python3
"""What libphlower.so exports, and that its header is C: plugin_symbols_test.py LIBRARY HEADER CC CXX"""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

LIBRARY, HEADER, CC, CXX = None, None, None, None


def run(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True).stdout


class Symbols(unittest.TestCase):
    def test_are_the_functions_of_the_header_and_nothing_else(self):
        declared = re.findall(r"^PHLOWER_API.*?(phlower_\w+)\(", HEADER.read_text(), re.M | re.S)
        lines = run("nm", "-D", "--defined-only", LIBRARY).splitlines()
        exported = [line.split()[-1] for line in lines if " T " in line or " D " in line or " B " in line]
        self.assertGreater(len(declared), 20)
        self.assertEqual(sorted(exported), sorted(f"{name}@@PHLOWER_1" for name in declared))

    def test_are_not_unique(self):
        # A unique symbol keeps the object mapped for ever: dlclose would do nothing.
        self.assertNotIn("UNIQUE", run("readelf", "-W", "--dyn-syms", LIBRARY))

    def test_need_sqlite_as_a_shared_library(self):
        self.assertIn("libsqlite3.so.0", run("readelf", "-d", LIBRARY))

    def test_are_of_a_major_version_that_the_dynamic_linker_tells_apart(self):
        major = re.search(r"define PHLOWER_ABI_MAJOR (\d+)u", HEADER.read_text()).group(1)
        self.assertIn(f"Library soname: [libphlower.so.{major}]", run("readelf", "-d", LIBRARY))


class Header(unittest.TestCase):
    def beginnings(self):
        """A program with every struct that has a size, begun by its macro, and checks of that size."""
        text = HEADER.read_text()
        sized = re.findall(r"^typedef struct (phlower_\w+) \{\n  uint32_t struct_size;", text, re.M)
        self.assertGreater(len(sized), 12)
        made = "".join(f"{name} {name}_ = {name.upper()}_INIT;\n" for name in sized)
        checks = "".join(f"  if ({name}_.struct_size != sizeof {name}_) return 1;\n" for name in sized)
        return f'#include "phlower/plugin.h"\n{made}int main(void) {{\n{checks}  return 0;\n}}\n'

    def test_compiles_as_every_c_and_as_cpp(self):
        with tempfile.TemporaryDirectory() as folder:
            for compiler, standard, ending in (
                (CC, "c99", "c"), (CC, "c11", "c"), (CC, "c17", "c"), (CXX, "c++17", "cpp"), (CXX, "c++20", "cpp"),
            ):
                source = pathlib.Path(folder, f"one.{ending}")
                source.write_text(self.beginnings())
                for more in ([], ["-fshort-enums"]):
                    run(compiler, f"-std={standard}", "-pedantic-errors", "-Wall", "-Wextra", "-Werror", *more,
                        f"-I{HEADER.parent.parent}", str(source), "-o", f"{folder}/one")
                    run(f"{folder}/one")


if __name__ == "__main__":
    LIBRARY, HEADER, CC, CXX = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
