"""What ./bench/run measured, read from its JSON lines, and the figures made of it.

A file holds one JSON object a line, of these kinds:

    run         one start of the program: the machine, the versions of everything, what was planned
    layer       one problem in one direction: the seconds of convkit and of each peer, the FMA peak, a
                copy's speed, and, on several threads, the time of a round trip between cores
    algorithms  likewise: the seconds of every algorithm of convkit that computes it
    subnormal   likewise: convkit on normal and on subnormal inputs
    train       one net: the seconds of a training step
    inference   one net and batch: the seconds of a run and of loading, the bytes of memory
    failed ...  a problem that ended the program or took too long; behind it the kind it would have been

A later line replaces an earlier one of the same kind, problem (or net), direction (or batch), threads
and instruction set.
"""

import json
import math
import re

# Title, direction, and under which name of `seconds` convkit's figure stands.
COLUMNS = [
    ("forward, inference", "forward", "convkit_packed"),
    ("forward, training", "forward", "convkit"),
    ("backward-input", "backward_input", "convkit"),
    ("backward-weight", "backward_weight", "convkit"),
]


def key(record):
    what = record.get("problem") or record.get("net")
    return record["kind"], what, record.get("direction", record.get("batch")), record.get("threads"), record.get("isa")


class Results:
    """The records of one file, by kind, without those that later ones replace."""

    def __init__(self, lines):
        self.runs = []
        self.records = {}
        for line in lines:
            if not line.endswith("\n"):
                break  # a run that was stopped while it wrote
            record = json.loads(line)
            if record["kind"] == "run":
                self.runs.append(record)
            else:
                self.records[key(record)] = record

    def of(self, kind):
        return [record for record in self.records.values() if record["kind"] == kind]

    def settings(self):
        """(isa, threads) of the layers measured, in the order in which they first were."""
        return list(dict.fromkeys((record["isa"], record["threads"]) for record in self.of("layer")))


def read(path):
    with open(path, encoding="utf-8") as file:
        return Results(file)


def fields(problem):
    """{"mb": 1, "ic": 64, ...} of a problem in benchdnn's notation, as bench_conv writes it."""
    return {name: int(number) for name, number in re.findall(r"([a-z]+)(-?\d+)", problem)}


def batch(record):
    return fields(record["problem"]).get("mb", 1)


def without_batch(problem):
    return re.sub(r"mb\d+", "", problem, count=1)


def shape_class(problem):
    """Words that say what kind of layer it is, such as "2-D grouped 3x3 strided"."""
    has = fields(problem)
    axes = [axis for axis in "dhw" if "i" + axis in has]
    rank = 3 if "id" in has else 2 if "ih" in has else 1
    kernels = [has["k" + axis] for axis in axes]
    if rank == 2 and len(axes) == 1:  # a square picture names one axis
        kernels *= 2
    groups, inputs, outputs = has.get("g", 1), has["ic"], has["oc"]
    words = [f"{rank}-D"]
    if groups > 1:
        words.append("depthwise" if groups == inputs else "grouped")
    elif inputs <= 4:
        words.append("few-in")
    elif outputs <= 4:
        words.append("few-out")
    words.append("x".join(str(kernel) for kernel in kernels))
    if any(has.get("s" + axis, 1) > 1 for axis in axes):
        words.append("strided")
    if any(has.get("d" + axis, 0) > 0 for axis in axes):
        words.append("dilated")
    return " ".join(words)


def peer_seconds(record):
    """{peer: seconds} of those that computed it."""
    return {name: seconds for name, seconds in record["seconds"].items()
            if not name.startswith("convkit") and seconds}


def disturbed(record):
    """Whether something else kept a processor busy for more than this part of the time."""
    return record["foreign_load"] > 0.05


def ratio(record, ours="convkit"):
    """The faster peer's time over convkit's: above 1, convkit is faster. None without a peer."""
    peers = peer_seconds(record).values()
    seconds = record["seconds"].get(ours)
    return min(peers) / seconds if peers and seconds else None


def limit_share(record, ours="convkit"):
    """How near convkit comes to the machine's limit: the time that the multiply-adds of the
    definition take at the FMA peak, or that a copy of as many bytes as all tensors have takes,
    whichever is longer, over convkit's time."""
    arithmetic = record["gflop"] / record["peak_gflops"]
    traffic = record["megabytes"] * 1e-3 / record["copy_gbs"]
    return max(arithmetic, traffic) / record["seconds"][ours]


def geometric_mean(weighted):
    """Of (value, weight) pairs."""
    total = sum(weight for _, weight in weighted)
    return math.exp(sum(weight * math.log(value) for value, weight in weighted) / total) if total else None


def ratios(records, direction, ours, wanted=lambda group: True):
    """(ratio, times) of every layer of the groups `wanted`, as often as they have it."""
    found = []
    for record in records:
        value = ratio(record, ours) if record["direction"] == direction else None
        if value:
            times = sum(group["times"] for group in record["groups"] if wanted(group))
            if times:
                found.append((value, times))
    return found


def groups_of(records):
    """The names of the groups, nets first, with whether each is a net."""
    found = {}
    for record in records:
        for group in record["groups"]:
            found.setdefault(group["group"], group["kind"])
    order = {"net": 0, "hole": 1, "test": 2}
    return sorted(found.items(), key=lambda item: order[item[1]])


def summary(records, wanted_batch=None):
    """Rows of (title, [(geometric mean, lowest, layers) of each column]): each group, then all
    layers of the nets, then those of all other groups."""
    if wanted_batch:
        records = [record for record in records if batch(record) == wanted_batch]
    rows = []

    def row(title, wanted):
        cells = []
        for _, direction, ours in COLUMNS:
            found = ratios(records, direction, ours, wanted)
            cells.append((geometric_mean(found), min(found)[0], len(found)) if found else None)
        if any(cells):
            rows.append((title, cells))

    for name, _ in groups_of(records):
        row(name, lambda group, name=name: group["group"] == name)
    row("all nets", lambda group: group["kind"] == "net")
    row("all others", lambda group: group["kind"] != "net")
    return rows


def backward_mean(records):
    """Over both backward directions of every layer of the nets; None without any."""
    return geometric_mean([pair for direction in ("backward_input", "backward_weight")
                           for pair in ratios(records, direction, "convkit", lambda group: group["kind"] == "net")])
