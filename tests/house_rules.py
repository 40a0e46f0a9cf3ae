#!/usr/bin/env python3
"""The house rules that a compiler does not check, as a test.

house_rules.py ROOT          checks the tree; prints file:line: what and exits 1 if a rule is broken
house_rules.py --self-test   breaks each rule in a small tree and expects to be told
house_rules.py --fix ROOT    writes include/phlower/phlower.hpp anew
"""
import pathlib
import re
import sys
import tempfile

MAX_LINES = 400
MAX_FUNCTION_LINES = 70
MAX_COLUMNS = 100
WIDE = (".md", ".py", ".pml", ".build", "meson_options.txt")  # kinds of file of any width
# A file that may be longer, and how long. plugin.h is one file because hosts copy it.
LONG_FILES = {"include/phlower/plugin.h": 447}

FOLDERS = ["include", "tests", "tools", "bench", "plugin", "config", "doc", ".ci"]
CPP = {".hpp", ".cpp", ".h", ".c"}
TEXT = CPP | {".py", ".sh", ".md", ".yaml", ".txt", ".pml", ".build", ".in", ""}
SKIPPED = re.compile(r"^tests/data/|(^|/)(__pycache__|build[^/]*)/")

# What a header of a room may include: itself, and the rooms named here.
ROOMS = ["ground", "schedule", "config", "record", "columns", "ring", "sqlite", "history", "single", "segment", "door", "engine"]
BELOW = {room: set(ROOMS[: i + 1]) for i, room in enumerate(ROOMS)}
# The engine opens its store at the door and knows no layout; what decides knows no store at all.
BELOW["engine"] -= {"columns", "single", "segment"}
BELOW["schedule"] = {"ground", "schedule"}
# The history's columns and the ring know nothing of each other, nor has a column a knob.
BELOW["columns"] = {"ground", "record", "columns"}
BELOW["ring"] -= {"columns"}
BELOW["celery"] = {"ground", "config", "record", "celery"}

# Programs and modules that know less than all of it, and the rooms that they may include from; ""
# stands for the headers at the top, such as plugin.h.
WALLS = {
    "tools/agent/": {"", "ground", "config", "record", "celery"},
    "plugin/collectd/": {""},
    "plugin/envoy/": {""},
}

# Each library: how its headers are spelt, and who may include them (a file, or a folder with /).
# The test of a header may look past it: tests/<header>_test.cpp.
LIBRARIES = {
    "spdlog": (r"spdlog/", ["include/phlower/ground/log.hpp"]),
    "yaml-cpp": (r"yaml-cpp/", ["include/phlower/config/options_yaml.hpp"]),
    "Boost": (r"boost/", ["include/phlower/ring/mapping.hpp", "bench/"]),
    "SQLite": (r"sqlite3(ext)?\.h", ["include/phlower/sqlite/sqlite.hpp"]),
    "zstd": (r"zstd\.h|zdict\.h", ["include/phlower/ground/zstd.hpp"]),
    "xxHash": (r"xxhash\.h|xxh3\.h", ["include/phlower/ground/checksum.hpp"]),
    "nlohmann json": (r"nlohmann/", ["tools/cli/json_out.hpp", "tests/support/json_oracle.hpp"]),
    "hiredis": (r"hiredis", ["tools/agent/broker/redis_protocol.hpp"]),
    "OpenSSL": (r"openssl/", ["tools/agent/broker/broker_stream.hpp"]),
    "librabbitmq": (r"amqp", ["tools/agent/broker/rabbitmq_link.hpp"]),
    "libmicrohttpd": (r"microhttpd\.h",
                      ["tools/agent/http/http_client.hpp", "tools/agent/http/http_server.hpp"]),
    "prometheus-cpp": (r"prometheus/", ["tools/agent/host/metrics_text.hpp"]),
    "libsystemd": (r"systemd/", ["tools/agent/host/service_notify.hpp"]),
    "fmt": (r"fmt/", ["tools/"]),
    "CLI11": (r"CLI/", ["tools/"]),
    "collectd": (r"(daemon|liboconfig)/|collectd\.h", ["plugin/collectd/phlower_collectd.c"]),
    "GoogleTest": (r"(gtest|gmock)/", ["tests/"]),
    "Google Benchmark": (r"benchmark/", ["bench/"]),
}

# In include/, outside comments and strings.
BANNED = [
    (r"\bstd::(cout|cerr|clog)\b|\b(printf|fprintf|puts|fputs|perror)\s*\(", "prints; use Log"),
    (r"\b(abort|exit|_exit|quick_exit|terminate)\s*\(", "ends the host's process; return a Status"),
    (r"\bassert\s*\(", "asserts; check and return a Status"),
    (r"\bthrow\b", "throws; return a Status"),
    (r"^using\s+namespace\b", "using namespace in a header"),
]
TIME = re.compile(r"_clock::now\s*\(|\b(clock_gettime|gettimeofday)\s*\(|\btime\s*\(\s*(nullptr|0)")
SLEEP = re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\b")
SLEEPERS = {"include/phlower/engine/engine.hpp", "include/phlower/door/pace.hpp"}
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|home|root|Users)" + r"/\w")


class Source:
    """A file of the tree: its text, and for C++ the text without comments and strings."""

    def __init__(self, root, path):
        self.name = path.relative_to(root).as_posix()
        self.raw = path.read_bytes()
        self.text = self.raw.decode("utf-8", "replace")
        self.lines = self.text.split("\n")
        self.is_cpp = path.suffix in CPP
        self.is_header = path.suffix in {".hpp", ".h"}
        self.in_include = self.name.startswith("include/")
        self.code = without_comments(self.text) if self.is_cpp else self.text
        self.code_lines = self.code.split("\n")

    def includes(self):
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if match:
                yield number, match.group(1)


def without_comments(text):
    """Blanks comments, strings and character constants; lines stay where they are."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.S,
    )
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)


def functions(code):
    """(first line, number of lines) of each body in braces that no other function encloses."""
    code = re.sub(r"^[ ]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code, flags=re.M)
    stack, head_start, inside = [], 0, 0
    for at, char in enumerate(code):
        if char == "{":
            head = code[head_start:at].strip()
            bare = re.sub(r"^template\s*<[^{};]*>\s*", "", head)
            container = re.match(r"(inline\s+)?(namespace|class|struct|union|enum|extern)\b", bare)
            kind = "function" if "(" in head and not container and not inside else "other"
            first = head_start + len(code[head_start:at]) - len(code[head_start:at].lstrip())
            stack.append((kind, code.count("\n", 0, first) + 1))
            inside += kind == "function"
        elif char == "}" and stack:
            kind, first_line = stack.pop()
            if kind == "function":
                inside -= 1
                yield first_line, code.count("\n", 0, at) + 2 - first_line
        if char in "{};" or (char == ":" and code[at - 6 : at] in ("public", "rivate", "tected")):
            head_start = at + 1


def check_libraries(source, _):
    for number, included in source.includes():
        for library, (pattern, owners) in LIBRARIES.items():
            if not re.match(pattern, included):
                continue
            tests = [f"tests/{pathlib.PurePath(owner).stem}_test.cpp" for owner in owners]
            allowed = any(source.name == o or (o[-1] == "/" and source.name.startswith(o)) for o in owners)
            if not allowed and source.name not in tests:
                yield number, f"includes {library}; only {owners[0]} does, use that"


def check_rooms(source, sources):
    if not source.in_include or not source.is_cpp:
        return
    room = source.name.split("/")[2] if source.name.count("/") > 2 else None
    for number, included in source.includes():
        if not included.startswith("phlower/") or room is None:
            continue
        other = included.split("/")[1]
        if included == "phlower/phlower.hpp":
            yield number, "includes the umbrella, which is for users"
        elif other != "version.hpp" and other not in BELOW.get(room, set()):
            yield number, f"room {room} includes from {other}; it may from {sorted(BELOW.get(room, []))}"


def check_walls(source, _):
    for folder, rooms in WALLS.items():
        if not source.name.startswith(folder) or not source.is_cpp:
            continue
        for number, included in source.includes():
            parts = included.split("/")
            room = parts[1] if len(parts) > 2 else ""
            if parts[0] == "phlower" and room not in rooms:
                yield number, f"{folder} includes from {room}; it may from {sorted(rooms)}"


def check_form(source, _):
    """How a file begins and what it must not hold."""
    first = source.lines[1] if source.lines[0].startswith("#!") else source.lines[0]
    if source.is_cpp and not first.startswith(("//", "/*")):
        yield 1, "begins without a comment that says what the file is"
    if source.name.endswith((".py", ".sh", "dev", ".ci/run")) and not first.startswith(("#", '"""')):
        yield 1, "begins without a comment that says what the file is"
    if source.is_header and "#pragma once" not in source.lines:
        yield 1, "has no #pragma once"
    for number, line in enumerate(source.lines, 1):
        if not line.isascii():
            yield number, "is not ASCII"
        if UNFINISHED.search(line):
            yield number, "is marked as unfinished"
        if MACHINE_PATH.search(line):
            yield number, "names a path of one machine"
        if line != line.rstrip():
            yield number, "ends with a space"
        if "\t" in line:
            yield number, "holds a tab"
        if len(line) > MAX_COLUMNS and not source.name.endswith(WIDE):
            yield number, f"is over {MAX_COLUMNS} columns"
        if "NOLINT" in line and source.is_cpp and not re.search(r"NOLINT\w*\([\w.,* -]+\)", line):
            yield number, "silences clang-tidy without naming the check"
    if source.text and not source.text.endswith("\n"):
        yield len(source.lines), "does not end with a newline"


def check_length(source, _):
    limit = LONG_FILES.get(source.name, MAX_LINES)
    count = len(source.lines) - 1
    if count > limit and not source.name.startswith("doc/"):
        yield limit, f"has {count} lines; the limit is {limit}: is it one idea?"
    if source.is_cpp:
        for first, lines in functions(source.code):
            if lines > MAX_FUNCTION_LINES:
                yield first, f"a function of {lines} lines; the limit is {MAX_FUNCTION_LINES}"


def check_behaviour(source, _):
    """What the library must not do to its host."""
    if not source.in_include or not source.is_cpp:
        return
    for number, line in enumerate(source.code_lines, 1):
        for pattern, what in BANNED:
            if re.search(pattern, line):
                yield number, what
        if TIME.search(line) and source.name != "include/phlower/ground/clock.hpp":
            yield number, "reads the time itself; take a Clock&"
        if SLEEP.search(line) and source.name not in SLEEPERS:
            yield number, "sleeps; return when work is next due (Engine::wait and Pace::pause alone wait)"


def check_orders(source, _):
    """A memory order without a word of why it is enough is a bug nobody has found yet."""
    if not source.in_include or not source.is_cpp:
        return
    for number, line in enumerate(source.code_lines, 1):
        if "memory_order_relaxed" not in line:
            continue
        near = range(max(0, number - 9), min(len(source.lines), number + 2))
        if not any("//" in source.lines[i] and "//" not in source.code_lines[i] for i in near):
            yield number, "memory_order_relaxed without a comment near it that says why"


SEGMENT_FOLDERS = ("include/phlower/segment/", "include/phlower/door/", "tools/purge/")
STATE_SET = re.compile(r"\bstate\s*=(?!=)\s*[^;]*\bSegmentState\b|(?:\.|->)state\s*=(?!=)")


def check_states(source, _):
    """What becomes of a segment is a move of the table in edit.hpp, which the catalog does."""
    own = ("edit.hpp", "catalog.hpp", "segment_info.hpp")
    if not source.name.startswith(SEGMENT_FOLDERS) or source.name.endswith(own):
        return
    for number, line in enumerate(source.code_lines, 1):
        if STATE_SET.search(line) and not re.search(r"\b(const|record|row)\b[^=]*\bstate\b", line):
            yield number, "sets the state of a segment; Catalog::apply does, by a move of edit.hpp"


def umbrella(sources):
    names = sorted(
        s.name[len("include/") :] for s in sources
        if s.in_include and s.name.endswith(".hpp") and s.name != "include/phlower/phlower.hpp"
    )
    return (
        "// Everything, for users who do not want to choose. Headers of Phlower never include it.\n"
        "#pragma once\n\n" + "".join(f'#include "{n}"\n' for n in names) + '#include "phlower/version.hpp"\n'
    )


def check_tree(sources):
    by_name = {source.name: source for source in sources}
    name = "include/phlower/phlower.hpp"
    if name not in by_name or by_name[name].text != umbrella(sources):
        yield f"{name}:1: does not name every header; run tests/house_rules.py --fix ."
    for folder, pattern in (("tests", "_test.cpp"), ("tools", ".cpp"), ("bench", ".cpp")):
        build = by_name.get(f"{folder}/meson.build")
        for source in sources:
            stem = pathlib.PurePath(source.name).stem
            if source.name == f"{folder}/{stem}.cpp" and source.name.endswith(pattern):
                if build is None or not re.search(rf"'{stem}(\.cpp)?'", build.text):
                    yield f"{source.name}:1: is not built: {folder}/meson.build does not name it"
    for long_name, limit in LONG_FILES.items():
        if long_name in by_name and len(by_name[long_name].lines) - 1 < limit:
            yield f"{long_name}:1: is shorter now; lower its entry in LONG_FILES"


RULES = [check_libraries, check_rooms, check_walls, check_form, check_length, check_behaviour, check_orders, check_states]


def read_tree(root):
    paths = [p for p in root.iterdir() if p.is_file()]
    for folder in FOLDERS:
        paths += [p for p in (root / folder).rglob("*") if p.is_file()]
    named = [(p.relative_to(root).as_posix(), p) for p in sorted(paths)]
    return [
        Source(root, p) for name, p in named
        if p.suffix in TEXT and not SKIPPED.search(name) and p.name != ".git"
    ]


def problems(root):
    sources = read_tree(root)
    found = [f"{s.name}:{n}: {what}" for s in sources for rule in RULES for n, what in rule(s, sources)]
    return found + list(check_tree(sources))


GOOD = '// A good header.\n#pragma once\n\n#include "phlower/ground/b.hpp"\n\ninline int f() { return 1; }\n'
HEAD = "// A header.\n#pragma once\n"
LONG_BODY = "inline int f(int a) {\n" + "  ++a;\n" * 70 + "  return a;\n}\n"
# Each rule broken once: a file, its text, and what must be said of it.
BAD = [
    ("include/phlower/sqlite/x.hpp", HEAD + "#include <spdlog/spdlog.h>\n", ":3: includes spdlog"),
    ("include/phlower/sqlite/x.hpp", HEAD + '#include "sqlite3.h"\n', ":3: includes SQLite"),
    ("tests/x_test.cpp", "// A test.\n#include <yaml-cpp/yaml.h>\n", ":2: includes yaml-cpp"),
    ("tools/x.cpp", "// A tool.\n#include <boost/crc.hpp>\n", ":2: includes Boost"),
    ("include/phlower/ground/x.hpp", HEAD + '#include "phlower/ring/y.hpp"\n', ":3: room ground"),
    ("include/phlower/celery/x.hpp", HEAD + '#include "phlower/history/y.hpp"\n', ":3: room celery"),
    ("include/phlower/ring/x.hpp", HEAD + '#include "phlower/celery/y.hpp"\n', ":3: room ring"),
    ("tools/agent/x.hpp", HEAD + '#include "phlower/engine/engine.hpp"\n', ":3: tools/agent/"),
    ("include/phlower/ring/x.hpp", HEAD + '#include "phlower/phlower.hpp"\n', "the umbrella"),
    ("include/phlower/ring/x.hpp", "#pragma once\n", ":1: begins without a comment"),
    ("include/phlower/ring/x.hpp", "// A header.\n", ":1: has no #pragma once"),
    ("tools/x.sh", "#!/bin/sh\nset -eu\n", ":1: begins without a comment"),
    ("doc/x.md", "caf\u00e9\n", ":1: is not ASCII"),
    ("doc/x.md", "a TO" + "DO\n", ":1: is marked as unfinished"),
    ("doc/x.md", "see /ho" + "me/me/x\n", ":1: names a path"),
    ("doc/x.md", "a \n", ":1: ends with a space"),
    ("doc/x.md", "a", ":1: does not end"),
    ("tools/x.hpp", HEAD + "// " + "x" * 100 + "\n", ":3: is over 100"),
    ("tools/x.hpp", HEAD + "int a;  // NOLINT\n", ":3: silences"),
    ("tools/x.hpp", HEAD + "//\n" * 400, "has 402 lines"),
    ("tools/x.hpp", HEAD + LONG_BODY, ":3: a function of 73 lines"),
    ("tools/x.hpp", HEAD + "struct S {\n S(int a) : b(a) {}\n" + LONG_BODY + " int b;\n};\n", ":5: a function"),
    ("include/phlower/ring/x.hpp", HEAD + "inline void f() { std::cout << 1; }\n", ":3: prints"),
    ("include/phlower/ring/x.hpp", HEAD + "inline void f() { std::abort(); }\n", ":3: ends the host"),
    ("include/phlower/ring/x.hpp", HEAD + "inline void f() { assert(1); }\n", ":3: asserts"),
    ("include/phlower/ring/x.hpp", HEAD + "inline void f() { throw 1; }\n", ":3: throws"),
    ("include/phlower/ring/x.hpp", HEAD + "using namespace std;\n", ":3: using namespace"),
    ("include/phlower/ring/x.hpp", HEAD + "auto t = C_clock::now();\n", ":3: reads the time"),
    ("include/phlower/ring/x.hpp", HEAD + "inline void f() { usleep(1); }\n", ":3: sleeps"),
    ("include/phlower/ring/x.hpp", HEAD + "\n" * 9 + "auto v = a.load(std::memory_order_relaxed);\n", ":12: memory"),
    ("include/phlower/segment/x.hpp", HEAD + "void f(S& i) { i.state = SegmentState::kSealed; }\n", ":3: sets the state"),
    ("tools/purge/x.hpp", HEAD + "void f(S* i, T t) { i->state = t; }\n", ":3: sets the state"),
    ("include/phlower/door/x.hpp", HEAD + "S s{.state = SegmentState::kSealed};\n", ":3: sets the state"),
    ("include/phlower/phlower.hpp", HEAD, ":1: does not name every header"),
    ("tests/lost_test.cpp", "// A test.\n", ":1: is not built"),
]
# And what looks like a breach and is none.
FINE = [
    ("tests/sqlite_test.cpp", "// A test.\n#include <sqlite3.h>\n"),
    ("include/phlower/ring/x.hpp", HEAD + "// never throw, abort() or assert(x)\nstatic_assert(true);\n"),
    ("include/phlower/ring/x.hpp", HEAD + "// Relaxed: a counter.\nauto v = a.load(std::memory_order_relaxed);\n"),
    ("tools/x.hpp", HEAD + "struct S {\n" + "  int f() { return '{'; }  // }\n" * 80 + "};\n"),
    ("tools/purge/x.hpp", HEAD + "inline bool f(S& i) { return i.state == SegmentState::kSealed; }\n"),
    ("include/phlower/segment/x.hpp", HEAD + "const auto state = SegmentState::kSealed;\n"),
    ("include/phlower/segment/catalog.hpp", HEAD + "void f(S& i) { i.state = 5; }\n"),
    ("tests/data/x.md", "caf\u00e9 /ho" + "me/me \n"),
]


def self_test():
    failures = 0
    for name, text, expected in BAD + [(n, t, None) for n, t in FINE]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {"include/phlower/ground/a.hpp": GOOD, "include/phlower/ground/b.hpp": HEAD}
            files["tests/meson.build"] = "tests = {'x_test': 'unit', 'sqlite_test': 'unit'}\n"
            files["tools/meson.build"] = "tools = {'x': 'x.cpp'}\n"
            for path, content in {**files, name: text}.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(content, encoding="utf-8")
            if name != "include/phlower/phlower.hpp":
                (root / "include/phlower/phlower.hpp").write_text(umbrella(read_tree(root)))
            found = problems(root)
            good = len(found) == 1 and name in found[0] and expected in found[0] if expected else not found
            if not good:
                failures += 1
                print(f"expected {expected!r} of {name}, found {found}", file=sys.stderr)
    print(f"{len(BAD) + len(FINE) - failures} of {len(BAD) + len(FINE)} small trees judged rightly")
    return failures


def main(arguments):
    if arguments == ["--self-test"]:
        return 1 if self_test() else 0
    if len(arguments) == 2 and arguments[0] == "--fix":
        root = pathlib.Path(arguments[1])
        (root / "include/phlower/phlower.hpp").write_text(umbrella(read_tree(root)))
        return 0
    if len(arguments) != 1 or not pathlib.Path(arguments[0], "include").is_dir():
        print(__doc__, file=sys.stderr)
        return 2
    found = problems(pathlib.Path(arguments[0]))
    print("\n".join(found) if found else "all house rules are kept")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
