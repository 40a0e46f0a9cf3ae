#!/usr/bin/env python3
"""What doc/embedding.md and README.md show to whoever embeds Phlower, built and run as installed:
embedding_test.py BUILD_DIR SOURCE_DIR CC CXX"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD, SOURCE, CC, CXX = None, None, None, None


def run(*command, **more):
    done = subprocess.run(command, text=True, capture_output=True, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} gave {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def block(page, language):
    """The one block of code in this language on a page."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (SOURCE / page).read_text(), re.M | re.S)
    assert len(found) == 1, f"{page}: {len(found)} blocks of {language}"
    return found[0]


class Embedding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.work = pathlib.Path(cls.folder.name)
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", env={**os.environ, "DESTDIR": f"{cls.work}/root"})
        cls.pc = next((cls.work / "root").rglob("phlower.pc")).parent
        cls.libraries = cls.pc.parent
        for file in cls.pc.glob("*.pc"):  # as if the folder were the root
            file.write_text(re.sub("^prefix=", f"prefix={cls.work}/root", file.read_text(), flags=re.M))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def flags(self, package):
        return run("pkg-config", "--cflags", "--libs", package, env=self.environment()).split()

    def environment(self):
        return {**os.environ, "PKG_CONFIG_PATH": str(self.pc), "LD_LIBRARY_PATH": str(self.libraries)}

    def place(self, name):
        place = self.work / name
        place.mkdir()
        return place

    def test_the_cpp_program_keeps_hands_over_and_reads(self):
        place = self.place("cpp")
        (place / "program.cpp").write_text(block("doc/embedding.md", "cpp"))
        (place / "phlower.yaml").write_text("store: {path: history}\nring: {path: history.ring, size: 2MiB}\n")
        run(CXX, "-std=c++20", "program.cpp", "-o", "program", *self.flags("phlower"), cwd=place)
        for _ in range(2):  # as well over what the first left
            self.assertEqual(run("./program", cwd=place), "shop.tasks.send_invoice SUCCESS\n")

    def test_the_readme_s_cpp_compiles_against_what_is_installed(self):
        place = self.place("readme")
        (place / "program.cpp").write_text(
            block("README.md", "cpp") + "#include <phlower/config/options_yaml.hpp>\n#include <phlower/version.hpp>\n"
            'int main() {\n  phlower::SystemClock clock;\n'
            '  const bool said = tidy("none.db", clock).status.code() == phlower::Code::kNotFound;\n'
            '  return said && phlower::parse_options("ring: {size: 32MiB}", PHLOWER_VERSION).ok() ? 0 : 1;\n}\n')
        run(CXX, "-std=c++20", "program.cpp", "-o", "program", *self.flags("phlower"), cwd=place)
        run("./program", cwd=place)
        version = next((self.work / "root").rglob("version.hpp")).read_text()
        self.assertIn(f'"{run("pkg-config", "--modversion", "phlower", env=self.environment()).strip()}"', version)

    def test_the_c_program_runs_against_the_installed_library(self):
        place = self.place("c")
        (place / "program.c").write_text(block("doc/embedding.md", "c"))
        run(CC, "-std=c99", "-Wall", "-Wextra", "-Werror", "program.c", "-o", "program", *self.flags("libphlower"),
            cwd=place)
        for _ in range(2):
            self.assertEqual(run("./program", cwd=place, env=self.environment()), "shop.tasks.send_invoice SUCCESS\n")

    @unittest.skipUnless(shutil.which("cmake"), "no cmake")
    def test_cmake_finds_it_by_the_lines_of_the_page(self):
        place = self.place("cmake")
        (place / "program.cpp").write_text('#include <phlower/ground/units.hpp>\nint main() { return 0; }\n')
        (place / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.18)\nproject(mine CXX)\nset(CMAKE_CXX_STANDARD 20)\n"
            "add_executable(my_program program.cpp)\n" + block("doc/embedding.md", "cmake"))
        run("cmake", "-S", ".", "-B", "out", cwd=place,
            env={**self.environment(), "CC": CC, "CXX": CXX})
        run("cmake", "--build", "out", cwd=place)


if __name__ == "__main__":
    BUILD, SOURCE, CC, CXX = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    unittest.main(argv=sys.argv[:1], verbosity=2)
