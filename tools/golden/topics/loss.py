"""Losses: y, and the gradient of the input (and of probability targets).

Roles: x, target (int64 class indices, or float32), weight and pos_weight where given. For the
reductions mean and sum, y and grad_y are scalars and grad_y is 1. `k` is the number of summands.
"""

import torch
import torch.nn.functional as F

import golden_file

REDUCTIONS = ("mean", "sum", "none")


def _add(topic, name, op, function, x, target, parameters, weight=None, **extra):
    """Class indices and weights are constants; probability targets get a gradient too."""
    constants = {"weight": weight, **extra}
    doubles = {k: None if v is None else v.double() for k, v in constants.items()}
    if target.is_floating_point():
        call = lambda x, target: function(x, target, **doubles)
        roles = golden_file.run(call, {"x": x, "target": target}, topic=topic)
        if op != "cross_entropy":
            del roles["grad_target"]
    else:
        roles = golden_file.run(lambda x: function(x, target, **doubles), {"x": x}, topic=topic)
        roles["target"] = target
    topic.add(name, op, {**parameters, "k": x.numel()}, {**roles, **constants})


def _cross_entropy(topic):
    shapes = {"": (5, 4), "_two_classes": (6, 2), "_one_class": (3, 1), "_2d": (2, 3, 4, 3),
              "_1d": (2, 5, 7), "_3d": (2, 3, 2, 2, 3), "_single": (6,), "_many": (3, 100)}
    options = {
        "plain": {},
        "weight": {"weight": True},
        "smoothing": {"label_smoothing": 0.1},
        "ignore": {"ignore_index": 0},
        "ignore_default": {"ignore_index": -100},
        "weight_smoothing": {"weight": True, "label_smoothing": 0.3},
        "weight_ignore": {"weight": True, "ignore_index": 1},
        "weight_ignore_smoothing": {"weight": True, "ignore_index": 1, "label_smoothing": 0.2},
        "smoothing1": {"label_smoothing": 1.0},
    }
    for suffix, shape in shapes.items():
        classes = shape[0] if len(shape) == 1 else shape[1]
        positions = () if len(shape) == 1 else (shape[0],) + shape[2:]
        chosen = options if suffix in ("", "_2d") else {k: options[k] for k in (
            ("plain",) if classes == 1 else ("plain", "weight_smoothing"))}
        for label, option in chosen.items():
            for reduction in REDUCTIONS:
                target = topic.integers(0, classes, positions)
                ignore = option.get("ignore_index", -100)
                if label.startswith("ignore") or "_ignore" in label:
                    target.view(-1)[0] = ignore  # at least one ignored ...
                    target.view(-1)[1] = 2  # ... and one that counts
                weight = topic.uniform(classes, low=0.2, high=2.0) if "weight" in option else None
                smoothing = option.get("label_smoothing", 0.0)
                call = lambda x, t, weight: F.cross_entropy(
                    x, t, weight, ignore_index=ignore, reduction=reduction,
                    label_smoothing=smoothing)
                _add(topic, f"cross_entropy{suffix}_{label}_{reduction}", "cross_entropy", call,
                     topic.normal(*shape, scale=2.0), target,
                     {"reduction": reduction, "ignore_index": ignore, "label_smoothing": smoothing},
                     weight)
    for suffix, shape in {"": (5, 4), "_2d": (2, 3, 4, 3), "_single": (6,)}.items():
        axis = 0 if len(shape) == 1 else 1
        for label in ("plain", "weight", "smoothing", "weight_smoothing"):
            for reduction in REDUCTIONS:
                target = torch.softmax(topic.normal(*shape), dim=axis)
                weight = (topic.uniform(shape[axis], low=0.2, high=2.0) if "weight" in label
                          else None)
                smoothing = 0.2 if "smoothing" in label else 0.0
                call = lambda x, t, weight: F.cross_entropy(x, t, weight, reduction=reduction,
                                                            label_smoothing=smoothing)
                _add(topic, f"cross_entropy_probabilities{suffix}_{label}_{reduction}",
                     "cross_entropy", call, topic.normal(*shape, scale=2.0), target,
                     {"reduction": reduction, "ignore_index": -100, "label_smoothing": smoothing},
                     weight)
    x = torch.tensor([[1e4, 0.0, -1e4], [-200.0, 300.0, 299.0], [88.0, 89.0, 90.0]])
    for reduction in REDUCTIONS:
        call = lambda x, t, weight: F.cross_entropy(x, t, weight, reduction=reduction)
        _add(topic, f"cross_entropy_large_{reduction}", "cross_entropy", call, x,
             torch.tensor([2, 1, 0]),
             {"reduction": reduction, "ignore_index": -100, "label_smoothing": 0.0})
    call = lambda x, t, weight: F.cross_entropy(x, t, weight, ignore_index=2, reduction="sum")
    _add(topic, "cross_entropy_all_ignored_sum", "cross_entropy", call, topic.normal(3, 4),
         torch.tensor([2, 2, 2]),
         {"reduction": "sum", "ignore_index": 2, "label_smoothing": 0.0})


def _nll(topic):
    for suffix, shape in {"": (5, 4), "_2d": (2, 3, 4, 3), "_1d": (2, 3, 5)}.items():
        for label in ("plain", "weight", "ignore", "weight_ignore"):
            for reduction in REDUCTIONS:
                x = torch.log_softmax(topic.normal(*shape), dim=1)
                target = topic.integers(0, shape[1], (shape[0],) + shape[2:])
                ignore = 1 if "ignore" in label else -100
                if ignore == 1:
                    target.view(-1)[:2] = torch.tensor([1, 2])
                weight = (topic.uniform(shape[1], low=0.2, high=2.0) if "weight" in label
                          else None)
                call = lambda x, t, weight: F.nll_loss(x, t, weight, ignore_index=ignore,
                                                       reduction=reduction)
                _add(topic, f"nll_loss{suffix}_{label}_{reduction}", "nll_loss", call, x, target,
                     {"reduction": reduction, "ignore_index": ignore}, weight)


def _regression(topic):
    for op, function in [("mse_loss", F.mse_loss), ("l1_loss", F.l1_loss)]:
        for shape in [(4, 3), (2, 3, 4, 2), (1,), ()]:
            for reduction in REDUCTIONS:
                x, target = topic.normal(*shape), topic.normal(*shape)
                if x.numel() > 2:
                    target.view(-1)[1] = x.view(-1)[1]  # the kink of |x - target|
                call = lambda x, t, weight: function(x, t, reduction=reduction)
                name = f"{op}_{'x'.join(map(str, shape)) or 'scalar'}_{reduction}"
                _add(topic, name, op, call, x, target, {"reduction": reduction})


def _bce(topic):
    for shape in [(5,), (4, 3), (2, 3, 4, 2)]:
        last = shape[-1]
        for label in ("plain", "weight", "pos_weight", "both", "weight_full"):
            for reduction in REDUCTIONS:
                weight = pos_weight = None
                if label in ("weight", "both"):
                    weight = topic.uniform(last, low=0.2, high=2.0)
                if label == "weight_full":
                    weight = topic.uniform(*shape, low=0.2, high=2.0)
                if label in ("pos_weight", "both"):
                    pos_weight = topic.uniform(last, low=0.2, high=4.0)
                x = topic.normal(*shape, scale=3.0)
                x.view(-1)[:3] = torch.tensor([0.0, 100.0, -100.0])
                target = topic.uniform(*shape)
                target.view(-1)[::2] = topic.integers(0, 2, target.view(-1)[::2].shape).float()
                call = lambda x, t, weight, pos_weight: F.binary_cross_entropy_with_logits(
                    x, t, weight, reduction=reduction, pos_weight=pos_weight)
                name = f"bce_with_logits_{'x'.join(map(str, shape))}_{label}_{reduction}"
                _add(topic, name, "binary_cross_entropy_with_logits", call, x, target,
                     {"reduction": reduction}, weight, pos_weight=pos_weight)


def build(topic):
    _cross_entropy(topic)
    _nll(topic)
    _regression(topic)
    _bce(topic)
