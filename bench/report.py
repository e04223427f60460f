#!/usr/bin/env python3
"""Writes docs/benchmarks.md, and the chart beside it, from what ./bench/run measured.

    bench/report.py FILE.jsonl [--out DOCUMENT.md] [--note TEXT]
"""

import argparse
import fnmatch
import os
import sys

import bar_chart
import results

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENT = os.path.join(ROOT, "docs/benchmarks.md")
BEHIND = 0.95

METHOD = """## How it is measured

`./bench/run` installs oneDNN and libtorch with apt, builds the benchmarks, measures, and writes this page. All of it
takes some hour and a half on two cores, and 8 GB of memory. [CONTRIBUTING.md](../CONTRIBUTING.md#measure) says how to measure
a single layer.

- **Side by side.** For each layer, convkit and the peers run in one program and take turns in random order: five turns
  each, of 40 ms or one call, whichever is longer (three turns for calls of more than half a second, a single call
  beyond two seconds; calls of 0.07 seconds and more whose first takes twice as long as another's get two turns or one).
  The figure is the median of the turns. Before a turn the others' threads are put to rest, and the work is done once
  untimed. Where other processes took more than a twentieth of a processor's time meanwhile, the layer is measured
  again.
- **A ratio** is the time of the faster of the two peers over convkit's: above 1, convkit is faster. Means of ratios
  are geometric; over the layers of a net each layer counts as often as the net has it.
- **What each side is given.** All compute in float32, without bias, on tensors of their own with numbers of [-1, 1).
  oneDNN chooses the memory format of every tensor (`any`), so its inputs, outputs *and weights* are in its blocked
  formats before the clock starts; nobody pays for bringing them there. (Where all it has is its reference implementation,
  it is not timed above 2 GFLOP: a call takes minutes.) libtorch runs `torch::convolution` and
  `torch::convolution_backward` in its contiguous and in its channels-last format, the faster of which counts; its results
  are allocated in each call, from memory that the process keeps. convkit reads and writes channels-last tensors, as
  everywhere.
- **Forward stands here twice**, against the same figures of the peers. *Forward, inference*: convkit's weights are packed
  beforehand, as in a trained net, and as oneDNN's are. This is like for like with oneDNN, and the column to read first.
  *Forward, training*: convkit packs them in every call, as a training step must once the weights have changed;
  oneDNN still has not to, libtorch does. convkit's backward-input packs in every call too.
- **GFLOP/s** count two operations for each multiply-add of the definition, those with padding included. An algorithm
  that needs fewer (Winograd, FFT, skipped padding), on either side, can therefore pass the *FMA peak*, which is measured
  beside each layer: fused multiply-adds on registers, on all threads at once, in the instruction set in use.
- **The limit** of a layer is the longer of two times: that of its multiply-adds at the FMA peak, and that of copying as
  many bytes as its three tensors have, measured by a copy within a block of that size on all threads.
- **What is measured:** every convolution of eight nets (a transposed convolution of a U-Net as the convolution whose
  backward-input it is), classes of shapes where libraries have slow paths (`bench/layers.h`), and the shapes that the
  tests check too, at batches of their own. Left out are layers whose tensors take more than 1 GB, and those of
  more than 250 GFLOP (50 outside of the nets).
"""


INFERENCE_METHOD = """`convkit export` writes the nets as ONNX files, with the random weights they start with. convkit and
[ONNX Runtime](https://onnxruntime.ai) (`onnxruntime-node` from npm: CPU, all optimisations, as many intra-op threads, one
inter-op thread) each load the file in a process of their own, and the two processes take turns: seven turns each of 0.3 s
(three of one run, for runs of more than half a second), each after a pause and an untimed run. The figure is the median of
all runs; outputs are compared first, and turns that other processes disturbed are repeated. Load time and memory are
medians of three fresh processes of each side, in turns, with the file in the page cache. *Load* is the time until the first
answer stands: reading, optimising, packing and the first run. *Memory* is the most that the process has taken (`VmHWM`),
programs and libraries included, after ten runs (two of more than half a second); in brackets what it had taken before the
net was loaded, which in ONNX Runtime's case is Node.js with the library.

*At the peak* is what the ratio would be if convkit did every multiply-add of the direct algorithm at the FMA peak, and
nothing else. Winograd's algorithms, which do fewer of them for 3×3 layers, go beyond it; MobileNetV2 has no layer for them.
"""


TEXT_COLUMNS = {"mean (lowest)", "problem", "direction", "why", "algorithm", "net", "input", "on"}


def table(head, rows):
    """Markdown; figures are aligned right."""
    lines = ["| " + " | ".join(head) + " |",
             "|" + "|".join("---" if title in TEXT_COLUMNS else "---:" for title in head) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def setting(record):
    return f"{record['isa']}, {record['threads']} threads"


def share(part):
    return f"{100 * part:.0f} %"


def summary_table(records, batch=None):
    rows = [[title] + [f"**{cell[0]:.2f}** ({cell[1]:.2f})" if cell else "" for cell in cells]
            for title, cells in results.summary(records, batch)]
    return table(["mean (lowest)"] + [title for title, _, _ in results.COLUMNS], rows)


def read_reasons():
    with open(os.path.join(ROOT, "bench/reasons.txt"), encoding="utf-8") as file:
        return [tuple(part.strip() for part in line.split("|"))
                for line in file if line.strip() and not line.startswith("#")]


def reason_of(record, column, reasons):
    inference = results.ratio(record, "convkit_packed")
    if column == "forward, training" and inference and inference >= BEHIND:
        return "weights are packed in every call; packed beforehand, as the peer's are, it is not behind"
    kind = results.shape_class(record["problem"])
    for kinds, columns, reason in reasons:
        if fnmatch.fnmatchcase(kind, kinds) and fnmatch.fnmatchcase(column, columns):
            return reason
    return "not known yet"


def ratios_of(records):
    """(ratio, record, title of the column, name of our time) of every layer, forward twice."""
    found = []
    for record in records:
        for title, direction, ours in results.COLUMNS:
            value = results.ratio(record, ours) if record["direction"] == direction else None
            if value:
                found.append((value, record, title, ours))
    return found


def behind_rows(records, reasons):
    """The rows of the table of layers below BEHIND, the slowest first."""
    found = sorted((item for item in ratios_of(records) if item[0] < BEHIND), key=lambda item: item[0])
    return [[f"`{record['problem']}`", title, f"{value:.2f}", rate_of(record, ours),
             share(results.limit_share(record, ours)), reason_of(record, title, reasons)]
            for value, record, title, ours in found]


def rate_of(record, ours):
    return f"{record['gflop'] / record['seconds'][ours]:.0f}"


def cell(record, ours):
    if record is None or not record["seconds"].get(ours):
        return ""
    of_peak = share(record["gflop"] / record["seconds"][ours] / record["peak_gflops"])
    value = results.ratio(record, ours)
    return (f"**{value:.2f}** · " if value else "") + f"{rate_of(record, ours)} · {of_peak}"


def layer_tables(records):
    by_problem = {}
    for record in records:
        by_problem.setdefault(record["problem"], {})[record["direction"]] = record
    parts = []
    for group, _ in results.groups_of(records):
        rows = []
        for problem, directions in by_problem.items():
            any_record = next(iter(directions.values()))
            times = [part["times"] for part in any_record["groups"] if part["group"] == group]
            if not times:
                continue
            names = [directions[direction].get("algorithm_packed" if ours == "convkit_packed" else "algorithm", "-")
                     if direction in directions else "-" for _, direction, ours in results.COLUMNS]
            rows.append([f"`{problem}`", str(times[0])]
                        + [cell(directions.get(direction), ours) for _, direction, ours in results.COLUMNS]
                        + [names[0] if len(set(names)) == 1 else " / ".join(names)])
        head = ["problem", "times"] + [title for title, _, _ in results.COLUMNS] + ["algorithm"]
        parts.append(f"### {group}\n\n" + table(head, rows))
    return "\n".join(parts)


def training_table(records):
    peers = list(dict.fromkeys(name for record in records for name in results.peer_seconds(record)))
    head = ["net", "on", "input", "convkit", "GFLOP/s", "FMA peak"]
    for peer in peers:
        head += [peer, "ratio"]
    rows = []
    for record in records:
        ours = record["seconds"]["convkit"]
        rate = record["gflop"] / ours
        row = [record["net"], setting(record), "×".join(map(str, record["input"])), in_ms(ours), f"{rate:.0f}",
               share(rate / record["peak_gflops"])]
        for peer in peers:
            seconds = record["seconds"].get(peer)
            row += [in_ms(seconds), f"**{seconds / ours:.2f}**"] if seconds else ["", ""]
        rows.append(row)
    return table(head, rows)


def inference_tables(records):
    """Times, then load and memory."""
    def name(record):
        return [record["net"], setting(record), "×".join(map(str, record["input"]))]

    times, costs = [], []
    for record in records:
        ours, theirs = record["seconds"]["convkit"], record["seconds"]["onnxruntime"]
        goal = record.get("goal")
        times.append(name(record) + [in_ms(ours), f"{record['gflop'] / ours:.0f}",
                                     share(record["gflop"] / ours / record["peak_gflops"]), in_ms(theirs),
                                     share(record["gflop"] / theirs / record["peak_gflops"]), f"**{theirs / ours:.2f}**",
                                     f"{theirs * record['peak_gflops'] / record['gflop']:.2f}",
                                     f"{goal:.1f}" if goal else ""])
        costs.append(name(record) + load_and_memory_cells(record))
    return [table(["net", "on", "input", "convkit", "GFLOP/s", "FMA peak", "ONNX Runtime", "its FMA peak", "ratio",
                   "at the peak", "goal"],
                  times),
            table(["net", "on", "input", "load", "ONNX Runtime", "ratio", "memory (bare)", "ONNX Runtime (bare)", "ratio"],
                  costs)]


def load_and_memory_cells(record):
    def memory(side):
        return f"{in_mib(record['peak_bytes'][side])} ({in_mib(record['bare_bytes'][side])})"

    load, peak = record["load_seconds"], record["peak_bytes"]
    return [in_ms(load["convkit"]), in_ms(load["onnxruntime"]), f"**{load['onnxruntime'] / load['convkit']:.2f}**",
            memory("convkit"), memory("onnxruntime"), f"**{peak['onnxruntime'] / peak['convkit']:.2f}**"]


def in_mib(count):
    return f"{count / 2**20:.0f} MiB"


def inference_section(records):
    times, costs = inference_tables(records)
    disturbed = sum(results.disturbed(record) for record in records)
    parts = ["## Whole nets\n", "Inference, ONNX files. Ratios are ONNX Runtime's time, or memory, over convkit's: above 1, "
             "convkit is ahead.\n", times, costs, INFERENCE_METHOD]
    if disturbed:
        parts.append(f"At {disturbed} of them something else was running on the machine.\n")
    return parts


def subnormal_table(records):
    rows = []
    for record in records:
        normal, subnormal = record["seconds"]["convkit"], record["seconds"]["convkit_subnormal"]
        rows.append([f"`{record['problem']}`", setting(record), record["direction"].replace("_", "-"), in_ms(normal),
                     f"{subnormal / normal:.2f}"])
    return table(["problem", "on", "direction", "normal inputs", "subnormal: times as long"], rows)


def in_ms(seconds):
    return f"{1e3 * seconds:.2f} ms"


def about(found, note=""):
    runs = [run for run in found.runs if "layer" in run["parts"]]
    last = runs[-1]
    dates = sorted({run["date"] for run in found.runs})
    versions = {name: version for run in found.runs for name, version in run["peers"].items()}
    peers = ", ".join(f"{name} {version}" for name, version in versions.items())
    commits = ", ".join(dict.fromkeys(run["commit"] for run in runs))
    lines = [f"Measured on {' to '.join(dict.fromkeys((dates[0], dates[-1])))} by `./bench/run`: {last['cpu']}, "
             f"{last['cores']} cores; {last['system']}; compiler {last['compiler']}; {peers}; convkit at commit "
             f"{commits}. A copy in memory runs at {last['copy_gbs']:.0f} GB/s on all threads."]
    trips = sorted(record["round_trip_ns"] for record in found.of("layer") if "round_trip_ns" in record)
    if trips:
        lines.append(f"A flag went from core to core and back in {trips[0]:.0f} to {trips[-1]:.0f} ns, in the median in "
                     f"{trips[len(trips) // 2]:.0f}: what one thread writes and another reads goes the same way.")
    done = len(found.of("layer"))
    whole = [run["planned"] for run in runs if run["options"] in ("", "--shuffle")]
    if not whole or done < max(whole):
        command = f"./bench/run {last['options']}".strip()
        lines.append(f"**This is a part of the list:** `{command}`, {done} layers and directions. `./bench/run` without "
                     "options measures all.")
    disturbed = sum(results.disturbed(record) for record in found.of("layer"))
    if disturbed:
        lines.append(f"At {disturbed} of them something else was running on the machine.")
    if note:
        lines.append(f"**{note}**")
    failed = found.of("failed layer")
    if failed:
        lines.append("Not measured, since a library failed or took minutes: "
                     + ", ".join(f"`{record['problem']}` {record['direction']}" for record in failed) + ".")
    return "\n\n".join(lines) + "\n"


def layers_on(found, isa, threads):
    return [record for record in found.of("layer") if (record["isa"], record["threads"]) == (isa, threads)]


def setting_sections(found, isa, threads, chart):
    records = layers_on(found, isa, threads)
    peak = max(record["peak_gflops"] for record in records)
    parts = [f"## {isa}, {threads} threads\n", f"FMA peak {peak:.0f} GFLOP/s. Above 1, convkit is faster than the faster "
             "peer; in brackets the slowest layer.\n"]
    if chart:
        parts.append(f"![The ratios of the table as bars]({chart})\n")
    parts.append(summary_table(records))
    both = results.backward_mean(records)
    if both:
        parts.append(f"Over both backward directions of all layers of the nets, the mean is **{both:.2f}**.\n")
    batches = sorted({results.batch(record) for record in records
                      if any(group["kind"] == "net" for group in record["groups"])})
    if len(batches) > 1:
        for size in batches:
            parts += [f"The same at batch {size}:\n", summary_table(records, size)]
    behind = behind_rows(records, read_reasons())
    parts += [f"### Behind ({isa}, {threads} threads)\n",
              f"Layers below {BEHIND} times the faster peer, with the share of the limit that convkit reaches: "
              f"{len(behind)} of {len(ratios_of(records))} ratios.\n",
              table(["problem", "direction", "ratio", "GFLOP/s", "of the limit", "why"], behind) if behind else "None.\n"]
    return parts


def chart_of(found, isa, threads):
    rows = [(title, [cell[0] if cell else None for cell in cells])
            for title, cells in results.summary(layers_on(found, isa, threads))]
    return bar_chart.bar_chart(f"Times as fast as the faster of oneDNN and libtorch ({isa}, {threads} threads)",
                               [title for title, _, _ in results.COLUMNS], rows)


def document(found, chart_name, note=""):
    """The whole page as Markdown."""
    parts = ["# Benchmarks\n", about(found, note)]
    for index, (isa, threads) in enumerate(found.settings()):
        parts += setting_sections(found, isa, threads, chart_name if index == 0 else None)
    if found.of("inference"):
        parts += inference_section(found.of("inference"))
    if found.of("train"):
        parts += ["## Training steps\n", "Forward, cross-entropy, backward, SGD with momentum. GFLOP count forward and "
                  "both gradients.\n", training_table(found.of("train"))]
    if found.of("subnormal"):
        parts += ["## Subnormal inputs\n", "The same layer on numbers below 10⁻³⁸, with which processors compute up to 100 "
                  "times more slowly unless told to take them for zeros.\n", subnormal_table(found.of("subnormal"))]
    parts.append(METHOD)
    for isa, threads in found.settings():
        parts += [f"## Every layer ({isa}, {threads} threads)\n", "Ratio · GFLOP/s · share of the FMA peak. Problems are in "
                  "benchdnn's notation: `g`roups, `mb` batch, `ic`/`oc` channels, `i`/`o` sizes, `k`ernel, `s`tride, "
                  "`p`adding, `d`ilation - 1, each along `d`, `h`, `w`.\n", layer_tables(layers_on(found, isa, threads))]
    return "\n".join(parts)


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def write_report(source, target=DOCUMENT, note=""):
    found = results.read(source)
    if not found.of("layer"):
        return
    chart = os.path.splitext(target)[0] + ".svg"
    write(chart, chart_of(found, *found.settings()[0]))
    write(target, document(found, os.path.basename(chart), note))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", metavar="FILE.jsonl")
    parser.add_argument("--out", default=DOCUMENT, metavar="DOCUMENT.md")
    parser.add_argument("--note", default="", help="a sentence for the head of the page")
    options = parser.parse_args()
    if not results.read(options.source).of("layer"):
        sys.exit(f"bench/report.py: {options.source} holds no measured layer")
    write_report(options.source, options.out, options.note)
    print(options.out)


if __name__ == "__main__":
    main()
