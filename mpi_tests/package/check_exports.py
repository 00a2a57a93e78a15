#!/usr/bin/env python3
"""Checks that a shared libcairn exports the face and nothing else.

usage: check_exports.py LIBCAIRN_SO PROJECT_ROOT

Every symbol that others could link against must be in namespace cairn, and every part of its
qualified name must be declared in a public header.
"""
import pathlib
import re
import subprocess
import sys

ABOUT = re.compile(r"^(?:typeinfo for|typeinfo name for|vtable for) ")
NAME = re.compile(r"^cairn(?:::~?\w+)+")
# What a program cannot do without: an empty list of exports is not right either.
NEEDED = {"cairn::save", "cairn::load", "cairn::ModelCheckpoint::step_end", "cairn::Error"}


def exported(library):
    lines = subprocess.run(["nm", "-DC", "--defined-only", library], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    return sorted({line.split(maxsplit=2)[2] for line in lines})


def public_words(root):
    code = "\n".join(path.read_text() for path in (root / "include" / "cairn").glob("*.hpp"))
    code = re.sub(r"//.*", "", code)
    hidden = set(re.findall(r"^ +(?:class|struct) (\w+);", code, re.M))  # ModelCheckpoint::Impl
    rooms = {path.name for path in (root / "src").iterdir() if path.is_dir()}
    return set(re.findall(r"\w+", code)) - hidden - rooms - {"detail"}


def main():
    library, root = sys.argv[1], pathlib.Path(sys.argv[2])
    words = public_words(root)
    names, wrong = set(), []
    for symbol in exported(library):
        name = NAME.match(ABOUT.sub("", symbol))
        if name:
            names.add(name[0])
        if not name or not set(re.findall(r"\w+", name[0])) <= words:
            wrong.append(f"exported, but not declared in include/cairn: {symbol}")
    wrong += [f"not exported: {name}" for name in sorted(NEEDED - names)]
    print("\n".join(wrong + [f"{len(names)} names exported, {len(wrong)} complaints"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
