#!/usr/bin/python3
"""Nothing escapes the shim: what it counts on a checkpoint directory is what strace sees there.

Exit code 77 where strace is missing or may not trace: skipped.
"""
import collections
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import fault_arguments

RANKS = 2
KINDS = {
    "open": "open openat creat openat2",
    "read": "read pread64 readv preadv preadv2",
    "write": "write pwrite64 writev pwritev pwritev2 sendfile copy_file_range splice",
    "resize": "ftruncate truncate fallocate",
    "sync": "fsync fdatasync syncfs sync_file_range",
    "rename": "rename renameat renameat2",
    "remove": "unlink unlinkat rmdir",
    "make_directory": "mkdir mkdirat",
    "link": "link linkat symlink symlinkat",
    "close": "close",
    "look": "stat lstat fstat newfstatat fstatat64 statx statfs fstatfs access faccessat faccessat2 lseek "
            "readlink readlinkat",
    "list": "getdents64 getdents",
    "control": "fcntl flock",
}
KIND_OF = {call: kind for kind, calls in KINDS.items() for call in calls.split()}
CALL = re.compile(r"^\d+ +(\w+)\((.*)$")


def skip(why):
    print(f"SKIPPED: {why}: nobody has checked that no call escapes the shim")
    sys.exit(77)


def check_strace():
    if shutil.which("strace") is None:
        skip("there is no strace")
    if subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode != 0:
        skip("strace may not trace here")


def seen_by_strace(path, root):
    """Calls on `root` and below, by kind; what no kind is known for, by its own name."""
    seen = collections.Counter()
    below = re.compile(re.escape(str(root)) + r'[/">]')
    for line in path.read_text(errors="replace").splitlines():
        match = CALL.match(line)
        if match and below.search(match[2]):
            seen[KIND_OF.get(match[1], f"other: {match[1]}")] += 1
    return seen


def seen_by_shim(path):
    seen = collections.Counter(line.split(" ", 1)[0] for line in path.read_text().splitlines())
    seen["open"] += seen.pop("create", 0)
    return seen


def main():
    arguments = fault_arguments.parser(__doc__).parse_args()
    check_strace()
    with tempfile.TemporaryDirectory(prefix="cairn-trace-", dir=arguments.scratch) as name:
        scratch = pathlib.Path(name)
        root = scratch / "disk"
        root.mkdir()
        strace = (f"exec strace -f -y --seccomp-bpf -e trace=%file,%desc -e signal=none "
                  f"-o {scratch}/strace.$OMPI_COMM_WORLD_RANK -E LD_PRELOAD={arguments.shim} "
                  f"{arguments.program} {root} {scratch}")
        subprocess.run([arguments.mpiexec, "--oversubscribe", "-n", str(RANKS), "sh", "-c", strace],
                       check=True, env=os.environ)
        wrong = False
        for rank in range(RANKS):
            by_strace = seen_by_strace(scratch / f"strace.{rank}", root)
            by_shim = seen_by_shim(scratch / f"shim.{rank}")
            # One system call brings many entries.
            lists = by_strace.pop("list", 0), by_shim.pop("list", 0)
            kinds = sorted(set(by_strace) | set(by_shim))
            differ = [f"{kind}: strace {by_strace[kind]}, shim {by_shim[kind]}"
                      for kind in kinds if by_strace[kind] != by_shim[kind]]
            if (lists[0] > 0) != (lists[1] > 0):
                differ.append(f"list: strace {lists[0]}, shim {lists[1]}")
            total = sum(by_shim.values())
            print(f"rank {rank}: {total} calls, "
                  + ", ".join(f"{kind} {by_shim[kind]}" for kind in kinds))
            if differ or total == 0:
                wrong = True
                print("  ESCAPED: " + "; ".join(differ))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
