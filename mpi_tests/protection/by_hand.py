#!/usr/bin/python3
"""What Cairn writes is what docs/format.md tells: read with zlib, h5py, the openssl command and a
reader and a writer in Python that were made from that page alone.

Then one byte is changed in each part of a file, and the Python reader says which part it was.
"""
import contextlib
import hashlib
import io
import json
import pathlib
import re
import shutil
import struct
import sys
import time
import zlib

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "bench"), str(HERE.parent / "codec"), str(HERE.parents[1] / "scripts")]
import make_seal_vectors
import openssl_block
import read_sealed
from bench_job import PROJECT, WORKLOADS, check, main, parser, run, say, values

READER = PROJECT / "scripts" / "read_sealed.py"
PAGE = PROJECT / "docs" / "format.md"
WORKLOAD = WORKLOADS / "tiny.json"
SEVERAL_BLOCKS = WORKLOADS / "medium.json"
RANKS, STEP = 3, 7
SAVE = ("--step", STEP, "--saved-at", "1700000000.25", "--append-info")

# Mode and bytes of the key: each mode and each key length once.
SEALS = (("AES-GCM", 16), ("AES-GCM", 24), ("AES-GCM", 32), ("AES-CBC", 16), ("AES-CBC", 24),
         ("AES-CBC", 32), ("SM4-CBC", 16))


def key_of(size):
    return hashlib.sha256(b"by hand").digest()[:size]


def key_file(bench, key):
    path = bench.scratch / f"{key.hex()[:8]}-{len(key)}.key"
    path.write_text(key.hex() + "\n", encoding="ascii")
    path.chmod(0o600)
    return path


def read(bench, path, key=None, to=None, complaint=None):
    """Runs the Python reader (not as a process: that takes its time), which must be content, or say
    `complaint`."""
    words = [path, *(["--key-file", key_file(bench, key)] if key else []), *(["--to", to] if to else [])]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        code = read_sealed.main([str(word) for word in words])
    text = output.getvalue()
    if complaint is None:
        check(code == 0, f"the Python reader does not read {path}:\n{text}")
    else:
        check(code == 1 and complaint in text, f"expected the Python reader to say \"{complaint}\":\n{text}")
        if bench.arguments.full:
            options = ["--key-file", key_file(bench, key)] if key else []
            bench.load(WORKLOAD, 1, path, *options, expect=1)


def refuses(complaint, call):
    """A part of the Python reader says `complaint`."""
    told = None
    try:
        call()
    except read_sealed.Refused as refused:
        told = str(refused)
    check(told is not None and complaint in told, f"expected \"{complaint}\", not \"{told}\"")


def loads(bench, path, verified, *options):
    """Cairn loads the right values, and verifies them so."""
    told = values(bench.load(WORKLOAD, 2, path, *options))
    check((told["values"], told["verified"]) == ("right", verified), f"{path}: {told}")


def same_bytes(path, other):
    output, code = run(["cmp", path, other], 60)
    check(code == 0, f"not the same bytes: {output}")


def files_of(path):
    return sorted(path.iterdir()) if path.is_dir() else [path]


# ---- plain files -------------------------------------------------------------------------------

def snippet():
    """The Python of "By hand", for the file in sys.argv[1]."""
    section = PAGE.read_text(encoding="utf-8").partition("## By hand")[2]
    code = re.search("```python\n(.*?)```", section, re.DOTALL)[1]
    ours, count = re.subn('^path = ".*"$', "import sys; path = sys.argv[1]", code, flags=re.MULTILINE)
    check(count == 1, "the snippet of docs/format.md has no line \"path = …\"")
    return ours


def zlib_alone(raw):
    """Checks the CRCs of blocks with zlib and struct; tells how many blocks there are."""
    block, _, tail, _, entries = struct.unpack_from("<QQQQQ", raw, len(raw) - 4096 + 24)
    whole, = struct.unpack_from("<I", raw, len(raw) - 4096 + 985)
    check(entries > 0 and zlib.crc32(raw[:tail]) == whole, "blocks_crc is wrong")
    for k in range(entries):
        crc, *rest = struct.unpack_from("<IHHQ", raw, tail + 16 * k)
        check(crc == zlib.crc32(raw[k * block:(k + 1) * block]), f"the CRC of block {k} is wrong")
        check(rest == [0, 0, 0], f"block {k} has a codec, flags or another size")
    return entries


def plain_files_are_as_told(bench):
    """Saves plain ones, with and without CRCs, of both kinds; returns their paths by these two."""
    saved = {}
    for crc in (False, True):
        for shards in (False, True):
            path, _ = bench.save(WORKLOAD, RANKS, f"plain-{crc}", *SAVE, *["--crc"] * crc, *["--shards"] * shards)
            saved[crc, shards] = path
            blocks = 0
            for file in files_of(path):
                output, code = run([sys.executable, "-c", snippet(), file], 60)
                check(code == 0, f"the snippet of docs/format.md fails on {file}:\n{output}")
                raw = file.read_bytes()
                told = b"crc32" in raw[-4096 + 728:-4096 + 984].rstrip(b"\0").split()
                check(told == crc, f"{file}: the feature crc32 is {told}")
                blocks += zlib_alone(raw) if crc else 0
            output, code = run([READER, path], 60)
            check(code == 0 and "blocks_crc" in output, f"{READER.name} does not read {path}:\n{output}")
            loads(bench, path, "crc" if crc else "structure")
            say(f"  {path.name}: the snippet of format.md, the Python reader"
                + (f", zlib on {blocks} blocks" if crc else ""))
    say(f"  {bench.check_file(saved[True, False], WORKLOAD, STEP)} in the one with CRCs")
    return saved


# ---- sealed files ------------------------------------------------------------------------------

def texts_of(plain):
    """What must not be seen in a sealed file: names, HDF5's and Cairn's own words, values."""
    names = [tensor["name"].encode() for tensor in json.loads(WORKLOAD.read_text(encoding="utf-8"))["tensors"]]
    texts = [b"\x89HDF", b"CAIRNREC", b".cairn", b"TREE", b"padding", b"FALSE"]
    texts += [name for name in names if len(name) > 4 and name in plain]
    head, = struct.unpack_from("<Q", plain, len(plain) - 4096 + 32)
    texts += [plain[at:at + 12] for at in range(head, head + 512, 12)]
    return [text for text in texts if text in plain and text.strip(b"\0")]


def nothing_shows(sealed, plain):
    texts = texts_of(plain)
    check(len(texts) > 20, "nothing to look for")
    for text in texts:
        check(text not in sealed, f"{text} is to be seen in the sealed file")
    return len(texts)


def openssl_opens(sealed, plain, key):
    block, = struct.unpack_from("<Q", sealed, 26)
    count = -(-len(plain) // block)
    for k in (0, count - 1):
        opened = openssl_block.opened_block(sealed, key, k)
        check(opened == plain[k * block:(k + 1) * block], f"openssl has other bytes in block {k}")
    check(count > 1, "only one block")


def sealed_files_are_as_told(bench, plain):
    ids = set()
    for mode, size in SEALS:
        started = time.monotonic()
        key = key_of(size)
        for shards in (False, True):
            path, _ = bench.save(WORKLOAD, RANKS, f"{mode}-{size}", *SAVE, *["--shards"] * shards,
                                 "--key-file", key_file(bench, key), "--enc-mode", mode)
            opened = bench.scratch / f"opened-{mode}-{size}-{shards}"
            read(bench, path, key, opened)
            plain_files = files_of(plain[False, shards])
            check(len(files_of(path)) == len(plain_files), f"{path} has not the files of the plain one")
            for sealed, as_plain, was in zip(files_of(path), files_of(opened), plain_files):
                check(sealed.name == was.name + ".enc", f"{sealed} is badly named")
                same_bytes(as_plain, was)
                raw, image = sealed.read_bytes(), was.read_bytes()
                block, = struct.unpack_from("<Q", raw, 26)
                check(struct.unpack_from("<HI", raw, 10) == (4, block), "its blocks are not at multiples of their size")
                check(not any(raw[4096:block]), "something is between the header and the blocks")
                openssl_opens(raw, image, key)
                texts = nothing_shows(raw, image) if not shards else 0
                ids.add(raw[34:66])
                check(shards or raw[16] == make_seal_vectors.MODES[mode], "another mode")
            if not shards:
                bench.check_file(opened, WORKLOAD, STEP)
                loads(bench, path, "seal", "--key-file", key_file(bench, key))
                say(f"  {mode}, key of {size}: opened as the plain file; openssl has the same; "
                    f"{texts} texts not seen", started)
    check(len(ids) == len(SEALS) * (1 + len(plain_files)), "two files have the same file_id")


def ours_loads(bench, plain):
    """Cairn reads what the Python writer sealed."""
    for mode, size in SEALS:
        key = key_of(size)
        for begin in (4096, 65536):  # format 1.3, 1.4
            path = bench.scratch / f"python-{mode}-{size}-{begin}.h5.enc"
            path.write_bytes(make_seal_vectors.seal(plain.read_bytes(), mode, key, bytes(range(32)), blocks_begin=begin))
            loads(bench, path, "seal", "--key-file", key_file(bench, key))
            read(bench, path, key)
    say("  Cairn loads what Python sealed, in every mode and both places of blocks")


def several_blocks_are_as_told(bench):
    """The same of a larger file: with CRCs, then sealed."""
    started, key = time.monotonic(), key_of(32)
    plain, _ = bench.save(SEVERAL_BLOCKS, RANKS, "several", *SAVE)
    checked, _ = bench.save(SEVERAL_BLOCKS, RANKS, "several-crc", *SAVE, "--crc")
    output, code = run([sys.executable, "-c", snippet(), checked], 60)
    check(code == 0, f"the snippet of docs/format.md fails on {checked}:\n{output}")
    blocks = zlib_alone(checked.read_bytes())
    check(blocks > 10, "few blocks")
    for mode in ("AES-GCM", "AES-CBC"):
        sealed, _ = bench.save(SEVERAL_BLOCKS, RANKS, f"several-{mode}", *SAVE,
                               "--key-file", key_file(bench, key), "--enc-mode", mode)
        read(bench, sealed, key, bench.scratch / "several.h5")
        same_bytes(bench.scratch / "several.h5", plain)
    say(f"  {plain.name} of {blocks} blocks, with CRCs and sealed", started)


# ---- changed files -----------------------------------------------------------------------------

def flipped(raw, at):
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


def put(raw, at, piece):
    """With `piece` at `at`, from the end if negative."""
    at %= len(raw)
    return raw[:at] + piece + raw[at + len(piece):]


def crc_of(piece):
    return struct.pack("<I", zlib.crc32(piece))


def with_record(raw, at, piece):
    """A record that says something else, with the right CRC."""
    raw = put(raw, len(raw) - 4096 + at, piece)
    return put(raw, -4, crc_of(raw[-4096:-4]))


def with_header(raw, at, piece):
    """A header that says something else, with the right CRC."""
    raw = put(raw, at, piece)
    return put(raw, 4092, crc_of(raw[:4092]))


def told_apart(bench, cases, key=None):
    for complaint, raw in cases:
        path = bench.scratch / f"changed.h5{'.enc' if raw[1:8] == b'AIRNENC' else ''}"
        path.write_bytes(raw)
        read(bench, path, key, complaint=complaint)
    return len(cases)


def changed_plain_files(bench, path):
    """Of a file with CRCs of blocks."""
    raw = path.read_bytes()
    block, head, tail = struct.unpack_from("<QQQ", raw, len(raw) - 4096 + 24)
    count = told_apart(bench, [
        ("record: the file is too short", raw[:69647]),
        ("record: not a checkpoint", raw[:-1]),
        ("record: not a checkpoint", raw + b"\0"),
        ("record: not a checkpoint", flipped(raw, len(raw) - 4096)),
        ("record: its CRC is wrong", flipped(raw, len(raw) - 4096 + 88)),
        ("record: its CRC is wrong", flipped(raw, len(raw) - 100)),
        ("record: its CRC is wrong", flipped(raw, len(raw) - 1)),
        ("record: format 2 is not known", with_record(raw, 8, b"\2")),
        ("record: it is not of 4096 bytes", with_record(raw, 12, b"\1")),
        ("record: kind 2 is not known", with_record(raw, 984, b"\2")),
        ("record: the feature zstd is not known", with_record(raw, 472, b"zstd")),
        ("record: image_bytes is not the file's length", with_record(raw, 16, b"\1")),
        ("record: image_bytes is not the file's length", raw[:tail] + raw[tail + 16:]),
        ("record: no block has 98304 bytes", with_record(raw, 24, struct.pack("<Q", 98304))),
        ("record: no block has 32768 bytes", with_record(raw, 24, struct.pack("<Q", 32768))),
        ("record: the tail is at an impossible place", with_record(raw, 40, struct.pack("<Q", tail + 1))),
        ("record: the head has an impossible size", with_record(raw, 32, bytes(8))),
        ("record: the head has an impossible size", with_record(raw, 32, struct.pack("<Q", tail + block))),
        ("record: the block table is not", with_record(raw, 48, b"\1")),
        ("record: the block table has not", with_record(raw, 56, b"\1")),
        ("record: the tail is not what lies behind",
         with_record(raw[:-4096] + bytes(16) + raw[-4096:], 16, struct.pack("<Q", len(raw) + 16))),
        ("record: more values than", with_record(raw, 72, struct.pack("<Q", tail - head + 1))),
        ("head: its CRC is wrong", flipped(raw, 0)),
        ("head: its CRC is wrong", flipped(raw, head - 1)),
        ("tail: its CRC is wrong", flipped(raw, tail)),
        ("tail: its CRC is wrong", flipped(raw, len(raw) - 4097)),
        (f"block {head // block}: its CRC is wrong", flipped(raw, head)),
        (f"block {tail // block - 1}: its CRC is wrong", flipped(raw, tail - 1)),
        ("blocks: the CRC of all of them", with_record(raw, 985, b"\0\0\0\0")),
        ("HDF5: there are not tensor_count", with_record(raw, 64, b"\1")),
        ("HDF5: values are not value_bytes", with_record(raw, 72, b"\1")),
    ])
    say(f"  a plain file changed in {count} ways")


def changed_heads(bench, path):
    """What HDF5 would take in a head, but is not a checkpoint. Of a file without CRCs of blocks."""
    raw = path.read_bytes()
    head, tail = struct.unpack_from("<QQ", raw, len(raw) - 4096 + 32)
    with h5py.File(path, "r") as file:
        header_at = {name: struct.pack("<Q", h5py.h5o.get_info(file[name].id).addr) for name in ("half", "odd")}
        values_at = {name: struct.pack("<Q", file[name].id.get_offset()) for name in ("half", "odd")}
    float16 = bytes([0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0])  # the fields of the datatype message

    def changed(old, new):
        check(raw[:head].count(old) == 1, f"{old} is not to be found once")
        other = raw.replace(old, new, 1)
        return with_record(other, 80, crc_of(other[:head]))

    entry = header_at["half"] + bytes(8)  # of the symbol table: no type, so a hard link
    count = told_apart(bench, [
        ("HDF5: b'half' is not a hard link", changed(entry, b"\xff" * 8 + struct.pack("<Q", 2))),
        ("was met before under another name", changed(header_at["half"], header_at["odd"])),
        ("HDF5: b'ha%f' is no tensor's path", changed(b"half\0", b"ha%f\0")),
        ("HDF5: b'half' is of no type of ours", changed(float16, float16[:8] + bytes([14, 0, 0, 0]))),
        ("b'odd' overlap", changed(values_at["half"], values_at["odd"])),
        ("HDF5: b'half' does not lie in the body", changed(values_at["half"], struct.pack("<Q", head - 8))),
        ("HDF5: b'half' does not lie in the body", changed(values_at["half"], struct.pack("<Q", tail - 8))),
        ("HDF5: ", changed(b"half\0", b"odd\0\0")),
    ])
    say(f"  the head of a plain file changed in {count} ways")


def hdf5_of_others(bench):
    """What h5py writes at ease and a checkpoint must not have, each in a file of its own."""
    def external(file):
        file.create_dataset("x", (4,), "<f4", external=[("elsewhere", 0, 16)])

    def late(file):
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)))

    def compact(file):
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((4,)), properties)

    def text(file, size, shape=()):
        file.create_dataset("append_info/x", shape, h5py.Datatype(read_sealed.text_type(size)))

    def same_name(file):
        file["a"], file["a%"] = np.zeros(4, "<f4"), np.zeros(4, "<f4")

    cases = [
        ("'x' is not a hard link", lambda file: file.update({"x": h5py.SoftLink("/y")})),
        ("'x' is not a hard link", lambda file: file.update({"x": h5py.ExternalLink("f", "y")})),
        ("was met before", lambda file: file.update({"g/h": file.create_group("g")})),
        ("groups are nested too deep", lambda file: file.create_group("g/" * 1025)),
        ("neither group nor dataset", lambda file: file.update({"x": np.dtype("<f4")})),
        ("two tensors are called b'a'", same_name),
        ("is not contiguous", lambda file: file.create_dataset("x", (4,), "<f4", chunks=(2,))),
        ("is not contiguous", compact),
        ("is in an external file", external),
        ("has no shape", lambda file: file.create_dataset("x", data=h5py.Empty("<f4"))),
        ("has not the bytes of its shape", late),
        ("is of no type of ours", lambda file: file.update({"x": np.zeros(4, ">f4")})),
        ("is of no type of ours", lambda file: file.update({"x": "text"})),
        ("is no tensor's path", lambda file: file.update({"x%2e": np.zeros(4, "<f4")})),
        ("is no tensor's path", lambda file: file.update({"%41": np.zeros(4, "<f4")})),
        ("two tensors are called (b'append_info', b'a')",
         lambda file: same_name(file.create_group("append_info"))),
        ("is no tensor's path", lambda file: file.update({"append_info/%41": np.zeros(4, "<f4")})),
        ("is of no type of ours", lambda file: file.update({"append_info/x": "text"})),  # of any length
        ("is a text of 65537 bytes", lambda file: text(file, 65537)),
        ("is not one text", lambda file: text(file, 3, (2,))),
    ]
    for number, (complaint, make) in enumerate(cases):
        path = bench.scratch / f"other-{number}.h5"
        with h5py.File(path, "w") as file:
            make(file)
        image = path.read_bytes()
        record = {"head_bytes": 0, "tail_offset": len(image)}
        refuses(complaint, lambda image=image, record=record: read_sealed.tensors_of(image, record))
    say(f"  {len(cases)} HDF5 files that are no checkpoints")


def changed_index(bench, path):
    """An intact image of an index whose tables do not tell of whole tensors. Of plain shards."""
    raw = (path / "index.h5").read_bytes()
    with h5py.File(path / "index.h5", "r") as file:
        tables = {}
        file.visititems(lambda name, thing: tables.update({name: thing.id})
                        if isinstance(thing, h5py.Dataset) and not name.startswith((".cairn", "append_info"))
                        else None)
        spans = {name: (table.get_offset(), table.get_storage_size()) for name, table in tables.items()}

    def with_number(table, number, value, new_checksum=True):
        """The uint64 at place `number` of a table, from the end if negative."""
        offset, size = spans[table]
        other = put(raw, offset + 8 * number + (size if number < 0 else 0), struct.pack("<Q", value))
        if new_checksum:
            values = [other[at:at + size] for name, (at, size) in sorted(spans.items()) if name != "checksum"]
            other = put(other, spans["checksum"][0], struct.pack("<Q", zlib.crc32(b"".join(values))))
        return other

    odd = "tensors/odd"  # of float32, [7, 5, 3]: 7 numbers a row, and each box has some of the 7
    cases = [
        ("index: its checksum is wrong", with_number("shards", 0, 1, new_checksum=False)),
        ("index: its checksum is wrong", with_number(odd, 8, 1, new_checksum=False)),
        ("its length is not what the index tells", with_number("shards", 0, 1)),
        ("its head CRC is not what the index tells", with_number("shards", 1, 1)),
        ("has an unknown dtype", with_number(odd, 0, 17)),
        ("its boxes are not those of the index", with_number(odd, 0, 0)),
        ("index: a box of b'odd' is in shard 3 of 3", with_number(odd, 7, 3)),
        ("its boxes are not those of the index", with_number(odd, 7, 1)),
        ("index: a box of b'odd' does not lie in it", with_number(odd, -3, 6)),
        ("index: a box of b'odd' does not lie in it", with_number(odd, -3, 0)),
        ("index: boxes of b'odd' overlap", with_number(odd, -6, 1)),
        ("index: the boxes of b'odd' do not cover it", with_number(odd, -2, 4)),
    ]
    copy = bench.scratch / "index.shards"
    shutil.copytree(path, copy)
    for complaint, other in cases:
        (copy / "index.h5").write_bytes(other)
        read(bench, copy, complaint=complaint)

    shards, whole = [[135200, 0]], [[1, 2], [0, 0]]
    shapes = [
        ("a table is missing", {b"tensors/x": whole}),
        ("b'shards' is no table", {b"shards": [0, 0]}),
        ("shards is not [n, 2]", {b"shards": [[0, 0, 0]]}),
        ("b'other' is none of its tables", {b"shards": shards, b"other": [[0]]}),
        ("b'tensors/x' has not 1 + 2 d columns", {b"shards": shards, b"tensors/x": whole}),
        ("the boxes of b'x' do not cover it", {b"shards": shards, b"tensors/x": [[0, 3, 0]]}),
    ]
    for complaint, tables in shapes:
        refuses(complaint, lambda tables=tables: read_sealed.index_of(*index_with(tables)))
    infos = [
        ("index: its checksum is wrong", {b"tensors/x": [[12], [0]]}, 1),
        ("b'shards' is none of its tables", {b"shards": shards}, 0),
        ("b'x' is no text", {b"tensors/x": [[255, 4, 0], [0, 0, 2], [0, 2, 2]]}, 0),
        ("b'x' is no text", {b"tensors/x": [[255, 65537, 0], [0, 0, 65537]]}, 0),
        ("b'tensors/x' has an unknown dtype", {b"tensors/x": [[17], [0]]}, 0),
    ]
    for complaint, tables, change in infos:
        refuses(complaint, lambda tables=tables, change=change: read_sealed.index_of(
            *index_with({b"shards": shards}, tables, change)))
    refuses("b'tensors/x' has an unknown dtype", lambda: read_sealed.index_of(
        *index_with({b"shards": shards, b"tensors/x": [[255, 4, 0], [0, 0, 4]]})))
    say(f"  an index changed in {len(cases) + len(shapes) + len(infos) + 1} ways")


def index_with(tables, infos=None, change=0):
    """An image and what is found in it, as if it were an index of these tables, and in its append_info of
    these; `change` is added to the checksum of those."""
    image, tensors = tables_in(b"", tables)
    if infos:
        image, in_info = tables_in(image, infos, change)
        tensors |= {(b"append_info", name): table for name, table in in_info.items()}
    return image, tensors


def tables_in(image, tables, change=0):
    begin, tensors = len(image), {}
    for name, values in sorted(tables.items()):
        table = np.array(values, "<u8")
        tensors[name] = ("uint64", table.shape, len(image), table.nbytes)
        image += table.tobytes()
    tensors[b"checksum"] = ("uint64", (1, 1), len(image), 8)
    return image + struct.pack("<Q", zlib.crc32(image[begin:]) ^ change), tensors


def changed_sealed_files(bench, image, mode, size, begin):
    key, file_id = key_of(size), bytes(range(32))

    def seal(**changed):
        blocks_begin = begin if begin == 4096 else changed.get("block_bytes", begin)
        return make_seal_vectors.seal(image, mode, key, file_id, blocks_begin=blocks_begin, **changed)

    raw = seal()
    check(raw == seal(), "the writer is not deterministic")
    good = bench.scratch / "python.h5.enc"
    good.write_bytes(raw)
    read(bench, good, key, bench.scratch / "opened.h5")
    check((bench.scratch / "opened.h5").read_bytes() == image, "the reader opens it as another file")
    openssl_opens(raw, image, key)

    block, t = struct.unpack_from("<Q", raw, 26)[0], 16 if mode == "AES-GCM" else 32
    tags, count = begin + len(image), -(-len(image) // block)
    first, second = raw[begin:begin + block], raw[begin + block:begin + 2 * block]
    other = make_seal_vectors.seal(image, mode, key, bytes(32), blocks_begin=begin)

    def with_table_crc(changed):
        return put(changed, -4, crc_of(changed[tags:-4]))

    cases = [
        ("header: the file is shorter than one", raw[:4095]),
        ("header: not a sealed checkpoint", flipped(raw, 0)),
        *[("header: its CRC is wrong", flipped(raw, at)) for at in (8, 40, 82, 300, 2000, 4060, 4091, 4092)],
        *[("header: its MAC is wrong", with_header(raw, at, b"\x55")) for at in (34, 82, 130, 386, 2000, 4060)],
        ("header: format 2 is not known", with_header(raw, 8, b"\2")),
        *[("header: it is not of 4096 or 65536 bytes", with_header(raw, 12, struct.pack("<I", size)))
          for size in (4097, 8192, 131072)],
        ("header: mode 4 is not known", with_header(raw, 16, b"\4")),
        ("header: kind 2 is not known", with_header(raw, 17, b"\2")),
        ("header: the feature increments is not known", with_header(raw, 410, b"increments")),
        ("header: no block has 98304 bytes", with_header(with_header(raw, 12, struct.pack("<I", 4096)), 26,
                                                         struct.pack("<Q", 98304))),
        ("header: no block has 98304 bytes", with_header(with_header(raw, 12, struct.pack("<I", 98304)), 26,
                                                         struct.pack("<Q", 98304))),
        ("length: the file was cut short", raw[:-1]),
        ("length: the file was cut short", raw + b"\0"),
        ("length: the file was cut short", with_header(raw, 18, struct.pack("<Q", len(image) + 16))),
        *[(f"block {k}: its tag is wrong", flipped(raw, begin + k * block)) for k in range(count)],
        (f"block {count - 1}: its tag is wrong", flipped(raw, tags - 1)),
        ("block 0: its tag is wrong", put(put(raw, begin, second), begin + block, first)),
        ("block 1: its tag is wrong", put(raw, begin + block, other[begin + block:begin + 2 * block])),
        *[("tags: the table CRC is wrong", flipped(raw, at))
          for at in (tags, tags + count * t - 1, tags + count * t, len(raw) - 5, len(raw) - 4, len(raw) - 1)],
        *[("tags: the table MAC is wrong", with_table_crc(flipped(raw, at)))
          for at in (tags, tags + count * t - 1, tags + count * t, len(raw) - 5)],
        ("tags: the table MAC is wrong", with_table_crc(put(raw, tags, other[tags:]))),
        *[(f"record: {member} is not what the header tells", seal(**{member: other_value}))
          for member, other_value in (("kind", 1), ("block_bytes", 2 * block), ("run_id", bytes(16)), ("step", 8),
                                      ("epoch", 5), ("step_in_epoch", 5), ("steps_per_epoch", 5), ("sequence", 5),
                                      ("saved_at", 5), ("series", b"other"))],
    ]
    told_apart(bench, cases, key)
    unnamed = bench.scratch / "sealed.h5"
    unnamed.write_bytes(raw)
    read(bench, unnamed, key)
    read(bench, unnamed, complaint="its key is needed")
    read(bench, good, complaint="its key is needed")
    read(bench, good, key[:-1] + b"!", complaint="header: its MAC is wrong: another key")
    read(bench, good, key + b"?", complaint=f"{size + 1} bytes are no key for {mode}")
    if mode != "SM4-CBC":
        other_size = 32 if size != 32 else 16
        read(bench, good, key_of(other_size), complaint="header: its MAC is wrong: another key")
    say(f"  a sealed file ({mode}, key of {size}) changed in {len(cases)} ways")


def changed_shards(bench, plain, mode, size):
    """Files that are each intact, but do not belong together."""
    key = key_of(size)
    count = len(files_of(plain)) - 1
    good = bench.scratch / "python.shards"
    good.mkdir()
    for number, file in enumerate(files_of(plain)):
        shard = count if file.stem == "index" else int(re.match(r"shard-(\d+)of", file.stem)[1])
        sealed = make_seal_vectors.seal(file.read_bytes(), mode, key, bytes([number] * 32), shard, count)
        (good / f"{file.name}.enc").write_bytes(sealed)
    read(bench, good, key)
    read(bench, good, complaint="its key is needed")
    read(bench, plain, key, complaint="index.h5.enc: it is missing")

    def changed(complaint, change):
        copy = bench.scratch / "changed.shards"
        shutil.copytree(good, copy)
        change(copy)
        read(bench, copy, key, complaint=complaint)
        shutil.rmtree(copy)

    def image(name):
        return (plain / name).read_bytes()

    def swap(copy):
        a, b = copy / f"shard-0of{count}.h5.enc", copy / f"shard-1of{count}.h5.enc"
        held = a.read_bytes()
        a.write_bytes(b.read_bytes())
        b.write_bytes(held)

    def reseal(name, shard, shards, change=lambda raw: raw):
        return lambda copy: (copy / f"{name}.enc").write_bytes(
            make_seal_vectors.seal(change(image(name)), mode, key, bytes(32), shard, shards))

    one = f"shard-1of{count}.h5"
    changed(f"{one}.enc: it is missing", lambda copy: (copy / f"{one}.enc").unlink())
    changed("index.h5.enc: it is missing", lambda copy: (copy / "index.h5.enc").unlink())
    changed("its header tells of another place", swap)
    changed("its header tells of another place", reseal("index.h5", 0, 0))
    changed("its header tells of another place", reseal(one, 1, count + 1))
    changed(f"{one}.enc: header: not a sealed checkpoint",
            lambda copy: (copy / f"{one}.enc").write_bytes(image(one)))
    changed("step is not that of the index", reseal(one, 1, count, lambda raw: with_record(raw, 88, b"\x09")))
    changed("its head CRC is not what the index tells",
            reseal(one, 1, count, lambda raw: image(f"shard-0of{count}.h5")))
    say("  sealed shards changed in 8 ways")


# ---- the tools themselves ----------------------------------------------------------------------

def standards_hold():
    """The vectors of the standards, by what the checks above rest on; and our file of them is
    what its writer makes today."""
    for vector in make_seal_vectors.HKDF_VECTORS:
        key, salt, info, output = (bytes.fromhex(vector[name]) for name in ("key", "salt", "info", "output"))
        check(read_sealed.hkdf_sha256(key, salt, info, len(output)) == output, vector["source"])
    for vector in make_seal_vectors.CIPHER_VECTORS:
        key, iv, plain, sealed = (bytes.fromhex(vector[name]) for name in ("key", "iv", "plain", "sealed"))
        name, mode = vector["cipher"].split("-")
        if mode == "GCM":
            opened = openssl_block.enc(name, "ctr", key, sealed, "-d", "-iv", iv.hex() + "00000002")
            box = read_sealed.AESGCM(key).encrypt(iv, plain, bytes.fromhex(vector["aad"]))
            check(box == sealed + bytes.fromhex(vector["tag"]), vector["source"])
        else:
            opened = openssl_block.enc(name, "cbc", key, sealed, "-d", "-nopad", "-iv", iv.hex())
        check(opened == plain, vector["source"])
    for vector in make_seal_vectors.CRC_VECTORS:
        check(zlib.crc32(vector["text"].encode()) == vector["crc"], vector["text"])
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        make_seal_vectors.main()
    in_tree = (HERE.parent / "codec" / "seal_vectors.json").read_text(encoding="utf-8")
    check(written.getvalue() == in_tree, "make_seal_vectors.py makes other vectors than those in the tree")
    say("  RFC 5869, NIST, GB/T 32907, CRCs; seal_vectors.json is what its writer makes")


def test(bench):
    say("vectors")
    standards_hold()
    say("plain")
    plain = plain_files_are_as_told(bench)
    say("sealed")
    sealed_files_are_as_told(bench, plain)
    ours_loads(bench, plain[False, False])
    several_blocks_are_as_told(bench)
    say("changed")
    changed_plain_files(bench, plain[True, False])
    changed_heads(bench, plain[False, False])
    hdf5_of_others(bench)
    changed_index(bench, plain[False, True])
    for mode, size, begin in (("AES-GCM", 32, 65536), ("AES-CBC", 24, 65536), ("SM4-CBC", 16, 4096)):
        changed_sealed_files(bench, plain[False, False].read_bytes(), mode, size, begin)
    changed_shards(bench, plain[False, True], "AES-GCM", 16)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--full", action="store_true", help="Cairn must refuse every changed file too")
    main(arguments.parse_args(), test)
