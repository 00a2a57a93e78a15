#!/usr/bin/python3
"""Real workloads through cairn-bench: what is saved on 4 ranks is right for h5py and on any ranks,
and it is the same file, byte for byte, whoever saved it.

Without names: tiny and medium; with --full all workloads, `large` on two ranks.
"""
import json
import math
import shutil
import time

from bench_job import SLICINGS, WORKLOADS, Bench, check, main, number, parser, run, say, values

SHORT = ("tiny", "medium")
FULL = SHORT + ("many-small", "columns", "gpt2", "gpt2-adam", "llama-small", "large")

SAVED_AT = "1700000000.25"
SAVE_RANKS = 4
LOAD_RANKS = (1, 2, 3, 4)
SAME_BYTES = ((1,), (2,), (3,), (7,), (3, "--writer", "hdf5"), (2, "--slicing", "columns"))

# Of `large`, 9 GB in all, a second copy in memory is asked for of few machines.
LARGE = {"ranks": 2, "load_ranks": (2,), "slicings": ("rows", "columns", "grid"), "same": ((1,),)}

ELEMENT_BYTES = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3": 1,
                 "float8_e5m2": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4,
                 "uint32": 4, "int64": 8, "uint64": 8, "bool": 1, "complex64": 8, "complex128": 16}
SPARE_BYTES = 2 << 30


def bytes_of(workload):
    tensors = json.loads(workload.read_text(encoding="utf-8"))["tensors"]
    return sum(math.prod(t["shape"]) * ELEMENT_BYTES[t["dtype"]] for t in tensors)


def available_memory():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def has_room(what, needed):
    """Whether the machine has the memory; says so where it has not."""
    room = available_memory()
    if needed < room:
        return True
    say(f"  LEFT OUT: {what} needs {needed / 2**30:.1f} GiB of memory, {room / 2**30:.1f} are free")
    return False


def opens_in_hdf5_tools(path):
    for command in (["h5ls", "-r"], ["h5dump", "-H"]):
        if shutil.which(command[0]):
            output, code = run([*command, path], 120)
            check(code == 0, f"{command[0]} does not open {path}:\n{output[-2000:]}")


def save_is_right(bench, workload, ranks):
    started = time.monotonic()
    path, output = bench.save(workload, ranks, "reference", "--saved-at", SAVED_AT)
    say(f"  saved on {ranks}: {values(output)['MB/s']} MB/s, "
        f"{values(output)['peak memory above slices, max']} above slices", started)
    started = time.monotonic()
    say(f"  checked: {bench.check_file(path, workload)}", started)
    opens_in_hdf5_tools(path)
    return path


def loads_are_right(bench, workload, path, rank_counts, slicings):
    size = bytes_of(workload)
    for ranks in rank_counts:
        started = time.monotonic()
        most_read = 0
        for slicing in (None, *slicings):
            copies = ranks if slicing in (None, "replicated") else 1
            if not has_room(f"loading it {slicing} on {ranks}", size * copies + SPARE_BYTES):
                continue
            output = bench.load(workload, ranks, path, *(["--slicing", slicing] if slicing else []))
            check(values(output)["values"] == "right", output)
            most_read = max(most_read, number(output, "bytes read / bytes needed"))
        say(f"  loaded on {ranks} in every slicing, read / needed up to {most_read}", started)


def bytes_are_the_same(bench, workload, reference, ways):
    for ranks, *options in ways:
        started = time.monotonic()
        path, _ = bench.save(workload, ranks, "other", "--saved-at", SAVED_AT, *options)
        output, code = run(["cmp", reference, path], 600)
        check(code == 0, f"saved on {ranks} {options} it is another file: {output}")
        shutil.rmtree(path.parent)
        say(f"  the same bytes on {ranks} {' '.join(options)}", started)


def shards_are_right(bench, workload, save_ranks, load_ranks, slicings):
    for ranks in save_ranks:
        path, output = bench.save(workload, ranks, "shards", "--shards")
        check(path.suffix == ".shards" and path.is_dir(), output)
        say(f"  in shards by {ranks}: {values(output)['MB/s']} MB/s")
        loads_are_right(bench, workload, path, load_ranks, slicings)
        shutil.rmtree(path.parent)


def round_trip(bench, name, full):
    workload = WORKLOADS / f"{name}.json"
    size = bytes_of(workload)
    large = name == "large"
    say(f"{name}: {size / 1e6:.3f} MB")
    if large and not has_room("it", size + SPARE_BYTES):
        return
    path = save_is_right(bench, workload, LARGE["ranks"] if large else SAVE_RANKS)
    loads_are_right(bench, workload, path, LARGE["load_ranks"] if large else LOAD_RANKS,
                    LARGE["slicings"] if large else SLICINGS)
    bytes_are_the_same(bench, workload, path, LARGE["same"] if large else SAME_BYTES)
    shutil.rmtree(path.parent)
    if full and not large:
        shards_are_right(bench, workload, (3, 4), LOAD_RANKS, SLICINGS)
    elif not large:
        shards_are_right(bench, workload, (3,), (2,), SLICINGS)


def test_all(arguments):
    def test(bench: Bench):
        bench.timeout = 1200 if arguments.full else 120
        for name in arguments.names or (FULL if arguments.full else SHORT):
            round_trip(bench, name, arguments.full)
    return test


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--full", action="store_true", help="all workloads")
    options.add_argument("names", nargs="*", metavar="workload", help=f"of {', '.join(FULL)}")
    given = options.parse_args()
    main(given, test_all(given))
