"""Runs whole nets on convkit and on ONNX Runtime, which take turns, and measures time, load time and memory.

Each side is a process that runs a net when told to (infer_bench.cc has the commands), in which the clock is read.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import results

# The version the goals were set for.
ONNXRUNTIME = "1.30.0"

# Net: its input without the batch, and how many times as fast as ONNX Runtime it shall be at each batch.
NETS = {
    "resnet18": ([3, 224, 224], {1: 1.7, 8: 2.1}),
    "resnet50": ([3, 224, 224], {1: 1.4, 8: 1.6}),
    "vgg16": ([3, 224, 224], {1: 2.0, 8: 2.3}),
    "mobilenet_v2": ([3, 224, 224], {1: 1.6, 8: 1.6}),
    "r3d_18": ([3, 16, 112, 112], {1: 2.5, 8: 2.7}),
    "m5": ([1, 16000], {1: 2.0, 8: 3.0}),
}
BATCHES = [1, 8]

TURNS = 7
TURNS_OF_SLOW_NETS = 3
SLOW_SECONDS = 0.5
TURN_SECONDS = 0.3
REST_SECONDS = 0.05  # threads that wait for more work have gone to sleep by then
LOADS = 3            # fresh processes of each side
MORE_RUNS = 9        # of a fresh process, after its first
MORE_SLOW_RUNS = 1
MOST_REPEATS = 2     # of turns that were disturbed
# Of the largest output. Winograd's rounding errors are a hundredth of it; another net's answers are not.
TOLERANCE = 1e-2


class Worker:
    """A process that answers each command with a line of JSON."""

    def __init__(self, command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        self.child.stdout.close()
        self.child.kill()
        self.child.wait()

    def ask(self, *words):
        try:
            self.child.stdin.write(" ".join(map(str, words)) + "\n")
            self.child.stdin.flush()
            line = self.child.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"{' '.join(self.child.args)} ended instead of an answer to {words[0]}")
        return json.loads(line)


def processor_seconds(children=()):
    """What all processors have worked, and what this process and `children` have of it."""
    tick = os.sysconf("SC_CLK_TCK")
    with open("/proc/stat", encoding="utf-8") as file:
        fields = [int(word) for word in file.readline().split()[1:9]]
    every = sum(fields) - fields[3] - fields[4]
    own = time.process_time()
    for child in children:
        with open(f"/proc/{child.pid}/stat", encoding="utf-8") as file:
            own += sum(map(int, file.read().rpartition(")")[2].split()[11:13])) / tick
    return every / tick, own


class ForeignLoad:
    """How many processors other processes keep busy from now on."""

    def __init__(self, children):
        self.children, self.begin = children, time.monotonic()
        self.every, self.own = processor_seconds(children)

    def processors(self):
        every, own = processor_seconds(self.children)
        return max(0.0, (every - self.every - (own - self.own)) / (time.monotonic() - self.begin))


def shape_text(batch, extents):
    return "x".join(map(str, [batch, *extents]))


def check_answers(sides, shape):
    """Throws unless all sides compute the same."""
    first, *others = [worker.ask("answer", shape)["values"] for worker in sides.values()]
    scale = max(abs(value) for value in first)
    for values in others:
        for ours, theirs in zip(first, values, strict=True):
            if not abs(ours - theirs) <= TOLERANCE * scale:  # NaN is not
                raise RuntimeError(f"the outputs differ: {ours:g} and {theirs:g}, where the largest is {scale:g}")


def take_turns(sides, shape):
    """{name: median seconds of a run}, the sides running in turns, all of them warm."""
    slowest = max(min(worker.ask("run", shape, 2, 0)["seconds"]) for worker in sides.values())
    slow = slowest > SLOW_SECONDS
    seconds = {name: [] for name in sides}
    for turn in range(TURNS_OF_SLOW_NETS if slow else TURNS):
        order = list(sides) if turn % 2 == 0 else list(sides)[::-1]
        for name in order:
            time.sleep(REST_SECONDS)
            if not slow:
                sides[name].ask("run", shape, 1, 0)
            seconds[name] += sides[name].ask("run", shape, 1, TURN_SECONDS)["seconds"]
    return {name: statistics.median(values) for name, values in seconds.items()}


def least_disturbed_turns(sides, children, shape):
    tries = []
    while not tries or (results.disturbed(tries[-1]) and len(tries) <= MOST_REPEATS):
        foreign = ForeignLoad(children)
        seconds = take_turns(sides, shape)
        tries.append({"seconds": seconds, "foreign_load": foreign.processors()})
    return min(tries, key=lambda one: one["foreign_load"])


def load_and_memory(commands, shape):
    """Of fresh processes that take turns: seconds until the first answer, and bytes at most before the net is loaded,
    after its first run, and after more of them; medians."""
    found = {"load_seconds": {}, "bare_bytes": {}, "first_bytes": {}, "peak_bytes": {}}
    for _ in range(LOADS):
        for name, command in commands.items():
            with Worker(command) as worker:
                bare = worker.ask("memory")["bytes"]
                load = worker.ask("load")["seconds"]
                run = worker.ask("run", shape, 1, 0)["seconds"][0]
                load += run
                first = worker.ask("memory")["bytes"]
                worker.ask("run", shape, MORE_RUNS if run < SLOW_SECONDS else MORE_SLOW_RUNS, 0)
                for key, value in zip(found, (load, bare, first, worker.ask("memory")["bytes"])):
                    found[key].setdefault(name, []).append(value)
    return {key: {name: statistics.median(values) for name, values in of_sides.items()}
            for key, of_sides in found.items()}


def measure(net, model, threads, batches, commands):
    """Yields a record for each batch; `commands` start the sides, convkit the first."""
    extents, _ = NETS[net]
    with open(model, "rb") as file:  # into the page cache
        while file.read(1 << 24):
            pass
    sides = {}
    try:
        for name, command in commands.items():
            sides[name] = Worker(command)
            sides[name].ask("load")
        children = [worker.child for worker in sides.values()]
        for batch in batches:
            shape = shape_text(batch, extents)
            check_answers(sides, shape)
            record = {"net": net, "input": [batch, *extents], "batch": batch, "threads": threads,
                      "gflop": sides["convkit"].ask("gflop", shape)["gflop"]}
            yield {**record, **least_disturbed_turns(sides, children, shape), **load_and_memory(commands, shape)}
    finally:
        for worker in sides.values():
            worker.__exit__()


def commands(convkit, node, modules, model, threads):
    """What starts each side."""
    peer = os.path.join(os.path.dirname(os.path.abspath(__file__)), "infer_onnxruntime.cjs")
    return {"convkit": [convkit, model, str(threads)],
            "onnxruntime": [node, peer, modules, model, str(threads)]}


def install(folder):
    """ONNX Runtime for Node.js from npm, without running any script of a package; its folder of modules."""
    modules = os.path.join(folder, "node_modules")
    installed = os.path.join(modules, "onnxruntime-node/package.json")
    if os.path.exists(installed):
        with open(installed, encoding="utf-8") as file:
            if json.load(file)["version"] == ONNXRUNTIME:
                return modules
    os.makedirs(folder, exist_ok=True)
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", "--prefix", folder,
               f"onnxruntime-node@{ONNXRUNTIME}"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except FileNotFoundError:
        sys.exit("bench/run: npm is missing (tools/setup --onnxruntime), with which ONNX Runtime is installed")
    if done.returncode:
        sys.exit(f"{done.stdout}\nbench/run: {' '.join(command)} failed")
    return modules
