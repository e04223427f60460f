"""Linear layers and Flatten."""

import math

import torch
import torch.nn.functional as F

import golden_file


def _linear(topic):
    table = [((3, 4), 4, 5), ((1, 1), 1, 1), ((2, 17), 17, 33), ((5, 64), 64, 10), ((7,), 7, 3),
             ((2, 3, 8), 8, 16), ((2, 2, 3, 5), 5, 2), ((4, 33), 33, 1), ((4, 1), 1, 8),
             ((16, 16), 16, 16), ((2, 300), 300, 4), ((0, 4), 4, 3)]
    for shape, inputs, outputs in table:
        for bias in (True, False):
            name = "linear_" + "x".join(map(str, shape)) + f"_to{outputs}"
            name += "" if bias else "_no_bias"
            roles = {"x": topic.normal(*shape), "weight": topic.normal(outputs, inputs),
                     "bias": topic.normal(outputs) if bias else None}
            rows = math.prod(shape[:-1])
            parameters = {"in_features": inputs, "out_features": outputs, "bias": bias,
                          "k": inputs + bias, "k_grad_x": outputs, "k_grad_weight": rows}
            apply = lambda x, weight, bias: F.linear(x, weight, bias)
            topic.add(name, "linear", parameters, golden_file.run(apply, roles, topic=topic))


def _flatten(topic):
    table = [((2, 3, 4, 5), 1, -1), ((2, 3, 4, 5), 0, -1), ((2, 3, 4, 5), 2, -1),
             ((2, 3, 4, 5), 1, 2), ((2, 3, 4, 5), 0, 1), ((2, 3, 4, 5), -2, -1),
             ((2, 3, 4, 5), 3, 3), ((2, 3, 4, 5), -3, 3), ((4, 6), 1, -1), ((5,), 0, -1),
             ((), 0, -1), ((2, 3, 1, 1), 1, -1), ((2, 3, 2, 3, 2), 1, -1), ((2, 3, 2, 3, 2), 2, 4),
             ((0, 3, 4), 1, -1)]
    for shape, start, end in table:
        name = ("flatten_" + ("x".join(map(str, shape)) or "scalar") + f"_{start}_to_{end}")
        apply = lambda x: torch.flatten(x, start, end)
        topic.add(name.replace("-", "minus"), "flatten", {"start_dim": start, "end_dim": end},
                  golden_file.run(apply, {"x": topic.normal(*shape)}, topic=topic))


def build(topic):
    _linear(topic)
    _flatten(topic)
