#!/usr/bin/env bash
# Installs into an empty folder, and builds a program against nothing but what pkg-config says. The
# program holds the README's example, so that this stays true too.
set -euo pipefail

build="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

DESTDIR="$work/root" meson install -C "$build" --no-rebuild --quiet --tags devel
pc="$(find "$work/root" -name phlower.pc)"
readme="$(dirname "${BASH_SOURCE[0]}")/../README.md"
sed -n '/^```cpp$/,/^```$/{/^```/d;p}' "$readme" >"$work/program.cpp"
grep -q Engine::open "$work/program.cpp"
cat >>"$work/program.cpp" <<'CODE'
#include <phlower/config/options_yaml.hpp>
#include <phlower/version.hpp>
int main() { return phlower::parse_options("ring: {size: 32MiB}", PHLOWER_VERSION).ok() ? 0 : 1; }
CODE
export PKG_CONFIG_PATH="${pc%/*}"
export PKG_CONFIG_SYSROOT_DIR=""
prefix="$work/root$(pkg-config --variable=prefix phlower)"
flags="$(pkg-config --define-variable=prefix="$prefix" --cflags --libs phlower)"
# shellcheck disable=SC2086 # the flags are words
${CXX:-g++} -std=c++20 "$work/program.cpp" -o "$work/program" $flags
"$work/program"
[ "$(pkg-config --modversion phlower)" = "$(sed -n 's/^#define PHLOWER_VERSION "\(.*\)"/\1/p' \
  "$prefix/include/phlower/version.hpp")" ]
