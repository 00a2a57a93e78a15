#!/usr/bin/python3
"""cairn on what ranks saved that left the training loop alone: jobs of four ranks lose one, and the other
three each write what they hold. What lies where comes from h5py and from the names of the files."""
import os
import pathlib
import re
import shutil
import sys

import h5py
import numpy

from tool_job import DAMAGED, ERROR, KEY, RANKS, USAGE, Tool, check, flip, record, same
import bench_job

sys.path.insert(0, str(bench_job.PROJECT / "mpi_tests" / "leaving"))
import leaving_test

THERE = [0, 1, 3]
KEPT = "run-1_4"  # a checkpoint of all ranks, before
STEM = "run-1_5_breakpoint"


def lone_shards(arguments, scratch, *options):
    """The directory of a job whose rank 2 is killed in step 6."""
    job = leaving_test.Job(arguments, scratch, "--fail", "kill", "--at", 6, *options)
    try:
        job.wait_for_verdicts(THERE, 30)
    finally:
        job.end()
    return job.directory


def pieces_of(path):
    """Of each tensor the boxes in the file: (file, position, offset, extent)."""
    found = {}
    with h5py.File(path) as file:
        def visit(name, item):
            if isinstance(item, h5py.Dataset) and not name.startswith(".cairn"):
                tensor, inside = re.fullmatch(r"(.*)\[(.*)\]", name).groups()
                first = [int(part.split(":")[0]) for part in inside.split(",") if part]
                found[tensor] = (path.name, item.id.get_offset(), first, list(item.shape))
        file.visititems(visit)
    return found


class Lone:
    """Where replicas cover what is missing, and where nothing does, which is encrypted."""

    def __init__(self, arguments, scratch):
        self.scratch = scratch
        self.digits = os.urandom(32).hex()
        self.key = scratch / "lone.key"
        self.key.write_text(self.digits, encoding="ascii")
        for name in ("whole", "part"):
            (scratch / name).mkdir()
        self.whole = lone_shards(arguments, scratch / "whole", "--crc")
        self.part = lone_shards(arguments, scratch / "part", "--sharded", "--key", self.digits)
        self.set = self.whole / f"{STEM}.rank*of4.shard"
        self.sealed_set = self.part / f"{STEM}.rank*of4.shard.enc"

    def copy(self, name):
        """A directory with copies that may be damaged: its set, and the file of rank 1."""
        directory = self.scratch / name
        shutil.copytree(self.whole, directory)
        return directory / self.set.name, directory / f"{STEM}.rank1of4.shard"


def ls_lists_a_set_as_one(lone, tool):
    for ranks in RANKS:
        for directory, suffix, sealed in ((lone.whole, ".shard", False), (lone.part, ".shard.enc", True)):
            told = tool.json(ranks, "ls", directory)["checkpoints"]
            names = [pathlib.Path(entry["path"]).name for entry in told]
            same(names, [f"{STEM}.rank*of4{suffix}", KEPT + (".h5.enc" if sealed else ".h5")], "what is listed")
            entry = told[0]
            same((entry["form"], entry["state"], entry["lone"]),
                 ("lone shards", "alone", {"ranks": THERE, "of": 4}), "what it is")
            same((entry["step"], entry["sealed"], entry["breakpoint"], entry["series"]), (5, sealed, True, "run"), "what")
            size = sum(file.stat().st_size for file in directory.glob(f"{STEM}*"))
            same(entry["bytes"], size, "the bytes of all of them")
            check("lone" not in told[1], "one checkpoint of all ranks")
        text = tool.run(ranks, "ls", lone.whole)[0]
        line = next(line for line in text.splitlines() if STEM in line)
        check("lone shards, 3 of 4: ranks 0-1, 3" in line and "alone" in line, text)
        same(text.count(STEM), 1, "how often it is listed")


def show_puts_pieces_together(lone, tool):
    files = [lone.whole / f"{STEM}.rank{rank}of4.shard" for rank in THERE]
    pieces = [pieces_of(path) for path in files]
    for ranks in RANKS:
        told = tool.json(ranks, "show", lone.set)
        same([file["name"] for file in told["files"]], [path.name for path in files], "the files")
        same(told["run_id"], record(files[0])["run_id"], "the run")
        same(told["lacks"], None, "what is missing")
        same([tensor["name"] for tensor in told["tensors"]], ["moment", "step", "weight"], "the tensors")
        for tensor in told["tensors"]:
            same(tensor["shape"], [] if tensor["name"] == "step" else [211, 97], "the shape of the whole tensor")
            found = [(piece["file"], piece["position"], piece["offset"], piece["extent"]) for piece in tensor["pieces"]]
            same(found, [there[tensor["name"]] for there in pieces], f"the pieces of {tensor['name']}")
        same(told["value_bytes"], sum(4 * 97 * there[name][3][0] for there in pieces for name in ("moment", "weight")) + 24,
             "the bytes of all pieces")
        check("a whole state:      yes" in tool.run(ranks, "show", lone.set)[0], "it does not say so")
    one = tool.json(1, "show", files[1])
    same((one["lone"], len(one["files"])), ({"ranks": [1], "of": 4}, 1), "one of them")
    check("'moment'" in one["lacks"] and "'weight'" in one["lacks"] and "'step'" not in one["lacks"], one["lacks"])
    same([len(tensor["pieces"]) for tensor in one["tensors"]], [1, 1, 1], "its pieces")
    tool.run(1, "show", lone.whole / f"{STEM}.rank*of5.shard", expect=ERROR)


def show_reads_the_values_of_a_whole_set(lone, tool):
    upper, lower = (h5py.File(lone.whole / f"{STEM}.rank{rank}of4.shard") for rank in (0, 1))
    with upper, lower:
        weight = numpy.concatenate([file[next(name for name in names(file) if name.startswith("weight"))][()]
                                    for file in (upper, lower)])
    same(weight.shape, (211, 97), "the two halves")
    for ranks in RANKS:
        told = tool.json(ranks, "show", "--stats", "--tensor", "weight", lone.set)["tensors"][0]["stats"]
        same((told["count"], told["min"], told["max"]), (weight.size, weight.min(), weight.max()), "the statistics")
        err = tool.run(ranks, "show", "--stats", lone.whole / f"{STEM}.rank0of4.shard", expect=USAGE)[1]
        check("with * for the rank" in err, err)


def names(file):
    found = []
    file.visititems(lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) else None)
    return found


def verify_names_what_is_damaged(lone, tool):
    told = tool.json(1, "verify", lone.set)["checkpoints"][0]
    same((told["good"], told["verified"], told["files"], told["lone"]), (True, "crc", 3, True), "the report")
    check("not looked at: whether" in tool.run(1, "verify", lone.set)[0], "it does not say what it leaves out")
    same(len(tool.json(3, "verify", lone.whole)["checkpoints"]), 2, "the set and a checkpoint of all ranks")

    lone_set, piece = lone.copy("values")
    position = pieces_of(piece)["weight"][1]
    flip(piece, position + 30000)
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", lone_set, expect=DAMAGED)["checkpoints"][0]["damage"]
        same([(pathlib.Path(entry["file"]).name, entry["tensors"]) for entry in damage], [(piece.name, ["weight"])], "it")
        tool.run(ranks, "verify", piece, expect=DAMAGED)
        tool.run(ranks, "ls", lone_set.parent)

    lone_set, piece = lone.copy("record")
    flip(piece, piece.stat().st_size - 4000)
    for ranks in RANKS:
        same(len(tool.json(ranks, "verify", lone_set, expect=DAMAGED)["checkpoints"][0]["damage"]), 1, "the record")
        entry = tool.json(ranks, "ls", lone_set.parent, expect=DAMAGED)["checkpoints"][0]
        check(entry["state"] == "damaged" and piece.name in entry["problem"]["message"], entry)
        told = tool.json(ranks, "show", lone_set, expect=DAMAGED)
        same([file["problem"] is None for file in told["files"]], [True, False, True], "which file")
        same(told["lacks"], None, "rank 3 has all that rank 1 had")


def a_file_of_another_rank_is_found_out(lone, tool):
    lone_set, piece = lone.copy("renamed")
    piece.rename(piece.with_name(f"{STEM}.rank2of4.shard"))
    damage = tool.json(3, "verify", lone_set, expect=DAMAGED)["checkpoints"][0]["damage"]
    same(len(damage), 1, "how many files are wrong")
    check("rank2of4" in damage[0]["file"] and "not the lone shard that it is named for" in damage[0]["reason"], damage)
    check("rank2of4" in tool.json(1, "show", lone_set, expect=DAMAGED)["problem"]["message"], "show takes it")


def sealed_ones_need_the_key(lone, tool):
    wrong = lone.scratch / "wrong.key"
    wrong.write_text(os.urandom(32).hex(), encoding="ascii")
    for command in ("show", "verify"):
        tool.run(1, command, lone.sealed_set, expect=KEY)
        tool.run(3, command, lone.sealed_set, "--key-file", wrong, expect=KEY)
    told = tool.json(1, "show", lone.sealed_set, "--key-file", lone.key)
    same(told["enc_mode"], "AES-GCM", "the mode")
    check("'moment'" in told["lacks"] and "'weight'" not in told["lacks"], told["lacks"])
    told = tool.json(3, "verify", lone.part, "--key-file", lone.key)["checkpoints"]
    same([entry["verified"] for entry in told], ["seal", "seal"], "each against its tags")
    piece = lone.part / f"{STEM}.rank3of4.shard.enc"
    flip(piece, 65536 + 70000)  # byte 70000 of the image
    damage = tool.json(3, "verify", lone.sealed_set, "--key-file", lone.key, expect=DAMAGED)["checkpoints"][0]["damage"]
    same([pathlib.Path(entry["file"]).name for entry in damage], [piece.name], "the file")


STORIES = (ls_lists_a_set_as_one, show_puts_pieces_together, show_reads_the_values_of_a_whole_set,
           verify_names_what_is_damaged, a_file_of_another_rank_is_found_out, sealed_ones_need_the_key)


def test_all(arguments):
    def test(bench):
        tool = Tool(arguments.tool, arguments.mpiexec)
        lone = Lone(arguments, bench.scratch)
        for story in STORIES:
            story(lone, tool)
            bench_job.say(story.__name__)
    return test


if __name__ == "__main__":
    options = bench_job.parser(__doc__)
    options.add_argument("--tool", default="cairn")
    options.add_argument("--trainer", required=True)
    given = options.parse_args()
    bench_job.main(given, test_all(given))
