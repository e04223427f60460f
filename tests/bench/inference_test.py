"""Tests of how bench/inference.py lets two programs run a net in turns."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
import inference

# Stands for bench_infer: takes as long, and answers, as it is told on its command line.
FAKE = """
import json, sys
seconds, value = map(float, sys.argv[1:3])
for line in sys.stdin:
    command, *words = line.split()
    print(line.strip(), file=open(sys.argv[3], "a"))
    print(json.dumps({"load": {"seconds": 10 * seconds}, "memory": {"bytes": 1 << 20}, "answer": {"values": [1.0, value]},
                      "gflop": {"gflop": 3.5}, "run": {"seconds": [seconds] * int((words + [0, 0])[1])}}[command]), flush=True)
"""


class ForeignLoad(unittest.TestCase):
    def test_leaves_out_this_process_and_its_children(self):
        child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        every, own = inference.processor_seconds([child])
        time.sleep(0.3)
        more, more_own = inference.processor_seconds([child])
        self.assertGreater(more_own - own, 0.02)
        self.assertGreaterEqual(more - every, more_own - own - 0.1)


class Turns(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        rest, inference.REST_SECONDS = inference.REST_SECONDS, 0
        self.addCleanup(setattr, inference, "REST_SECONDS", rest)
        foreign = inference.ForeignLoad
        self.addCleanup(setattr, inference, "ForeignLoad", foreign)
        self.loads = iter(())
        inference.ForeignLoad = lambda children: self
        self.model = self.file("model.onnx", "")
        self.script = self.file("fake.py", FAKE)

    def processors(self):
        return next(self.loads, 0.0)

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def side(self, name, seconds, value=2.0):
        return [sys.executable, self.script, str(seconds), str(value), os.path.join(self.folder, name)]

    def measure(self, **peer):
        commands = {"convkit": self.side("a.log", 0.01), "onnxruntime": self.side("b.log", **peer)}
        return list(inference.measure("m5", self.model, 2, [1, 8], commands))

    def test_measure_every_batch_on_both_sides(self):
        one, eight = self.measure(seconds=0.03)
        self.assertEqual([one["input"], eight["input"]], [[1, 1, 16000], [8, 1, 16000]])
        self.assertEqual(one["seconds"], {"convkit": 0.01, "onnxruntime": 0.03})
        self.assertAlmostEqual(one["load_seconds"]["onnxruntime"], 0.33)  # with the first run
        self.assertEqual(eight["peak_bytes"], {"convkit": 1 << 20, "onnxruntime": 1 << 20})
        self.assertEqual(eight["gflop"], 3.5)
        with open(os.path.join(self.folder, "b.log"), encoding="utf-8") as file:
            timed = [line for line in file if line.startswith("run 8x1x16000 1 0.3")]
        self.assertEqual(len(timed), inference.TURNS)

    def test_take_fewer_of_a_slow_net(self):
        self.measure(seconds=2.0)
        with open(os.path.join(self.folder, "a.log"), encoding="utf-8") as file:
            self.assertEqual(sum(line.startswith("run 1x1x16000 1 0.3") for line in file), inference.TURNS_OF_SLOW_NETS)

    def test_are_repeated_when_disturbed(self):
        self.loads = iter([0.3, 0.2, 0.4, 0.5, 0.01])
        self.assertEqual([record["foreign_load"] for record in self.measure(seconds=0.03)], [0.2, 0.01])

    def test_stop_where_the_answers_differ(self):
        for value in (2.1, float("nan")):
            with self.assertRaisesRegex(RuntimeError, "outputs differ"):
                self.measure(seconds=0.01, value=value)

    def test_stop_where_a_program_ends(self):
        with inference.Worker([sys.executable, "-c", "pass"]) as worker:
            with self.assertRaisesRegex(RuntimeError, "ended instead of an answer to load"):
                worker.ask("load")


if __name__ == "__main__":
    unittest.main()
