"""Writes a file by h5py and has examples/foreign sum one of its datasets on 1 and 3 ranks.

usage: example_foreign.py EXAMPLE MPIEXEC
"""
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np


def main():
    example, mpiexec = sys.argv[1:]
    values = np.arange(101 * 7, dtype=">f4").reshape(101, 7)
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "measured.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("run/temperature", data=values, compression="gzip", shuffle=True)
            file["run/note"] = "not a tensor"
        for ranks in (1, 3):
            command = [mpiexec, "--oversubscribe", "-n", str(ranks), example, str(path)]
            told = subprocess.run(command + ["run/temperature", "101", "7"], check=True,
                                  capture_output=True, text=True).stdout
            expected = f"run/temperature: sum {int(values.sum())} over {ranks} ranks, foreign file"
            assert told.strip() == expected, f"{told!r} instead of {expected!r}"
            print(told.strip())
            note = subprocess.run(command + ["run/note"] + ["1"], capture_output=True, text=True)
            assert note.returncode != 0 and "holds strings" in note.stderr, note.stderr


if __name__ == "__main__":
    main()
