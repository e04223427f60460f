"""One convolution geometry of any rank: its rules, its random choice, and PyTorch's answer to it.

Both the golden cases (`topics/conv.py`) and the live comparison (`sweep`) are made of these.
"""

import dataclasses
import math
import typing

import torch
import torch.nn.functional as F

CHANNELS = [1, 2, 3, 4, 5, 8, 16, 17, 33]
MODES = ["zeros", "reflect", "replicate", "circular"]


@dataclasses.dataclass
class Geometry:
    """Per-axis values are lists of length `rank`. `batch` None is an input without batch axis.

    `padding` is what a user of PyTorch would write (a list, "same" or "valid"), or None when the
    two ends differ and only `pad_lo` and `pad_hi` say it; these two are always filled in.
    """

    size: list
    in_channels: int
    out_channels: int
    kernel_size: list
    stride: list
    dilation: list
    padding: typing.Any
    pad_lo: list
    pad_hi: list
    groups: int = 1
    bias: bool = True
    padding_mode: str = "zeros"
    batch: typing.Optional[int] = 2

    @property
    def rank(self):
        return len(self.size)

    @property
    def input_shape(self):
        return ([] if self.batch is None else [self.batch]) + [self.in_channels] + self.size

    @property
    def weight_shape(self):
        return [self.out_channels, self.in_channels // self.groups] + self.kernel_size

    @property
    def output_size(self):
        return [
            (n + lo + hi - d * (k - 1) - 1) // s + 1
            for n, lo, hi, d, k, s in zip(
                self.size, self.pad_lo, self.pad_hi, self.dilation, self.kernel_size, self.stride
            )
        ]

    @property
    def output_shape(self):
        return ([] if self.batch is None else [self.batch]) + [self.out_channels] + self.output_size

    def stored_floats(self):
        return 2 * sum(
            math.prod(shape) for shape in (self.input_shape, self.weight_shape, self.output_shape)
        )

    def why_invalid(self):
        """Why PyTorch would refuse it, or None."""
        if self.in_channels % self.groups or self.out_channels % self.groups:
            return "groups do not divide the channels"
        for n, lo, hi, d, k in zip(
            self.size, self.pad_lo, self.pad_hi, self.dilation, self.kernel_size
        ):
            if d * (k - 1) + 1 > n + lo + hi:
                return "the kernel is larger than the padded input"
            if self.padding_mode == "reflect" and max(lo, hi) >= n:
                return "reflect needs padding < input"
            if self.padding_mode == "circular" and max(lo, hi) > n:
                return "circular needs padding <= input"
        return None


def same_padding(size, kernel_size, stride, dilation):
    """(lo, hi) so that out = ceil(in / stride); an odd total pads one more at the end."""
    lo, hi = [], []
    for n, k, s, d in zip(size, kernel_size, stride, dilation):
        if s == 1:
            total = d * (k - 1)
        else:
            total = max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
        lo.append(total // 2)
        hi.append(total - total // 2)
    return lo, hi


def per_axis(value, rank):
    return list(value) if isinstance(value, (list, tuple)) else [value] * rank


def make(size, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, pads=None,
         **rest):
    """A Geometry from PyTorch's arguments; `pads` = (lo, hi) makes the two ends differ."""
    size = list(size)
    rank = len(size)
    kernel_size, stride, dilation = (per_axis(v, rank) for v in (kernel_size, stride, dilation))
    if pads is not None:
        padding, lo, hi = None, per_axis(pads[0], rank), per_axis(pads[1], rank)
    elif padding == "same":
        lo, hi = same_padding(size, kernel_size, stride, dilation)
    elif padding == "valid":
        lo, hi = [0] * rank, [0] * rank
    else:
        padding = per_axis(padding, rank)
        lo, hi = list(padding), list(padding)
    return Geometry(size, in_channels, out_channels, kernel_size, stride, dilation, padding, lo, hi,
                    **rest)


def random_groups(rng):
    """(in_channels, out_channels, groups): dense, depthwise, with multiplier, few per group."""
    kind = rng.choice(["dense", "depthwise", "multiplier", "grouped"], p=[0.55, 0.15, 0.1, 0.2])
    if kind == "dense":
        return int(rng.choice(CHANNELS)), int(rng.choice(CHANNELS)), 1
    if kind == "depthwise":
        channels = int(rng.choice(CHANNELS[1:]))
        return channels, channels, channels
    groups = int(rng.choice([2, 3, 4, 5, 8]))
    if kind == "multiplier":
        return groups, groups * int(rng.integers(2, 5)), groups
    return groups * int(rng.integers(1, 5)), groups * int(rng.integers(1, 5)), groups


def random_geometry(rng, rank, max_floats):
    """A geometry that PyTorch accepts and that stores at most `max_floats` numbers."""
    largest = {1: 70, 2: 16, 3: 9}[rank]
    while True:
        in_channels, out_channels, groups = random_groups(rng)
        size = [int(n) for n in rng.integers(1, largest + 1, rank)]
        kernels = [1, 2, 3, 3, 3, 4, 5, 6, 7] + ([9, 16, 31] if rank == 1 else [])
        kernel_size = [int(k) for k in rng.choice(kernels, rank)]
        stride = [int(s) for s in rng.choice([1, 1, 1, 2, 2, 3, 4, 6], rank)]
        dilation = [int(d) for d in rng.choice([1, 1, 1, 2, 3, 5], rank)]
        if rng.random() < 0.5:  # half of them with the same number on each axis
            kernel_size, stride, dilation = ([v[0]] * rank for v in (kernel_size, stride, dilation))
        how = rng.choice(["valid", "number", "per axis", "same", "ends"],
                         p=[0.1, 0.25, 0.25, 0.2, 0.2])
        padding, pads = "valid", None
        if how == "number":
            padding = int(rng.integers(0, max(kernel_size) + 1))
        elif how == "per axis":
            padding = [int(rng.integers(0, k + 2)) for k in kernel_size]
        elif how == "same":
            padding = "same"
        elif how == "ends":
            pads = tuple([int(rng.integers(0, k + 2)) for k in kernel_size] for _ in range(2))
        geometry = make(
            size, in_channels, out_channels, kernel_size, stride, padding, dilation, pads,
            groups=groups, bias=bool(rng.random() < 0.7),
            padding_mode=str(rng.choice(MODES, p=[0.55, 0.15, 0.15, 0.15])),
            batch=[None, 1, 2, 3][int(rng.choice(4, p=[0.1, 0.3, 0.4, 0.2]))],
        )
        if geometry.why_invalid() is None and geometry.stored_floats() <= max_floats:
            return geometry


def _pad(g, x):
    amounts = [p for lo, hi in zip(reversed(g.pad_lo), reversed(g.pad_hi)) for p in (lo, hi)]
    if not any(amounts):
        return x
    mode = "constant" if g.padding_mode == "zeros" else g.padding_mode
    return F.pad(x, amounts, mode=mode)


def _explicit(g, x, weight, bias):
    """Pads first, then convolves with the functional of the rank; always with a batch axis."""
    batched = x.unsqueeze(0) if g.batch is None else x
    conv = [F.conv1d, F.conv2d, F.conv3d][g.rank - 1]
    y = conv(_pad(g, batched), weight, bias, g.stride, 0, g.dilation, g.groups)
    return y.squeeze(0) if g.batch is None else y


def _module(g, x, weight, bias):
    """Through torch.nn.ConvNd, as a user writes it."""
    conv_class = [torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d][g.rank - 1]
    padding = g.padding if isinstance(g.padding, str) else tuple(g.padding)
    module = conv_class(g.in_channels, g.out_channels, tuple(g.kernel_size), tuple(g.stride),
                        padding, tuple(g.dilation), g.groups, g.bias, g.padding_mode).double()
    del module.weight
    module.weight = weight
    if g.bias:
        del module.bias
        module.bias = bias
    return module(x)


def _forward_backward(g, function, x, weight, bias, grad_y):
    leaves = [None if t is None else t.double().requires_grad_(True) for t in (x, weight, bias)]
    y = function(g, *leaves)
    y.backward(grad_y.double())
    return [y.detach()] + [None if t is None else t.grad for t in leaves]


def accepted_by_module(g):
    """PyTorch's module knows neither different ends nor 'same' with a stride; and its circular
    padding (1.13) needs the batch axis that everything else may leave out."""
    if g.padding is None or (g.padding == "same" and max(g.stride) > 1):
        return False
    return not (g.padding_mode == "circular" and g.batch is None)


def answer(g, x, weight, bias, grad_y):
    """{y, grad_x, grad_weight, grad_bias} in float64.

    Where torch.nn accepts the geometry its result is taken, and compared with padding first and
    convolving then; elsewhere the latter is the definition.
    """
    explicit = _forward_backward(g, _explicit, x, weight, bias, grad_y)
    result = explicit
    if accepted_by_module(g):
        result = _forward_backward(g, _module, x, weight, bias, grad_y)
        for ours, theirs in zip(explicit, result):
            if ours is not None and ours.numel():
                torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    return dict(zip(("y", "grad_x", "grad_weight", "grad_bias"), result))


def scales(g, x, weight, bias, grad_y):
    """Largest sum of absolute products behind an element of each result: max Σ|a||b|.

    A sum of k float32 products is wrong by at most about k · 2^-24 · Σ|a||b|, in any order. As the
    convolution is linear in each argument, absolute inputs give these sums.
    """
    absolute = [None if t is None else t.abs() for t in (x, weight, bias, grad_y)]
    sums = _forward_backward(g, _explicit, *absolute)
    names = ("scale_y", "scale_grad_x", "scale_grad_weight", "scale_grad_bias")
    return {n: float(t.max()) if t.numel() else 0.0 for n, t in zip(names, sums) if t is not None}


def terms(g):
    """Number of terms summed for one element of each result."""
    taps = math.prod(g.kernel_size)
    positions = (1 if g.batch is None else g.batch) * math.prod(g.output_size)
    # With reflect, replicate or circular an input element stands several times in the padded one.
    source = torch.ones([1, 1] + g.size, dtype=torch.float64, requires_grad=True)
    _pad(g, source).sum().backward()
    copies = int(source.grad.max())
    return {
        "k": g.in_channels // g.groups * taps + g.bias,
        "k_grad_x": g.out_channels // g.groups * taps * copies,
        "k_grad_weight": positions,
        "k_grad_bias": positions,
    }


def add_case(topic, name, g):
    """Draws inputs for `g`, asks PyTorch, and adds the case to the topic."""
    reason = g.why_invalid()
    if reason is not None:
        raise ValueError(f"{name}: {reason}: {g}")
    x, weight = topic.normal(*g.input_shape), topic.normal(*g.weight_shape)
    bias = topic.normal(g.out_channels) if g.bias else None
    grad_y = topic.normal(*g.output_shape)
    results = answer(g, x, weight, bias, grad_y)
    parameters = {
        "rank": g.rank,
        "in_channels": g.in_channels,
        "out_channels": g.out_channels,
        "kernel_size": g.kernel_size,
        "stride": g.stride,
        "padding": g.padding,
        "pad_lo": g.pad_lo,
        "pad_hi": g.pad_hi,
        "dilation": g.dilation,
        "groups": g.groups,
        "bias": g.bias,
        "padding_mode": g.padding_mode,
        "batched": g.batch is not None,
        "output_size": g.output_size,
        **terms(g),
        **scales(g, x, weight, bias, grad_y),
    }
    inputs = {"x": x, "weight": weight, "bias": bias, "grad_y": grad_y}
    topic.add(name, f"conv{g.rank}d", parameters, {**inputs, **results})
