#!/usr/bin/python3
"""What cairn-bench itself promises: it finds what is wrong, exits as it says, and goes on where it stopped."""
import json
import unittest.mock

import h5py

from bench_job import ENVIRONMENT, WORKLOADS, check, main, number, parser, values

TINY = WORKLOADS / "tiny.json"
OK, FAILURE, USAGE = 0, 1, 2


def a_changed_element_is_named(bench):
    path, _ = bench.save(TINY, 2, "changed")
    with h5py.File(path, "r") as file:
        offset = file["odd"].id.get_offset()
    with open(path, "r+b") as file:  # element [3, 2, 1] of a float32 [7, 5, 3]
        file.seek(offset + 4 * 52 + 1)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 0x10]))
    for ranks in (1, 3):
        output = bench.load(TINY, ranks, path, expect=FAILURE)
        check('tensor "odd"' in output and "first at index 52 = [3, 2, 1]" in output, output)
        check(values(output)["values"] == "wrong", output)


def another_step_is_a_difference(bench):
    path, _ = bench.save(TINY, 3, "step", "--step", 41)
    check(values(bench.load(TINY, 2, path))["step"] == "41", "the step is not the one saved")
    bench.load(TINY, 2, path, "--step", 41)
    output = bench.load(TINY, 2, path, "--step", 42, expect=FAILURE)
    check('tensor "scalar" differs from the rule of step 42' in output, output)


def wrong_calls_are_usage_errors(bench):
    for options in ([], ["dance"], ["save"], ["save", "--workload", TINY],
                    ["save", "--workload", TINY, "--dir", bench.scratch / "x", "--writer", "pen"],
                    ["save", "--workload", bench.scratch / "none.json", "--dir", bench.scratch / "x"],
                    ["load", "--workload", TINY], ["load", "--workload", TINY, "--from", "a", "--latest", "b"],
                    ["load", "--workload", TINY, "--from", "a", "--slicing", "slices"]):
        bench.run(2, *options, expect=USAGE)
    check(not (bench.scratch / "x").exists(), "a wrong call has written something")
    check("--workload" in bench.run(2, "save", "--help"), "no help")


def what_cairn_refuses_is_a_failure(bench):
    output = bench.load(TINY, 3, bench.scratch / "nowhere.h5", expect=FAILURE)
    check("nowhere.h5" in output, output)
    check(output.count("cairn-bench: ") == 1, f"more than one rank speaks:\n{output}")
    empty = bench.scratch / "empty"
    empty.mkdir()
    output = bench.run(2, "load", "--workload", TINY, "--latest", empty, expect=FAILURE)
    check("no checkpoint of CKP" in output, output)


def a_run_goes_on_where_it_stopped(bench):
    directory = bench.scratch / "series"
    bench.save(TINY, 3, "series", "--repeat", 3, "--advance", "--step", 5)
    check(names(directory) == {"CKP-1_5.h5", "CKP-1_6.h5", "CKP-1_7.h5"}, f"{names(directory)}")
    _, output = bench.save(TINY, 2, "series", "--repeat", 2, "--advance", "--resume", "--keep", 2)
    check(values(output)["resumed step"] == "7", output)
    check(names(directory) == {"CKP-1_8.h5", "CKP-1_9.h5"}, f"{names(directory)}")
    output = bench.run(3, "load", "--workload", TINY, "--latest", directory)
    check(values(output)["step"] == "9" and values(output)["values"] == "right", output)


def names(directory):
    return {entry.name for entry in directory.iterdir() if not entry.name.startswith(".")}


def repeats_replace_and_reuse_the_plan(bench):
    report = bench.scratch / "report.json"
    _, output = bench.save(TINY, 3, "repeat", "--repeat", 3, "--json", report)
    check(names(bench.scratch / "repeat") == {"CKP-1_1.h5"}, "a repeat does not replace")
    told = json.loads(report.read_text(encoding="utf-8"))
    check([save["plan"] for save in told["saves"]] == ["made", "reused", "reused"], output)
    check(told["bytes written per rank, max"] == number(output, "bytes written per rank, max"), output)
    check(told["bytes of values"] == 4801, output)


def sizes_of_blocks_and_staging_do_not_matter_to_the_values(bench):
    path, _ = bench.save(WORKLOADS / "medium.json", 3, "small-blocks", "--block-bytes", "64KiB",
                         "--staging-bytes", "1MiB", "--slicing", "grid")
    bench.check_file(path, WORKLOADS / "medium.json")
    bench.load(WORKLOADS / "medium.json", 2, path, "--staging-bytes", "1MiB")


def maps_are_timed_and_hold_the_same(bench):
    report = bench.scratch / "maps.json"
    output = bench.run(1, "maps", "--entries", 3000, "--repeat", 2, "--batches", "1,64", "--json", report)
    told = json.loads(report.read_text(encoding="utf-8"))["operations"]
    check(len(told) == 14 and {"get uniform, 1", "put skewed, 64"} <= told.keys(), output)
    compared = "SKIPPED" not in output
    for name, operation in told.items():
        check(all(len(turns) == 2 and min(turns) > 0 for turns in operation["ns"].values()), name)
        check(("absl rows" in operation["ns"]) == compared == ("ratio to the fastest other" in operation), name)
    bench.run(2, "maps", "--entries", 3000, expect=USAGE)


def a_step_that_is_not_due_is_timed(bench):
    report = bench.scratch / "steps.json"
    with unittest.mock.patch.dict(ENVIRONMENT, TMPDIR=str(bench.scratch)):
        for ranks, options in ((1, ()), (2, ("--threads", "multiple"))):
            output = bench.run(ranks, "step", "--steps", 50, "--repeat", 7, "--json", report, *options)
            told = json.loads(report.read_text(encoding="utf-8"))
            check((told["ranks"], told["threads"]) == (ranks, "multiple" if options else "single"), output)
            check(len(told["ways"]) == 5, output)
            for name, way in told["ways"].items():
                turns = sorted(way["ns"])
                check(len(turns) == 7 and turns[0] > 0, name)
                check(way["median"] == [turns[3], turns[0], turns[6]], f"{name}: {way}")
                check(("most" in way) == (name != "by hand"), name)
                check("most" not in way or way["met"] == (turns[0] <= way["most"]), f"{name}: {way}")
    check(list(bench.scratch.glob("cairn-bench-step*")) == [], "something is left behind")
    bench.run(1, "step", "--repeat", 0, expect=USAGE)


def test(bench):
    for story in (a_changed_element_is_named, another_step_is_a_difference, wrong_calls_are_usage_errors,
                  what_cairn_refuses_is_a_failure, a_run_goes_on_where_it_stopped,
                  repeats_replace_and_reuse_the_plan,
                  sizes_of_blocks_and_staging_do_not_matter_to_the_values, maps_are_timed_and_hold_the_same,
                  a_step_that_is_not_due_is_timed):
        story(bench)
        print(story.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    main(parser(__doc__).parse_args(), test)
