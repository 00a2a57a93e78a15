#!/usr/bin/python3
"""Ranks on several hosts: network namespaces with names of their own, TCP between them, one shared directory.

A save there gives the bytes that one host gives; it loads there, resliced; and when a host dies in the middle
of saves the job ends, and a new one on the hosts that are left goes on from the newest good checkpoint.
"""
import filecmp
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from bench_job import ENVIRONMENT, WORKLOADS, Bench, check, main, parser, run, say, values

MEDIUM = WORKLOADS / "medium.json"
NETWORK = "10.213.77"
HOSTS = 3
SKIPPED = 77


def call(*command):
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)


def inside(process, *command):
    """A command line that runs in the namespaces of a process."""
    return ["nsenter", "--target", process.pid, "--net", "--uts", *command]


class Namespace:
    """A network of its own, and a host name, as long as a process sleeps in it."""

    def __init__(self, name):
        self.name = name
        ready = f"hostname {name} && ip link set lo up && echo ready && exec sleep 600"
        self.process = subprocess.Popen(["unshare", "--net", "--uts", "sh", "-c", ready], text=True,
                                        stdout=subprocess.PIPE)
        check(self.process.stdout.readline() == "ready\n", f"no namespace for {name}")

    def run(self, *command):
        call(*inside(self.process, *command))

    def members(self):
        """Whatever runs in it."""
        mine = os.readlink(f"/proc/{self.process.pid}/ns/net")
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and os.readlink(entry / "ns/net") == mine:
                    yield int(entry.name)
            except OSError:
                continue  # ended meanwhile

    def end(self):
        for member in list(self.members()) if self.process.poll() is None else []:
            try:
                os.kill(member, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


class Cluster:
    """Hosts on one switch, which is a namespace too: nothing of the machine's own network is touched."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.hosts = []
        self.switch = Namespace("cairn-switch")
        self.switch.run("ip", "link", "add", "bridge", "type", "bridge")
        self.switch.run("ip", "link", "set", "bridge", "up")
        for number in range(1, HOSTS + 1):
            self.hosts.append(self.plug_in(number))
        # What mpirun has instead of ssh: AGENT ADDRESS COMMAND...
        self.agent = scratch / "agent.sh"
        self.agent.write_text(f'#!/bin/sh\nhost=$1; shift\nexec nsenter --target "$(cat {scratch}/$host)"'
                              ' --net --uts sh -c "$*"\n', encoding="utf-8")
        self.agent.chmod(0o755)

    def plug_in(self, number):
        host = Namespace(f"cairn-host{number}")
        self.switch.run("ip", "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0",
                        "netns", host.process.pid)
        self.switch.run("ip", "link", "set", f"port{number}", "master", "bridge", "up")
        host.run("ip", "address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        (self.scratch / f"{NETWORK}.{number}").write_text(str(host.process.pid), encoding="utf-8")
        return host

    def command(self, mpiexec, numbers, slots, *command):
        """mpirun on the first of these hosts, with so many ranks on each."""
        names = ",".join(f"{NETWORK}.{number}:{slots}" for number in numbers)
        line = inside(self.hosts[numbers[0] - 1].process, mpiexec, "--oversubscribe", "--host", names,
                      "-n", slots * len(numbers), "--map-by", "node", "--mca", "plm_rsh_agent", self.agent,
                      "--mca", "oob_tcp_if_include", f"{NETWORK}.0/24",
                      "--mca", "btl", "self,vader,tcp", "--mca", "btl_tcp_if_include", f"{NETWORK}.0/24", *command)
        return [str(word) for word in line]

    def end(self):
        for namespace in [*self.hosts, self.switch]:
            namespace.end()


def why_not():
    """Why namespaces cannot be had here; empty where they can."""
    for tool in ("unshare", "nsenter", "ip"):
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    attempt = subprocess.run(["unshare", "--net", "--uts", "ip", "link", "add", "one", "type", "veth", "peer",
                              "name", "two"], capture_output=True, text=True, check=False)
    return attempt.stderr.strip() if attempt.returncode != 0 else ""


def on_hosts(bench, cluster, numbers, slots, *options, expect=0):
    output, code = run(cluster.command(bench.arguments.mpiexec, numbers, slots, bench.arguments.bench, *options),
                       bench.timeout)
    check(code == expect, f"exit code {code}, expected {expect}\n{output}")
    return output


def ranks_are_on_several_hosts(bench, cluster):
    output, _ = run(cluster.command(bench.arguments.mpiexec, [1, 2, 3], 1, "hostname"), bench.timeout)
    names = sorted(line for line in output.splitlines() if line.startswith("cairn-"))
    check(names == ["cairn-host1", "cairn-host2", "cairn-host3"], output)


def the_bytes_are_those_of_one_host(bench, cluster):
    options = ("--workload", MEDIUM, "--saved-at", 1000)
    here, _ = bench.save(MEDIUM, 2, "here", "--saved-at", 1000)
    for name, more in (("there", ()), ("by-mpi-io", ("--writer", "mpiio"))):
        output = on_hosts(bench, cluster, [1, 2, 3], 1, "save", "--dir", bench.scratch / name, *options, *more)
        path = values(output)["path"]
        check(filecmp.cmp(here, path, shallow=False), f"{path} is another file than {here}:\n{output}")
    for slicing in ("columns", "grid"):
        output = on_hosts(bench, cluster, [2, 3], 2, "load", "--workload", MEDIUM, "--from", path, "--slicing", slicing)
        check(values(output)["values"] == "right", output)


def shards_of_several_hosts_load_on_another(bench, cluster):
    output = on_hosts(bench, cluster, [1, 3], 1, "save", "--workload", MEDIUM, "--dir", bench.scratch / "shards",
                      "--shards")
    output = on_hosts(bench, cluster, [2], 3, "load", "--workload", MEDIUM, "--from", values(output)["path"])
    check(values(output)["values"] == "right", output)


def a_host_that_dies_leaves_a_good_checkpoint(bench, cluster):
    directory = bench.scratch / "survivors"
    command = cluster.command(bench.arguments.mpiexec, [1, 2, 3], 1, bench.arguments.bench, "save", "--workload",
                              MEDIUM, "--dir", directory, "--repeat", 1000000, "--advance", "--keep", 2)
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as job:
        saves = 0
        for line in job.stdout:
            saves += line.startswith("space:")
            if saves == 3:
                break
        check(saves == 3, "the job ended by itself")
        cluster.hosts[1].end()
        started = time.monotonic()
        job.stdout.read()
        check(job.wait(timeout=30) != 0, "a job without one of its hosts ends well")
        say(f"  the job ended {time.monotonic() - started:.1f} s after its host")
    output = on_hosts(bench, cluster, [1, 3], 2, "load", "--workload", MEDIUM, "--latest", directory)
    check(values(output)["values"] == "right" and int(values(output)["step"]) >= 3, output)
    step = int(values(output)["step"])
    output = on_hosts(bench, cluster, [3, 1], 1, "save", "--workload", MEDIUM, "--dir", directory, "--resume",
                      "--advance", "--keep", 2)
    check(values(output)["resumed step"] == str(step), output)
    check(values(output)["path"].endswith(f"-1_{step + 1}.h5"), output)


def test(bench: Bench):
    bench.timeout = 60
    cluster = Cluster(bench.scratch)
    try:
        for story in (ranks_are_on_several_hosts, the_bytes_are_those_of_one_host,
                      shards_of_several_hosts_load_on_another, a_host_that_dies_leaves_a_good_checkpoint):
            started = time.monotonic()
            story(bench, cluster)
            say(story.__name__.replace("_", " "), started)
    finally:
        cluster.end()


if __name__ == "__main__":
    given = parser(__doc__).parse_args()
    objection = why_not()
    if objection:
        print(f"SKIPPED, ranks on several hosts are NOT tested: no network namespaces here: {objection}")
        sys.exit(SKIPPED)
    main(given, test)
