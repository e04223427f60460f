"""A topic's file of golden cases, and the helpers that all topics share."""

import json
import os
import zlib

import numpy as np
import torch

import safetensors_file

GENERATOR = "convkit tools/golden/generate"
DEFAULT_SEED = 20240


class Topic:
    """Collects the cases of one topic and writes `<topic>.safetensors`.

    The tensors of case CASE are named `CASE/<role>`; floats are stored as float32, integers as
    int64. The cases' parameters stand as a JSON list in the metadata under `cases`.
    """

    def __init__(self, name, seed):
        self.name = name
        self.seed = seed
        # Topics draw from streams of their own: a change in one leaves the others' data alone.
        self.rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        self.cases = []
        self.tensors = {}
        self._names = set()

    def add(self, name, op, parameters, tensors):
        if name in self._names or "/" in name:
            raise ValueError(f"{self.name}: the case name {name!r} is taken or has a slash")
        self._names.add(name)
        self.cases.append({"name": name, "op": op, **parameters})
        for role, value in tensors.items():
            if value is None:
                continue
            stored = to_stored(value)
            if not name.endswith("_nonfinite") and not np.isfinite(stored).all():
                raise ValueError(f"{self.name}: {name}/{role} is not finite")
            self.tensors[f"{name}/{role}"] = stored

    def normal(self, *shape, scale=1.0):
        """Float32 values, normally distributed, as a float32 torch tensor."""
        values = self.rng.standard_normal(shape) * scale
        return torch.from_numpy(np.asarray(values, dtype=np.float32))

    def uniform(self, *shape, low=0.0, high=1.0):
        values = self.rng.uniform(low, high, shape)
        return torch.from_numpy(np.asarray(values, dtype=np.float32))

    def integers(self, low, high, shape):
        """int64 in [low, high)."""
        return torch.from_numpy(np.asarray(self.rng.integers(low, high, shape), dtype=np.int64))

    def write(self, folder):
        path = os.path.join(folder, f"{self.name}.safetensors")
        metadata = {
            "generator": GENERATOR,
            "topic": self.name,
            "seed": str(self.seed),
            "torch": torch.__version__,
            "cases": json.dumps(self.cases, separators=(",", ":"), allow_nan=False),
        }
        safetensors_file.write(path, self.tensors, metadata)
        return path


def to_stored(value):
    """A numpy array as it is stored: contiguous, float32 or int64."""
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    kind = array.dtype.kind
    if kind not in "fiub":
        raise TypeError(f"cannot store {array.dtype}")
    return np.require(array, dtype=np.float32 if kind == "f" else np.int64, requirements="C")


def leaf(value):
    """A float64 copy of a float32 tensor that collects its gradient."""
    return None if value is None else value.double().requires_grad_(True)


def run(function, inputs, grad_y=None, topic=None):
    """y = function(**inputs) and every input's gradient, computed in float64.

    `inputs` maps roles to float32 tensors (or None). Without `grad_y`, the gradient that flows
    back is 1 for a scalar and drawn from `topic` otherwise. Returns the roles to store.
    """
    leaves = {role: leaf(value) for role, value in inputs.items()}
    y = function(**leaves)
    if grad_y is None:
        grad_y = torch.ones(()) if y.dim() == 0 else topic.normal(*y.shape)
    y.backward(grad_y.double())
    roles = {**inputs, "y": y, "grad_y": grad_y}
    for role, value in leaves.items():
        if value is not None:
            roles[f"grad_{role}"] = torch.zeros_like(value) if value.grad is None else value.grad
    return roles
