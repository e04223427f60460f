"""Tests of what makes docs/benchmarks.md out of measurements (bench/results.py, report.py, bar_chart.py)."""

import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench"))
import bar_chart
import report
import results

RUN = {"kind": "run", "cpu": "A Processor", "cores": 2, "system": "A System", "commit": "abc", "date": "2026-01-02",
       "compiler": "GNU 12", "peers": {"oneDNN": "2.6.3", "libtorch": "1.13.0"}, "copy_gbs": 25.0, "parts": ["layer"],
       "options": "", "planned": 3}


def layer(problem, direction, seconds, groups, **more):
    return {"kind": "layer", "problem": problem, "direction": direction, "threads": 2, "isa": "avx512", "algorithm": "direct",
            "gflop": 1.0, "megabytes": 10.0, "peak_gflops": 200.0, "copy_gbs": 100.0, "foreign_load": 0.0, "seconds": seconds,
            "groups": [{"group": name, "kind": kind, "times": times} for name, kind, times in groups], **more}


A = layer("mb1ic64ih56oc64oh56kh3ph1", "forward", {"convkit": 0.01, "convkit_packed": 0.008, "oneDNN": 0.016, "libtorch": 0.02},
          [("Net", "net", 3), ("Other net", "net", 1)])
B = layer("mb8ic256ih14oc256oh14kh1ph0", "forward", {"convkit": 0.04, "convkit_packed": 0.02, "oneDNN": 0.01, "libtorch": None},
          [("Net", "net", 1)])
C = layer("g8mb1ic64iw100oc64ow100kw9pw4", "backward_weight", {"convkit": 0.01, "oneDNN": None, "libtorch": 0.09}, [("grouped", "hole", 1)])


def read(*records, end=""):
    return results.Results([json.dumps(record) + "\n" for record in records] + ([end] if end else []))


class Figures(unittest.TestCase):
    def test_ratio_is_to_the_faster_peer(self):
        self.assertAlmostEqual(results.ratio(A), 1.6)
        self.assertAlmostEqual(results.ratio(A, "convkit_packed"), 2.0)
        self.assertAlmostEqual(results.ratio(B), 0.25)  # libtorch refused
        self.assertIsNone(results.ratio({"seconds": {"convkit": 1.0, "oneDNN": None}}))

    def test_limit_is_arithmetic_or_traffic(self):
        self.assertAlmostEqual(results.limit_share(A), 1.0 / 200 / 0.01)
        self.assertAlmostEqual(results.limit_share({**A, "megabytes": 900.0}), 0.9 / 100 / 0.01)

    def test_mean_counts_a_layer_as_often_as_the_net_has_it(self):
        rows = dict(results.summary([A, B, C]))
        mean, lowest, layers = rows["Net"][0]
        self.assertAlmostEqual(mean, (2.0 ** 3 * 0.5) ** 0.25)
        self.assertAlmostEqual(lowest, 0.5)
        self.assertEqual(layers, 2)
        self.assertAlmostEqual(rows["all nets"][0][0], (2.0 ** 4 * 0.5) ** 0.2)
        self.assertIsNone(rows["Net"][2])
        self.assertAlmostEqual(rows["all others"][3][0], 9.0)
        self.assertAlmostEqual(results.backward_mean([A, {**A, "direction": "backward_input"}]), 1.6)
        self.assertIsNone(results.backward_mean([A, C]))
        self.assertNotIn("grouped", dict(results.summary([A, B, C], 8)))

    def test_later_records_replace_earlier_ones_and_a_cut_off_line_is_left_out(self):
        found = read(RUN, A, B, {**A, "gflop": 7.0}, end='{"kind": "lay')
        self.assertEqual([record["gflop"] for record in found.of("layer")], [7.0, 1.0])
        self.assertEqual(found.settings(), [("avx512", 2)])

    def test_shape_classes(self):
        for problem, words in {
                "mb1ic64ih56oc64oh56kh3ph1": "2-D 3x3", "mb1ic256ih14oc512oh7kh1sh2ph0": "2-D 1x1 strided",
                "g64mb1ic64ih56oc64oh56kh3ph2dh1": "2-D depthwise 3x3 dilated", "mb1ic3ih9iw8oc9oh9ow8kh3ph1kw1pw0": "2-D few-in 3x1",
                "mb1ic64iw9oc3ow9kw3pw1": "1-D few-out 3", "g2mb1ic8id4ih4iw4oc8od4oh4ow4kd3pd1kh3ph1kw3pw1": "3-D grouped 3x3x3"}.items():
            self.assertEqual(results.shape_class(problem), words)


class Page(unittest.TestCase):
    def test_says_how_far_apart_the_cores_were(self):
        near, far = {**A, "round_trip_ns": 90.4}, {**B, "round_trip_ns": 350.2}
        self.assertIn("in 90 to 350 ns, in the median in 350:", report.about(read(RUN, near, far, C)))
        self.assertNotIn("A flag", report.about(read(RUN, A, B, C)))

    def test_holds_every_part(self):
        train = {"kind": "train", "net": "m5", "input": [16, 1, 16000], "threads": 2, "isa": "avx512", "gflop": 2.0, "peak_gflops": 200.0,
                 "seconds": {"convkit": 0.02, "oneDNN": None, "libtorch": 0.05}}
        infer = {"kind": "inference", "net": "resnet18", "input": [8, 3, 224, 224], "batch": 8, "threads": 2, "isa": "avx512",
                 "gflop": 29.0, "peak_gflops": 200.0, "goal": 2.1, "foreign_load": 0.0,
                 "seconds": {"convkit": 0.1, "onnxruntime": 0.145}, "load_seconds": {"convkit": 0.05, "onnxruntime": 0.2},
                 "bare_bytes": {"convkit": 4 << 20, "onnxruntime": 55 << 20},
                 "peak_bytes": {"convkit": 100 << 20, "onnxruntime": 250 << 20}}
        subnormal = {**A, "kind": "subnormal", "seconds": {"convkit": 0.01, "convkit_subnormal": 0.011}}
        page = report.document(read({**RUN, "peers": {"ONNX Runtime": "1.30.0"}}, RUN, A, B, C, train, subnormal, infer),
                               "chart.svg")
        for text in ["A Processor", "2026-01-02", "oneDNN 2.6.3", "GNU 12", "(chart.svg)", "**1.41** (0.50)",
                     "ONNX Runtime 1.30.0",
                     "| resnet18 | avx512, 2 threads | 8×3×224×224 | 100.00 ms | 290 | 145 % | 145.00 ms | 100 % | **1.45** | 1.00 | 2.1 |",
                     "| resnet18 | avx512, 2 threads | 8×3×224×224 | 50.00 ms | 200.00 ms | **4.00** | 100 MiB (4 MiB) | "
                     "250 MiB (55 MiB) | **2.50** |",
                     "| m5 | avx512, 2 threads | 16×1×16000 | 20.00 ms | 100 | 50 % | 50.00 ms | **2.50** |", "| forward | 10.00 ms | 1.10 |",
                     "| `mb1ic64ih56oc64oh56kh3ph1` | 3 | **2.00** · 125 · 62 % | **1.60** · 100 · 50 % |"]:
            self.assertIn(text, page)
        self.assertNotIn("part of the list", page)

    def test_keeps_each_batch_of_a_net(self):
        one = {"kind": "inference", "net": "m5", "batch": 1, "threads": 2, "isa": "avx512"}
        self.assertEqual(len(read(RUN, one, {**one, "batch": 8}, one).of("inference")), 2)

    def test_names_what_is_behind_with_its_share_of_the_limit(self):
        rows = report.behind_rows([A, B, C], [("*1x1*", "forward, training", "because"), ("*", "*", "other")])
        self.assertEqual([row[2:] for row in rows], [["0.25", "25", "12 %", "because"], ["0.50", "50", "25 %", "other"]])
        self.assertIn("packed in every call", report.reason_of(A, "forward, training", []))
        self.assertEqual(report.reason_of(B, "forward, inference", []), "not known yet")

    def test_says_that_it_is_a_part(self):
        self.assertIn("`./bench/run --quick`", report.document(read({**RUN, "options": "--quick"}, A), "c.svg"))
        self.assertIn("part of the list", report.document(read(RUN, A), "c.svg"))
        self.assertIn("At 1 of them something else", report.document(read(RUN, {**A, "foreign_load": 0.1}), "c.svg"))
        self.assertIn("**Not final.**", report.document(read(RUN, A), "c.svg", "Not final."))

    def test_reasons_are_well_formed(self):
        titles = [title for title, _, _ in results.COLUMNS]
        for reason in report.read_reasons():
            self.assertEqual(len(reason), 3, reason)
            self.assertTrue(reason[1] == "*" or reason[1] in titles, reason)

    def test_chart_is_xml_with_bars_on_both_sides_of_one(self):
        svg = bar_chart.bar_chart("a < b", ["x", "y"], [("first", [2.0, 0.5]), ("second", [None, 8.0])])
        bars = [item for item in xml.etree.ElementTree.fromstring(svg).iter() if item.get("class", "").startswith("bar") and item.get("rx") is None]
        starts = [float(bar.get("x")) for bar in bars]
        ends = [float(bar.get("x")) + float(bar.get("width")) for bar in bars]
        self.assertEqual(len(bars), 3)
        self.assertAlmostEqual(starts[0], ends[1], delta=0.2)  # the line at 1x
        self.assertAlmostEqual(ends[2] - starts[2], 3 * (ends[0] - starts[0]), delta=0.5)  # 8 = 2³

    def test_is_written_beside_its_chart(self):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "r.jsonl")
            with open(source, "w", encoding="utf-8") as file:
                file.write("".join(json.dumps(record) + "\n" for record in (RUN, A, B, C)))
            report.write_report(source, os.path.join(folder, "page.md"))
            self.assertEqual(sorted(os.listdir(folder)), ["page.md", "page.svg", "r.jsonl"])


if __name__ == "__main__":
    unittest.main()
