"""Writes, by h5py alone, the files that foreign_test.cpp loads. The values follow the rules there.

usage: make_foreign.py DIRECTORY
"""
import pathlib
import sys

import h5py
import numpy as np

ROWS, COLUMNS = 60, 35


def values(dtype):
    """Element (i, j) is i * COLUMNS + j modulo 100: every type from int8 to complex128 has it."""
    return (np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 100).astype(dtype)


def numbers(path):
    """One dataset of each type in each byte order, plain."""
    kinds = ["f8", "f4", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "c8", "c16"]
    with h5py.File(path, "w") as file:
        for kind in kinds:
            file["little/" + kind] = values("<" + kind)
            file["big/" + kind] = values(">" + kind)
        file["little/bool"] = values("i4") % 3 == 0
        file["big/bool"] = values("i4") % 3 == 0


def storage(path):
    """One float32 tensor, stored in all the ways that HDF5 itself knows."""
    ways = {
        "contiguous": {},
        "chunked": {"chunks": (7, 8)},
        "gzip": {"chunks": (16, 35), "compression": "gzip"},
        "shuffle": {"chunks": (7, 8), "compression": "gzip", "shuffle": True},
        "fletcher32": {"chunks": (60, 5), "fletcher32": True},
        "all": {"chunks": (9, 9), "compression": 9, "shuffle": True, "fletcher32": True},
        "resizable": {"chunks": (10, 10), "maxshape": (None, None)},
    }
    with h5py.File(path, "w") as file:
        for name, how in ways.items():
            file.create_dataset("deep/er/" + name, data=values("f4"), **how)
        file.create_dataset("big gzip", data=values(">f4"), chunks=(8, 35), compression="gzip")
        file.create_dataset("never written", (ROWS, COLUMNS), "f4", fillvalue=7)
        file.create_dataset("half written", (ROWS, COLUMNS), "f4", chunks=(30, 35), fillvalue=7)
        file["half written"][:30] = values("f4")[:30]
        file.create_dataset("large", data=np.arange(512 * 300, dtype=">f8").reshape(512, 300),
                            chunks=(50, 77), compression="gzip", shuffle=True)
        file["scalar"] = np.float64(2.5)
        file["empty"] = np.zeros((4, 0), "i4")
        file["deep"].attrs["note"] = "attributes are not looked at"


def others(path):
    """Tensors among things that are none."""
    with h5py.File(path, "w", userblock_size=1024) as file:
        file["tensor"] = values("f4")
        file["text"] = "words"
        file["words"] = np.array(["a", "b"], dtype=h5py.string_dtype())
        file["table"] = np.zeros(3, dtype=[("x", "f4"), ("y", "i4")])
        file["reference"] = file["tensor"].ref
        file["type"] = np.dtype("f4")
        file["nothing"] = h5py.Empty("f4")
        file.create_dataset("lzf", data=values("f4"), chunks=(10, 35), compression="lzf")
        file["tensor"].attrs["of"] = file["tensor"].ref


def main():
    directory = pathlib.Path(sys.argv[1])
    numbers(directory / "numbers.h5")
    storage(directory / "storage.h5")
    others(directory / "others.h5")


if __name__ == "__main__":
    main()
