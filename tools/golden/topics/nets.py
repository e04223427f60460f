"""Whole nets: ResNet-18, ResNet-50, R3D-18 (torchvision) and M5, with the weights of `net_weights`.

Roles of a case: y_eval (evaluation, before any training step), y_train, loss (cross-entropy, mean,
labels i % classes) and, after one backward pass in training mode, for the P parameters in the order
of `parameters`: grad_norm [P] (L2), grad_sum [P], grad_largest [P] (largest |element|) and
grad_samples [P, 16] (elements (j * n) // 16 of the n). For the floating buffers, in the order of
`buffers`, after that forward pass: buffer_norm, buffer_sum, buffer_largest, buffer_samples
likewise. All in float64, then rounded.

`float32_error` says how far PyTorch's own float32 run lies from these values, as the largest
|difference| / scale; a tolerance is a small multiple of it. The scale of y and loss is their
largest |value|; that of a gradient's or buffer's norm and sum is its norm, and that of its samples
and largest its largest |element|, but both at least 1/100 of the largest such number in the net:
the gradient of a bias before a batch norm is zero but for rounding.
"""

import copy

import torch
import torch.nn.functional as F
import torchvision

import net_weights

CLASSES = 10


def _nets():
    """name -> (constructor, input shape, whether gradients are stored)."""
    models, video = torchvision.models, torchvision.models.video
    return {
        "resnet18": (lambda: models.resnet18(num_classes=CLASSES), (4, 3, 64, 64), True),
        "resnet50": (lambda: models.resnet50(num_classes=CLASSES), (2, 3, 64, 64), False),
        "r3d_18": (lambda: video.r3d_18(num_classes=CLASSES), (2, 3, 8, 32, 32), True),
        "m5": (lambda: net_weights.m5(CLASSES), (2, 1, 4000), True),
    }


def _summary(tensor):
    """(norm, sum, 16 elements, largest |element|) of a tensor, in float64."""
    flat = tensor.detach().double().flatten()
    index = [(j * flat.numel()) // 16 for j in range(16)]
    return flat.norm(), flat.sum(), flat[index], flat.abs().max()


def _summaries(prefix, tensors):
    norm, total, samples, largest = (torch.stack(part) for part in zip(*map(_summary, tensors)))
    return {f"{prefix}_norm": norm, f"{prefix}_sum": total, f"{prefix}_samples": samples,
            f"{prefix}_largest": largest}


def _results(net, x, with_gradients):
    classes_of = torch.arange(x.shape[0]) % CLASSES
    net.eval()
    with torch.no_grad():
        results = {"y_eval": net(x)}
    net.train()
    y = net(x)
    loss = F.cross_entropy(y, classes_of)
    results.update({"y_train": y.detach(), "loss": loss.detach()})
    if with_gradients:
        loss.backward()
        results.update(_summaries("grad", [p.grad for _, p in net.named_parameters()]))
    results.update(_summaries("buffer", [b for _, b in net.named_buffers() if b.dim()]))
    return results


def _error(role, exact, single):
    difference = (exact[role].double() - single[role].double()).abs()
    prefix, _, kind = role.partition("_")
    if prefix not in ("grad", "buffer"):
        return float(difference.max() / exact[role].abs().max())
    scale = exact[f"{prefix}_norm" if kind in ("norm", "sum") else f"{prefix}_largest"]
    scale = scale.clamp(min=float(scale.max()) / 100)
    return float((difference.reshape(len(scale), -1).amax(1) / scale).max())


def build(topic):
    for name, (make, shape, with_gradients) in _nets().items():
        net = net_weights.fill(make())
        x = net_weights.value("input", shape)
        exact = _results(copy.deepcopy(net).double(), x.double(), with_gradients)
        single = _results(copy.deepcopy(net), x, with_gradients)
        parameters = {
            "input_shape": list(shape),
            "classes": CLASSES,
            "parameters": [key for key, _ in net.named_parameters()] if with_gradients else [],
            "buffers": [key for key, b in net.named_buffers() if b.dim()],
            "state_dict": {key: list(t.shape) for key, t in net.state_dict().items()},
            "float32_error": {role: _error(role, exact, single) for role in exact},
        }
        topic.add(name, "net", parameters, exact)
