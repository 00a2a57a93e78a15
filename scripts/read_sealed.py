#!/usr/bin/python3
"""Reads a checkpoint without Cairn: FILE.h5, FILE.h5.enc or a directory NAME.shards.

Makes every check that docs/format.md asks of a reader, prints what the header and the record tell,
and with --to writes what was encrypted as the plain HDF5 file that it is. Of an increment it reads that
file, not those before it. Written from that page alone, to be read beside it. A file is held in
memory as a whole.

Needs python3-h5py, python3-numpy and python3-cryptography. Exit code 1 and one line if a check fails.
"""
import argparse
import datetime
import hashlib
import hmac
import io
import math
import pathlib
import re
import struct
import sys
import zlib

import h5py
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from h5py import h5d, h5g, h5l, h5o, h5s, h5t

# Offset, member and struct's letters for it; t256 is a text in 256 bytes.
RECORD_BYTES = 4096
RECORD = [
    (0, "magic", "8s"), (8, "format_major", "H"), (10, "format_minor", "H"), (12, "record_bytes", "I"),
    (16, "image_bytes", "Q"), (24, "block_bytes", "Q"), (32, "head_bytes", "Q"), (40, "tail_offset", "Q"),
    (48, "table_offset", "Q"), (56, "table_entries", "Q"), (64, "tensor_count", "Q"),
    (72, "value_bytes", "Q"), (80, "head_crc", "I"), (84, "tail_crc", "I"), (88, "step", "Q"),
    (96, "epoch", "Q"), (104, "step_in_epoch", "Q"), (112, "steps_per_epoch", "Q"), (120, "sequence", "Q"),
    (128, "saved_at", "q"), (136, "run_id", "16s"), (152, "series", "t256"), (408, "writer", "t64"),
    (472, "required_features", "t256"), (728, "optional_features", "t256"), (984, "kind", "B"),
    (985, "blocks_crc", "I"), (989, "base", "Q"), (997, "position", "I"), (1001, "map_bytes", "Q"),
    (1009, "parent", "t256"), (1265, "parent_digest", "32s"), (4092, "record_crc", "I"),
]
HEADER_BYTES = 4096
HEADER = [
    (0, "magic", "8s"), (8, "format_major", "H"), (10, "format_minor", "H"), (12, "header_bytes", "I"),
    (16, "mode", "B"), (17, "kind", "B"), (18, "image_bytes", "Q"), (26, "block_bytes", "Q"),
    (34, "file_id", "32s"), (66, "run_id", "16s"), (82, "step", "Q"), (90, "epoch", "Q"),
    (98, "step_in_epoch", "Q"), (106, "steps_per_epoch", "Q"), (114, "sequence", "Q"),
    (122, "saved_at", "q"), (130, "series", "t256"), (386, "shard", "Q"), (394, "shards", "Q"),
    (402, "base", "Q"), (410, "required_features", "t256"), (666, "position", "I"), (670, "map_bytes", "Q"),
    (678, "parent", "t256"), (934, "parent_digest", "32s"), (4060, "header_mac", "32s"), (4092, "header_crc", "I"),
]
MODES = {1: "AES-GCM", 2: "AES-CBC", 3: "SM4-CBC"}
KINDS = {0: "periodic", 1: "breakpoint"}
MAPS = b"map_parameter"  # a feature, and the group where they are
KNOWN_FEATURES = {MAPS, b"increment"}  # that a file may require of us
KEY_BYTES = {"AES-GCM": (16, 24, 32), "AES-CBC": (16, 24, 32), "SM4-CBC": (16,)}
TAG_BYTES = {"AES-GCM": 16, "AES-CBC": 32, "SM4-CBC": 32}
CHAIN = ("base", "position", "map_bytes", "parent", "parent_digest")
SAME_IN_HEADER_AND_RECORD = ("kind", "image_bytes", "block_bytes", "run_id", "step", "epoch",
                             "step_in_epoch", "steps_per_epoch", "sequence", "saved_at", "series", *CHAIN)
SAME_IN_ALL_SHARDS = ("run_id", "series", "sequence", "step", "epoch", "saved_at", *CHAIN)

APPEND_INFO = b"append_info"
LONGEST_TEXT = 65536
TEXT_NUMBER = 255  # in an index, where others have the number of their dtype
LEAST_IMAGE = 65536 + 16 + RECORD_BYTES
LARGEST_BLOCK = LARGEST_HEAD = 1 << 30
MOST_ENTRIES = 1 << 26
DEEPEST_GROUP = 1024


class Refused(Exception):
    """A check failed; the message says which."""


def require(condition, complaint):
    if not condition:
        raise Refused(complaint)


def parsed(fields, page):
    """The members of a record or a header."""
    found = {}
    for offset, name, letters in fields:
        if letters[0] == "t":
            found[name] = page[offset:offset + int(letters[1:])].rstrip(b"\0")
        else:
            found[name], = struct.unpack_from("<" + letters, page, offset)
    return found


def check_common(fields, what):
    """What the record and the header are both asked for."""
    require(fields["format_major"] == 1, f"{what}: format {fields['format_major']} is not known")
    sizes = (4096, fields["block_bytes"]) if what == "header" else (4096,)
    require(fields[f"{what}_bytes"] in sizes, f"{what}: it is not of {' or '.join(map(str, sizes))} bytes")
    require(fields["kind"] in KINDS, f"{what}: kind {fields['kind']} is not known")
    for word in fields["required_features"].split():
        require(word in KNOWN_FEATURES, f"{what}: the feature {word.decode()} is not known")
    require(fields["sequence"] < 1 << 62, f"{what}: sequence {fields['sequence']} is too high")
    require(not fields["position"] or (fields["position"] <= 1 << 20 and fields["base"] < fields["sequence"] and
                                       fields["parent"] and not fields["parent"].startswith(b"/")),
            f"{what}: no increment has such a position, base or parent")


def is_block_size(size):
    return 65536 <= size <= LARGEST_BLOCK and size & (size - 1) == 0


# ---- sealed files ------------------------------------------------------------------------------

def hmac_sha256(key, *pieces):
    return hmac.digest(key, b"".join(pieces), "sha256")


def hkdf_sha256(key, salt, info, size):
    """RFC 5869."""
    secret, out, piece, count = hmac_sha256(salt, key), b"", b"", 0
    while len(out) < size:
        count += 1
        piece = hmac_sha256(secret, piece, info, bytes([count]))
        out += piece
    return out[:size]


def derived_key(key, file_id, mode, purpose):
    size = len(key) if purpose in ("block", "iv") else 32
    return hkdf_sha256(key, file_id, f"cairn 1 {mode} {purpose}".encode(), size)


def header_of(raw):
    """The header of a sealed file, with all checks that need no key."""
    require(len(raw) >= HEADER_BYTES, "header: the file is shorter than one")
    page = raw[:HEADER_BYTES]
    header = parsed(HEADER, page)
    require(header["magic"] == b"CAIRNENC", "header: not a sealed checkpoint")
    require(zlib.crc32(page[:4092]) == header["header_crc"], "header: its CRC is wrong")
    check_common(header, "header")
    require(header["mode"] in MODES, f"header: mode {header['mode']} is not known")
    require(is_block_size(header["block_bytes"]), f"header: no block has {header['block_bytes']} bytes")
    require(len(raw) == places_of(header)["end"], "length: the file was cut short or extended")
    return header


def places_of(header):
    """Where the parts behind the header begin, and the number of blocks."""
    count = -(-header["image_bytes"] // header["block_bytes"])
    tags = header["header_bytes"] + -(-header["image_bytes"] // 16) * 16
    mac = tags + count * TAG_BYTES[MODES[header["mode"]]]
    return {"count": count, "tags": tags, "mac": mac, "crc": mac + 32, "end": mac + 36}


def opened_block(mode, keys, digest, k, sealed, tag):
    """The bytes of block k, or None if the tag is not this block's."""
    number = struct.pack("<Q", k)
    if mode == "AES-GCM":
        try:
            return AESGCM(keys["block"]).decrypt(number + bytes(4), sealed + tag, digest + number)
        except InvalidTag:
            return None
    cipher = algorithms.AES if mode == "AES-CBC" else algorithms.SM4
    iv = Cipher(cipher(keys["iv"]), modes.ECB()).encryptor().update(number + bytes(8))
    if not hmac.compare_digest(tag, hmac_sha256(keys["mac"], digest, number, iv, sealed)):
        return None
    return Cipher(cipher(keys["block"]), modes.CBC(iv)).decryptor().update(sealed)


def opened(raw, key):
    """The header and the image of a sealed file."""
    header = header_of(raw)
    mode = MODES[header["mode"]]
    require(len(key) in KEY_BYTES[mode], f"key: {len(key)} bytes are no key for {mode}")
    keys = {purpose: derived_key(key, header["file_id"], mode, purpose)
            for purpose in ("block", "iv", "mac", "header", "table")}
    require(hmac.compare_digest(header["header_mac"], hmac_sha256(keys["header"], raw[:4060])),
            "header: its MAC is wrong: another key, or a forgery")

    places = places_of(header)
    require(zlib.crc32(raw[places["tags"]:places["crc"]]) == struct.unpack("<I", raw[places["crc"]:])[0],
            "tags: the table CRC is wrong")
    digest = hashlib.sha256(raw[:HEADER_BYTES]).digest()
    tags = raw[places["tags"]:places["mac"]]
    require(hmac.compare_digest(raw[places["mac"]:places["crc"]], hmac_sha256(keys["table"], digest, tags)),
            "tags: the table MAC is wrong: a forgery")

    image = bytearray()
    for k in range(places["count"]):
        begin = header["header_bytes"] + k * header["block_bytes"]
        sealed = raw[begin:min(begin + header["block_bytes"], places["tags"])]
        tag = tags[k * TAG_BYTES[mode]:(k + 1) * TAG_BYTES[mode]]
        block = opened_block(mode, keys, digest, k, sealed, tag)
        require(block is not None, f"block {k}: its tag is wrong")
        image += block
    return header, bytes(image[:header["image_bytes"]])


# ---- images ------------------------------------------------------------------------------------

def record_of(image):
    """Steps 1 to 5 of "Reading", and the CRCs of blocks."""
    require(len(image) >= LEAST_IMAGE, "record: the file is too short for a checkpoint")
    page = image[-RECORD_BYTES:]
    record = parsed(RECORD, page)
    require(record["magic"] == b"CAIRNREC", "record: not a checkpoint, or one that was cut short or extended")
    require(zlib.crc32(page[:4092]) == record["record_crc"], "record: its CRC is wrong")
    check_common(record, "record")

    block, head, tail = record["block_bytes"], record["head_bytes"], record["tail_offset"]
    require(record["image_bytes"] == len(image), "record: image_bytes is not the file's length")
    require(is_block_size(block), f"record: no block has {block} bytes")
    require(tail % block == 0 and tail < len(image), "record: the tail is at an impossible place")
    require(head % block == 0 and 0 < head <= min(tail, LARGEST_HEAD), "record: the head has an impossible size")
    require(record["table_offset"] == tail, "record: the block table is not at the tail's begin")
    require(record["table_entries"] == tail // block and tail // block <= MOST_ENTRIES,
            "record: the block table has not one entry for each block")
    require(len(image) == tail + 16 * record["table_entries"] + RECORD_BYTES,
            "record: the tail is not what lies behind the body")
    require(record["value_bytes"] <= tail - head, "record: more values than the body has bytes")

    require(zlib.crc32(image[:head]) == record["head_crc"], "head: its CRC is wrong")
    require(zlib.crc32(image[tail:-RECORD_BYTES]) == record["tail_crc"], "tail: its CRC is wrong")
    if b"crc32" in record["optional_features"].split():
        entries = np.frombuffer(image, "<u4, <u2, <u2, <u8", record["table_entries"], tail)
        for k, (crc, *_) in enumerate(entries):
            require(zlib.crc32(image[k * block:(k + 1) * block]) == crc, f"block {k}: its CRC is wrong")
        require(zlib.crc32(image[:tail]) == record["blocks_crc"], "blocks: the CRC of all of them is wrong")
    return record


def has_maps(record):
    return MAPS in record.get("required_features", b"").split()


def path_of(name, with_maps=False):
    """Rules 1 to 5 of "Names"."""
    parts = [part.replace(b"%", b"%25").replace(b"\0", b"%00") for part in name.split(b"/")]
    named = {b"": b"%", b".": b"%2E", b"..": b"%2E%2E"}
    parts = [named.get(part, part) for part in parts]
    taken = {b".cairn": b"%2Ecairn", APPEND_INFO: b"%61ppend_info"} | ({MAPS: b"%6Dap_parameter"} if with_maps else {})
    parts[0] = taken.get(parts[0], parts[0])
    return b"/".join(parts)


def name_of(path, with_maps=False):
    parts = path.split(b"/")
    if len(parts[-1]) > 1 and parts[-1].endswith(b"%"):
        parts[-1] = parts[-1][:-1]
    parts = [b"" if part == b"%" else
             re.sub(b"%([0-9A-F]{2})", lambda digits: bytes.fromhex(digits[1].decode()), part)
             for part in parts]
    name = b"/".join(parts)
    expected = path_of(name, with_maps)
    require(path in (expected, expected + b"%"), f"HDF5: {path!r} is no tensor's path")
    return name


def key_of(path, with_maps=False):
    """What a dataset is called here: the name of a tensor, (APPEND_INFO, key) or (MAPS, name)."""
    for group in (APPEND_INFO, MAPS)[:2 if with_maps else 1]:
        if path.startswith(group + b"/"):
            return group, name_of(path[len(group) + 1:], with_maps)
    return name_of(path, with_maps)


def is_tensor(key):
    return not isinstance(key, tuple)


def those_in(group, tensors):
    return {key[1]: tensor for key, tensor in tensors.items() if not is_tensor(key) and key[0] == group}


def float_type(size, sign, exponent, exponent_bits, bias, mantissa, mantissa_bits):
    made = h5t.IEEE_F32LE.copy()
    made.set_fields(sign, exponent, exponent_bits, mantissa, mantissa_bits)
    made.set_precision(8 * size)
    made.set_size(size)
    made.set_ebias(bias)
    return made


def bool_type():
    made = h5t.enum_create(h5t.STD_I8LE)
    made.enum_insert(b"FALSE", 0)
    made.enum_insert(b"TRUE", 1)
    return made


def complex_type(part):
    made = h5t.create(h5t.COMPOUND, 2 * part.get_size())
    made.insert(b"r", 0, part)
    made.insert(b"i", part.get_size(), part)
    return made


def text_type(size):
    made = h5t.C_S1.copy()
    made.set_size(size)
    made.set_strpad(h5t.STR_NULLPAD)
    made.set_cset(h5t.CSET_UTF8)
    return made


def is_text(stored):
    return isinstance(stored, h5t.TypeStringID) and not stored.is_variable_str() and \
        stored.equal(text_type(stored.get_size()))


# In the order of the numbers that the index of shards has for them.
TYPES = {
    "float64": h5t.IEEE_F64LE, "float32": h5t.IEEE_F32LE,
    "float16": float_type(2, 15, 10, 5, 15, 0, 10), "bfloat16": float_type(2, 15, 7, 8, 127, 0, 7),
    "float8_e4m3": float_type(1, 7, 3, 4, 7, 0, 3), "float8_e5m2": float_type(1, 7, 2, 5, 15, 0, 2),
    "int8": h5t.STD_I8LE, "uint8": h5t.STD_U8LE, "int16": h5t.STD_I16LE, "uint16": h5t.STD_U16LE,
    "int32": h5t.STD_I32LE, "uint32": h5t.STD_U32LE, "int64": h5t.STD_I64LE, "uint64": h5t.STD_U64LE,
    "bool": bool_type(), "complex64": complex_type(h5t.IEEE_F32LE), "complex128": complex_type(h5t.IEEE_F64LE),
}


def datasets_of(file):
    """Step 6: path and dataset of all of them, Cairn's own too."""
    seen, found, to_visit = {h5o.get_info(file.id).addr}, [], [(b"", h5g.open(file.id, b"/"), 0)]
    while to_visit:
        prefix, group, depth = to_visit.pop()
        require(depth <= DEEPEST_GROUP, "HDF5: groups are nested too deep")
        for link in group:
            path = prefix + link
            require(group.links.get_info(link).type == h5l.TYPE_HARD, f"HDF5: {path!r} is not a hard link")
            thing = h5o.open(group, link)
            address = h5o.get_info(thing).addr
            require(address not in seen, f"HDF5: {path!r} was met before under another name")
            seen.add(address)
            if isinstance(thing, h5g.GroupID):
                to_visit.append((path + b"/", thing, depth + 1))
            else:
                require(isinstance(thing, h5d.DatasetID), f"HDF5: {path!r} is neither group nor dataset")
                found.append((path, thing))
    return found


def tensors_of(image, record):
    """Of each tensor the dtype, the shape and where its bytes are; of append_info too, by `key_of`. A
    text of n bytes has the dtype "text" and the shape (n,)."""
    try:
        return walked(image, record)
    except (KeyError, OSError, RuntimeError, TypeError, ValueError) as error:  # those of h5py
        raise Refused(f"HDF5: {error}") from None


def walked(image, record):
    """Steps 6 to 8."""
    found = {}
    with h5py.File(io.BytesIO(image), "r") as file:
        for path, dataset in datasets_of(file):
            if path.split(b"/")[0] == b".cairn":
                continue
            name = key_of(path, has_maps(record))
            properties, space = dataset.get_create_plist(), dataset.get_space()
            require(name not in found, f"HDF5: two tensors are called {name!r}")
            require(properties.get_layout() == h5d.CONTIGUOUS, f"HDF5: {path!r} is not contiguous")
            require(properties.get_nfilters() == 0, f"HDF5: {path!r} has a filter")
            require(properties.get_external_count() == 0, f"HDF5: {path!r} is in an external file")
            require(space.get_simple_extent_type() in (h5s.SCALAR, h5s.SIMPLE), f"HDF5: {path!r} has no shape")
            if not is_tensor(name) and name[0] == APPEND_INFO and is_text(dataset.get_type()):
                size, dtype = dataset.get_type().get_size(), "text"
                require(size <= LONGEST_TEXT, f"HDF5: {path!r} is a text of {size} bytes")
                require(space.get_simple_extent_type() == h5s.SCALAR, f"HDF5: {path!r} is not one text")
                shape = (size,)
            else:
                dtype = next((name for name, stored in TYPES.items() if dataset.get_type().equal(stored)), None)
                require(dtype, f"HDF5: {path!r} is of no type of ours")
                shape = space.get_simple_extent_dims()
                size = math.prod(shape) * TYPES[dtype].get_size()
            require(dataset.get_storage_size() == size, f"HDF5: {path!r} has not the bytes of its shape")
            begin = dataset.get_offset() if size else None
            require(not size or (begin is not None and
                                 record["head_bytes"] <= begin <= record["tail_offset"] - size),
                    f"HDF5: {path!r} does not lie in the body")
            found[name] = (dtype, shape, begin, size)

    placed = sorted((begin, size, name) for name, (_, _, begin, size) in found.items() if size)
    for (begin, size, name), (next_begin, _, next_name) in zip(placed, placed[1:]):
        require(begin + size <= next_begin, f"HDF5: {name!r} and {next_name!r} overlap")
    sizes = [size for name, (_, _, _, size) in found.items() if is_tensor(name)]
    require(len(sizes) == record["tensor_count"], "HDF5: there are not tensor_count tensors")
    require(sum(sizes) == record["value_bytes"], "HDF5: values are not value_bytes bytes")
    return found


# ---- MapParameters -----------------------------------------------------------------------------

def maps_in(found, record):
    """Of each MapParameter its four datasets, which fit together; `found` has dtype and shape of each."""
    maps = {}
    for name, stored in those_in(MAPS, found).items():
        map_name, _, part = name.rpartition(b"/")
        maps.setdefault(map_name, {})[part] = stored
    stored_bytes = 0
    for name, parts in maps.items():
        require(name and set(parts) == {b"default_row", b"keys", b"statuses", b"values"},
                f"maps: {name!r} has not the four datasets of a map")
        keys, statuses, values, row = (parts[part][:2] for part in (b"keys", b"statuses", b"values", b"default_row"))
        keys, statuses, values, row = ((dtype, tuple(shape)) for dtype, shape in (keys, statuses, values, row))
        require(keys[0] in ("int32", "int64") and len(keys[1]) == 1 and statuses == ("uint8", keys[1]) and
                values == (row[0], keys[1] + row[1]) and math.prod(row[1]) > 0,
                f"maps: the datasets of {name!r} do not fit together")
        stored_bytes += sum(math.prod(shape) * TYPES[dtype].get_size() for dtype, shape in (keys, statuses, values))
    require(stored_bytes == record["map_bytes"] or not has_maps(record), "maps: entries are not map_bytes bytes")
    return maps


def order_of(keys):
    x = keys.astype("<i8").view("<u8") + np.uint64(0x3C6EF372FE94F82A)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def check_entries(image, name, parts, record):
    """Those of a file, or of a shard; returns the keys."""
    def array(part, dtype):
        _, shape, begin, size = parts[part]
        return np.frombuffer(image, dtype, size // np.dtype(dtype).itemsize, begin) if size else np.empty(0, dtype)

    keys, statuses = array(b"keys", "<i4" if parts[b"keys"][0] == "int32" else "<i8"), array(b"statuses", "u1")
    order = order_of(keys)
    require((order[:-1] < order[1:]).all(), f"maps: keys of {name!r} are out of order, or one is there twice")
    known = (1, 2) if record["position"] else (0,)
    require(np.isin(statuses, known).all(), f"maps: {name!r} has an unknown status")
    values = array(b"values", "u1")
    rows = values.reshape(len(keys), len(values) // max(len(keys), 1))
    require(not rows[statuses == 2].any(), f"maps: an erased row of {name!r} is not zeros")
    return keys


def boxes_in_shard(boxes):
    """Of each map the parts that a shard has of it."""
    maps = {}
    for box, stored in those_in(MAPS, boxes).items():
        name, _, part = box[:box.rindex(b"[")].rpartition(b"/")
        parts = maps.setdefault(name, {})
        require(part not in parts, f"maps: a shard has two boxes of {name + b'/' + part!r}")
        if part != b"default_row":
            parts[part] = stored
    for name, parts in maps.items():
        require(not parts or len(parts) == 3 and len({stored[1][0] for stored in parts.values()}) == 1,
                f"maps: a shard has not as many keys of {name!r} as rows")
    return {name: parts for name, parts in maps.items() if parts}


# ---- files and shards --------------------------------------------------------------------------

def read_file(path, key=None):
    """Header (None of a plain file), image, record and tensors."""
    raw = path.read_bytes()
    if key is None and path.suffix != ".enc":
        require(raw[:8] != b"CAIRNENC", "header: the file is sealed; its key is needed")
        record = record_of(raw)
        return None, raw, record, tensors_of(raw, record)
    header_of(raw)
    require(key, "header: the file is sealed; its key is needed")
    header, image = opened(raw, key)
    record = record_of(image)
    for member in SAME_IN_HEADER_AND_RECORD:
        require(header[member] == record[member], f"record: {member} is not what the header tells")
    return header, image, record, tensors_of(image, record)


def index_of(image, tensors):
    """The tables of an index: `shards`, and of each tensor its dtype, shape and boxes."""
    tables = tables_of(image, {name: tensor for name, tensor in tensors.items() if is_tensor(name)})
    require(b"shards" in tables, "index: a table is missing")
    shards = tables.pop(b"shards")
    require(len(shards) > 0 and shards.shape[1] == 2, "index: shards is not [n, 2]")
    found = boxes_of(tables, len(shards), list(TYPES))
    maps = those_in(MAPS, tensors)
    if maps:
        in_maps = boxes_of(tables_of(image, maps), len(shards), list(TYPES))
        found |= {(MAPS, name): stored for name, stored in in_maps.items()}
    infos = those_in(APPEND_INFO, tensors)
    if infos:
        texts = [*TYPES, *[None] * (TEXT_NUMBER - len(TYPES)), "text"]
        in_info = boxes_of(tables_of(image, infos), len(shards), texts)
        for name, (dtype, shape, boxes) in in_info.items():
            require(dtype != "text" or (len(shape) == len(boxes) == 1 and 0 < shape[0] <= LONGEST_TEXT),
                    f"index: {name!r} is no text")
            found[APPEND_INFO, name] = (dtype, shape, boxes)
    return shards.tolist(), found


def tables_of(image, tensors):
    """The tables of the tensors or of append_info, and that their checksum is right."""
    def table(name):
        dtype, shape, begin, size = tensors[name]
        require(dtype == "uint64" and len(shape) == 2, f"index: {name!r} is no table")
        return np.frombuffer(image, "<u8", size // 8, begin).reshape(shape) if size else np.empty(shape, "<u8")

    names = sorted(tensors)
    require(b"checksum" in names, "index: a table is missing")
    tables = {name: table(name) for name in names}
    checksum = 0
    for name in names:
        if name != b"checksum":
            checksum = zlib.crc32(tables[name].tobytes(), checksum)
    require(tables.pop(b"checksum").tolist() == [[checksum]], "index: its checksum is wrong")
    return tables


def boxes_of(tables, shards, dtypes):
    """Of each tensor its dtype, shape and boxes; `dtypes` by their numbers."""
    found = {}
    for name, rows in tables.items():
        require(name.startswith(b"tensors/"), f"index: {name!r} is none of its tables")
        require(len(rows) > 0 and rows.shape[1] % 2 == 1, f"index: {name!r} has not 1 + 2 d columns")
        rows, dims = rows.tolist(), rows.shape[1] // 2
        number, shape = rows[0][0], rows[0][1:1 + dims]
        require(number < len(dtypes) and dtypes[number], f"index: {name!r} has an unknown dtype")
        boxes = [(row[0], row[1:1 + dims], row[1 + dims:]) for row in rows[1:]]
        tensor = name[len(b"tensors/"):]
        check_cover(tensor, shape, boxes, shards)
        found[tensor] = (dtypes[number], shape, boxes)
    return found


def check_cover(name, shape, boxes, shards):
    """The boxes lie in the shape and cover it exactly once."""
    for shard, offset, extent in boxes:
        require(shard < shards, f"index: a box of {name!r} is in shard {shard} of {shards}")
        require(all(n > 0 and o + n <= whole for o, n, whole in zip(offset, extent, shape)),
                f"index: a box of {name!r} does not lie in it")
    for i, (_, offset, extent) in enumerate(boxes):
        for _, other, size in boxes[:i]:
            require(any(a + n <= b or b + m <= a for a, n, b, m in zip(offset, extent, other, size)),
                    f"index: boxes of {name!r} overlap")
    require(sum(math.prod(extent) for _, _, extent in boxes) == math.prod(shape),
            f"index: the boxes of {name!r} do not cover it")


def box_name(name, offset, extent):
    if not is_tensor(name):
        return name[0], box_name(name[1], offset, extent)
    return name + b"[" + b",".join(b"%d:%d" % (o, o + n) for o, n in zip(offset, extent)) + b"]"


def read_shards(directory, key=None):
    """Yields the name of each file, its header, image and record, and what it holds."""
    sealed = key is not None or (directory / "index.h5.enc").exists()
    ending = ".h5.enc" if sealed else ".h5"

    def read(name):
        try:
            return read_file(directory / (name + ending), key)
        except Refused as refused:
            raise Refused(f"{name + ending}: {refused}") from None
        except FileNotFoundError:
            raise Refused(f"{name + ending}: it is missing") from None

    def check_place(name, header, r, count):
        require(not header or (header["shard"], header["shards"]) == (r, count),
                f"{name + ending}: its header tells of another place")

    header, image, record, tensors = read("index")
    shards, indexed = index_of(image, tensors)
    check_place("index", header, len(shards), len(shards))
    keys = {name: [] for name in maps_in(indexed, record)}
    yield "index.h5", header, image, record, tensors

    for r, (image_bytes, head_crc) in enumerate(shards):
        name = f"shard-{r}of{len(shards)}"
        header, image, own, boxes = read(name)
        check_place(name, header, r, len(shards))
        require(own["image_bytes"] == image_bytes, f"{name}: its length is not what the index tells")
        require(own["head_crc"] == head_crc, f"{name}: its head CRC is not what the index tells")
        for member in SAME_IN_ALL_SHARDS:
            require(own[member] == record[member], f"{name}: {member} is not that of the index")
        expected = {box_name(tensor, offset, extent): (dtype, tuple(extent))
                    for tensor, (dtype, _, all_boxes) in indexed.items()
                    for shard, offset, extent in all_boxes if shard == r}
        found = {box: (dtype, shape) for box, (dtype, shape, _, _) in boxes.items()}
        require(found == expected, f"{name}: its boxes are not those of the index")
        for map_name, parts in boxes_in_shard(boxes).items():
            keys[map_name].append(check_entries(image, map_name, parts, record))
        yield name + ".h5", header, image, own, boxes
    for map_name, some in keys.items():
        every = np.concatenate([np.empty(0, "<i8"), *some])
        require(len(np.unique(every)) == len(every), f"maps: a key of {map_name!r} is in two shards")


# ---- the program -------------------------------------------------------------------------------

def shown(member, value):
    if member == "mode":
        return MODES[value]
    if member == "kind":
        return KINDS[value]
    if member == "saved_at":
        return f"{value} ({datetime.datetime.fromtimestamp(value // 10**9, datetime.timezone.utc):%F %T} UTC)"
    if member in ("magic", "series", "writer", "required_features", "optional_features"):
        return value.decode(errors="backslashreplace")
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:08x}" if member.endswith("_crc") else value


def show(what, fields):
    print(f"{what}:")
    for member, value in fields.items():
        print(f"  {member}: {shown(member, value)}")


def show_infos(image, infos):
    """append_info, a line for each entry."""
    for key, (dtype, shape, begin, size) in sorted(infos.items()):
        value = list(shape)
        if dtype == "text":
            value = repr(image[begin:begin + size].rstrip(b"\0").decode(errors="backslashreplace"))
        elif not shape and dtype in ("int64", "float64", "bool"):
            value = np.frombuffer(image, dtype, 1, begin)[0]
        print(f"  append_info {key.decode(errors='backslashreplace')}: {dtype} {value}")


def read_whole(path, key):
    """A file that is no shard."""
    header, image, record, tensors = read_file(path, key)
    for name, parts in maps_in(tensors, record).items():
        check_entries(image, name, parts, record)
    return path.name, header, image, record, tensors


def main(words=None):
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("file", type=pathlib.Path)
    arguments.add_argument("--key-file", type=pathlib.Path, help="has the key in hexadecimal digits")
    arguments.add_argument("--to", type=pathlib.Path, help="where the plain file goes; of shards, the directory")
    given = arguments.parse_args(words)
    try:
        key = bytes.fromhex(given.key_file.read_text("ascii")) if given.key_file else None
        if given.file.is_dir():
            if given.to:
                given.to.mkdir(exist_ok=True)
            files = ((given.to and given.to / name, name, *rest) for name, *rest in read_shards(given.file, key))
        else:
            files = [(given.to, *read_whole(given.file, key))]
        for to, name, header, image, record, tensors in files:
            print(f"{name}: {len(image)} bytes, {sum(map(is_tensor, tensors))} tensors")
            show_infos(image, those_in(APPEND_INFO, tensors))
            for map_part, (dtype, shape, _, _) in sorted(those_in(MAPS, tensors).items()):
                print(f"  map_parameter {map_part.decode(errors='backslashreplace')}: {dtype} {list(shape)}")
            if header:
                show("header", header)
            show("record", record)
            if to:
                to.write_bytes(image)
    except (Refused, OSError, ValueError) as error:
        print(f"{given.file}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
