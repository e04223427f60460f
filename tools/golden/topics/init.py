"""What torch.nn.init draws from, for a list of shapes.

Random numbers cannot agree between libraries, distributions must. Each case names an initialiser,
its arguments and the weight's shape, and the distribution PyTorch uses:

    distribution uniform   low, high; mean and std follow from them
    distribution normal    mean, std
    distribution trunc_normal  mean, std, low, high of the parent, true_mean and true_std of what
                           is drawn
    distribution constant  value
    distribution orthogonal    gain: rows (or columns, the fewer) of the matrix [shape[0], rest] are
                           orthogonal and of length gain

with fan_in, fan_out and gain where they enter. Modules' own defaults (`reset_parameters`) have op
reset_parameters, and `weight` and `bias` each as such an object (`bias` may be null). PyTorch's own
draws are checked against every description while it is written. `<case>/shape` holds the shape.
"""

import math

import torch
from torch.nn import init

SHAPES = [(5, 3), (64, 100), (1, 7), (8, 4, 3), (16, 8, 3, 3), (6, 1, 5, 5), (4, 3, 7, 7),
          (8, 4, 3, 3, 3), (33, 17, 1, 1), (12, 5, 1, 3, 2)]
NONLINEARITIES = ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]


def _uniform(low, high):
    return {"distribution": "uniform", "low": low, "high": high, "mean": (low + high) / 2,
            "std": (high - low) / math.sqrt(12)}


def _normal(mean, std):
    return {"distribution": "normal", "mean": mean, "std": std}


def _trunc_normal(mean, std, low, high):
    """Mean and deviation of a normal cut at [low, high]; Johnson, Kotz and Balakrishnan, 13.10."""
    alpha, beta = (low - mean) / std, (high - mean) / std
    density = lambda v: math.exp(-v * v / 2) / math.sqrt(2 * math.pi)
    cumulative = lambda v: (1 + math.erf(v / math.sqrt(2))) / 2
    mass = cumulative(beta) - cumulative(alpha)
    shift = (density(alpha) - density(beta)) / mass
    spread = 1 + (alpha * density(alpha) - beta * density(beta)) / mass - shift**2
    return {"distribution": "trunc_normal", "mean": mean, "std": std, "low": low, "high": high,
            "true_mean": mean + std * shift, "true_std": std * math.sqrt(spread)}


def _check(description, draw):
    """Many draws of PyTorch must follow the description; else the generator itself is wrong."""
    kind = description["distribution"]
    values = torch.cat([draw().detach().double().flatten() for _ in range(200)])
    if kind == "constant":
        assert (values == description["value"]).all(), description
        return
    if kind == "orthogonal":
        weight = draw().detach().double()
        matrix = weight.flatten(1)
        matrix = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t()
        expected = description["gain"] ** 2 * torch.eye(matrix.shape[0], dtype=torch.float64)
        assert torch.allclose(matrix @ matrix.t(), expected, atol=1e-4), description
        return
    if "low" in description:
        slack = 1e-6 * (description["high"] - description["low"])
        assert values.min() >= description["low"] - slack, description
        assert values.max() <= description["high"] + slack, description
    mean = description.get("true_mean", description["mean"])
    std = description.get("true_std", description["std"])
    # Six standard errors of the mean, and of the deviation (kurtosis at most 3).
    assert abs(values.mean() - mean) <= 6 * std / math.sqrt(values.numel()), description
    assert abs(values.std() / std - 1) <= 6 / math.sqrt(2 * values.numel()), description


def _add(topic, name, initialiser, shape, description, arguments, draw):
    _check(description, draw)
    topic.add(name, initialiser, {"shape": list(shape), **arguments, **description},
              {"shape": torch.tensor(shape, dtype=torch.int64)})


def _fans(shape):
    return init._calculate_fan_in_and_fan_out(torch.empty(shape))


def _plain(topic, shape, label):
    empty = lambda: torch.empty(shape)
    for low, high in [(0.0, 1.0), (-0.3, 0.1)]:
        _add(topic, f"uniform_{label}_{low}_{high}".replace(".", "_"), "uniform_", shape,
             _uniform(low, high), {"a": low, "b": high},
             lambda: init.uniform_(empty(), low, high))
    for mean, std in [(0.0, 1.0), (0.5, 0.02)]:
        _add(topic, f"normal_{label}_{mean}_{std}".replace(".", "_"), "normal_", shape,
             _normal(mean, std), {}, lambda: init.normal_(empty(), mean, std))
    _add(topic, f"constant_{label}", "constant_", shape,
         {"distribution": "constant", "value": 0.25}, {"val": 0.25},
         lambda: init.constant_(empty(), 0.25))
    for mean, std, low, high in [(0.0, 1.0, -2.0, 2.0), (0.1, 0.02, 0.05, 0.2)]:
        _add(topic, f"trunc_normal_{label}_{mean}_{std}".replace(".", "_"), "trunc_normal_", shape,
             _trunc_normal(mean, std, low, high), {"a": low, "b": high},
             lambda: init.trunc_normal_(empty(), mean, std, low, high))
    for gain in (1.0, 1.5):
        _add(topic, f"orthogonal_{label}_{gain}".replace(".", "_"), "orthogonal_", shape,
             {"distribution": "orthogonal", "gain": gain}, {},
             lambda: init.orthogonal_(empty(), gain))


def _scaled(topic, shape, label):
    fan_in, fan_out = _fans(shape)
    empty = lambda: torch.empty(shape)
    fans = {"fan_in": fan_in, "fan_out": fan_out}
    for gain in (1.0, init.calculate_gain("tanh")):
        std = gain * math.sqrt(2.0 / (fan_in + fan_out))
        tag = f"{label}_{gain:.2f}".replace(".", "_")
        _add(topic, f"xavier_uniform_{tag}", "xavier_uniform_", shape,
             _uniform(-math.sqrt(3) * std, math.sqrt(3) * std), {**fans, "gain": gain},
             lambda: init.xavier_uniform_(empty(), gain))
        _add(topic, f"xavier_normal_{tag}", "xavier_normal_", shape, _normal(0.0, std),
             {**fans, "gain": gain}, lambda: init.xavier_normal_(empty(), gain))
    for mode in ("fan_in", "fan_out"):
        for nonlinearity, a in [("leaky_relu", 0.0), ("leaky_relu", math.sqrt(5)), ("relu", 0.0),
                                ("leaky_relu", 0.2), ("linear", 0.0), ("tanh", 0.0)]:
            gain = init.calculate_gain(nonlinearity, a)
            std = gain / math.sqrt(fans[mode])
            arguments = {**fans, "a": a, "mode": mode, "nonlinearity": nonlinearity, "gain": gain}
            tag = f"{label}_{mode}_{nonlinearity}_{a:.2f}".replace(".", "_")
            _add(topic, f"kaiming_uniform_{tag}", "kaiming_uniform_", shape,
                 _uniform(-math.sqrt(3) * std, math.sqrt(3) * std), arguments,
                 lambda: init.kaiming_uniform_(empty(), a, mode, nonlinearity))
            _add(topic, f"kaiming_normal_{tag}", "kaiming_normal_", shape, _normal(0.0, std),
                 arguments, lambda: init.kaiming_normal_(empty(), a, mode, nonlinearity))


def _module(topic, name, make, arguments):
    module = make()
    bound = 1 / math.sqrt(_fans(module.weight.shape)[0])
    weight = _uniform(-bound, bound)
    bias = None if module.bias is None else _uniform(-bound, bound)
    _check(weight, lambda: make().weight)
    if bias is not None:
        _check(bias, lambda: make().bias)
    shape = list(module.weight.shape)
    topic.add(name, "reset_parameters",
              {**arguments, "shape": shape, "fan_in": _fans(shape)[0], "weight": weight,
               "bias": bias}, {"shape": torch.tensor(shape)})


def _modules(topic):
    for rank, conv in [(1, torch.nn.Conv1d), (2, torch.nn.Conv2d), (3, torch.nn.Conv3d)]:
        for c, o, k, groups, bias in [(3, 8, 3, 1, True), (8, 8, 3, 8, True), (8, 16, 1, 4, True),
                                      (16, 4, 2, 2, False), (1, 4, 5, 1, True)]:
            _module(topic, f"reset_conv{rank}d_{c}to{o}_k{k}_g{groups}",
                    lambda: conv(c, o, k, groups=groups, bias=bias),
                    {"module": f"Conv{rank}d", "in_channels": c, "out_channels": o,
                     "kernel_size": [k] * rank, "groups": groups, "has_bias": bias})
    for inputs, outputs, bias in [(10, 4, True), (1, 5, True), (300, 7, True), (16, 16, False)]:
        _module(topic, f"reset_linear_{inputs}to{outputs}",
                lambda: torch.nn.Linear(inputs, outputs, bias),
                {"module": "Linear", "in_features": inputs, "out_features": outputs,
                 "has_bias": bias})
    for rank, norm in [(1, torch.nn.BatchNorm1d), (2, torch.nn.BatchNorm2d),
                       (3, torch.nn.BatchNorm3d)]:
        module = norm(6)
        values = {key: float(value.double().mean()) for key, value in module.state_dict().items()}
        assert all((value == values[key]).all() for key, value in module.state_dict().items())
        one = lambda value: {"distribution": "constant", "value": value}
        topic.add(f"reset_batch_norm{rank}d", "reset_parameters",
                  {"module": f"BatchNorm{rank}d", "num_features": 6, "shape": [6],
                   **{key: one(value) for key, value in values.items()}},
                  {"shape": torch.tensor([6])})
    prelu = torch.nn.PReLU(3)
    topic.add("reset_prelu", "reset_parameters",
              {"module": "PReLU", "num_parameters": 3, "shape": [3],
               "weight": {"distribution": "constant", "value": float(prelu.weight[0])}},
              {"shape": torch.tensor([3])})


def _gains(topic):
    for name in NONLINEARITIES:
        topic.add(f"gain_{name}", "calculate_gain",
                  {"nonlinearity": name, "gain": init.calculate_gain(name)}, {})
    for a in (0.0, 0.01, 0.2, math.sqrt(5)):
        topic.add(f"gain_leaky_relu_{a:.2f}".replace(".", "_"), "calculate_gain",
                  {"nonlinearity": "leaky_relu", "param": a,
                   "gain": init.calculate_gain("leaky_relu", a)}, {})


def build(topic):
    for shape in SHAPES:
        label = "x".join(map(str, shape))
        _plain(topic, shape, label)
        _scaled(topic, shape, label)
    _modules(topic)
    _gains(topic)
