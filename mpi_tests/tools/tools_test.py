#!/usr/bin/python3
"""What the program cairn promises: ls, show and verify say what is so, in words and in JSON, and exit as
docs/tools.md says. What is so is found out with h5py, NumPy and zlib alone."""
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import zlib

import h5py
import numpy

from tool_job import DAMAGED, ERROR, GOOD, RANKS, USAGE, Bench, Tool, check, datasets, flip, record, same, values
import bench_job

sys.path.insert(0, str(bench_job.PROJECT / "bench"))
import appendix

TINY = bench_job.WORKLOADS / "tiny.json"
STEPS = (5, 6, 7)

# Large and small tensors; elements of 16 bytes behind three bytes, so that blocks cut some of them.
ODD = {"tensors": [
    {"name": "a", "dtype": "uint8", "shape": [3], "slicing": "rows"},
    {"name": "b", "dtype": "complex128", "shape": [4000], "slicing": "rows"},
    {"name": "c", "dtype": "float64", "shape": [8000], "slicing": "rows"},
    {"name": "large", "dtype": "float32", "shape": [700, 1000], "slicing": "grid"},
    {"name": "long", "dtype": "int64", "shape": [100, 3], "slicing": "columns"},
]}
ESCAPE = "\x1b]0;owned\x07\x1b[31mred\u202egninnuR"


def workload(bench, name, tensors):
    path = bench.scratch / f"{name}.json"
    path.write_text(json.dumps(tensors), encoding="utf-8")
    return path


def ls_tells_what_is_there(bench, tool):
    bench.save(TINY, 2, "ls", "--repeat", len(STEPS), "--advance", "--step", STEPS[0])
    bench.save(TINY, 3, "ls", "--shards", "--step", 9)
    root = bench.scratch / "ls"
    for ranks in RANKS:
        told = tool.json(ranks, "ls", root)["checkpoints"]
        same([entry["step"] for entry in told], [9, *reversed(STEPS)], "the order of the steps")
        for entry in told:
            expected = record(entry["path"] if entry["form"] == "file" else entry["path"] + "/index.h5")
            for key in ("step", "epoch", "step_in_epoch", "steps_per_epoch", "sequence", "series", "run_id"):
                same(entry[key], expected[key], f"{entry['path']}: {key}")
            seconds, nanoseconds = divmod(expected["saved_at"], 10**9)
            stamp = numpy.datetime64(seconds, "s").item().isoformat()
            same(entry["saved_at"], f"{stamp}.{nanoseconds:09}Z", "saved_at")
            same((entry["state"], entry["sealed"], entry["breakpoint"]), ("good", False, False), "the state")
        same(told[0]["form"], "shards", "the form of the newest series")
        size = sum(file.stat().st_size for file in (root / "CKP_1-1_9.shards").iterdir())
        same(told[0]["bytes"], size, "bytes of shards")
        same(told[1]["bytes"], os.path.getsize(told[1]["path"]), "bytes of a file")
        text = tool.run(ranks, "ls", root)[0]
        check(text.index("series CKP_1\n") < text.index("series CKP\n") < text.index("CKP-1_7.h5") <
              text.index("CKP-1_5.h5"), f"another order:\n{text}")
        same(text.count("CKP-1_7.h5"), 1, "how often it is listed")


def ls_needs_no_mpi(bench, tool):
    broken = {"OMPI_MCA_pml": "none-of-that-name"}
    tool.run(1, "ls", bench.scratch / "ls", env=broken)
    tool.run(1, "show", bench.scratch / "ls" / "CKP-1_5.h5", env=broken)


def ls_tells_damage_and_leftovers(bench, tool):
    root = bench.scratch / "damage"
    shutil.copytree(bench.scratch / "ls", root)
    newest = root / "CKP-1_7.h5"
    flip(newest, newest.stat().st_size - 4000)
    for name in (".tmp-0123456789abcdef-host-1-0-CKP-1_8.h5", ".trash-0123456789abcdef-host-1-0-CKP-1_4.h5",
                 "CKP-1_5.h5.replaced", "CKP-1_3.h5.damaged", "CKP-1_2.h5.damaged-2", "notes.txt", "foreign.h5"):
        (root / name).write_bytes(b"x" * 10)
    shutil.copy(root / "CKP-1_5.h5", root / "CKP-1_4.h5.replaced")
    for ranks in RANKS:
        told = tool.json(ranks, "ls", root, expect=DAMAGED)
        names = [entry["path"].rsplit("/", 1)[1] for entry in told["checkpoints"]]
        same(names[:3], ["CKP_1-1_9.shards", "CKP-1_7.h5", "CKP-1_6.h5"], "the damaged one stands first")
        check("CKP-1_4.h5.replaced" in names, "the only one of its name is a checkpoint")
        states = {name: entry["state"] for name, entry in zip(names, told["checkpoints"])}
        same(states["CKP-1_7.h5"], "damaged", "state")
        same(states["CKP-1_6.h5"], "good", "state")
        same(told["checkpoints"][1]["problem"]["code"], "damaged", "code")
        check("CRC" in told["checkpoints"][1]["problem"]["message"], "no reason")
        kinds = sorted(entry["kind"] for entry in told["leftovers"])
        same(kinds, ["quarantined", "quarantined", "replaced", "temporary", "trash"], "kinds of what is left over")
        text = tool.run(ranks, "ls", root, expect=DAMAGED)[0]
        check("left over: 1 temporary, 1 trash, 1 replaced, 2 quarantined (--all" in text, text)
        check("notes.txt" not in text and "foreign.h5" not in text and ".tmp-" not in text, text)
        check(".tmp-0123456789abcdef-host-1-0-CKP-1_8.h5" in tool.run(ranks, "ls", "-a", root, expect=DAMAGED)[0],
              "--all does not name it")


def a_catalog_is_followed(bench, tool):
    root = bench.scratch / "catalog"
    (root / "deep").mkdir(parents=True)
    shutil.copy(bench.scratch / "ls" / "CKP-1_5.h5", root / "deep")
    shutil.copy(bench.scratch / "ls" / "CKP-1_6.h5", root)
    (root / ".cairn-catalog").write_text("deep\tCKP\ngone\tCKP\n", encoding="ascii")
    same([entry["path"] for entry in tool.json(1, "ls", root)["checkpoints"]],
         [str(root / "CKP-1_6.h5"), str(root / "deep" / "CKP-1_5.h5")], "what the catalog leads to")
    check("deep/CKP-1_5.h5" in tool.run(1, "ls", root)[0], "no name relative to the root")
    same(len(tool.json(3, "verify", root)["checkpoints"]), 2, "how many are verified")


def another_name_is_a_warning(bench, tool):
    root = bench.scratch / "renamed"
    root.mkdir()
    path = root / "CKP-1_77.h5"
    shutil.copy(bench.scratch / "ls" / "CKP-1_6.h5", path)
    for ranks in RANKS:
        entry = tool.json(ranks, "ls", root)["checkpoints"][0]
        same((entry["state"], entry["misnamed"]), ("misnamed", "CKP-1_6.h5"), "what it is")
        for arguments in (["verify", "--quiet", path], ["verify", "--quiet", root], ["show", path]):
            err = tool.run(ranks, *arguments)[1]
            same(err.count("warning"), 1, f"warnings in {err!r}")
            check("CKP-1_6.h5" in err, err)


def show_tells_the_structure(bench, tool):
    path = bench.scratch / "ls" / "CKP-1_6.h5"
    expected = record(path)
    dtypes = {tensor["name"]: tensor["dtype"] for tensor in json.loads(TINY.read_text())["tensors"]}
    found = datasets(path)
    for ranks in RANKS:
        told = tool.json(ranks, "show", path)
        for key in ("step", "sequence", "series", "run_id", "block_bytes"):
            same(told[key], expected[key], key)
        same([tensor["name"] for tensor in told["tensors"]], sorted(found, key=str.encode), "names")
        for tensor in told["tensors"]:
            shape, offset, size = found[tensor["name"]]
            same(tensor["dtype"], dtypes[tensor["name"]], "dtype")
            same((tuple(tensor["shape"]), tensor["bytes"]), (shape, size), tensor["name"])
            same([piece["position"] for piece in tensor["pieces"]], [offset] if size else [], "places")
        text = tool.run(ranks, "show", path)[0]
        check(re.search(r"^odd +float32 +\[7, 5, 3\] +420 +%d$" % found["odd"][1], text, re.M), text)
        text = tool.run(ranks, "show", "--tensor", "fp8*", "-t", "odd", path)[0]
        check("fp8.e4m3" in text and "\nodd " in text and "brain" not in text, text)
    tool.run(1, "show", "--tensor", "nothing*", path, expect=ERROR)


def show_tells_what_was_appended(bench, tool):
    for name, options in (("info", ()), ("info-shards", ("--shards",))):
        path, _ = bench.save(TINY, 2, name, "--step", 6, "--append-info", *options)
        expected = {key.removesuffix("%").replace("%25", "%"): value
                    for key, (_, value) in appendix.expected(6).items()}
        for ranks in RANKS:
            told = {entry["name"]: entry for entry in tool.json(ranks, "show", path)["append_info"]}
            same([*told], sorted([*expected, appendix.MATRIX]), "keys")
            kinds = {bool: "bool", int: "int64", float: "float64", str: "text"}
            for key, entry in told.items():
                tensor = {"count": ("int32", ()), appendix.MATRIX: ("bfloat16", appendix.SHAPE)}.get(key)
                if tensor:
                    same((entry["type"], entry["value"]), ("tensor", {"dtype": tensor[0], "shape": [*tensor[1]]}), key)
                else:
                    same((entry["type"], entry["value"]), (kinds[type(expected[key])], expected[key]), key)
                same(entry["problem"], None, key)
            text = tool.run(ranks, "show", path)[0]
            check(re.search(r"^step_num +int64 +1000006$", text, re.M), text)
            check(r'text     "größer als 1\x0a"2""' in text, text)  # a line of its own could lie


def show_tells_a_damaged_value(bench, tool):
    path, _ = bench.save(TINY, 2, "info-damage", "--step", 6, "--append-info", "--crc")
    with h5py.File(path) as file:
        at = file["append_info/seed"].id.get_offset()
    flip(path, at)
    for ranks in RANKS:
        told = {entry["name"]: entry for entry in tool.json(ranks, "show", path, expect=DAMAGED)["append_info"]}
        same((told["seed"]["type"], told["seed"]["value"]), (None, None), "seed")
        same(told["seed"]["problem"]["code"], "damaged", "code")
        same(told[appendix.MATRIX]["type"], "tensor", "what is told by the structure")
        damage = tool.json(ranks, "verify", path, expect=DAMAGED)["checkpoints"][0]["damage"]
        check("append_info/seed" in damage[0]["tensors"], damage)
    check("damaged" in tool.run(1, "show", path, expect=DAMAGED)[0], "no word of it")


def show_tells_where_pieces_lie(bench, tool):
    directory = bench.scratch / "ls" / "CKP_1-1_9.shards"
    path, _ = bench.save(TINY, 2, "same", "--step", 9)
    whole = {tensor["name"]: tensor for tensor in tool.json(1, "show", path)["tensors"]}
    for tensor in tool.json(3, "show", directory)["tensors"]:
        size = values(bytes(16), tensor["dtype"]).itemsize if tensor["dtype"] != "bfloat16" else 2
        size = tensor["bytes"] // max(1, int(numpy.prod(tensor["shape"]))) or size
        built = numpy.zeros(tensor["shape"], f"V{size}")
        for piece in tensor["pieces"]:
            count = int(numpy.prod(piece["extent"]))
            box = numpy.fromfile(directory / piece["file"], f"V{size}", count, offset=piece["position"])
            place = tuple(slice(o, o + e) for o, e in zip(piece["offset"], piece["extent"]))
            built[place] = box.reshape(piece["extent"])
        raw = b""
        if tensor["bytes"]:
            raw = path.read_bytes()[whole[tensor["name"]]["pieces"][0]["position"]:][:tensor["bytes"]]
        check(built.tobytes() == raw, f"the pieces of {tensor['name']} are not its values")


def statistics_are_right(bench, tool):
    odd = workload(bench, "odd", ODD)
    paths = [bench.scratch / "ls" / "CKP-1_5.h5"]
    paths.append(bench.save(odd, 2, "odd", "--block-bytes", "64K")[0])
    paths.append(bench.save(odd, 3, "odd-shards", "--shards", "--block-bytes", "64K")[0])
    references = {paths[2]: paths[1]}
    for path in paths:
        reference = references.get(path, path)
        found = datasets(reference)
        for ranks in RANKS:
            for tensor in tool.json(ranks, "show", "--stats", path)["tensors"]:
                _, offset, size = found[tensor["name"]]
                raw = reference.read_bytes()[offset:offset + size] if size else b""
                compare_statistics(tensor, values(raw, tensor["dtype"]))
    text = tool.run(3, "show", "--stats", "--tensor", "fp8.e5m2", paths[0])[0]
    check(re.search(r"min +max +mean +nan +inf\n.* inf ", text), text)
    same(len(tool.json(1, "show", "-s", "-t", "c", paths[1])["tensors"]), 1, "tensors in the filter")


def compare_statistics(tensor, numbers):
    stats = tensor["stats"]
    what = f"{tensor['name']}: {stats}"
    same(stats["count"], numbers.size, what)
    same(stats["nan"], int(numpy.isnan(numbers).sum()), what)
    same(stats["inf"], int(numpy.isinf(numbers).sum()), what)
    known = numbers[~numpy.isnan(numbers)]
    if known.size == 0:
        same((stats["min"], stats["max"], stats["mean"]), (None, None, None), what)
        return
    # int(): integers of 64 bits are told exactly. float("inf") is how JSON's text reads.
    number = int if numbers.dtype.kind in "iu" else float
    close = 1e-12 if tensor["dtype"].startswith("complex") else 0
    for key, expected in (("min", known.min()), ("max", known.max())):
        check(abs(number(stats[key]) - number(expected)) <= close if numpy.isfinite(expected)
              else float(stats[key]) == expected, f"{what}: {key}, expected {expected}")
    finite = known[numpy.isfinite(known)].astype(numpy.longdouble)
    mean = float(finite.sum() / finite.size)
    check(abs(stats["mean"] - mean) <= 1e-12 * max(1.0, float(abs(finite).max())), f"{what}: mean, expected {mean}")


def a_plain_file_has_only_structure(bench, tool):
    path, _ = bench.save(TINY, 2, "plain")
    flip(path, datasets(path)["odd"][1])
    for ranks in RANKS:
        told = tool.json(ranks, "verify", path)["checkpoints"][0]
        same((told["good"], told["verified"], told["damage"]), (True, "structure", []), "the report")
        same(told["bytes"], record(path)["tail_offset"], "bytes that were read")
        check("structure only" in tool.run(ranks, "verify", path)[0], "it does not say so")


def damaged_structure_is_named(bench, tool):
    path, _ = bench.save(TINY, 2, "head")
    flip(path, 100)
    for ranks in RANKS:
        told = tool.json(ranks, "verify", path, expect=DAMAGED)
        same(told["good"], False, "good")
        damage = told["checkpoints"][0]["damage"][0]
        head = path.read_bytes()[:record(path)["head_bytes"]]
        check(str(zlib.crc32(head)) in damage["reason"] and "head" in damage["reason"], f"{damage}")
        tool.run(ranks, "show", path, expect=DAMAGED)
        text, err = tool.run(ranks, "verify", path.parent, expect=DAMAGED)
        check("DAMAGED" in text and text.count(path.name) == 2, text + err)


def a_cut_file_is_damaged(bench, tool):
    path, _ = bench.save(TINY, 2, "cut")
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", path, expect=DAMAGED)["checkpoints"][0]["damage"]
        same(len(damage), 1, "how many are damaged")
        same((damage[0]["file"], damage[0]["offset"]), (str(path), None), "what is damaged")
        tool.run(ranks, "ls", path.parent, expect=DAMAGED)
        check("cut short" in tool.run(ranks, "show", path, expect=DAMAGED)[1], "no reason")


def a_missing_shard_is_named(bench, tool):
    directory, _ = bench.save(TINY, 3, "shards", "--shards")
    tensors = tool.json(1, "show", directory)["tensors"]
    lost = "shard-1of3.h5"
    hit = sorted(tensor["name"] for tensor in tensors if any(p["file"] == lost for p in tensor["pieces"]))
    (directory / lost).unlink()
    flip(directory / "shard-2of3.h5", 100)
    for ranks in RANKS:
        damage = tool.json(ranks, "verify", directory, expect=DAMAGED)["checkpoints"][0]["damage"]
        same([entry["file"].rsplit("/", 1)[1] for entry in damage], [lost, "shard-2of3.h5"], "damaged files")
        same(damage[0]["tensors"], hit, "the tensors in it")
        check("missing" in damage[0]["reason"], f"{damage[0]}")
        text = tool.run(ranks, "verify", directory, expect=DAMAGED)[0]
        check(lost in text and "'odd'" in text, text)
        text = tool.run(ranks, "show", directory, expect=DAMAGED)[0]
        check("missing" in text and "odd_columns" in text, text)
    (directory / "index.h5").unlink()
    check("index" in tool.run(3, "verify", directory, expect=DAMAGED)[0], "it does not say that the index is missing")


def errors_have_their_codes(bench, tool):
    nowhere = bench.scratch / "nowhere"
    for ranks in RANKS:
        for command in (["ls"], ["show"], ["show", "--stats"], ["verify"]):
            out, err = tool.run(ranks, *command, nowhere, expect=ERROR)
            same((out, err.count("cairn: "), "nowhere" in err), ("", 1, True), f"{command}: {err!r}")
        for command in ([], ["dance"], ["show"], ["ls", "--dance"], ["verify"], ["verify", "a", "b"]):
            out, err = tool.run(ranks, *command, expect=USAGE)
            same((out, err.count("cairn: ")), ("", 1), f"{command}: {err!r}")
        check("Examples:" in tool.run(ranks, "--help")[0], "no examples")
    for command in ("ls", "show", "verify"):
        check("Examples:" in tool.run(1, command, "--help")[0], f"no examples for {command}")
    empty = bench.scratch / "empty"
    empty.mkdir()
    check("no checkpoints" in tool.run(1, "ls", empty)[0], "it does not say that there are none")
    check("no checkpoints" in tool.run(1, "verify", empty)[0], "it does not say that there are none")
    with open("/dev/full", "wb") as full:
        done = subprocess.run([tool.program, "ls", bench.scratch / "ls"], stdout=full, stderr=subprocess.DEVNULL,
                              check=False)
    same(done.returncode, ERROR, "exit code where nothing can be printed")


def names_cannot_talk_to_the_terminal(bench, tool):
    tensors = {"tensors": [{"name": ESCAPE, "dtype": "float32", "shape": [4], "slicing": "rows"}]}
    path, _ = bench.save(workload(bench, "escape", tensors), 2, "escape")
    same(tool.json(1, "show", path)["tensors"][0]["name"], ESCAPE, "the name in JSON")
    evil = path.with_name("CKP\x1b[2J-1_9.h5")
    shutil.copy(path, evil)
    (path.parent / "notes\x1b[2J").mkdir()
    directory, _ = bench.save(bench.scratch / "escape.json", 2, "escape-shards", "--shards")
    (directory / "shard-1of2.h5").unlink()
    for arguments, expect in ((["show", evil], GOOD), (["show", "--stats", path], GOOD), (["ls", "-a", path.parent], GOOD),
                              (["verify", path.parent], GOOD), (["verify", directory], DAMAGED),
                              (["show", "--pieces", directory], DAMAGED), (["ls", f"nowhere{ESCAPE}"], ERROR),
                              (["show", "--tensor", ESCAPE + "x", path], ERROR), (["verify", f"--{ESCAPE}"], USAGE)):
        out, err = tool.run(1, *arguments, expect=expect)
        bad = [char for char in out + err if (ord(char) < 32 and char != "\n") or 126 < ord(char) < 160 or char == "\u202e"]
        check(not bad, f"{arguments}: {bad} in {out + err!r}")
    check("\\x1b]0;owned\\x07" in tool.run(1, "show", path)[0], "the name is not to be seen")


def progress_goes_to_stderr(bench, tool):
    path = bench.scratch / "ls" / "CKP-1_5.h5"
    same(tool.run(1, "verify", "--quiet", path)[1], "", "stderr of a quiet run")
    check("cairn: CKP-1_5.h5: 100 %" in tool.run(3, "verify", path)[1], "no progress")
    leader, follower = pty.openpty()
    with subprocess.Popen([tool.program, "verify", path], stdout=subprocess.DEVNULL, stderr=follower) as job:
        os.close(follower)
        shown = b""
        try:
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:
            pass  # the other end is closed
        same(job.wait(), GOOD, "exit code")
    os.close(leader)
    check(b"[####" in shown and b"100 %" in shown, f"no bar: {shown!r}")


STORIES = (ls_tells_what_is_there, ls_needs_no_mpi, ls_tells_damage_and_leftovers, a_catalog_is_followed,
           another_name_is_a_warning, show_tells_the_structure, show_tells_what_was_appended,
           show_tells_a_damaged_value, show_tells_where_pieces_lie, statistics_are_right,
           a_plain_file_has_only_structure, damaged_structure_is_named, a_cut_file_is_damaged,
           a_missing_shard_is_named, errors_have_their_codes, names_cannot_talk_to_the_terminal,
           progress_goes_to_stderr)


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
