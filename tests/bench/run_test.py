"""Tests of what ./bench/run does around the measuring: choosing layers, going on, surviving a peer that fails."""

import importlib.machinery
import importlib.util
import json
import os
import sys
import tempfile
import time
import types
import unittest

sys.dont_write_bytecode = True
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/run")
LOADER = importlib.machinery.SourceFileLoader("bench_run", PATH)
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("bench_run", LOADER))
LOADER.exec_module(run)

OPTIONS = types.SimpleNamespace(isa="avx512", threads=2, peak=200.0)
# Stands for bench_conv: measures what it is asked for, but dies of the problem "bad" and is disturbed at "loud".
FAKE = """
import json, sys
for item in sys.argv[1:]:
    problem, _, direction = item.partition(":")
    if not direction: continue
    if problem == "bad": sys.exit(1)
    print(json.dumps({"problem": problem, "direction": direction, "threads": 2, "isa": "avx512", "gflop": 1.0,
                      "peak_gflops": 200.0, "foreign_load": 0.3 if problem == "loud" else 0.01,
                      "seconds": {"convkit": 0.01}}), flush=True)
"""


def entry(group, kind="net", times=1, gflop=1.0):
    return {"group": group, "kind": kind, "times": times, "gflop": gflop}


def shell(text):
    return ["sh", "-c", text]


class Choice(unittest.TestCase):
    def test_words_name_kinds_groups_and_problems(self):
        groups = [entry("ResNet-18"), entry("depthwise", "hole")]
        for word in ("net", "hole", "resnet-18", "depthwise", "*kw3*", "mb1kw3pw1"):
            self.assertTrue(run.matches(word, "mb1kw3pw1", groups), word)
        for word in ("test", "ResNet", "kw3"):
            self.assertFalse(run.matches(word, "mb1kw3pw1", groups), word)

    def test_quick_takes_the_heaviest_of_each_group(self):
        problems = {"a": [entry("N", gflop=1.0)], "b": [entry("N", times=4, gflop=1.0)], "c": [entry("N", gflop=3.0)],
                    "d": [entry("M", gflop=0.1)]}
        self.assertEqual(list(run.heaviest(problems)), ["b", "c", "d"])


class Programs(unittest.TestCase):
    def records(self, text, seconds=9.0):
        return list(run.records_of(shell(text), OPTIONS, time.monotonic() + seconds))

    def test_end_well_or_with_none(self):
        self.assertEqual(self.records("echo {}; echo {}"), [{}, {}])
        self.assertEqual(self.records("echo {}; kill -9 $$"), [{}, None])
        self.assertEqual(self.records("echo {}; printf '{'; exit 1"), [{}, None])

    def test_are_ended_when_silent_and_when_time_is_up(self):
        patience, run.SILENCE_SECONDS = run.SILENCE_SECONDS, 0.3
        self.addCleanup(setattr, run, "SILENCE_SECONDS", patience)
        self.assertEqual(self.records("echo {}; exec sleep 60"), [{}, None])
        self.assertEqual(self.records("echo {}; exec sleep 60", seconds=-1.0), [{}])


class Measuring(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "deep/r.jsonl")
        fake = os.path.join(folder.name, "fake.py")
        with open(fake, "w", encoding="utf-8") as file:
            file.write(f"#!{sys.executable}\n{FAKE}")
        os.chmod(fake, 0o755)
        program, run.program = run.program, lambda name: fake
        self.addCleanup(setattr, run, "program", program)

    def measure(self, problems, keep):
        recorder = run.Recorder(self.path, keep)
        output, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
        try:
            run.measure_layers("layer", [(problem, "forward") for problem in problems], {"a": [entry("N")]}, OPTIONS,
                               recorder, time.monotonic() + 60)
        finally:
            sys.stdout.close()
            sys.stdout = output
            recorder.file.close()
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_goes_on_behind_a_failure(self):
        records = self.measure(["a", "bad", "c"], keep=False)
        self.assertEqual([(record["kind"], record["problem"]) for record in records],
                         [("layer", "a"), ("failed layer", "bad"), ("layer", "c")])
        self.assertEqual(records[0]["groups"], [entry("N")])

    def test_measures_only_what_the_file_has_not(self):
        self.measure(["a", "bad"], keep=False)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write('{"kind": "layer", "prob')  # stopped while it wrote
        records = self.measure(["a", "bad", "d"], keep=True)
        self.assertEqual([record["problem"] for record in records], ["a", "bad", "d"])
        self.assertEqual([record["problem"] for record in self.measure(["e"], keep=False)], ["e"])

    def test_measures_again_what_was_disturbed(self):
        records = self.measure(["loud", "a"], keep=False)
        self.assertEqual([record["problem"] for record in records], ["loud", "a"] + ["loud"] * run.MOST_REPEATS)


if __name__ == "__main__":
    unittest.main()
