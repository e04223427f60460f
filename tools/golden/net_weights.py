"""The deterministic weights of the golden nets, and the nets that torchvision does not have.

The weights are too large to store, so both sides compute them. For a tensor with the state_dict
key KEY and n elements, element i (row-major, 0 <= i < n) comes from u(KEY, i), a number in [-1, 1):

    h = FNV-1a, 64 bits, of KEY's UTF-8 bytes: h = 14695981039346656037, then for each byte
        h = (h xor byte) * 1099511628211
    z = h + i * 0x9E3779B97F4A7C15
    z = splitmix64(z):  z = z + 0x9E3779B97F4A7C15
                        z = (z xor (z >> 30)) * 0xBF58476D1CE4E5B9
                        z = (z xor (z >> 27)) * 0x94D049BB133111EB
                        z = z xor (z >> 31)
    u = (z >> 40) / 2^24 * 2 - 1

all modulo 2^64. The value is then, in float64 and finally rounded to float32, by the key's ending
and the tensor's rank:

    .weight of rank >= 2    sqrt(3 / fan_in) * sqrt(2) * u, fan_in = n / shape[0]
    .weight of rank 1       1 + 0.2 * u           (batch norm)
    .bias                   0.1 * u
    .running_mean           0.1 * u
    .running_var            1 + 0.5 * u
    .num_batches_tracked    0                     (int64)
    "input" (the batch)     u

Labels are i % classes for image i. u is exact in float32; for the rest, float32's own rounding of
the formula (one product) differs by at most one unit in the last place.
"""

import collections
import math

import numpy as np
import torch

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def fnv1a64(text):
    h = 14695981039346656037
    for byte in text.encode("utf-8"):
        h = ((h ^ byte) * 1099511628211) % 2**64
    return h


def splitmix64(z):
    """The finaliser of Steele, Lea and Flood, 'Fast splittable pseudorandom number generators'."""
    z = z + GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def u(key, count):
    """float64 array of `count` numbers in [-1, 1)."""
    index = np.arange(count, dtype=np.uint64)
    z = splitmix64(np.uint64(fnv1a64(key)) + index * GOLDEN)
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24 * 2.0 - 1.0


def value(key, shape):
    """The tensor of a state_dict key, or of "input"; float32, or int64 for the counter."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    count = math.prod(shape)
    values = u(key, count)
    if key.endswith(".weight"):
        if len(shape) >= 2:
            values = values * (math.sqrt(3.0 / (count // shape[0])) * math.sqrt(2.0))
        else:
            values = 1.0 + 0.2 * values
    elif key.endswith((".bias", ".running_mean")):
        values = 0.1 * values
    elif key.endswith(".running_var"):
        values = 1.0 + 0.5 * values
    elif key != "input":
        raise ValueError(f"no rule for the key {key!r}")
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(net):
    """Sets every parameter and buffer of a module by the formula."""
    net.load_state_dict({key: value(key, tuple(t.shape)) for key, t in net.state_dict().items()})
    return net


def m5(classes, inputs=1):
    """M5 of Dai et al. 2016, 'Very deep convolutional neural networks for raw waveforms'.

    With 64 first channels, and a first kernel of 79 taps centred by padding 39.
    """
    layers = collections.OrderedDict()
    table = [(inputs, 64, 79, 4, 39), (64, 64, 3, 1, 1), (64, 128, 3, 1, 1), (128, 256, 3, 1, 1)]
    for number, (c, o, kernel, stride, padding) in enumerate(table, 1):
        layers[f"conv{number}"] = torch.nn.Conv1d(c, o, kernel, stride, padding)
        layers[f"bn{number}"] = torch.nn.BatchNorm1d(o)
        layers[f"relu{number}"] = torch.nn.ReLU()
        layers[f"pool{number}"] = torch.nn.MaxPool1d(4)
    layers["average"] = torch.nn.AdaptiveAvgPool1d(1)
    layers["flatten"] = torch.nn.Flatten()
    layers["fc"] = torch.nn.Linear(256, classes)
    return torch.nn.Sequential(layers)
