#!/usr/bin/python3
"""Draws what `cairn-bench compare --json` has written: MB/s of each way as bars, the limits as lines.

usage: plot.py COMPARISON.json… [--out FILE.png]      one panel per file; needs python3-matplotlib
"""
import argparse
import json
import pathlib
import sys

LIMITS = {"raw write": "tab:red", "raw read": "tab:purple"}
BY_HAND = "tab:gray"
CAIRN = "tab:blue"
STALLS = ("async", "lazy")  # their seconds are what the program waits, not how fast they write


def quartiles(values):
    """The middle half of the runs, as nearest ranks."""
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[(3 * len(ordered)) // 4]


def draw(axes, told):
    """Bars in the order of the runs, each with the middle half of its runs."""
    gigabytes = told["bytes of values"] / 1e9
    ways = {way: figures for way, figures in told["ways"].items()
            if way not in LIMITS and way not in STALLS}
    for place, (way, figures) in enumerate(ways.items()):
        low, high = (gigabytes * 1e3 / seconds for seconds in reversed(quartiles(figures["seconds"])))
        speed = figures["MB/s"]
        axes.bar(place, speed, color=BY_HAND if way.startswith("h5 ") else CAIRN)
        axes.vlines(place, low, high, color="black")
        axes.annotate(f"{speed:.0f}", (place, speed), ha="center", va="bottom", fontsize=8)
    for limit, color in LIMITS.items():
        if limit in told["ways"]:
            axes.axhline(told["ways"][limit]["MB/s"], color=color, linestyle="--", label=limit)
    axes.set_xticks(range(len(ways)), list(ways), rotation=30, ha="right")
    axes.set_ylabel("MB/s")
    axes.set_title(f"{pathlib.Path(told['workload']).stem}, {told['ranks']} ranks", fontsize=10)
    axes.legend(fontsize=8)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("comparisons", nargs="+", type=pathlib.Path, metavar="COMPARISON.json")
    options.add_argument("--out", type=pathlib.Path, default=pathlib.Path("comparison.png"))
    given = options.parse_args()
    try:
        import matplotlib
    except ImportError:
        sys.exit("plot.py: there is no matplotlib; Debian has it as python3-matplotlib")
    matplotlib.use("Agg")  # no screen
    from matplotlib import pyplot

    told = [json.loads(path.read_text(encoding="utf-8")) for path in given.comparisons]
    figure, axes = pyplot.subplots(1, len(told), figsize=(6.5 * len(told), 4.2), squeeze=False)
    for panel, one in zip(axes[0], told):
        draw(panel, one)
    figure.tight_layout()
    figure.savefig(given.out, dpi=120)
    print(given.out)


if __name__ == "__main__":
    main()
