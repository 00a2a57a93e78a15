#!/usr/bin/python3
"""Files that earlier versions wrote load with the right values; and today's writer writes the same
bytes for the same state. README.md tells how the files were made.
"""
import gzip
import pathlib
import struct
import sys
import zlib

import h5py

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parents[1] / "bench")]
import appendix
from bench_job import PROJECT, WORKLOADS, check, main, parser, run, say, values

READER = PROJECT / "scripts" / "read_sealed.py"
TINY, SMALL = WORKLOADS / "tiny.json", HERE / "small.json"
STEP = 7

# Path below this directory, what it holds, its key, whether it has append_info. Plain files are gzipped.
GOLDEN = (
    ("1.0/CKP-1_7.h5", TINY, None, False),
    ("1.0/SH-1_7.shards", TINY, None, False),
    ("1.1/CKP-1_7.h5", TINY, None, False),
    ("1.1/SH-1_7.shards", TINY, None, False),
    ("1.1/GCM-1_7.h5.enc", TINY, "32", False),
    ("1.1/CBC-1_7.h5.enc", TINY, "32", False),
    ("1.1/SM4-1_7.h5.enc", TINY, "16", False),
    ("1.1/SEALED-1_7.shards", SMALL, "32", False),
    ("1.2/CKP-1_7.h5", TINY, None, True),
    ("1.2/SH-1_7.shards", TINY, None, True),
    ("1.2/GCM-1_7.h5.enc", TINY, "32", True),
    ("1.4/GCM-1_7.h5.enc", TINY, "32", True),
    ("1.4/SEALED-1_7.shards", SMALL, "32", False),
)

# What made the plain ones of today's format, and the HDF5 release whose bytes they are.
SAVES = (("1.2/CKP-1_7.h5", "--prefix", "CKP"), ("1.2/SH-1_7.shards", "--prefix", "SH", "--shards"))
SAVE = ("--step", STEP, "--saved-at", 1700000000, "--crc", "--append-info")
HDF5_RELEASE = "1.10.8"
SKIPPED = 77


def files_of(path):
    return sorted(path.iterdir()) if path.is_dir() else [path]


def unpacked(bench, name):
    """A copy of a golden file or directory, as it was before gzip."""
    for file in [*HERE.glob(f"{name}*"), *HERE.glob(f"{name}/*")]:
        if file.is_file():
            to = bench.scratch / "golden" / file.relative_to(HERE)
            to.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".gz":
                to.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
            else:
                to.write_bytes(file.read_bytes())
    return bench.scratch / "golden" / name


def key_options(bench, key):
    if key is None:
        return []
    path = bench.scratch / f"{key}.key"
    path.write_bytes((HERE / f"{key}.key").read_bytes())
    path.chmod(0o600)  # git does not keep it
    return ["--key-file", path]


def test_loads(bench):
    for name, workload, key, has_info in GOLDEN:
        path, options = unpacked(bench, name), key_options(bench, key)
        for ranks in (1, 3):
            output = values(bench.load(workload, ranks, path, *options, *["--append-info"] * has_info))
            check(output["values"] == "right" and output["step"] == str(STEP), f"{name}: {output}")
            check(output.get("append_info", "right") == "right", f"{name}: {output}")
        if key is None and path.is_file():
            bench.check_file(path, workload, STEP)
            with h5py.File(path) as file:
                check(("append_info" in file) == has_info, f"{name}: append_info")
                if has_info:
                    appendix.check_group(file, STEP)
        output, code = run([sys.executable, READER, path, *options], 60)
        check(code == 0, f"{READER.name} does not read {name}:\n{output}")
        say(f"  {name} has the right values on 1 and 3 ranks")


def without_writer(raw):
    """But for the name and version of the program that wrote it; the record's CRC is checked."""
    record = raw[-4096:]
    check(record[:8] == b"CAIRNREC" and zlib.crc32(record[:4092]) == struct.unpack("<I", record[4092:])[0],
          "not an intact record")
    return raw[:-4096] + record[:408] + record[472:4092]


def test_writer(bench):
    for name, *options in SAVES:
        golden = files_of(unpacked(bench, name))
        written, _ = bench.save(TINY, 3, "written", *SAVE, *options)
        check(written.name == pathlib.Path(name).name, f"{written} is badly named")
        files = files_of(written)
        check([file.name for file in files] == [file.name for file in golden], f"other files in {written}")
        for file, was in zip(files, golden):
            now, then = without_writer(file.read_bytes()), without_writer(was.read_bytes())
            first = next((at for at, (a, b) in enumerate(zip(now, then)) if a != b), min(len(now), len(then)))
            check(now == then, f"{name}: today's {file.name} is another file, from byte {first} on")
        say(f"  {name} is written today as it was")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--writer", metavar="HDF5-RELEASE",
                           help="test the writer, which is linked with this release")
    given = arguments.parse_args()
    if given.writer and given.writer != HDF5_RELEASE:
        print(f"LEFT OUT: the golden files have the bytes of HDF5 {HDF5_RELEASE}, this is {given.writer}")
        sys.exit(SKIPPED)
    main(given, test_writer if given.writer else test_loads)
