"""Runs `cairn` for the tests beside this file, and reads checkpoints without any of Cairn's code."""
import json
import pathlib
import struct
import subprocess
import sys

import h5py
import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
from bench_job import ENVIRONMENT, Bench, Failed, check  # noqa: E402

GOOD, DAMAGED, USAGE, ERROR, KEY = range(5)
RANKS = (1, 3)


class Tool:
    """The program, started alone for one rank, else by mpirun."""

    def __init__(self, program, mpiexec):
        self.program = program
        self.mpiexec = mpiexec

    def run(self, ranks, *arguments, expect=GOOD, env=None):
        """What it printed on stdout and on stderr; it must exit with `expect`."""
        command = [self.program, *arguments]
        if ranks > 1:
            command = [self.mpiexec, "--oversubscribe", "-n", ranks, *command]
        done = subprocess.run([str(word) for word in command], env=ENVIRONMENT | (env or {}), timeout=60,
                              capture_output=True, check=False)
        out, err = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        check(done.returncode == expect,
              f"exit code {done.returncode}, expected {expect}: {' '.join(map(str, command))}\n{out}{err}")
        return out, without_mpirun(err)

    def json(self, ranks, *arguments, expect=GOOD, env=None):
        return json.loads(self.run(ranks, *arguments, "--json", expect=expect, env=env)[0])


def without_mpirun(text):
    """mpirun adds a frame where a program exits with another code than 0."""
    return "".join(line for line in text.splitlines(True) if line.startswith(("cairn: ", "\r")))


def record(path):
    """The last 4096 bytes of a plain image, by the table in docs/format.md."""
    page = pathlib.Path(path).read_bytes()[-4096:]
    check(page[:8] == b"CAIRNREC", f"{path} has no record")
    names = ("image_bytes", "block_bytes", "head_bytes", "tail_offset")
    told = dict(zip(names, struct.unpack_from("<4Q", page, 16)))
    names = ("step", "epoch", "step_in_epoch", "steps_per_epoch", "sequence", "saved_at")
    told |= dict(zip(names, struct.unpack_from("<5Qq", page, 88)))
    told["run_id"] = page[136:152].hex()
    told["series"] = page[152:408].rstrip(b"\0").decode()
    return told


def datasets(path):
    """Of each tensor its dtype as h5py has it, its shape and its place in the file."""
    found = {}
    with h5py.File(path) as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset) and not name.startswith(".cairn"):
                found[name] = (item.shape, item.id.get_offset(), item.id.get_storage_size())
        file.visititems(visit)
    return found


def small_float(bits, exponent_bits, mantissa_bits, has_infinity=True):
    """The values of floats that NumPy does not have, from their bits."""
    bits = bits.astype(numpy.int64)
    bias = 2 ** (exponent_bits - 1) - 1
    sign = numpy.where(bits >> (exponent_bits + mantissa_bits), -1.0, 1.0)
    exponent = (bits >> mantissa_bits) & (2**exponent_bits - 1)
    mantissa = bits & (2**mantissa_bits - 1)
    value = numpy.where(exponent == 0,
                        mantissa * 2.0 ** (1 - bias - mantissa_bits),
                        (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent.astype(float) - bias))
    if has_infinity:
        special = exponent == 2**exponent_bits - 1
        value = numpy.where(special, numpy.where(mantissa == 0, numpy.inf, numpy.nan), value)
    else:  # e4m3: the highest exponent is a number, but for one mantissa
        value = numpy.where((bits & 0x7F) == 0x7F, numpy.nan, value)
    return sign * value


def values(raw, dtype):
    """Bytes as numbers; complex ones as their magnitudes."""
    if dtype == "bfloat16":
        return small_float(numpy.frombuffer(raw, "<u2"), 8, 7)
    if dtype == "float8_e4m3":
        return small_float(numpy.frombuffer(raw, "u1"), 4, 3, has_infinity=False)
    if dtype == "float8_e5m2":
        return small_float(numpy.frombuffer(raw, "u1"), 5, 2)
    if dtype == "bool":
        return numpy.frombuffer(raw, "u1")
    found = numpy.frombuffer(raw, numpy.dtype(dtype).newbyteorder("<"))
    return numpy.abs(found.astype(complex)) if dtype.startswith("complex") else found


def same(found, expected, what):
    check(found == expected, f"{what} is {found!r}, expected {expected!r}")


def flip(path, offset):
    """Changes one byte."""
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x20]))


__all__ = ["Bench", "DAMAGED", "ERROR", "Failed", "GOOD", "KEY", "RANKS", "Tool", "USAGE", "check", "datasets",
           "flip", "record", "same", "values"]
