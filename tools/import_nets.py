"""Nets of kinds that torchvision has not, for tools/check-imports: what detectors, U-Nets and nets on
sound do between their convolutions (upsampling, concatenation, gates, group norm, the grid of a head)."""

import torch
from torch import nn
from torch.nn import functional as F


def unit(inputs, outputs, kernel=1, stride=1):
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False), nn.BatchNorm2d(outputs),
                         nn.SiLU())


class Split(nn.Module):
    """Two branches, one with bottlenecks, joined (Wang et al. 2020, "CSPNet")."""

    def __init__(self, inputs, outputs, depth, adds=True):
        super().__init__()
        half = outputs // 2
        self.deep, self.flat, self.join = unit(inputs, half), unit(inputs, half), unit(2 * half, outputs)
        self.bottlenecks = nn.ModuleList(nn.Sequential(unit(half, half), unit(half, half, 3)) for _ in range(depth))
        self.adds = adds

    def forward(self, x):
        y = self.deep(x)
        for bottleneck in self.bottlenecks:
            y = y + bottleneck(y) if self.adds else bottleneck(y)
        return self.join(torch.cat((y, self.flat(x)), 1))


class Detector(nn.Module):
    """A one-stage detector of YOLOv5s's size: pyramid, path back down, three heads with anchors."""

    ANCHORS = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
    ENTRIES = 85  # of each anchor: a box, whether there is anything, 80 classes

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(unit(3, 32, 6, 2), unit(32, 64, 3, 2), Split(64, 64, 1))
        self.stage3 = nn.Sequential(unit(64, 128, 3, 2), Split(128, 128, 2))
        self.stage4 = nn.Sequential(unit(128, 256, 3, 2), Split(256, 256, 3))
        self.stage5 = nn.Sequential(unit(256, 512, 3, 2), Split(512, 512, 1))
        self.before, self.after = unit(512, 256), unit(1024, 512)
        self.top5, self.top4 = unit(512, 256), unit(256, 128)
        self.up4, self.up3 = Split(512, 256, 1, False), Split(256, 128, 1, False)
        self.down4, self.down5 = unit(128, 128, 3, 2), unit(256, 256, 3, 2)
        self.out4, self.out5 = Split(256, 256, 1, False), Split(512, 512, 1, False)
        self.heads = nn.ModuleList(nn.Conv2d(channels, 3 * self.ENTRIES, 1) for channels in (128, 256, 512))
        self.register_buffer("anchors", torch.tensor(self.ANCHORS).float().view(3, 1, 3, 1, 1, 2))

    def boxes(self, level, features):
        y = self.heads[level](features)
        batch, _, height, width = y.shape
        y = y.view(batch, 3, self.ENTRIES, height, width).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack((columns, rows), 2).expand(1, 3, height, width, 2).float()
        centre, size, rest = y.split((2, 2, self.ENTRIES - 4), 4)
        y = torch.cat(((centre * 2 + grid - 0.5) * 8 * 2 ** level, (size * 2) ** 2 * self.anchors[level], rest), 4)
        return y.view(batch, 3 * height * width, self.ENTRIES)

    def forward(self, x):
        p3 = self.stage3(self.stem(x))
        p4 = self.stage4(p3)
        pools = [self.before(self.stage5(p4))]
        for _ in range(3):
            pools.append(F.max_pool2d(pools[-1], 5, 1, 2))
        top5 = self.top5(self.after(torch.cat(pools, 1)))
        top4 = self.top4(self.up4(torch.cat((F.interpolate(top5, scale_factor=2.0), p4), 1)))
        out3 = self.up3(torch.cat((F.interpolate(top4, scale_factor=2.0), p3), 1))
        out4 = self.out4(torch.cat((self.down4(out3), top4), 1))
        out5 = self.out5(torch.cat((self.down5(out4), top5), 1))
        return torch.cat([self.boxes(level, y) for level, y in enumerate((out3, out4, out5))], 1)


class UNet(nn.Module):
    """Ronneberger et al. 2015 over one, two or three axes, with transposed convolutions."""

    def __init__(self, axes, width, norm, activation):
        super().__init__()
        conv, up = getattr(nn, f"Conv{axes}d"), getattr(nn, f"ConvTranspose{axes}d")
        norm = getattr(nn, f"{norm}Norm{axes}d")

        def block(inputs, outputs):
            return nn.Sequential(*[layer for channels in (inputs, outputs) for layer in (
                conv(channels, outputs, 3, padding=1), norm(outputs, affine=True), activation())])

        widths = [width * 2 ** level for level in range(4)]
        self.down = nn.ModuleList(block(inputs, outputs) for inputs, outputs in zip([1] + widths, widths))
        self.grow = nn.ModuleList(up(2 * outputs, outputs, 2, 2) for outputs in widths[2::-1])
        self.up = nn.ModuleList(block(2 * outputs, outputs) for outputs in widths[2::-1])
        self.pool, self.out = getattr(nn, f"MaxPool{axes}d")(2), conv(width, 3, 1)

    def forward(self, x):
        kept = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.pool(x))
            kept.append(x)
        for grow, block, beside in zip(self.grow, self.up, kept[2::-1]):
            x = block(torch.cat((grow(x), beside), 1))
        return self.out(x)


class Waves(nn.Module):
    """Gated, dilated convolutions (van den Oord et al. 2016, "WaveNet")."""

    def __init__(self, width=64, depth=10):
        super().__init__()
        self.first, self.last = nn.Conv1d(1, width, 1), nn.Conv1d(width, 1, 1)
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 3, padding=2 ** i, dilation=2 ** i) for i in range(depth))
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))

    def forward(self, x):
        x, total = self.first(x), 0
        for gate, mix in zip(self.gates, self.mixes):
            value, share = gate(x).chunk(2, 1)
            y = mix(torch.tanh(value) * torch.sigmoid(share))
            x, total = x + y, total + y
        return self.last(F.relu(total))


class Segmenter(nn.Module):
    """Group norm, activations with exponentials, bilinear upsampling of both kinds, few classes."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 32, 3, 2, 1), nn.Conv2d(32, 64, 3, 2, 1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, 32), nn.GroupNorm(8, 64)])
        self.join, self.out = nn.Conv2d(96, 32, 3, padding=1), nn.Conv2d(32, 4, 1)

    def forward(self, x):
        near = F.gelu(self.norms[0](self.first(x)))
        far = F.mish(self.norms[1](self.second(near)))
        far = F.interpolate(far, scale_factor=2.0, mode="bilinear", align_corners=False)
        y = self.out(F.elu(self.join(torch.cat((far, near), 1))))
        return F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=True).softmax(1)


# How to make each, and the shape of its input without the batch.
NETS = {
    "detector": (Detector, (3, 320, 320)),
    "segmenter": (Segmenter, (3, 192, 192)),
    "unet1d_elu": (lambda: UNet(1, 32, "Batch", nn.ELU), (1, 4096)),
    "unet2d_instance_norm": (lambda: UNet(2, 32, "Instance", nn.LeakyReLU), (1, 128, 128)),
    "unet3d": (lambda: UNet(3, 16, "Batch", nn.ReLU), (1, 32, 64, 64)),
    "waves": (Waves, (1, 8000)),
}
