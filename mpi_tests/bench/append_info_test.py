#!/usr/bin/python3
"""append_info from one job to another: saved on some ranks, read on others, by h5py, by the Python
reader of docs/format.md, and by the program that knows nothing of it."""
import hashlib
import pathlib
import shutil
import sys

import h5py

from bench_job import PROJECT, WORKLOADS, check, main, parser, run, say, values

sys.path.insert(0, str(PROJECT / "bench"))
import appendix

READER = PROJECT / "scripts" / "read_sealed.py"
WORKLOAD, STEP = WORKLOADS / "tiny.json", 7
SAVE = ("--append-info", "--step", STEP, "--saved-at", "1700000000")
KINDS = {
    "plain": (), "crc": ("--crc",), "hdf5": ("--writer", "hdf5"), "mpiio": ("--writer", "mpiio", "--crc"),
    "shards": ("--shards",), "shards-crc": ("--shards", "--crc"),
    "GCM": ("--enc-mode", "AES-GCM"), "CBC": ("--enc-mode", "AES-CBC"), "SM4": ("--enc-mode", "SM4-CBC"),
    "GCM-shards": ("--enc-mode", "AES-GCM", "--shards"),
}


def key_options(bench, kind):
    if "--enc-mode" not in KINDS[kind]:
        return ()
    size = 16 if "SM4-CBC" in KINDS[kind] else 32
    path = bench.scratch / f"{size}.key"
    path.write_text(hashlib.sha256(b"append").hexdigest()[:2 * size], encoding="ascii")
    path.chmod(0o600)
    return ("--key-file", path)


def loads(bench, path, ranks, *options):
    told = values(bench.load(WORKLOAD, ranks, path, "--append-info", *options))
    check((told["values"], told["append_info"]) == ("right", "right"), f"{path} on {ranks} ranks: {told}")


def other_jobs_load_it(bench):
    paths = {}
    for kind, options in KINDS.items():
        key = key_options(bench, kind)
        path, _ = bench.save(WORKLOAD, 3, kind, *SAVE, *options, *key)
        for ranks in (4, 1):
            loads(bench, path, ranks, *key)
        bench.load(WORKLOAD, 2, path, *key)  # who does not ask for it loads the rest
        output, code = run([READER, path, *key], 60)
        check(code == 0, f"{READER.name} does not read {path}:\n{output}")
        for line in ("append_info step_num", "append_info lr", "append_info averages/matrix"):
            check(line in output, f"{READER.name} does not tell of {line}:\n{output}")
        paths[kind] = path
        say(f"  {kind}: saved by 3 ranks, right on 4 and 1")
    return paths


def h5py_has_the_types(bench, paths):
    for kind in ("plain", "crc", "hdf5", "mpiio"):
        with h5py.File(paths[kind]) as file:
            count = appendix.check_group(file, STEP)
            check("epoch_num" not in file, "an entry lies outside of its group")
    found = set()
    for shard in paths["shards"].glob("shard-*"):
        with h5py.File(shard) as file:
            found |= set(file.get("append_info", ()))
    check({"epoch_num[]", "note[0:18]"} <= found, f"entries in shards: {found}")
    bench.check_file(paths["plain"], WORKLOAD, STEP)
    say(f"  h5py has {count} entries with their types")


def ranks_do_not_show(bench, paths):
    plain = paths["plain"].read_bytes()
    for ranks in (1, 4):
        path, _ = bench.save(WORKLOAD, ranks, f"plain-{ranks}", *SAVE)
        check(path.read_bytes() == plain, f"{ranks} ranks make another file than 3")
    check(paths["hdf5"].read_bytes() == plain, "the writer hdf5 makes another file")
    check(paths["mpiio"].read_bytes() == paths["crc"].read_bytes(), "the writer mpiio makes another file")
    say("  the same bytes from 1, 3 and 4 ranks, and from every writer")


def the_next_step_counts_on(bench):
    path, output = bench.save(WORKLOAD, 2, "steps", "--append-info", "--step", 5, "--repeat", 3, "--advance")
    check(path.name.endswith("_7.h5") and "made" in output, output)
    check(output.count("reused") == 2, f"the plan is not used again:\n{output}")
    told = values(bench.run(3, "load", "--workload", WORKLOAD, "--latest", path.parent, "--append-info"))
    check((told["step"], told["append_info"]) == ("7", "right"), str(told))
    older = path.parent / path.name.replace("_7.h5", "_5.h5")
    loads(bench, older, 1)
    path.unlink()
    older.with_name(path.name.replace("_7.h5", "_6.h5")).unlink()
    told = values(bench.run(1, "load", "--workload", WORKLOAD, "--latest", path.parent, "--append-info"))
    check((told["step"], told["append_info"]) == ("5", "right"), str(told))
    say("  counters and tensors follow the steps")


def damage_is_found(bench, paths):
    copy = bench.scratch / "damaged.h5"
    shutil.copy(paths["crc"], copy)
    raw = bytearray(copy.read_bytes())
    with h5py.File(copy) as file:
        at = file["append_info/step_num"].id.get_offset()
    raw[at] ^= 1
    copy.write_bytes(raw)
    output = bench.load(WORKLOAD, 3, copy, "--append-info", expect=1)
    check("has the CRC" in output, output)
    say("  a flipped bit in a counter is found")


def test(bench):
    paths = other_jobs_load_it(bench)
    h5py_has_the_types(bench, paths)
    ranks_do_not_show(bench, paths)
    the_next_step_counts_on(bench)
    damage_is_found(bench, paths)


if __name__ == "__main__":
    main(parser(__doc__).parse_args(), test)
