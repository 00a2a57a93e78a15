"""Runs cairn-bench under mpirun for the tests beside this file."""
import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
WORKLOADS = PROJECT / "bench" / "workloads"
CHECKER = PROJECT / "bench" / "check_fill.py"
SLICINGS = ("rows", "columns", "grid", "replicated", "stage")

# Ranks are processes of one machine, and often more of them than cores.
ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}


class Failed(Exception):
    """A check did not hold; the message is for people."""


def parser(about):
    """Arguments that every test of cairn-bench takes."""
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("--bench", default=PROJECT / "build" / "cairn-bench", type=pathlib.Path)
    arguments.add_argument("--mpiexec", default="mpirun")
    arguments.add_argument("--scratch", default=tempfile.gettempdir(), type=pathlib.Path,
                           help="where a temporary directory is made (%(default)s)")
    return arguments


def check(condition, message):
    if not condition:
        raise Failed(message)


def say(text, started=None):
    took = "" if started is None else f"  ({time.monotonic() - started:.1f} s)"
    print(text + took, flush=True)


def stop(job):
    """mpirun ends its ranks when it is asked to; a hard kill would leave them to themselves."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        job.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return job.communicate(timeout=10)[0]
    return ""


def run(command, timeout):
    """Exit code and output of a program, of both streams."""
    with subprocess.Popen([str(word) for word in command], env=ENVIRONMENT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as job:
        try:
            return job.communicate(timeout=timeout)[0], job.returncode
        except subprocess.TimeoutExpired:
            output = stop(job)
            raise Failed(f"no end after {timeout} s: {' '.join(map(str, command))}\n{output}") from None


class Bench:
    """cairn-bench and a directory to work in."""

    def __init__(self, arguments, scratch, timeout=120):
        self.arguments = arguments
        self.scratch = scratch
        self.timeout = timeout

    def run(self, ranks, *options, expect=0):
        """The output of cairn-bench, which must exit with `expect`."""
        command = [self.arguments.mpiexec, "--oversubscribe", "-n", ranks, self.arguments.bench, *options]
        output, code = run(command, self.timeout)
        check(code == expect,
              f"exit code {code}, expected {expect}: {' '.join(map(str, command))}\n{output}")
        return output

    def save(self, workload, ranks, name, *options):
        """Saves into the directory `name`; returns the path and the lines that were printed."""
        output = self.run(ranks, "save", "--workload", workload, "--dir", self.scratch / name, *options)
        return pathlib.Path(values(output)["path"]), output

    def load(self, workload, ranks, path, *options, expect=0):
        return self.run(ranks, "load", "--workload", workload, "--from", path, *options, expect=expect)

    def check_file(self, path, workload, step=1):
        output, code = run([sys.executable, CHECKER, path, workload, "--step", step], self.timeout)
        check(code == 0, f"{CHECKER.name} complains about {path}:\n{output}")
        return output.strip().splitlines()[-1]


def values(output):
    """The `key: value` lines as a dictionary; of a key that comes again, the last."""
    lines = (line.partition(":") for line in output.splitlines())
    return {key.strip(): value.strip() for key, colon, value in lines if colon}


def number(output, key):
    """The number behind a key."""
    return float(values(output)[key].split()[0])


def main(arguments, test):
    """Runs `test` with a Bench and ends the program."""
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="cairn-bench-test-", dir=arguments.scratch))
    try:
        test(Bench(arguments, scratch))
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        sys.exit(1)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print("ok")
