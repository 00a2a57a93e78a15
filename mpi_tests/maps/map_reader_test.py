#!/usr/bin/python3
"""The reader in Python reads MapParameters and increments, plain, sealed and in shards; what it opens
holds the entries that were put; and it tells each thing that is wrong with them."""
import pathlib
import shutil
import struct
import sys

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "protection")]
import by_hand
import read_sealed
from bench_job import check, main, parser, say

ENTRIES, FLOATS, RANKS = 2000, 16, 3
KEY = by_hand.key_of(32)


def keys_put():
    every = np.arange(ENTRIES, dtype="<u8") * np.uint64(0x9E3779B97F4A7C15)
    return every.view("<i8")


def rows_of(keys, version):
    """As cairn-bench fills them; the remainder has the key's sign there."""
    return np.repeat(np.fmod(keys, 1000).astype("<f4") + np.float32(version), FLOATS).reshape(-1, FLOATS)


def saved(bench, name, *options):
    """The files or directories of a full save and of an increment on it."""
    directory = bench.scratch / name
    directory.mkdir()
    bench.run(RANKS, "maps", "--directory", directory, "--entries", ENTRIES, "--touched", 0.1, "--repeat", 1,
              *options)
    # Those that were saved in the background: every row of the first is of version 0.
    return sorted(directory.glob("async-1_[12].*"))


def table_in(path):
    """Keys, statuses and rows as h5py sees them, of a file or of all shards."""
    found = {"keys": [], "statuses": [], "values": []}
    for file in sorted(path.glob("shard-*")) if path.is_dir() else [path]:
        with h5py.File(file) as opened:
            for name, dataset in opened["map_parameter/embedding"].items():
                if name.partition("[")[0] in found:
                    found[name.partition("[")[0]].append(dataset[()])
    return [np.concatenate(found[part]) for part in ("keys", "statuses", "values")]


def check_table(path, increment):
    keys, statuses, values = table_in(path)
    check(len(np.unique(keys)) == len(keys) and np.isin(keys, keys_put()).all(), f"{path}: other keys")
    check((0 < len(keys) < 250) if increment else len(keys) == ENTRIES, f"{path}: {len(keys)} keys")
    check((statuses == (1 if increment else 0)).all(), f"{path}: other statuses")
    check((values == rows_of(keys, 1 if increment else 0)).all(), f"{path}: other rows")


def all_kinds_are_read(bench):
    key = ["--key-file", by_hand.key_file(bench, KEY)]
    kinds = {"plain": [], "crc": ["--crc"], "sealed": key, "shards": ["--shards"], "both": ["--shards", *key]}
    paths = {}
    for kind, options in kinds.items():
        paths[kind] = saved(bench, kind, *options)
        for number, path in enumerate(paths[kind]):
            opened = bench.scratch / f"{kind}-{number}.opened"
            by_hand.read(bench, path, KEY if key[0] in options else None, opened)
            check_table(opened, number == 1)
    say(f"  {', '.join(kinds)}: full, and an increment")
    return paths


def damage_is_told(bench, full, increment):
    def changed_entry(path, part, entry, value):
        with h5py.File(path) as file:
            dataset = file[f"map_parameter/embedding/{part}"]
            return by_hand.put(path.read_bytes(), dataset.id.get_offset() + entry * len(value), value)

    def key_at(entry):
        return struct.pack("<q", table_in(full)[0][entry])

    def renamed(old, new):
        raw = full.read_bytes()
        head, = struct.unpack_from("<Q", raw, len(raw) - 4096 + 32)
        check(raw[:head].count(old) == 1, f"{old} is not to be found once")
        raw = raw.replace(old, new, 1)
        return by_hand.with_record(raw, 80, by_hand.crc_of(raw[:head]))

    raw, added = full.read_bytes(), increment.read_bytes()
    cases = [
        ("has an unknown status", changed_entry(full, "statuses", 7, b"\1")),
        ("has an unknown status", changed_entry(increment, "statuses", 7, b"\0")),
        ("has an unknown status", changed_entry(increment, "statuses", 7, b"\3")),
        ("an erased row of b'embedding' is not zeros", changed_entry(increment, "statuses", 7, b"\2")),
        ("out of order, or one is there twice", changed_entry(full, "keys", 7, key_at(8))),
        ("out of order, or one is there twice", changed_entry(full, "keys", 7, key_at(1900))),
        ("has not the four datasets of a map", renamed(b"statuses\0", b"statuset\0")),
        ("entries are not map_bytes bytes", by_hand.with_record(raw, 1001, b"\x55")),
        ("there are not tensor_count tensors", by_hand.with_record(raw, 472, bytes(13))),
        ("no increment has such a position", by_hand.with_record(added, 1009, b"/")),
        ("no increment has such a position", by_hand.with_record(added, 1009, bytes(256))),
        ("no increment has such a position", by_hand.with_record(added, 989, struct.pack("<Q", 1 << 40))),
        ("no increment has such a position", by_hand.with_record(added, 997, struct.pack("<I", 1 + (1 << 20)))),
        ("record: sequence", by_hand.with_record(raw, 120, struct.pack("<Q", 1 << 62))),
    ]
    path = bench.scratch / "changed.h5"
    for complaint, other in cases:
        path.write_bytes(other)
        by_hand.read(bench, path, complaint=complaint)
    say(f"  a file changed in {len(cases)} ways")


def types_that_do_not_fit_are_told():
    good = {b"default_row": ("float32", (3,)), b"keys": ("int64", (5,)), b"statuses": ("uint8", (5,)),
            b"values": ("float32", (5, 3))}
    record = {"required_features": b"map_parameter", "map_bytes": 5 * (8 + 1 + 12)}

    def of(**changed):
        parts = good | {part.encode(): stored for part, stored in changed.items()}
        return {(b"map_parameter", b"m/" + part): stored for part, stored in parts.items()}

    check(list(read_sealed.maps_in(of(), record)) == [b"m"], "an intact map is refused")
    cases = [{"keys": ("uint64", (5,))}, {"keys": ("int64", (5, 1))}, {"statuses": ("int8", (5,))},
             {"statuses": ("uint8", (4,))}, {"values": ("float64", (5, 3))}, {"values": ("float32", (4, 3))},
             {"values": ("float32", (5, 4))}, {"values": ("float32", (5,))}, {"default_row": ("float32", (0,))}]
    for changed in cases:
        by_hand.refuses("do not fit together", lambda changed=changed: read_sealed.maps_in(of(**changed), record))
    by_hand.refuses("has not the four datasets", lambda: read_sealed.maps_in(of(more=("uint8", (5,))), record))
    say(f"  {len(cases) + 1} maps that are none")


def shards_that_do_not_fit_are_told(bench, full):
    copy = bench.scratch / "changed.shards"

    def changed(complaint, file, name, entry, value):
        shutil.copytree(full, copy)
        with h5py.File(copy / file) as opened:
            group = opened[f"map_parameter/{name}"]
            dataset = group if isinstance(group, h5py.Dataset) else next(
                part for part_name, part in group.items() if part_name.startswith("keys["))
            at = dataset.id.get_offset() + 8 * entry
        (copy / file).write_bytes(by_hand.put((copy / file).read_bytes(), at, value))
        by_hand.read(bench, copy, complaint=complaint)
        shutil.rmtree(copy)

    def keys_of(shard):
        with h5py.File(full / f"shard-{shard}of{RANKS}.h5") as opened:
            return next(part[()] for name, part in opened["map_parameter/embedding"].items()
                        if name.startswith("keys["))

    first, second = keys_of(0), keys_of(1)
    # A key of rank 0 where it could be among those of rank 1, by the order.
    orders = read_sealed.order_of(second)
    fits = [key for key, order in zip(first, read_sealed.order_of(first)) if orders[98] < order < orders[102]]
    entry = int(np.searchsorted(orders, read_sealed.order_of(np.array(fits[:1]))[0]))
    changed("is in two shards", f"shard-1of{RANKS}.h5", "embedding", entry, struct.pack("<q", fits[0]))
    changed("out of order, or one is there twice", f"shard-1of{RANKS}.h5", "embedding", 5, struct.pack("<q", second[6]))
    changed("index: its checksum is wrong", "index.h5", "tensors/embedding/keys", 4, b"\x55" * 8)
    say("  shards changed in 3 ways")


def test(bench):
    paths = all_kinds_are_read(bench)
    damage_is_told(bench, *paths["plain"])
    types_that_do_not_fit_are_told()
    shards_that_do_not_fit_are_told(bench, paths["shards"][0])


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.set_defaults(full=False)
    main(arguments.parse_args(), test)
