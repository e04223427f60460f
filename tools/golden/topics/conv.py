"""Convolutions of ranks 1 to 3: every parameter in turn, then random mixtures of them."""

from conv_geometry import MODES, add_case, make, random_geometry

SIZES = {1: [13], 2: [7, 6], 3: [4, 5, 6]}
RANDOM_CASES = {1: 50, 2: 60, 3: 40}
RANDOM_FLOATS = 2400


def _kernels(rank):
    """Sizes 1, even, odd, different per axis, and as large as the padded input."""
    for k in {1: [1, 2, 3, 4, 5, 7, 9], 2: [1, 2, 3, 4, 5], 3: [1, 2, 3, 4]}[rank]:
        yield f"kernel{k}", dict(kernel_size=k)
        yield f"kernel{k}_padded", dict(kernel_size=k, padding=k // 2)
    mixed = {2: [(1, 3), (3, 1), (2, 5), (7, 6), (4, 1)],
             3: [(1, 3, 3), (3, 1, 1), (2, 1, 4), (4, 5, 6), (1, 1, 5)]}
    for k in mixed.get(rank, []):
        yield "kernel" + "x".join(map(str, k)), dict(kernel_size=k)
    yield "kernel_is_input", dict(kernel_size=SIZES[rank])
    whole = [n + 2 for n in SIZES[rank]]
    yield "kernel_is_padded_input", dict(kernel_size=whole, padding=1, in_channels=1)


def _strides(rank):
    for k, s, p in [(1, 2, 0), (2, 2, 0), (3, 2, 1), (3, 3, 0), (2, 3, 0), (3, 5, 1), (1, 4, 2),
                    (4, 2, 1), (5, 4, 2)]:
        p = max(p, k // 2) if rank == 3 else p
        yield f"stride{s}_kernel{k}", dict(kernel_size=k, stride=s, padding=p)
    if rank > 1:
        steps = [(1, 2), (3, 1), (2, 4)] if rank == 2 else [(1, 2, 2), (2, 1, 3), (3, 2, 1)]
        for s in steps:
            yield "stride" + "x".join(map(str, s)), dict(kernel_size=3, stride=s, padding=1)


def _paddings(rank):
    for p in (1, 2, 4):
        yield f"padding{p}", dict(kernel_size=3, padding=p)
    yield "padding_valid", dict(kernel_size=3, padding="valid")
    yield "padding_beyond_kernel", dict(kernel_size=2, padding=3)
    yield "padding_of_kernel1", dict(kernel_size=1, padding=1)
    if rank > 1:
        yield "padding_per_axis", dict(kernel_size=3, padding=list(range(rank)))
        yield "padding_per_axis_reversed", dict(kernel_size=3, padding=list(range(rank))[::-1])
    for lo, hi in [(0, 1), (1, 0), (2, 1), (0, 3), (3, 0)]:
        yield f"ends{lo}_{hi}", dict(kernel_size=3, pads=(lo, hi))
    yield "ends_strided", dict(kernel_size=4, stride=2, pads=(1, 2))
    yield "ends_dilated", dict(kernel_size=2, dilation=3, pads=(2, 0))
    if rank > 1:
        lo, hi = [0, 1, 2][:rank], [2, 0, 1][:rank]
        yield "ends_per_axis", dict(kernel_size=3, pads=(lo, hi))
        yield "ends_per_axis_strided", dict(kernel_size=2, stride=2, pads=(hi, lo))


def _same(rank):
    for k in (1, 2, 3, 4, 5):
        yield f"same_kernel{k}", dict(kernel_size=k, padding="same")
    for k, d in [(2, 2), (3, 2), (4, 3), (2, 3)]:
        yield f"same_kernel{k}_dilation{d}", dict(kernel_size=k, dilation=d, padding="same")
    if rank > 1:
        yield "same_per_axis", dict(kernel_size=[2, 3, 4][:rank], padding="same")
    for k, s in [(1, 2), (2, 2), (3, 2), (4, 2), (3, 3), (2, 3), (5, 3), (4, 5)]:
        yield f"same_kernel{k}_stride{s}", dict(kernel_size=k, stride=s, padding="same")
    yield "same_dilated_strided", dict(kernel_size=3, dilation=2, stride=2, padding="same")


def _dilations(rank):
    for k, d, p in [(2, 2, 0), (3, 2, 2), (3, 3, 3), (2, 5, 2), (1, 3, 0), (4, 2, 3)]:
        yield f"dilation{d}_kernel{k}", dict(kernel_size=k, dilation=d, padding=p)
    yield "dilation_strided", dict(kernel_size=3, dilation=2, stride=2, padding=2)
    yield "dilation_stride3", dict(kernel_size=2, dilation=3, stride=3, padding=2)
    if rank > 1:
        yield "dilation_per_axis", dict(kernel_size=2, dilation=[3, 1, 2][:rank])
        yield "dilation_per_axis_padded", dict(
            kernel_size=3, dilation=[1, 2, 3][:rank], padding=[1, 2, 3][:rank])


def _groups(rank):
    table = [(2, 2, 2), (3, 3, 3), (8, 8, 8), (17, 17, 17), (33, 33, 33), (16, 16, 16),  # depthwise
             (1, 4, 1), (2, 6, 2), (4, 8, 4), (5, 15, 5), (8, 32, 8),  # with a multiplier
             (4, 4, 2), (8, 4, 4), (16, 8, 4), (16, 16, 8), (6, 9, 3), (16, 4, 2), (10, 5, 5)]
    for c, o, g in table:
        yield f"groups{g}_{c}to{o}", dict(in_channels=c, out_channels=o, groups=g, kernel_size=3,
                                          padding=1, batch=1)
    yield "depthwise_strided", dict(in_channels=8, out_channels=8, groups=8, kernel_size=3,
                                    stride=2, padding=1)
    yield "depthwise_dilated", dict(in_channels=5, out_channels=5, groups=5, kernel_size=3,
                                    dilation=2, padding=2, bias=False)
    yield "depthwise_same_even", dict(in_channels=4, out_channels=4, groups=4, kernel_size=4,
                                      padding="same")
    yield "groups_strided_dilated", dict(in_channels=6, out_channels=4, groups=2, kernel_size=2,
                                         dilation=2, stride=2, padding=1)


def _channels(rank):
    pairs = [(1, 1), (1, 33), (33, 1), (2, 17), (17, 2), (3, 16), (16, 3), (4, 5), (5, 4), (8, 8),
             (16, 16), (17, 17), (8, 33), (33, 5), (3, 8), (5, 1)]
    for c, o in pairs:
        k = 3 if c * o <= 40 or rank == 1 else (2 if c * o <= 100 and rank == 2 else 1)
        yield f"channels{c}to{o}", dict(in_channels=c, out_channels=o, kernel_size=k, batch=1)
        if c + o <= 20:
            yield f"channels{c}to{o}_no_bias", dict(
                in_channels=c, out_channels=o, kernel_size=k, padding=k // 2, bias=False, batch=1)


def _modes(rank):
    for mode in MODES[1:]:
        m = dict(padding_mode=mode)
        yield f"{mode}", dict(kernel_size=3, padding=1, **m)
        yield f"{mode}_kernel5", dict(kernel_size=5, padding=2, **m)
        yield f"{mode}_wide", dict(kernel_size=2, padding=3, **m)
        yield f"{mode}_strided", dict(kernel_size=3, stride=2, padding=2, **m)
        yield f"{mode}_dilated", dict(kernel_size=3, dilation=2, padding=2, bias=False, **m)
        yield f"{mode}_same_even", dict(kernel_size=4, padding="same", **m)
        yield f"{mode}_same_strided", dict(kernel_size=3, stride=2, padding="same", **m)
        yield f"{mode}_ends", dict(kernel_size=3, pads=(2, 1), **m)
        yield f"{mode}_ends_one_sided", dict(kernel_size=2, pads=(0, 2), **m)
        yield f"{mode}_depthwise", dict(in_channels=4, out_channels=4, groups=4, kernel_size=3,
                                        padding=1, **m)
        yield f"{mode}_unbatched", dict(kernel_size=3, padding=1, batch=None, **m)
        if rank > 1:
            yield f"{mode}_per_axis", dict(kernel_size=3, padding=[2, 0, 1][:rank], **m)


def _batches(rank):
    for batch in (None, 1, 3, 0):
        name = "unbatched" if batch is None else f"batch{batch}"
        yield name, dict(kernel_size=3, padding=1, batch=batch)
        yield f"{name}_strided_no_bias", dict(kernel_size=2, stride=2, batch=batch, bias=False)
    yield "unbatched_same", dict(kernel_size=2, padding="same", batch=None)
    yield "size1", dict(size=[1] * rank, kernel_size=1)
    yield "size1_padded", dict(size=[1] * rank, kernel_size=3, padding=1)
    yield "output1", dict(size=[3] * rank, kernel_size=3, in_channels=5, out_channels=8)


def _known_layers(rank):
    """Layers of real nets in small, and widths around the edges of register tiles."""
    if rank == 1:
        yield "m5_first", dict(size=[160], in_channels=1, out_channels=5, kernel_size=79, stride=4,
                               padding=39)
        yield "long_kernel", dict(size=[90], in_channels=2, out_channels=3, kernel_size=64)
        yield "long_kernel_centred", dict(size=[70], in_channels=3, out_channels=2, kernel_size=33,
                                          padding=16)
        yield "depthwise_kernel7", dict(size=[31], in_channels=16, out_channels=16, groups=16,
                                        kernel_size=7, padding=3, batch=1)
        edges = [(13, 31), (14, 32), (15, 33), (27, 16), (28, 15), (29, 17), (43, 8), (16, 64),
                 (12, 65), (6, 48), (7, 63), (1, 32), (2, 33)]
        for width, out in edges:
            yield f"tile_{width}x{out}", dict(size=[width], in_channels=3, out_channels=out,
                                              kernel_size=3, padding=1, batch=1)
    elif rank == 2:
        yield "resnet_first", dict(size=[12, 12], in_channels=3, out_channels=8, kernel_size=7,
                                   stride=2, padding=3, batch=1)
        yield "patches", dict(size=[8, 8], in_channels=3, out_channels=16, kernel_size=4, stride=4)
        yield "downsample", dict(size=[6, 6], in_channels=16, out_channels=17, kernel_size=1,
                                 stride=2, bias=False)
        yield "depthwise_kernel7", dict(size=[9, 9], in_channels=8, out_channels=8, groups=8,
                                        kernel_size=7, padding=3, batch=1)
        for height, width, out in [(1, 14, 32), (2, 15, 33), (3, 13, 16), (5, 3, 17), (4, 29, 4)]:
            yield f"tile_{height}x{width}x{out}", dict(
                size=[height, width], in_channels=3, out_channels=out, kernel_size=3, padding=1,
                batch=1)
    else:
        yield "video_first", dict(size=[3, 8, 8], in_channels=3, out_channels=4,
                                  kernel_size=[3, 7, 7], stride=[1, 2, 2], padding=[1, 3, 3],
                                  batch=1)
        yield "frames_only", dict(kernel_size=[3, 1, 1], padding=[1, 0, 0])
        yield "space_only", dict(kernel_size=[1, 3, 3], padding=[0, 1, 1])
        yield "tile_2x2x15x33", dict(size=[2, 2, 15], in_channels=2, out_channels=33,
                                     kernel_size=[1, 1, 3], padding=[0, 0, 1], batch=1)


FAMILIES = [_kernels, _strides, _paddings, _same, _dilations, _groups, _channels, _modes, _batches,
            _known_layers]


def _fill(rank, arguments):
    arguments = dict(arguments)
    size = arguments.pop("size", None)
    if size is None:
        # The family's size where the kernel fits, else the smallest that holds it.
        probe = make(SIZES[rank], 1, 1, **{k: v for k, v in arguments.items() if k in (
            "kernel_size", "stride", "padding", "dilation", "pads")})
        size = [max(n, d * (k - 1) + 1 - lo - hi) for n, d, k, lo, hi in zip(
            SIZES[rank], probe.dilation, probe.kernel_size, probe.pad_lo, probe.pad_hi)]
    arguments.setdefault("in_channels", 3)
    arguments.setdefault("out_channels", 4 if rank == 1 else 2)
    if rank == 3:
        arguments.setdefault("batch", 1)
    return make(size, **arguments)


def build(topic):
    for rank in (1, 2, 3):
        for family in FAMILIES:
            for name, arguments in family(rank):
                add_case(topic, f"conv{rank}d_{name}", _fill(rank, arguments))
        for index in range(RANDOM_CASES[rank]):
            g = random_geometry(topic.rng, rank, RANDOM_FLOATS)
            add_case(topic, f"conv{rank}d_random{index:02d}", g)
