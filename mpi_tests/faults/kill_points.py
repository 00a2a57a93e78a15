#!/usr/bin/python3
"""SIGKILL before every call that a rank makes on a checkpoint directory, for each rank in turn.

Who lives ends within the deadline, with success or `unresponsive`; what a new program restores is the
old state or the new one, whole, and the new one where anybody was told of success.
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import fault_arguments

RANKS = 2
OLD, NEW = 1, 2  # configurations.hpp: kOld, kNew
OLDEST = {"first": 0, "first_shards": 0}
# A deadline of a second, and what a busy machine needs besides.
TIMEOUT = 60


class Points:
    """The points of one configuration."""

    def __init__(self, arguments, name, scratch):
        self.arguments, self.name, self.scratch = arguments, name, scratch
        self.pristine = scratch / f"{name}-pristine"
        self.problems = []
        self.run(RANKS, "prepare", name, self.pristine)

    def run(self, ranks, *words, recovers=False):
        command = [self.arguments.mpiexec, "--oversubscribe", *(["--enable-recovery"] if recovers else []),
                   "-n", ranks, "env", f"LD_PRELOAD={self.arguments.shim}", self.arguments.program, *words]
        done = subprocess.run([str(word) for word in command], timeout=TIMEOUT, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0 and not recovers:
            raise RuntimeError(f"{' '.join(map(str, command))}:\n{done.stdout}")
        return done.stdout

    def strike(self, victim, at):
        """The directory that is left, and what each survivor said; None where nobody was killed."""
        directory = self.scratch / f"{self.name}-{victim}-{at}"
        verdicts = self.scratch / f"{self.name}-{victim}-{at}-verdicts"
        verdicts.mkdir()
        if self.pristine.exists():
            shutil.copytree(self.pristine, directory)
        try:
            self.run(RANKS, "act", self.name, directory, verdicts, victim, at, recovers=True)
        except subprocess.TimeoutExpired:
            self.problems.append(f"rank {victim}, call {at}: no end within {TIMEOUT} s")
        said = {int(file.name): file.read_text() for file in verdicts.iterdir()}
        if victim in said:
            return None
        for rank in set(range(RANKS)) - {victim}:
            verdict = said.get(rank, "nothing")
            if verdict != "done" and not verdict.startswith("unresponsive: "):
                self.problems.append(f"rank {victim}, call {at}: rank {rank} said {verdict}")
        return directory, "done" in said.values()

    def walk(self, victim, pool):
        """Strikes at every stride-th call until there is none; the results."""
        results, at = [], 1 + victim
        while True:
            width = self.arguments.jobs
            batch = list(pool.map(lambda n: self.strike(victim, n),
                                  range(at, at + width * self.arguments.stride, self.arguments.stride)))
            results += [result for result in batch if result]
            if None in batch:
                return results
            at += width * self.arguments.stride

    def check(self, results):
        for told, oldest in ((False, OLDEST.get(self.name, OLD)), (True, NEW)):
            directories = [directory for directory, done in results if done == told]
            if directories:
                for line in self.run(1, "check", self.name, oldest, NEW, *directories).splitlines():
                    if not line.endswith(": right"):
                        self.problems.append(line)

    def all(self, pool):
        started = time.monotonic()
        results = [result for victim in range(RANKS) for result in self.walk(victim, pool)]
        self.check(results)
        told = sum(done for _, done in results)
        print(f"kill {self.name}: {len(results)} points, {told} after success was told, "
              f"{len(self.problems)} failed  ({time.monotonic() - started:.0f} s)", flush=True)
        for problem in self.problems:
            print(f"  {problem}")
        return len(results), len(self.problems)


def main():
    parser = fault_arguments.parser(__doc__)
    parser.add_argument("--stride", type=int, default=1, help="strike at every so many calls")
    parser.add_argument("--jobs", type=int, default=4, help="that run at a time")
    parser.add_argument("configurations", nargs="+")
    arguments = parser.parse_args()
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    points = failed = 0
    with tempfile.TemporaryDirectory(prefix="cairn-kill-", dir=arguments.scratch) as scratch, \
            concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for name in arguments.configurations:
            tried, wrong = Points(arguments, name, pathlib.Path(scratch)).all(pool)
            points += tried
            failed += wrong
    print(f"{points} points, {failed} failed")
    sys.exit(1 if failed or not points else 0)


if __name__ == "__main__":
    main()
