#!/usr/bin/python3
"""Kills the example `recommend` while it trains and resumes it on another number of ranks. Then reads the
chain that it left, with h5py and docs/format.md alone: order, statuses, digests, and the table that the
increments make of the full checkpoint, which must hold every click."""

import argparse
import hashlib
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy

MASK = (1 << 64) - 1


def order_of(key):
    x = (key + 0x3C6EF372FE94F82A) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def record_of(path):
    with h5py.File(path) as file:
        return file[".cairn/record"][()]


def digest_of(path):
    record = path.read_bytes()[-4096:]
    return hashlib.sha256(record[88:408] + record[984:985] + record[989:1297]).digest()


def chain_of(newest):
    chain = [newest]
    while record_of(chain[0])["position"] > 0:
        record = record_of(chain[0])
        parent = chain[0].parent / record["parent"].decode()
        assert bytes(record["parent_digest"]) == digest_of(parent), f"{chain[0]}: another parent"
        assert record_of(parent)["position"] == record["position"] - 1
        chain.insert(0, parent)
    base = record_of(chain[0])
    for path in chain[1:]:
        assert record_of(path)["base"] == base["sequence"]
        assert b"increment" in record_of(path)["required_features"].split()
    assert base["required_features"] == b"map_parameter"
    return chain


def replay(chain, name):
    table = {}
    for path in chain:
        with h5py.File(path) as file:
            group = file[f"map_parameter/{name}"]
            keys, statuses, values = (group[part][()] for part in ("keys", "statuses", "values"))
        order = [order_of(int(key)) for key in keys]
        assert order == sorted(order), f"{path}: keys are out of order"
        stored = keys.nbytes + statuses.nbytes + values.nbytes
        assert record_of(path)["map_bytes"] == stored
        assert set(statuses) <= ({0} if path == chain[0] else {1, 2})
        for key, status, row in zip(keys, statuses, values):
            if status == 2:
                table.pop(key, None)
            else:
                table[key] = row
        print(f"{path.name}: {len(keys)} entries, {len(table)} in all")
    return table


def main():
    parser = argparse.ArgumentParser()
    for option in ("--recommend", "--mpiexec", "--scratch"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    place = pathlib.Path(arguments.scratch) / "maps_by_hand"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)

    def run(ranks, *steps):
        command = [arguments.mpiexec, "--oversubscribe", "-n", str(ranks), arguments.recommend, *steps]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=100)
        print(done.stdout, end="")
        return done

    assert run(4, "300", "130").returncode != 0, "it was to be killed"
    resumed = run(3, "200")
    assert resumed.returncode == 0, resumed.stderr
    assert "resumed at step 120 on 3 ranks, from run-1_120.h5 and 2 before it" in resumed.stdout
    assert "no click was lost" in resumed.stdout

    longest = max((place / "checkpoints").glob("run-1_*.h5"), key=lambda p: record_of(p)["position"])
    chain = chain_of(longest)
    assert len(chain) > 2
    table = replay(chain, "items")
    with h5py.File(longest) as file:
        clicks, step = int(file["clicks"][()]), int(file["step"][()])
    assert clicks == step * 2000
    assert int(numpy.sum([row[-1] for row in table.values()], dtype=numpy.float64)) == clicks
    print("maps by hand: ok")


if __name__ == "__main__":
    sys.exit(main())
