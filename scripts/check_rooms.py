#!/usr/bin/env python3
"""Checks that includes go one way and that each C library stays in its room.

usage: check_rooms.py [PROJECT_ROOT]
"""
import pathlib
import re
import sys

# What a room may include besides itself. The order is the architecture: docs/architecture.md.
MAY = {
    "base": set(),
    "codec": {"base"},
    "plan": {"base"},
    "policy": {"base"},
    "storage": {"base", "codec", "plan", "policy"},
    "coord": {"base", "codec", "plan", "policy", "storage"},
    "api": {"base", "codec", "plan", "policy", "storage", "coord"},
    "tools": set(),  # the public face, as any other program
}

# Whom a tool may ask besides: its options, its JSON, MPI, and whether it talks to a terminal. Of
# the standard library, what C++ has.
TOOLS_MAY = re.compile(r"CLI/.*|nlohmann/.*|mpi\.h|unistd\.h|[a-z_]+")

# The public headers that are plain values; every room may use them. The rest need MPI.
VALUES = {"append_info", "config", "dtype", "error", "export", "key", "listener", "map_parameter", "options", "slice",
          "source", "state"}

# Foreign headers and the rooms that may include them.
FOREIGN = {
    r"mpi\.h": {"coord", "api", "tools"},
    r"hdf5\.h|H5\w*\.h": {"storage"},
    r"zlib\.h|libdeflate\.h|isa-l/.*|intel-ipsec-mb\.h|openssl/.*": {"codec"},
    r"fcntl\.h|sys/(stat|statfs|statvfs|vfs|file|types|uio)\.h|linux/.*": {"storage"},
    r"nlohmann/.*": {"api", "tools"},
    r"spdlog/.*": {"api"},
    # Keys lie in pages of their own, large tables in huge ones.
    r"sys/mman\.h": {"base", "codec", "storage"},
}

# HDF5 takes the communicator for its MPI-IO driver as a value; it is handed on, not used.
EXCEPTIONS = {("storage/hdf5_writer.hpp", "mpi.h"), ("storage/hdf5_writer.cpp", "mpi.h"),
              ("storage/foreign_file.hpp", "mpi.h")}

# Only coord talks to other ranks, and tools, which are programs. api may ask whether MPI still runs.
MPI_CALL = re.compile(r"\bMPI_[A-Z][a-z]\w*\s*\(")
MPI_QUESTIONS = {"MPI_Initialized", "MPI_Finalized"}

# A program that runs the steps of planning by itself, for ranks that are not there.
BEHIND_THE_FACE = {"bench/simulated_plan.hpp"}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def check_file(path, room, src):
    text = path.read_text()
    name = str(path.relative_to(src))
    for kind, target in INCLUDE.findall(text):
        head = target.split("/")[0]
        if target.startswith("cairn/"):
            header = target.removeprefix("cairn/").removesuffix(".hpp")
            if header not in VALUES and room not in {"coord", "api", "tools"}:
                yield f"{name}: {target} needs MPI; {room} may use plain values only"
        elif kind == '"' and head in MAY:
            if head != room and head not in MAY[room]:
                yield f"{name}: {room} must not include {head} ({target})"
        elif kind == '"':
            yield f"{name}: \"{target}\" is in no room"
        elif room == "tools" and not TOOLS_MAY.fullmatch(target):
            yield f"{name}: <{target}> is not for tools, which use the public face"
        for pattern, rooms in FOREIGN.items():
            if re.fullmatch(pattern, target) and room not in rooms and (name, target) not in EXCEPTIONS:
                yield f"{name}: {target} belongs to {', '.join(sorted(rooms))}"
    if room not in {"coord", "tools"}:
        for call in MPI_CALL.findall(text):
            if call.rstrip("( ") not in MPI_QUESTIONS:
                yield f"{name}: calls {call.rstrip('( ')}; only coord does"


def check_public(path):
    for kind, target in INCLUDE.findall(path.read_text()):
        if kind == '"' and not target.startswith("cairn/"):
            yield f"include/cairn/{path.name}: includes {target}, which is not public"
        if kind == "<" and target.endswith(".h") and target != "mpi.h":
            yield f"include/cairn/{path.name}: <mpi.h> is the only foreign header of the face"
        if target == "mpi.h" and path.stem in VALUES:
            yield f"include/cairn/{path.name}: is listed as plain values, but needs MPI"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    src = root / "src"
    wrong = []
    files = 0
    for path in sorted(src.rglob("*.[ch]pp")):
        room = path.relative_to(src).parts[0]
        if room not in MAY:
            wrong.append(f"{path.relative_to(root)}: there is no room \"{room}\"")
            continue
        files += 1
        wrong += check_file(path, room, src)
    for path in sorted((root / "include" / "cairn").glob("*.hpp")):
        files += 1
        wrong += check_public(path)
    for path in [p for d in ("bench", "examples") for p in sorted((root / d).rglob("*.[ch]pp"))]:
        files += 1
        for kind, target in INCLUDE.findall(path.read_text()):
            if str(path.relative_to(root)) in BEHIND_THE_FACE:
                continue
            if kind == '"' and target.split("/")[0] in MAY and not (path.parent / target).exists():
                wrong.append(f"{path.relative_to(root)}: {target} is behind the face")
    print("\n".join(wrong + [f"{files} files, {len(wrong)} complaints"]))
    return 1 if wrong or files == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
