"""What `cairn-bench save --append-info` appends (bench/appendix.cpp), for readers without Cairn."""
import numpy as np

import check_fill
from bench_job import check

STEP_BASE = 1_000_000
MATRIX, SHAPE, PLACE = "averages/matrix", (97, 31), 1000


def expected(step):
    """Of each HDF5 path in the group the dtype as h5py has it and the value; texts are str."""
    return {
        "lr%": ("<f8", 0.1),
        "lr/warmup": ("<f8", float(np.float32(1e-3))),
        "seed": ("<i8", -42),
        "frozen": ("bool", True),
        "shuffle": ("bool", False),
        "note": ("S18", "größer als 1\n\"2\""),
        "nothing": ("S1", ""),
        "100%25": ("<i8", 100),
        "epoch_num": ("<i8", 1),
        "step_num": ("<i8", STEP_BASE + step),
        "count": ("<i4", step),
    }


def check_group(file, step):
    """Every entry of an open file, its type too; returns how many there are."""
    found = {}
    file["append_info"].visititems(lambda name, thing: found.update({name: thing}) if hasattr(thing, "dtype") else None)
    entries = expected(step)
    check(sorted(found) == sorted([*entries, MATRIX]), f"other entries: {sorted(found)}")
    for name, (dtype, value) in entries.items():
        dataset = found[name]
        check(dataset.shape == (), f"{name} has the shape {dataset.shape}")
        check(dataset.dtype == np.dtype(dtype), f"{name} is of type {dataset.dtype}, not {dtype}")
        text = isinstance(value, str)
        check(not text or dataset.id.get_type().get_cset() == 1, f"{name} is no UTF-8")
        got = dataset.asstr()[()] if text else dataset[()]
        check(got == value and (text or isinstance(got, np.generic)), f"{name} is {got!r}, not {value!r}")
    matrix = found[MATRIX]
    check(matrix.shape == SHAPE, f"{MATRIX} has the shape {matrix.shape}")
    complaint = check_fill.dataset_complaint(matrix, {"shape": list(SHAPE), "dtype": "bfloat16"}, PLACE, step)
    check(not complaint, f"{MATRIX}: {complaint}")
    return len(found)
