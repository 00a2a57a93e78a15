#!/usr/bin/env python3
"""Kills a rank by SIGABRT in the middle of an encrypted save and searches its core dump for the key.

usage: core_dump.py --bench CAIRN_BENCH --mpiexec MPIEXEC --scratch DIRECTORY
Skipped (77) where the kernel does not write core files into the working directory.
"""
import argparse
import os
import pathlib
import resource
import secrets
import signal
import subprocess
import sys
import tempfile
import time

TENSORS = """{"about": "long enough to be caught", "tensors": [
  {"name": "large", "dtype": "float32", "shape": [20000, 2500], "slicing": "columns"}]}"""


def skip(why):
    print("SKIPPED:", why)
    sys.exit(77)


def children(pid):
    """Of all its threads: mpirun starts ranks from any."""
    try:
        lists = [path.read_text() for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(word) for text in lists for word in text.split()]
    except OSError:
        return []


def descendants(pid):
    for child in children(pid):
        yield child
        yield from descendants(child)


def is_rank(pid, bench):
    try:
        return os.readlink(f"/proc/{pid}/exe") == os.path.realpath(bench)
    except OSError:
        return False


def kill_in_save(arguments, work, key_file):
    """Runs a save of two ranks; aborts one as soon as there is a temporary file."""
    directory = work / "checkpoints"
    job = subprocess.Popen(
        [arguments.mpiexec, "--oversubscribe", "-n", "2", arguments.bench, "save", "--workload",
         str(work / "workload.json"), "--dir", str(directory), "--key-file", str(key_file),
         "--enc-mode", "AES-CBC", "--repeat", "1000"],
        cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
    end = time.monotonic() + 60
    while time.monotonic() < end and job.poll() is None:
        if not list(directory.glob(".tmp-*")):
            continue
        ranks = [pid for pid in descendants(job.pid) if is_rank(pid, arguments.bench)]
        for pid in ranks:
            os.kill(pid, signal.SIGSTOP)
        caught = list(directory.glob(".tmp-*"))  # now that nobody moves
        if caught:
            os.kill(ranks[-1], signal.SIGABRT)
        for pid in ranks:
            os.kill(pid, signal.SIGCONT)
        if caught:
            job.wait(timeout=60)
            return
    sys.exit("no save was caught under way")


def main():
    parser = argparse.ArgumentParser()
    for name in ("--bench", "--mpiexec", "--scratch"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith("|") or "/" in pattern:
        skip(f"core dumps go elsewhere: core_pattern is {pattern}")
    if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
        skip("the limit of core dumps is fixed")

    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        work = pathlib.Path(name)
        key = secrets.token_bytes(32)
        key_file = work / "secret.hex"
        key_file.write_text(key.hex() + "\n")
        (work / "workload.json").write_text(TENSORS)
        kill_in_save(arguments, work, key_file)
        cores = list(work.glob("core*"))
        if not cores:
            skip("the kernel wrote no core dump")
        dump = b"".join(core.read_bytes() for core in cores)

    if str(key_file).encode() not in dump:
        sys.exit("the dump does not even hold the command line: nothing was searched")
    halves = {"the key": key, "its first half": key[:16], "its second half": key[16:],
              "its digits": key.hex().encode(), "half of its digits": key.hex()[:32].encode()}
    found = [what for what, text in halves.items() if text in dump]
    if found:
        sys.exit(f"in the core dump: {', '.join(found)}")
    print(f"{len(cores)} core dump, {len(dump)} bytes: the key is not in it")


if __name__ == "__main__":
    main()
