#!/usr/bin/python3
"""Checks a plain HDF5 checkpoint against a workload and the fill rule, with h5py and NumPy alone.

Every dataset of the workload must be there with its shape, its little-endian type and its values bit
for bit, contiguous, overlapping no other; and there is nothing else but Cairn's own group. Files are
read in pieces, so that one of many gigabytes needs some 100 MB. The rule is told in workloads/README.md.

Needs python3-h5py and python3-numpy. The last line counts the complaints; exit code 1 if there are any.
"""
import argparse
import itertools
import json
import math
import sys

import h5py
import numpy as np

OWN_GROUP = ".cairn"
INFO_GROUP = "append_info"
PIECE_ELEMENTS = 1 << 20
MOST_SHOWN = 20

# The stored bits' NumPy type; sign bit, exponent's place and width, mantissa's place and width; bias.
FLOATS = {
    "float64": ("<u8", (63, 52, 11, 0, 52), 1023),
    "float32": ("<u4", (31, 23, 8, 0, 23), 127),
    "float16": ("<u2", (15, 10, 5, 0, 10), 15),
    "bfloat16": ("<u2", (15, 7, 8, 0, 7), 127),
    "float8_e4m3": ("u1", (7, 3, 4, 0, 3), 7),
    "float8_e5m2": ("u1", (7, 2, 5, 0, 2), 15),
}


# ---- the rule ----------------------------------------------------------------------------------

def x_of(first, count, place, step):
    """x of `count` elements from row-major index `first` on."""
    start = (first * 2654435761 + place * 40503 + step * 7919) & 0xFFFFFFFF
    return np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(start)


def unit(x):
    return (x >> np.uint32(8)).astype(np.float64) / 2.0**24


def coarse_unit(x):
    return (x >> np.uint32(25)).astype(np.float32) / np.float32(128)


def values_of(dtype, x):
    """The elements: floats as their stored bits, everything else as values."""
    if dtype in ("float32", "float64"):
        return unit(x).astype(dtype).view(FLOATS[dtype][0])
    if dtype == "float16":
        return coarse_unit(x).astype(np.float16).view("<u2")
    if dtype == "bfloat16":
        return (coarse_unit(x).view("<u4") >> np.uint32(16)).astype("<u2")
    if dtype in ("float8_e4m3", "float8_e5m2"):
        return (x >> np.uint32(25)).astype("u1")
    if dtype in ("complex64", "complex128"):
        real = unit(x)
        return (real + 1j * (1.0 - real)).astype(dtype)
    if dtype == "bool":
        return (x >> np.uint32(31)).astype(bool)
    bits = np.dtype(dtype).itemsize * 8
    top = x >> np.uint32(32 - bits) if bits < 32 else x
    return top.astype(f"u{bits // 8}").view(dtype)


# ---- one dataset -------------------------------------------------------------------------------

def pieces(shape):
    """Boxes (offset, extent) of at most PIECE_ELEMENTS, in row-major order, each one contiguous."""
    if 0 in shape:
        return
    if not shape:
        yield (), ()
        return
    # From dimension `cut` on inwards a piece takes everything; along it as many indices as fit.
    cut, inner = len(shape) - 1, 1
    while cut > 0 and inner * shape[cut] <= PIECE_ELEMENTS:
        inner *= shape[cut]
        cut -= 1
    at_once = max(1, PIECE_ELEMENTS // inner)
    rest = len(shape) - cut - 1
    for outer in itertools.product(*(range(n) for n in shape[:cut])):
        for first in range(0, shape[cut], at_once):
            count = min(at_once, shape[cut] - first)
            yield outer + (first,) + (0,) * rest, (1,) * cut + (count,) + tuple(shape[cut + 1:])


def index_of(offset, shape):
    index = 0
    for place, extent in zip(offset, shape):
        index = index * extent + place
    return index


def stored_type_complaint(dataset, dtype):
    stored = dataset.id.get_type()
    if dtype not in FLOATS:
        expected = np.dtype(dtype).newbyteorder("<")
        return None if dataset.dtype == expected else f"stored as {dataset.dtype}, not {expected}"
    bits, fields, bias = FLOATS[dtype]
    size = np.dtype(bits).itemsize
    same = (stored.get_class() == h5py.h5t.FLOAT and stored.get_size() == size
            and stored.get_fields() == fields and stored.get_ebias() == bias
            and (size == 1 or stored.get_order() == h5py.h5t.ORDER_LE))
    return None if same else f"not stored as a little-endian {dtype}"


def read_box(dataset, dtype, offset, extent):
    """The elements of a box, flat; floats as their bits, so that HDF5 converts nothing."""
    stored = dataset.id.get_type()
    kind = np.dtype(FLOATS[dtype][0] if dtype in FLOATS else dtype)
    out = np.empty(math.prod(extent), kind)
    if not extent:
        space = memory = h5py.h5s.ALL
    else:
        space = dataset.id.get_space()
        space.select_hyperslab(offset, extent)
        memory = h5py.h5s.create_simple((out.size,))
    dataset.id.read(memory, space, out, mtype=stored if dtype in FLOATS else None)
    return out


def value_complaint(dataset, dtype, place, step):
    wrong, first_wrong = 0, None
    for offset, extent in pieces(dataset.shape):
        got = read_box(dataset, dtype, offset, extent)
        first = index_of(offset, dataset.shape)
        want = values_of(dtype, x_of(first, got.size, place, step))
        if np.array_equal(got, want):
            continue
        bad = np.flatnonzero(got != want)
        wrong += bad.size
        if first_wrong is None and bad.size:
            at = bad[0]
            first_wrong = f"{first + int(at)}: expected {want[at]}, found {got[at]}"
    return f"{wrong} elements differ, the first at {first_wrong}" if wrong else None


def dataset_complaint(dataset, spec, place, step):
    if not isinstance(dataset, h5py.Dataset):
        return "not a dataset"
    if list(dataset.shape) != spec["shape"]:
        return f"shape {list(dataset.shape)}, expected {spec['shape']}"
    if dataset.id.get_create_plist().get_layout() != h5py.h5d.CONTIGUOUS:
        return "not contiguous"
    return (stored_type_complaint(dataset, spec["dtype"])
            or value_complaint(dataset, spec["dtype"], place, step))


# ---- the file ----------------------------------------------------------------------------------

def tensor_complaints(file, specs, step):
    for place, spec in enumerate(specs):
        name = spec["name"]
        why = dataset_complaint(file[name], spec, place, step) if name in file else "missing"
        if why:
            yield f"{name}: {why}"


def overlap_complaints(file):
    """Of all datasets, Cairn's own too."""
    extents = []

    def note(name, thing):
        if isinstance(thing, h5py.Dataset) and thing.id.get_storage_size():
            extents.append((thing.id.get_offset(), thing.id.get_storage_size(), name))

    file.visititems(note)
    extents.sort()
    for (offset, size, name), (next_offset, _, next_name) in zip(extents, extents[1:]):
        if offset + size > next_offset:
            yield f"{name} and {next_name} overlap in the file"
    if extents and extents[-1][0] + extents[-1][1] > file.id.get_filesize():
        yield f"{extents[-1][2]} ends behind the file"


def extra_complaints(file, specs):
    expected = {spec["name"].strip("/") for spec in specs}
    extra = []

    def note(name, thing):
        if isinstance(thing, h5py.Dataset) and name.split("/")[0] not in (OWN_GROUP, INFO_GROUP) and name not in expected:
            extra.append(f"{name}: not in the workload")

    file.visititems(note)
    if OWN_GROUP not in file:
        extra.append(f"{OWN_GROUP}: missing, no checkpoint of Cairn's")
    return extra


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("workload")
    parser.add_argument("--step", type=int, default=1, help="the step that was saved (%(default)s)")
    arguments = parser.parse_args()
    with open(arguments.workload, encoding="utf-8") as text:
        specs = json.load(text)["tensors"]
    with h5py.File(arguments.file, "r") as file:
        complaints = [*tensor_complaints(file, specs, arguments.step), *overlap_complaints(file),
                      *extra_complaints(file, specs)]
    for line in complaints[:MOST_SHOWN]:
        print(line)
    print(f"{len(specs)} tensors, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
