#!/usr/bin/python3
"""A training job on four ranks, data parallel times tensor parallel, that ends before its time in every
way: what each rank says, how long it takes, what is left on disk, and that a new job goes on from it."""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Ranks are processes of one machine, and often more of them than cores.
ENVIRONMENT = {
    **os.environ,
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
}
RANKS = 4
VICTIM = 2
DEADLINE = 3
TIMEOUT = 4
PHASES = ["planning", "reserving", "moving", "syncing", "completing", "publishing"]


def check(holds, message):
    if not holds:
        raise AssertionError(message)


def is_pending(pid, number):
    """Whether a signal was sent to a process and has not reached it yet."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, mask = line.partition(":")
        if name in ("SigPnd", "ShdPnd") and int(mask, 16) & 1 << (number - 1):
            return True
    return False


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        check(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.02)  # between two looks at the disk


class Job:
    """A run of the trainer, its verdicts and its checkpoints."""

    def __init__(self, arguments, scratch, *options, ranks=RANKS):
        self.directory = scratch / "checkpoints"
        self.verdict_directory = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        self.ranks = ranks
        command = [arguments.mpiexec, "--oversubscribe", "--enable-recovery", "-n", ranks,
                   arguments.trainer, "--dir", self.directory, "--verdicts", self.verdict_directory,
                   "--deadline", DEADLINE, "--timeout", TIMEOUT, *options]
        self.begin = time.monotonic()
        self.process = subprocess.Popen([str(word) for word in command], text=True, env=ENVIRONMENT,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)

    def pids(self):
        return [int((self.verdict_directory / f"at.{r}").read_text()) for r in range(self.ranks)]

    def wait_until_at(self):
        """All ranks have written that they are at the step."""
        def there():
            with contextlib.suppress(OSError, ValueError):
                return len(self.pids()) == self.ranks
            return False
        wait_for(there, 30, "all ranks at the step")

    def verdict(self, rank):
        with contextlib.suppress(OSError):
            return json.loads((self.verdict_directory / f"verdict.{rank}").read_text())
        return None

    def wait_for_verdicts(self, ranks, seconds):
        def there():
            found = all(self.verdict(r) for r in ranks)
            check(found or self.process.poll() is None, "the job ended without its verdicts")
            return found
        wait_for(there, seconds, f"verdicts of {list(ranks)}")
        return {r: self.verdict(r) for r in ranks}

    def end(self):
        """Kills what is left of the job."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, ProcessLookupError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) == self.process.pid:
                    os.kill(int(entry.name), signal.SIGKILL)
        self.output = self.process.communicate()[0]

    def names(self):
        return sorted(p.name for p in self.directory.glob("*") if not p.name.startswith("."))


class Cases:
    def __init__(self, arguments, scratch):
        self.arguments = arguments
        self.scratch = scratch

    def start(self, *options, ranks=RANKS):
        return Job(self.arguments, self.scratch, *options, ranks=ranks)

    def resume(self, step, name, *options, ranks=RANKS):
        """A new job restores that step from that checkpoint, every value right, and trains on."""
        job = self.start(*options, "--steps", step + 2, ranks=ranks)
        try:
            verdicts = job.wait_for_verdicts(range(ranks), 60)
        finally:
            job.end()
        for verdict in verdicts.values():
            check(verdict["result"] == "ended", verdict)
            restored = verdict["restored"]
            check(restored["step"] == step and restored["name"] == name, verdict)
            check(restored["wrong"] == 0, verdict)
        return verdicts[0]["restored"]

    def end_of(self, job, ranks):
        """The verdicts, which must be there in time."""
        try:
            return job.wait_for_verdicts(ranks, DEADLINE + 10)
        finally:
            job.end()

    # -- Exceptions

    def rank_2_throws(self):
        job = self.start("--fail", "throw", "--at", 6)
        job.wait_until_at()
        verdicts = self.end_of(job, range(RANKS))
        check(verdicts[VICTIM]["what"] == "on rank 2 alone", verdicts)
        # The others gave up waiting for its gradients in time: all met, after the same step.
        check(all(v["result"] == "exception" for v in verdicts.values()), verdicts)
        self.resume(5, "run-1_5_breakpoint.h5")

    def rank_2_is_killed_and_replicas_cover(self):
        job = self.start("--fail", "kill", "--at", 6)
        job.wait_until_at()
        verdicts = self.end_of(job, [0, 1, 3])
        check(all(v["result"] != "ended" for v in verdicts.values()), verdicts)
        check([n for n in job.names() if "breakpoint" in n] ==
              [f"run-1_5_breakpoint.rank{r}of4.shard" for r in (0, 1, 3)], job.names())
        self.resume(5, "run-1_5_breakpoint.rank*of4.shard", ranks=3)

    def rank_2_is_killed_and_nobody_has_what_it_had(self):
        job = self.start("--fail", "kill", "--at", 6, "--sharded")
        job.wait_until_at()
        self.end_of(job, [0, 1, 3])
        lone = [n for n in job.names() if "breakpoint" in n]
        check(len(lone) == 3, job.names())
        restored = self.resume(4, "run-1_4.h5", "--sharded")
        check(restored["skipped"] == ["run-1_5_breakpoint.rank*of4.shard"], restored)
        check([n for n in job.names() if n in lone] == lone, "left alone")

    def exceptions_on_all_ranks(self):
        job = self.start("--fail", "throw-all", "--at", 6)
        verdicts = self.end_of(job, range(RANKS))
        check(all(v["what"] == "on all ranks" for v in verdicts.values()), verdicts)
        self.resume(6, "run-1_6_breakpoint.h5", ranks=2)

    def exception_while_an_async_save_is_in_flight(self):
        job = self.start("--fail", "throw-all", "--at", 5, "--async", "--save-every", 5)
        verdicts = self.end_of(job, range(RANKS))
        check(all(v["what"] == "on all ranks" for v in verdicts.values()), verdicts)
        # The step that was being saved is the last one: no second save.
        check(job.names() == ["run-1_5.h5"], job.names())
        self.resume(5, "run-1_5.h5")

    def exception_between_before_update_and_step_end(self):
        job = self.start("--fail", "throw-updating", "--at", 6)
        verdicts = self.end_of(job, range(RANKS))
        check(all("being updated" in v["skips"][0] for v in verdicts.values()), verdicts)
        check(job.names() == ["run-1_4.h5"], job.names())
        self.resume(4, "run-1_4.h5")

    # -- Signals

    def stopped_by(self, send):
        job = self.start("--at", 3, "--steps", 100000, "--save-every", 1000000, "--step-ms", 10)
        job.wait_until_at()
        send(job)
        verdicts = self.end_of(job, range(RANKS))
        check(all(v["result"] == "ended" for v in verdicts.values()), verdicts)
        check(len({v["step"] for v in verdicts.values()}) == 1, verdicts)
        step = verdicts[0]["step"]
        check(job.names() == [f"run-1_{step}_breakpoint.h5"], job.names())
        self.resume(step, f"run-1_{step}_breakpoint.h5")
        return verdicts[0]["reason"]

    def sigusr1_to_mpirun(self):
        reason = self.stopped_by(lambda job: os.kill(job.process.pid, signal.SIGUSR1))
        check(reason == "SIGUSR1", reason)

    def sigterm_to_the_ranks(self):
        def send(job):
            for pid in job.pids():
                os.kill(pid, signal.SIGTERM)
        reason = self.stopped_by(send)
        check(reason == "SIGTERM", reason)

    def sigterm_to_one_rank(self):
        reason = self.stopped_by(lambda job: os.kill(job.pids()[VICTIM], signal.SIGTERM))
        check(reason == "SIGTERM", reason)

    def second_sigint_ends_it_at_once(self):
        job = self.start("--at", 3, "--steps", 100000, "--save-every", 1000000, "--step-ms", 500)
        job.wait_until_at()
        pid = job.pids()[VICTIM]
        os.kill(pid, signal.SIGINT)
        # Two that are pending at once are one.
        wait_for(lambda: not is_pending(pid, signal.SIGINT), 5, "the first has reached it")
        os.kill(pid, signal.SIGINT)
        try:
            wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 5, "the process has ended")
        finally:
            job.end()

    # -- Ranks that stand still

    def stands_still(self, phase, at, *options):
        job = self.start("--fail", "stop", "--phase", phase, "--at", at, *options)
        stopped = job.verdict_directory / "stopped"
        try:
            wait_for(lambda: stopped.exists() and stopped.read_text(), 30, "a rank stands still")
            others = [r for r in range(RANKS) if r != VICTIM]
            since = time.monotonic()
            verdicts = job.wait_for_verdicts(others, DEADLINE + 10)
            # Each wrote what it held before it ended.
            print(f"  all ended {time.monotonic() - since:.1f} s after rank {VICTIM} stood still")
            for verdict in verdicts.values():
                check(verdict["result"] == "error" and verdict["code"] == "unresponsive", verdict)
                check(f"rank {VICTIM} (host " in verdict["what"], verdict)
                check(verdict["blamed"] == VICTIM, verdict)
            os.kill(int(stopped.read_text()), signal.SIGCONT)
            job.wait_for_verdicts([VICTIM], DEADLINE + 20)
        finally:
            job.end()
        return job

    def stands_still_in_a_save(self, phase):
        job = self.stands_still(phase, 8)
        # The old one or the new one, whole; or what the ranks saved when they were alone.
        check("run-1_4.h5" in job.names(), job.names())
        self.resume_from_any({4, 8})

    def stands_still_in_an_async_save(self):
        job = self.stands_still("syncing", 8, "--async")
        check("run-1_4.h5" in job.names(), job.names())
        self.resume_from_any({4, 8, 9, 10, 11, 12})

    def resume_from_any(self, steps):
        job = self.start("--steps", 20)
        try:
            verdicts = job.wait_for_verdicts(range(RANKS), 60)
        finally:
            job.end()
        for verdict in verdicts.values():
            check(verdict["result"] == "ended", verdict)
            check(verdict["restored"]["step"] in steps, verdict)
            check(verdict["restored"]["wrong"] == 0, verdict)

    def stands_still_in_a_load(self, phase):
        first = self.start("--steps", 4)
        first.wait_for_verdicts(range(RANKS), 60)
        first.end()
        job = self.stands_still(phase, 0)
        check(job.names() == ["run-1_4.h5"], job.names())
        self.resume(4, "run-1_4.h5")

    # -- The time limit

    def time_limit(self, *options):
        seconds = 20
        job = self.start("--stop-in", seconds, "--steps", 100000000, "--save-every", 400,
                         "--step-ms", 5, "--save-ms", 2000, *options)
        verdicts = job.wait_for_verdicts(range(RANKS), seconds + 5)
        passed = time.monotonic() - job.begin
        job.end()
        for verdict in verdicts.values():
            check(verdict["result"] == "ended", verdict)
            check(verdict["reason"] == "the time limit is near", verdict)
        check(seconds / 2 < passed < seconds, f"it stopped after {passed:.1f} s")
        step = verdicts[0]["step"]
        check(verdicts[0]["latest"] == f"run-1_{step}.h5", verdicts[0])
        self.resume(step, f"run-1_{step}.h5")


def cases_of(full):
    short = [
        "rank_2_throws", "rank_2_is_killed_and_replicas_cover",
        "rank_2_is_killed_and_nobody_has_what_it_had", "exceptions_on_all_ranks",
        "exception_while_an_async_save_is_in_flight",
        "exception_between_before_update_and_step_end", "sigusr1_to_mpirun", "sigterm_to_the_ranks",
        "sigterm_to_one_rank", "second_sigint_ends_it_at_once",
    ]
    cases = [(name, []) for name in short]
    cases += [("stands_still_in_a_save", [p]) for p in (PHASES if full else ["moving"])]
    cases += [("stands_still_in_a_load", [p]) for p in (["planning", "moving"] if full else ["moving"])]
    if full:
        cases += [("stands_still_in_an_async_save", []), ("time_limit", []), ("time_limit", ["--async"])]
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trainer", required=True)
    parser.add_argument("--mpiexec", required=True)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", help="a case")
    arguments = parser.parse_args()
    failures = 0
    for name, given in cases_of(arguments.full or arguments.only):
        if arguments.only and name != arguments.only:
            continue
        scratch = pathlib.Path(tempfile.mkdtemp(dir=arguments.scratch))
        begin = time.monotonic()
        try:
            getattr(Cases(arguments, scratch), name)(*given)
            result = "ok"
        except (AssertionError, KeyError, IndexError) as error:
            failures += 1
            result = f"FAILED: {error!r}"
        print(f"{name} {' '.join(given)}: {result} ({time.monotonic() - begin:.1f} s)", flush=True)
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
