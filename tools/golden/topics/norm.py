"""BatchNorm1d/2d/3d over several steps, in training and evaluation.

Roles: weight, bias, running_mean, running_var, num_batches_tracked are the values before the first
step (absent where the layer has none). Step i has x_i, y_i, grad_y_i, grad_x_i, grad_weight_i,
grad_bias_i, and after it running_mean_i, running_var_i, num_batches_tracked_i.

The parameter `steps` lists the mode of each step. `k` is the number of values per channel.
`offset` is |mean| / std of the inputs: a float32 input of mean m and deviation s is normalised
with an error of about 2^-24 · m / s.
"""

import torch

STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def _add(topic, name, shape, steps=("train", "train", "eval"), offset=0.0, scale=1.0, values=None,
         random_state=True, **options):
    rank = max(len(shape) - 2, 1)
    norm_class = [torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d][rank - 1]
    channels = shape[1]
    module = norm_class(channels, **options)
    state = {key: getattr(module, key) for key in STATE if getattr(module, key) is not None}
    if random_state:
        for key, value in state.items():
            if key == "running_var":
                value.data.copy_(topic.uniform(channels, low=0.5, high=2.0))
            elif key != "num_batches_tracked":
                value.data.copy_(topic.normal(channels))
    tensors = {key: value.detach().clone() for key, value in state.items()}
    module.double()
    for i, mode in enumerate(steps):
        module.train(mode == "train")
        x = topic.normal(*shape, scale=scale) + offset * scale if values is None else values
        grad_y = topic.normal(*shape)
        leaf = x.double().requires_grad_(True)
        module.zero_grad()
        y = module(leaf)
        y.backward(grad_y.double())
        tensors.update({f"x_{i}": x, f"y_{i}": y, f"grad_y_{i}": grad_y, f"grad_x_{i}": leaf.grad})
        if module.affine:
            tensors[f"grad_weight_{i}"] = module.weight.grad.clone()
            tensors[f"grad_bias_{i}"] = module.bias.grad.clone()
        for key in ("running_mean", "running_var", "num_batches_tracked"):
            if getattr(module, key) is not None:
                tensors[f"{key}_{i}"] = getattr(module, key).clone()
    parameters = {
        "rank": rank,
        "num_features": channels,
        "eps": module.eps,
        "momentum": module.momentum,
        "affine": module.affine,
        "track_running_stats": module.track_running_stats,
        "steps": list(steps),
        "offset": float(offset),
        "k": x.numel() // channels,
    }
    topic.add(name, f"batch_norm{rank}d", parameters, tensors)


def build(topic):
    shapes = {"1d_nc": (7, 5), "1d": (4, 3, 6), "2d": (3, 5, 4, 3), "3d": (2, 4, 3, 2, 5)}
    for kind, shape in shapes.items():
        add = lambda name, **rest: _add(topic, f"batch_norm{kind}_{name}", shape, **rest)
        add("defaults", random_state=False)
        add("loaded_state")
        add("eval_only", steps=("eval", "eval"))
        add("eval_between", steps=("train", "eval", "train", "eval"))
        for momentum in (0.01, 0.5, 1.0, 0.0):
            add(f"momentum{momentum}".replace(".", "_"), momentum=momentum)
        add("cumulative", momentum=None, steps=("train",) * 4 + ("eval",))
        add("cumulative_from_defaults", momentum=None, steps=("train",) * 3, random_state=False)
        add("no_affine", affine=False)
        add("no_stats", track_running_stats=False, steps=("train", "eval"))
        add("no_affine_no_stats", affine=False, track_running_stats=False, steps=("train", "eval"))
        add("eps", eps=1e-3, scale=0.02)
        add("large_values", scale=1000.0)
        add("small_values", scale=1e-3)
        add("mean_far_from_zero", offset=30.0)
        constant = torch.full(shape, 1.5)
        add("constant_input", values=constant, steps=("train", "eval"))
    for channels in (1, 2, 8, 16, 17, 33):
        _add(topic, f"batch_norm2d_channels{channels}", (2, channels, 3, 3))
    _add(topic, "batch_norm1d_two_values", (2, 4), steps=("train",))
    _add(topic, "batch_norm2d_one_image", (1, 3, 2, 2))
    _add(topic, "batch_norm2d_one_value_in_eval", (1, 3, 1, 1), steps=("eval",))
    _add(topic, "batch_norm1d_long", (2, 3, 301), steps=("train", "eval"))
