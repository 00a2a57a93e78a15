#!/usr/bin/python3
"""cairn on checkpoints with CRCs and on encrypted ones: every damaged block is named, with the tensors that it
holds values of, and the exit codes tell damage from a wrong key. Where what lies comes from h5py and from
docs/format.md."""
import os
import shutil
import zlib

import h5py

from tool_job import DAMAGED, ERROR, GOOD, KEY, RANKS, USAGE, Bench, Tool, check, datasets, flip, record, same
from tools_test import ODD, TINY, workload
import bench_job

BLOCK = 64 << 10
MODES = (("AES-GCM", 32), ("AES-CBC", 24), ("SM4-CBC", 16))
SMALL_BLOCKS = ("--block-bytes", "64K")


def tensors_in(places, first, last):
    """Names of those that have bytes in [first, last)."""
    return sorted((name for name, (_, offset, size) in places.items() if size and offset < last and first < offset + size),
                  key=str.encode)


def damage_of(told):
    return [(entry["offset"], entry["bytes"], entry["tensors"]) for entry in told["checkpoints"][0]["damage"]]


def crcs_name_every_damaged_block(bench, tool):
    path, _ = bench.save(workload(bench, "odd", ODD), 3, "crc", "--crc", *SMALL_BLOCKS)
    told = tool.json(3, "verify", path)["checkpoints"][0]
    blocks = record(path)["tail_offset"] // BLOCK
    same((told["good"], told["verified"], told["blocks"], told["bytes"]), (True, "crc", blocks, blocks * BLOCK), "the report")
    check("all against their CRCs" in tool.run(1, "verify", path)[0], "it does not say how")
    told = tool.json(1, "show", path)
    same((told["crc"], told["enc_mode"], told["optional_features"]), (True, None, "crc32"), "the protection")

    places = datasets(path)
    large = places["large"][1]
    hit = sorted({offset // BLOCK for offset in (places["c"][1], large + 5, large + 9 * BLOCK, large + 20 * BLOCK + 77)})
    for offset in (places["c"][1], large + 5, large + 9 * BLOCK, large + 20 * BLOCK + 77):
        flip(path, offset)
    expected = [(k * BLOCK, BLOCK, tensors_in(places, k * BLOCK, (k + 1) * BLOCK)) for k in hit]
    raw = path.read_bytes()
    with h5py.File(path) as file:
        table = file[".cairn/blocks"][()]
    for ranks in RANKS:
        told = tool.json(ranks, "verify", path, expect=DAMAGED)
        same(damage_of(told), expected, "the damage")
        for entry, k in zip(told["checkpoints"][0]["damage"], hit):
            found = zlib.crc32(raw[k * BLOCK:(k + 1) * BLOCK])
            check(str(found) in entry["reason"] and str(table["crc32"][k]) in entry["reason"], entry["reason"])
        text = tool.run(ranks, "verify", path, expect=DAMAGED)[0]
        check("'large'" in text and f"at offset {hit[-1] * BLOCK}" in text, text)
        same(text.count("tensors hit"), len(hit), "how many blocks are named")
        check("CRC" in tool.run(ranks, "show", "--stats", path, expect=DAMAGED)[1], "damaged values are counted")


def damage_of_the_structure_hides_no_other(bench, tool):
    path, _ = bench.save(bench.scratch / "odd.json", 2, "crc-head", "--crc", *SMALL_BLOCKS)
    value = datasets(path)["large"][1] + 3 * BLOCK
    flip(path, 100)
    flip(path, value)
    for ranks in RANKS:
        told = damage_of(tool.json(ranks, "verify", path, expect=DAMAGED))
        same([offset for offset, _, _ in told], [None, 0, value // BLOCK * BLOCK], "what is damaged")


def shards_with_crcs_name_the_tensor(bench, tool):
    directory, _ = bench.save(bench.scratch / "odd.json", 3, "crc-shards", "--crc", "--shards", *SMALL_BLOCKS)
    shard = directory / "shard-1of3.h5"
    places = datasets(shard)
    name = next(piece for piece in places if piece.startswith("large["))
    block = (places[name][1] + 70000) // BLOCK
    flip(shard, places[name][1] + 70000)
    (directory / "shard-2of3.h5").unlink()
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", directory, expect=DAMAGED)["checkpoints"][0]["damage"]
        same([entry["file"].rsplit("/", 1)[1] for entry in damage], ["shard-1of3.h5", "shard-2of3.h5"], "files")
        same((damage[0]["offset"], damage[0]["tensors"]), (block * BLOCK, ["large"]), "the block")
        check("large" in damage[1]["tensors"] and damage[1]["offset"] is None, f"{damage[1]}")


def key_file(bench, name, digits):
    path = bench.scratch / f"{name}.key"
    path.write_text(digits + "\n", encoding="ascii")
    return path


def every_mode_is_verified(bench, tool):
    plain, _ = bench.save(bench.scratch / "odd.json", 2, "plain", *SMALL_BLOCKS)
    places = datasets(plain)
    for mode, size in MODES:
        digits = os.urandom(size).hex()
        key = key_file(bench, mode, digits)
        path, _ = bench.save(bench.scratch / "odd.json", 3, mode, "--key-file", key, "--enc-mode", mode, *SMALL_BLOCKS)
        sealed_is_right(bench, tool, mode, path, key, digits, plain)
        sealed_damage_is_named(tool, path, key, places)


def sealed_is_right(bench, tool, mode, path, key, digits, plain):
    expected = record(plain)
    wrong = key_file(bench, "wrong", os.urandom(len(digits) // 2).hex())
    for ranks in RANKS:
        entry = tool.json(ranks, "ls", path.parent)["checkpoints"][0]
        same((entry["sealed"], entry["step"], entry["series"], entry["state"]), (True, 1, "CKP", "good"), "without a key")
        told = tool.json(ranks, "verify", "--key-file", key, path)["checkpoints"][0]
        same((told["good"], told["verified"]), (True, "seal"), "the report")
        same(told["bytes"], -(-expected["image_bytes"] // 16) * 16, "bytes that were read")
        check("all against their tags" in tool.run(ranks, "verify", path, env={"CAIRN_KEY": digits})[0], "not how")
        told = tool.json(ranks, "show", "--key-file", key, "--stats", path)
        same(told["enc_mode"], mode, "the mode")
        twin = tool.json(1, "show", "--stats", plain)
        same([tensor["stats"] for tensor in told["tensors"]], [tensor["stats"] for tensor in twin["tensors"]], "values")
        commands = (["show"], ["show", "--stats"], ["verify"], ["verify", "--json"])
        for options in ([], ["--key-file", wrong]):
            for command in commands if mode == "AES-GCM" else commands[1:2]:
                out, err = tool.run(ranks, *command, *options, path, expect=KEY)
                check("key" in err and path.name in err and not out, f"{out!r} {err!r}")
                check(digits not in out + err, "the key is printed")
        tool.run(ranks, "verify", path.parent, expect=KEY)


def sealed_damage_is_named(tool, path, key, places):
    flip(path, BLOCK - 1)
    for ranks in RANKS:
        damage, = tool.json(ranks, "verify", "--key-file", key, path, expect=DAMAGED)["checkpoints"][0]["damage"]
        check(f"the byte at offset {BLOCK - 1}, between header and blocks" in damage["reason"], damage)
    flip(path, BLOCK - 1)
    large = places["large"][1]
    hit = sorted({(large + 8) // BLOCK, (large + 11 * BLOCK) // BLOCK})
    for k in hit:
        flip(path, BLOCK + k * BLOCK + 17)
    expected = [(BLOCK + k * BLOCK, BLOCK, tensors_in(places, k * BLOCK, (k + 1) * BLOCK)) for k in hit]
    for ranks in RANKS:
        same(damage_of(tool.json(ranks, "verify", "--key-file", key, path, expect=DAMAGED)), expected, "the damage")
    flip(path, path.stat().st_size - 1)
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", "--key-file", key, path, expect=DAMAGED)["checkpoints"][0]["damage"]
        check(len(damage) == 1 and damage[0]["offset"] is None and "tags" in damage[0]["reason"], f"{damage}")


def sealed_shards_are_verified(bench, tool):
    key = key_file(bench, "shards", os.urandom(32).hex())
    directory, _ = bench.save(TINY, 3, "sealed-shards", "--shards", "--key-file", key)
    for ranks in RANKS:
        entry = tool.json(ranks, "ls", directory.parent)["checkpoints"][0]
        same((entry["form"], entry["sealed"], entry["state"]), ("shards", True, "good"), "without a key")
        check("sealed shards" in tool.run(ranks, "ls", directory.parent)[0], "no kind")
        same(tool.json(ranks, "verify", directory, "--key-file", key)["checkpoints"][0]["verified"], "seal", "how")
        same(len(tool.json(ranks, "show", directory, "--key-file", key)["files"]), 4, "files")
        tool.run(ranks, "verify", directory, expect=KEY)
    (directory / "shard-0of3.h5.enc").unlink()
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", directory, "--key-file", key, expect=DAMAGED)["checkpoints"][0]["damage"]
        check(len(damage) == 1 and "missing" in damage[0]["reason"] and "odd" in damage[0]["tensors"], f"{damage}")


def a_key_is_for_what_is_encrypted(bench, tool):
    digits = os.urandom(16).hex()
    key = key_file(bench, "mixed", digits)
    root = bench.scratch / "mixed"
    sealed, _ = bench.save(TINY, 1, "mixed", "--key-file", key)
    plain, _ = bench.save(TINY, 1, "mixed-plain", "--step", 2)
    shutil.copy(plain, root)
    environment = {"CAIRN_KEY": digits}
    for ranks in RANKS:
        told = tool.json(ranks, "verify", root, env=environment)["checkpoints"]
        same([entry["verified"] for entry in told], ["structure", "seal"], "each as it can be")
        tool.run(ranks, "show", plain, env=environment)
        text, err = tool.run(ranks, "verify", root, "--key-file", key, expect=ERROR)
        check("not encrypted" in err and f"{plain.name}: NOT VERIFIED" in text, f"{text!r} {err!r}")
        text, err = tool.run(ranks, "verify", root, expect=KEY)
        check(f"{sealed.name}: NOT VERIFIED" in text and "CAIRN_KEY" in err, f"{text!r} {err!r}")
        tool.run(ranks, "show", sealed, env={"CAIRN_KEY": "no digits"}, expect=USAGE)
        tool.run(ranks, "verify", sealed, "--key-file", bench.scratch / "no.key", expect=ERROR)
        tool.run(ranks, "verify", sealed, "--key-file", key, expect=GOOD)


STORIES = (crcs_name_every_damaged_block, damage_of_the_structure_hides_no_other, shards_with_crcs_name_the_tensor,
           every_mode_is_verified, sealed_shards_are_verified, a_key_is_for_what_is_encrypted)


def test_all(arguments):
    def test(bench: Bench):
        tool = Tool(arguments.tool, arguments.mpiexec)
        for story in STORIES:
            story(bench, tool)
            bench_job.say(story.__name__)
    return test


if __name__ == "__main__":
    options = bench_job.parser(__doc__)
    options.add_argument("--tool", default="cairn")
    given = options.parse_args()
    bench_job.main(given, test_all(given))
