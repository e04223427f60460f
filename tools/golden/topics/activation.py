"""Activations: values with kinks, zeros of both signs and large magnitudes; y and grad_x.

Cases whose name ends in `_extreme` hold magnitudes up to float32's largest, and only those whose
result PyTorch's own float32 path also gets right. Cases that end in `_nonfinite` hold NaN and
infinities: there is no gradient, and y may hold NaN, which must be NaN.
"""

import torch
import torch.nn.functional as F

import golden_file

SPECIAL = [0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, -6.0, 0.5, -0.5, 1e-6, -1e-6, 20.0, -20.0, 100.0,
           -100.0, 1e4, -1e4, 2.9999998, 5.9999995, 6.0000005, -3.0000002, 1e-30, -1e-30]
EXTREME = [1e10, -1e10, 1e20, -1e20, 3e38, -3e38]
NONFINITE = [float("nan"), float("inf"), float("-inf"), 1.0]

ACTIVATIONS = [
    ("relu", "relu", F.relu, {}),
    ("leaky_relu", "leaky_relu", F.leaky_relu, {"negative_slope": 0.01}),
    ("leaky_relu_slope0_2", "leaky_relu", F.leaky_relu, {"negative_slope": 0.2}),
    ("leaky_relu_slope0", "leaky_relu", F.leaky_relu, {"negative_slope": 0.0}),
    ("leaky_relu_slope1_5", "leaky_relu", F.leaky_relu, {"negative_slope": 1.5}),
    ("relu6", "relu6", F.relu6, {}),
    ("sigmoid", "sigmoid", torch.sigmoid, {}),
    ("tanh", "tanh", torch.tanh, {}),
    ("gelu", "gelu", F.gelu, {"approximate": "none"}),
    ("gelu_tanh", "gelu", F.gelu, {"approximate": "tanh"}),
    ("silu", "silu", F.silu, {}),
    ("hardswish", "hardswish", F.hardswish, {}),
]

# Drawn last, so that the cases before keep their numbers.
MORE = [
    ("elu", "elu", F.elu, {"alpha": 1.0}),
    ("elu_alpha0_3", "elu", F.elu, {"alpha": 0.3}),
    ("selu", "selu", F.selu, {}),
    ("softplus", "softplus", F.softplus, {}),
    ("mish", "mish", F.mish, {}),
]


def _with_specials(topic, *shape):
    x = topic.normal(*shape, scale=3.0)
    flat = x.view(-1)
    flat[: len(SPECIAL)] = torch.tensor(SPECIAL)[: flat.numel()]
    return x


def _float32_agrees(function, x):
    """Whether PyTorch's float32 gives the (finite) float64 values and gradients at these inputs."""
    results = []
    for dtype in (torch.float32, torch.float64):
        leaf = x.to(dtype, copy=True).requires_grad_(True)
        y = function(leaf)
        y.sum().backward()
        results.append((y.detach().float(), leaf.grad.float()))
    return all(a.isfinite().all() and torch.allclose(a, b, rtol=1e-5, atol=1e-30)
               for a, b in zip(*results))


def _elementwise(topic, activations):
    for name, op, function, options in activations:
        apply = lambda x: function(x, **options)
        for suffix, shape in [("", (2, 3, 4, 5)), ("_vector", (29,)), ("_matrix", (3, 17))]:
            x = _with_specials(topic, *shape)
            if op == "hardswish":
                # At its kinks PyTorch's vector loop and its scalar tail give different gradients.
                x = torch.where(x.abs() == 3.0, x * 0.9, x)
            topic.add(name + suffix, op, options, golden_file.run(apply, {"x": x}, topic=topic))
        extreme = torch.tensor(EXTREME)
        if _float32_agrees(apply, extreme):
            topic.add(f"{name}_extreme", op, options,
                      golden_file.run(apply, {"x": extreme}, topic=topic))
        x = torch.tensor(NONFINITE)
        topic.add(f"{name}_nonfinite", op, options, {"x": x, "y": apply(x.double())})


def _prelu(topic):
    for shape, count in [((2, 3, 4, 5), 1), ((2, 3, 4, 5), 3), ((4, 7), 7), ((4, 7), 1),
                         ((2, 5, 9), 5), ((2, 2, 3, 2, 4), 2), ((24,), 1), ((2, 17, 3, 3), 17)]:
        name = "prelu_" + "x".join(map(str, shape)) + f"_{count}"
        inputs = {"x": _with_specials(topic, *shape), "weight": topic.normal(count, scale=0.5)}
        terms = inputs["x"].numel() // count
        topic.add(name, "prelu", {"num_parameters": count, "k": terms},
                  golden_file.run(lambda x, weight: F.prelu(x, weight), inputs, topic=topic))
    inputs = {"x": topic.normal(2, 3, 5), "weight": torch.full((3,), 0.25)}
    topic.add("prelu_default", "prelu", {"num_parameters": 3, "k": 10},
              golden_file.run(lambda x, weight: F.prelu(x, weight), inputs, topic=topic))


def _softmax(topic):
    for op, function in [("softmax", F.softmax), ("log_softmax", F.log_softmax)]:
        for shape, dim in [((7,), 0), ((4, 9), 1), ((4, 9), 0), ((4, 9), -1), ((2, 5, 3, 4), 1),
                           ((2, 5, 3, 4), 0), ((2, 5, 3, 4), 2), ((2, 5, 3, 4), 3),
                           ((2, 5, 3, 4), -3), ((2, 4, 3, 2, 3), 1), ((3, 1), 1), ((2, 1000), 1)]:
            name = f"{op}_" + "x".join(map(str, shape)) + f"_dim{dim}".replace("-", "minus")
            apply = lambda x: function(x, dim=dim)
            topic.add(name, op, {"dim": dim, "k": shape[dim]},
                      golden_file.run(apply, {"x": topic.normal(*shape, scale=2.0)}, topic=topic))
        rows = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1e4, 0.0, -1e4, 1e4], [88.0, 89.0, 90.0, -90.0],
                             [-1e30, -1e30, -1e30, -1e30], [1e38, -1e38, 0.0, 1.0],
                             [-100.0, -101.0, -102.0, -103.0]])
        topic.add(f"{op}_large", op, {"dim": 1, "k": 4},
                  golden_file.run(lambda x: function(x, dim=1), {"x": rows}, topic=topic))
        rows = torch.tensor([[float("nan"), 1.0], [float("-inf"), 1.0], [2.0, 2.0]])
        topic.add(f"{op}_nonfinite", op, {"dim": 1, "k": 2},
                  {"x": rows, "y": function(rows.double(), dim=1)})


def build(topic):
    _elementwise(topic, ACTIVATIONS)
    _prelu(topic)
    _softmax(topic)
    _elementwise(topic, MORE)
