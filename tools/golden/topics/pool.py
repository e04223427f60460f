"""Max, average and adaptive pools of ranks 1 to 3; ties in the maximum are included.

Max pools also store `indices`, PyTorch's flat positions within the (unpadded) spatial extents of
one channel: among equal values the first one wins, and it alone receives the gradient.
"""

import math

import torch
import torch.nn.functional as F

import golden_file

MAX = [F.max_pool1d, F.max_pool2d, F.max_pool3d]
AVG = [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d]
ADAPTIVE_MAX = [F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d]
ADAPTIVE_AVG = [F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d]
SIZES = {1: [13], 2: [7, 9], 3: [5, 4, 6]}
CHANNELS = {1: 17, 2: 3, 3: 2}


def _input(topic, rank, ties=False, batched=True):
    shape = ([2 if rank < 3 else 1] if batched else []) + [CHANNELS[rank]] + SIZES[rank]
    return topic.integers(-2, 3, shape).float() if ties else topic.normal(*shape)


def _axes(value, rank):
    return list(value) if isinstance(value, (list, tuple)) else [value] * rank


def _indices(function, x):
    return function(x.double(), return_indices=True)[1]


def _max(topic, rank):
    cases = {
        "kernel2": dict(kernel_size=2),
        "kernel3": dict(kernel_size=3),
        "kernel1": dict(kernel_size=1),
        "kernel1_stride2": dict(kernel_size=1, stride=2),
        "overlapping": dict(kernel_size=3, stride=2, padding=1),
        "stride1": dict(kernel_size=3, stride=1, padding=1),
        "stride_beyond_kernel": dict(kernel_size=2, stride=3),
        "ceil": dict(kernel_size=2, ceil_mode=True),
        "ceil_padded": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
        "ceil_stride3": dict(kernel_size=2, stride=3, padding=1, ceil_mode=True),
        "dilated": dict(kernel_size=2, dilation=2, stride=1),
        "dilated_padded_ceil": dict(kernel_size=3, dilation=2, stride=2, padding=1, ceil_mode=True),
        "whole_input": dict(kernel_size=SIZES[rank]),
        "even_padded": dict(kernel_size=4, stride=2, padding=2),
    }
    if rank > 1:
        cases["per_axis"] = dict(kernel_size=[2, 3, 1][:rank], stride=[1, 2, 3][:rank],
                                 padding=[1, 0, 0][:rank], dilation=[2, 1, 1][:rank])
    for name, options in cases.items():
        filled = {"stride": options["kernel_size"], "padding": 0, "dilation": 1, **options}
        filled = {k: _axes(v, rank) if k != "ceil_mode" else v for k, v in filled.items()}
        filled.setdefault("ceil_mode", False)
        apply = lambda x, **more: MAX[rank - 1](x, **filled, **more)
        for suffix, rest in [("", {}), ("_ties", {"ties": True}),
                             ("_unbatched", {"batched": False})]:
            if suffix == "_unbatched" and name != "overlapping":
                continue
            x = _input(topic, rank, **rest)
            roles = golden_file.run(apply, {"x": x}, topic=topic)
            roles["indices"] = _indices(apply, x)
            parameters = {"rank": rank, **filled, "k": math.prod(filled["kernel_size"])}
            topic.add(f"max_pool{rank}d_{name}{suffix}", f"max_pool{rank}d", parameters, roles)
    # Padding never wins, even against values far below zero; and NaN always does.
    options = dict(kernel_size=[3] * rank, stride=[2] * rank, padding=[1] * rank,
                   dilation=[1] * rank, ceil_mode=False)
    x = _input(topic, rank) - 1e30
    topic.add(f"max_pool{rank}d_far_below_zero", f"max_pool{rank}d",
              {"rank": rank, **options, "k": 3**rank},
              golden_file.run(lambda x: MAX[rank - 1](x, **options), {"x": x}, topic=topic))
    x = _input(topic, rank)
    x.view(-1)[4] = float("nan")
    topic.add(f"max_pool{rank}d_nonfinite", f"max_pool{rank}d",
              {"rank": rank, **options, "k": 3**rank},
              {"x": x, "y": MAX[rank - 1](x.double(), **options)})


def _average(topic, rank):
    cases = {
        "kernel2": dict(kernel_size=2),
        "kernel3": dict(kernel_size=3),
        "kernel1_stride2": dict(kernel_size=1, stride=2),
        "stride1_padded": dict(kernel_size=3, stride=1, padding=1),
        "padded": dict(kernel_size=3, stride=2, padding=1),
        "padded_not_counted": dict(kernel_size=3, stride=2, padding=1, count_include_pad=False),
        "stride_beyond_kernel": dict(kernel_size=2, stride=3),
        "ceil": dict(kernel_size=2, ceil_mode=True),
        "ceil_padded": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
        "ceil_padded_not_counted": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True,
                                        count_include_pad=False),
        "ceil_stride3": dict(kernel_size=4, stride=3, padding=2, ceil_mode=True),
        "ceil_stride3_not_counted": dict(kernel_size=4, stride=3, padding=2, ceil_mode=True,
                                         count_include_pad=False),
        "whole_input": dict(kernel_size=SIZES[rank]),
        "even_padded": dict(kernel_size=4, stride=2, padding=2),
    }
    if rank > 1:
        cases["per_axis"] = dict(kernel_size=[2, 3, 1][:rank], stride=[1, 2, 3][:rank],
                                 padding=[1, 0, 0][:rank])
        cases["divisor"] = dict(kernel_size=2, divisor_override=3)
        cases["divisor_padded_ceil"] = dict(kernel_size=3, stride=2, padding=1, ceil_mode=True,
                                            divisor_override=5)
        cases["divisor_not_counted"] = dict(kernel_size=3, stride=2, padding=1,
                                            count_include_pad=False, divisor_override=2)
    for name, options in cases.items():
        filled = {"stride": options["kernel_size"], "padding": 0, "ceil_mode": False,
                  "count_include_pad": True, **options}
        for key in ("kernel_size", "stride", "padding"):
            filled[key] = _axes(filled[key], rank)
        apply = lambda x: AVG[rank - 1](x, **filled)
        parameters = {"rank": rank, **filled, "k": math.prod(filled["kernel_size"])}
        parameters.setdefault("divisor_override", None)
        topic.add(f"avg_pool{rank}d_{name}", f"avg_pool{rank}d", parameters,
                  golden_file.run(apply, {"x": _input(topic, rank)}, topic=topic))
        if name == "padded":
            x = _input(topic, rank, batched=False)
            topic.add(f"avg_pool{rank}d_{name}_unbatched", f"avg_pool{rank}d", parameters,
                      golden_file.run(apply, {"x": x}, topic=topic))


def _adaptive(topic, rank):
    outputs = {"to1": 1, "to2": 2, "to3": 3, "to5": 5, "to_input": SIZES[rank],
               "beyond_input": [n + 2 for n in SIZES[rank]]}
    if rank > 1:
        outputs["keep_first"] = [None, 2, 3][:rank]
        outputs["keep_last"] = [3, 2, None][-rank:]
        outputs["keep_all"] = [None] * rank
        outputs["per_axis"] = [4, 1, 5][:rank]
    for kind, functions in [("avg", ADAPTIVE_AVG), ("max", ADAPTIVE_MAX)]:
        op = f"adaptive_{kind}_pool{rank}d"
        for name, output in outputs.items():
            size = _axes(output, rank)
            apply = lambda x, **more: functions[rank - 1](x, size, **more)
            variants = [("", {}), ("_ties", {"ties": True}), ("_unbatched", {"batched": False})]
            for suffix, rest in variants:
                if (suffix == "_ties" and kind == "avg") or (suffix == "_unbatched"
                                                             and name != "to3"):
                    continue
                x = _input(topic, rank, **rest)
                roles = golden_file.run(apply, {"x": x}, topic=topic)
                if kind == "max":
                    roles["indices"] = _indices(apply, x)
                spatial = x.shape[-rank:]
                window = math.prod(-(-n // (n if o is None else o)) + 1
                                   for n, o in zip(spatial, size))
                topic.add(f"{op}_{name}{suffix}", op,
                          {"rank": rank, "output_size": size, "k": window}, roles)


def build(topic):
    for rank in (1, 2, 3):
        _max(topic, rank)
        _average(topic, rank)
        _adaptive(topic, rank)
