#!/usr/bin/python3
"""What cairn-bench compare promises: every way is run, ratios are those of neighbours, nothing is left behind."""
import importlib.util
import json
import statistics
import sys

from bench_job import PROJECT, WORKLOADS, check, main, parser, run

TINY = WORKLOADS / "tiny.json"
WAYS = ["raw write", "sync", "h5 collective", "h5 independent", "shards", "crc", "aes-gcm", "async", "lazy",
        "raw read", "load", "resliced"]
RUNS = 7


def comparison(bench, ranks, *options):
    report = bench.scratch / "comparison.json"
    output = bench.run(ranks, "compare", "--workload", TINY, "--dir", bench.scratch / "compared", "--repeat", RUNS,
                       "--step-seconds", 0.02, "--json", report, *options)
    return json.loads(report.read_text(encoding="utf-8")), output


def every_way_is_run(bench):
    told, output = comparison(bench, 3)
    check(list(told["ways"]) == WAYS, f"{list(told['ways'])}")
    for way, figures in told["ways"].items():
        check(len(figures["seconds"]) == RUNS and min(figures["seconds"]) > 0, f"{way}: {figures}")
        check(f"\n{way} " in output, output)
    check(list((bench.scratch / "compared").iterdir()) == [], "something is left behind")
    return told


def lines_are_medians_of_ratios_of_neighbours(bench):
    told = every_way_is_run(bench)
    seconds = {way: figures["seconds"] for way, figures in told["ways"].items()}
    best = [min(pair) for pair in zip(seconds["h5 collective"], seconds["h5 independent"])]
    expected = {
        "sync ÷ raw write": zip(seconds["raw write"], seconds["sync"]),
        "resliced ÷ raw read": zip(seconds["raw read"], seconds["resliced"]),
        "sync ÷ best parallel HDF5": zip(best, seconds["sync"]),
        "async: stall ÷ memcpy": zip(seconds["async"], told["ways"]["async"]["against"]),
        "crc time ÷ sync": zip(seconds["crc"], seconds["sync"]),
    }
    lines = {line["name"]: line for line in told["lines"]}
    for name, pairs in expected.items():
        ratios = sorted(above / below for above, below in pairs)
        value, low, high = lines[name]["value"]
        check(abs(value - statistics.median(ratios)) < 1e-9 * value, f"{name}: {lines[name]}, of {ratios}")
        check((low, high) == (ratios[0], ratios[-1]), f"{name}: the interval of 7 runs is all of them")
    for line in lines.values():
        if "bound" in line:
            _, low, high = line["value"]
            met = high >= line["bound"] if line["at least"] else low <= line["bound"]
            check(line["met"] == met, f"{line}")


def some_ways_only(bench):
    told, _ = comparison(bench, 2, "--ways", "sync,sm4-cbc,aes-cbc")
    check(list(told["ways"]) == ["sync", "sm4-cbc", "aes-cbc"], f"{list(told['ways'])}")
    names = [line["name"] for line in told["lines"]]
    check("sm4-cbc time ÷ sync" in names and not any("raw" in name for name in names), f"{names}")
    told, _ = comparison(bench, 2, "--ways", "copied write,raw read,copied read,sync,load")
    names = [line["name"] for line in told["lines"]]
    for name in ("sync ÷ copied write", "load ÷ copied read", "copied read ÷ raw read"):
        check(name in names, f"no {name} in {names}")


def a_plot_is_drawn_or_missed_clearly(bench):
    comparison(bench, 2, "--ways", "raw write,sync,h5 independent")
    image = bench.scratch / "comparison.png"
    output, code = run([sys.executable, PROJECT / "bench" / "plot.py", bench.scratch / "comparison.json",
                        "--out", image], bench.timeout)
    if importlib.util.find_spec("matplotlib") is None:
        check(code != 0 and "python3-matplotlib" in output, output)
        print("no matplotlib: only the message was tested", flush=True)
        return
    check(code == 0 and image.read_bytes().startswith(b"\x89PNG"), output)


def test(bench):
    for story in (lines_are_medians_of_ratios_of_neighbours, some_ways_only, a_plot_is_drawn_or_missed_clearly):
        story(bench)
        print(story.__name__.replace("_", " "), flush=True)


if __name__ == "__main__":
    main(parser(__doc__).parse_args(), test)
