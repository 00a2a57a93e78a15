#!/usr/bin/python3
"""SIGKILL at random moments of a save loop: what a new job restores is right element by element, and
nothing but checkpoints is left after its start.

Kills the whole job, or mpirun alone, whose ranks then die late and by themselves.
"""
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from bench_job import ENVIRONMENT, WORKLOADS, check, main, parser, say, values

CHECKPOINT = re.compile(r"CKP(_\d+)?-\d+_\d+\.(h5|shards)")
RANKS = 3
# Longer than a save, so that every moment of one is hit.
LONGEST_WAIT = 0.5


def processes_of(session):
    """All processes of the session that a job was started in."""
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # ended meanwhile
            if int(fields[3]) == session:
                yield int(entry.name)


def kill(job, whole_job):
    victims = list(processes_of(job.pid)) if whole_job else [job.pid]
    for process in victims:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass


def start_saves(bench, workload, directory, extra):
    command = [bench.arguments.mpiexec, "--oversubscribe", "-n", RANKS, bench.arguments.bench, "save",
               "--workload", workload, "--dir", directory, "--repeat", 1000000, "--keep", 3, *extra]
    return subprocess.Popen([str(word) for word in command], env=ENVIRONMENT, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)


def interrupt(job, wait, whole_job):
    """Lets the job save once, and kills it `wait` seconds later."""
    lines = []
    for line in job.stdout:
        lines.append(line)
        if line.startswith("space:"):
            break
    else:
        check(False, f"the save loop ended by itself:\n{''.join(lines)}")
    drain = threading.Thread(target=job.stdout.read)
    drain.start()
    # Not a wait for anything: the random moment itself.
    threading.Event().wait(wait)
    kill(job, whole_job)
    job.wait()
    drain.join()


def left_behind(directory):
    return [name for name in os.listdir(directory) if not CHECKPOINT.fullmatch(name)]


def test(arguments):
    def kill_and_restore(bench):
        randomness = random.Random(arguments.seed)
        say(f"seed {arguments.seed}, {arguments.kills} kills")
        workload = WORKLOADS / arguments.workload
        directory = bench.scratch / "checkpoints"
        found_remains = 0
        for i in range(arguments.kills):
            # The same step again and again replaces; --advance makes new names and deletes old ones.
            extra = ["--resume"] + (["--advance"] if i % 2 else []) + (["--shards"] if i % 4 > 1 else [])
            whole_job = i % 3 > 0
            wait = randomness.uniform(0, LONGEST_WAIT)
            interrupt(start_saves(bench, workload, directory, extra), wait, whole_job)
            found_remains += bool([n for n in left_behind(directory) if not n.startswith(".lock-")])
            ranks = randomness.randint(1, 4)
            output = bench.run(ranks, "load", "--workload", workload, "--latest", directory)
            check(values(output)["values"] == "right", output)
            check("skipped" not in values(output), f"kill {i} left a damaged checkpoint:\n{output}")
            check(not left_behind(directory), f"kill {i}: left are {left_behind(directory)}")
        say(f"{arguments.kills} kills, each followed by a right restore; {found_remains} of them "
            "in the middle of a save")
        check(found_remains > 0, "no kill hit a save: the test proves nothing")
    return kill_and_restore


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--kills", type=int, default=12)
    options.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options.add_argument("--workload", default="medium.json")
    given = options.parse_args()
    main(given, test(given))
