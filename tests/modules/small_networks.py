"""A small network for each rule by which channels are found to be coupled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def block(a: int, b: int, kernel: int = 1, **options: Any) -> nn.Sequential:
    conv = nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False, **options)
    return nn.Sequential(conv, nn.BatchNorm2d(b), nn.ReLU())


class Net(nn.Module):
    """Layers by name, and what is computed with them."""

    def __init__(
        self, run: Callable[[Any, Tensor], Any], **layers: nn.Module
    ) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run
        self.name = str(id(run))  # networks of equal facts are traced once

    def forward(self, x: Tensor) -> Any:
        return self.run(self, x)


class Case(NamedTuple):
    net: Callable[[], nn.Module]
    units: dict[str, int]
    reasons: dict[str, str] = {}


def chain(middle: Callable[[Tensor], Tensor]) -> Callable[[], Net]:
    """A unit 'a.0' of 6 channels, if ``middle`` lets it be one."""
    return lambda: Net(
        lambda net, x: net.b(middle(net.a(x))),
        a=block(3, 6, 3),
        b=nn.Conv2d(6, 4, 3, padding=1),
    )


def written_into_a_part(x: Tensor) -> Tensor:
    out = torch.zeros(x.shape, dtype=x.dtype, device=x.device)
    out[:, :3] = x[:, :3]
    out[:, 3:] = x[:, 3:]
    return out


def shuffled(x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class InTraining(nn.Module):
    """Puts out its middle, but only while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = block(3, 6), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Any:
        middle = self.a(x)
        return (self.b(middle), middle) if self.training else self.b(middle)


def squeezed(net: Any, x: Tensor) -> Tensor:
    x = net.a(x)
    return net.b(x * torch.sigmoid(net.up(net.down(x.mean((2, 3), True)))))


SUM = dict(a=block(3, 6), b=block(3, 6), c=nn.Conv2d(6, 4, 1))

CASES = {
    'chain': Case(chain(lambda x: x), {'a.0': 6}),
    'pooled': Case(chain(lambda x: F.max_pool2d(x, 2)), {'a.0': 6}),
    'resized': Case(
        chain(lambda x: F.interpolate(x, scale_factor=2.0)), {'a.0': 6}
    ),
    'padded': Case(chain(lambda x: F.pad(x, (1, 1, 1, 1))), {'a.0': 6}),
    'scaled': Case(chain(lambda x: 0.5 * x), {'a.0': 6}),
    'clamped': Case(chain(lambda x: x.clamp(0, 6)), {'a.0': 6}),
    'channels_last': Case(
        chain(lambda x: x.permute(0, 2, 3, 1).permute(0, 3, 1, 2)), {'a.0': 6}
    ),
    'linear over channels that come last': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x).permute(0, 2, 3, 1).contiguous()),
            a=block(3, 6),
            b=nn.Linear(6, 4),
        ),
        {'a.0': 6},
    ),
    'in place': Case(chain(lambda x: x.mul_(2.0)), {'a.0': 6}),
    'doubled': Case(
        lambda: Net(
            lambda net, x: net.b(torch.cat([net.a(x)] * 2, 1)),
            a=block(3, 6),
            b=nn.Conv2d(12, 4, 1),
        ),
        {'a.0': 6},
    ),
    'padded with ones': Case(
        chain(lambda x: F.pad(x, (1, 1, 1, 1), value=1.0)),
        {},
        {'a.0': 'a.1 has no batch norm behind it'},
    ),
    'padded channels': Case(
        lambda: Net(
            lambda net, x: net.b(F.pad(net.a(x), (0, 0, 0, 0, 1, 1))),
            a=block(3, 6),
            b=nn.Conv2d(8, 4, 1),
        ),
        {},
        {'a.0': 'operator constant_pad_nd reads it'},
    ),
    'sigmoid': Case(
        chain(torch.sigmoid), {}, {'a.0': 'a.1 has no batch norm behind it'}
    ),
    'constant added': Case(
        chain(lambda x: x + 1), {}, {'a.0': 'a.1 has no batch norm behind it'}
    ),
    'softmax over pixels': Case(
        chain(lambda x: x.flatten(2).softmax(2).view_as(x)),
        {},
        {'a.0': 'a.1 has no batch norm behind it'},
    ),
    'softmax over channels': Case(
        chain(lambda x: x.softmax(1)), {}, {'a.0': 'operator _softmax'}
    ),
    'mean over channels': Case(
        chain(lambda x: x - x.mean(1, True)), {}, {'a.0': 'operator mean'}
    ),
    'divided': Case(
        chain(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)),
        {},
        {'a.0': 'its channels are divided'},
    ),
    'shuffled': Case(
        chain(shuffled), {}, {'a.0': 'its channels are mixed with others'}
    ),
    'rolled': Case(chain(lambda x: x.roll(1, 1)), {}, {'a.0': 'roll'}),
    'index': Case(
        chain(lambda x: x[:, torch.arange(6)]), {}, {'a.0': 'operator index'}
    ),
    'written into a part': Case(
        chain(written_into_a_part), {}, {'a.0': 'its channels are divided'}
    ),
    'layer norm': Case(
        chain(lambda x: F.layer_norm(x, x.shape[1:])),
        {},
        {'a.0': 'operator native_layer_norm reads it'},
    ),
    'number in the code': Case(
        chain(lambda x: x.reshape(len(x), 6, 64).view_as(x)),
        {},
        {'a.0': "RuntimeError, shape '[1, 6, 64]' is invalid"},
    ),
    'count in the code': Case(
        chain(lambda x: x * x.shape[1]),
        {},
        {'a.0': 'what the model puts out changes'},
    ),
    'grouped': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x)),
            a=block(3, 6),
            b=nn.Conv2d(6, 4, 1, groups=2),
        ),
        {},
        {'a.0': 'a grouped convolution reads it'},
    ),
    'no norm': Case(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 1)
        ),
        {},
        {'0': '0.weight has no batch norm behind it'},
    ),
    'norm without scale': Case(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 1),
            nn.BatchNorm2d(6, affine=False),
            nn.Conv2d(6, 4, 1),
        ),
        {},
        {'0': 'a norm without scale and shift reads it'},
    ),
    'depthwise': Case(
        lambda: nn.Sequential(
            block(3, 6), block(6, 6, 3, groups=6), nn.Conv2d(6, 4, 1)
        ),
        {'0.0': 6},
    ),
    'transposed': Case(
        lambda: nn.Sequential(
            block(3, 6),
            nn.ConvTranspose2d(6, 5, 2, stride=2),
            nn.BatchNorm2d(5),
            nn.ConvTranspose2d(5, 5, 2, groups=5, bias=False),
            nn.Conv2d(5, 4, 1),
        ),
        {'0.0': 6, '1': 5},
    ),
    'flattened': Case(
        lambda: nn.Sequential(
            block(3, 6), nn.Flatten(), nn.Linear(6 * 64, 5), nn.BatchNorm1d(5),
            nn.ReLU(), nn.Linear(5, 4),
        ),  # fmt: skip
        {'0.0': 6, '2': 5},
    ),
    'sum': Case(
        lambda: Net(lambda net, x: net.c(net.a(x) + net.b(x)), **SUM),
        {'a.0': 6},
    ),
    'concatenation': Case(
        lambda: Net(
            lambda net, x: net.c(torch.cat([net.a(x), x, net.b(x)], 1)),
            a=block(3, 6),
            b=block(3, 5),
            c=nn.Conv2d(14, 4, 1),
        ),
        {'a.0': 6, 'b.0': 5},
    ),
    'norm of a concatenation': Case(
        lambda: Net(
            lambda net, x: net.d(net.c(torch.cat([net.a(x), net.b(x)], 1))),
            a=nn.Conv2d(3, 6, 1),
            b=nn.Conv2d(3, 5, 1),
            c=nn.BatchNorm2d(11),
            d=nn.Conv2d(11, 4, 1),
        ),
        {},
        {'a': 'c also normalises other channels'},
    ),
    'product of two': Case(
        lambda: Net(lambda net, x: net.c(net.a(x) * net.b(x)), **SUM),
        {'a.0': 6},
    ),
    'squeeze and excitation': Case(
        lambda: Net(
            squeezed,
            a=block(3, 6),
            down=nn.Conv2d(6, 2, 1),
            up=nn.Conv2d(2, 6, 1),
            b=nn.Conv2d(6, 4, 1),
        ),
        {'a.0': 6},
        {'down': 'down.weight has no batch norm behind it'},
    ),
    'map of one channel': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x) * net.gate(x)),
            a=block(3, 6),
            gate=block(3, 1),
            b=nn.Conv2d(6, 4, 1),
        ),
        {'a.0': 6},
        {'gate.0': 'it is read by all channels of another map'},
    ),
    'scale of its own': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x) * net.scale.weight[:, None, None]),
            a=block(3, 6),
            scale=nn.BatchNorm1d(6),
            b=nn.Conv2d(6, 4, 1),
        ),
        {'a.0': 6},
    ),
    'slope per channel': Case(
        lambda: nn.Sequential(block(3, 6), nn.PReLU(6), nn.Conv2d(6, 4, 1)),
        {'0.0': 6},
    ),
    'called twice': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x)) + net.b(net.a(x.flip(3))),
            a=block(3, 6),
            b=nn.Conv2d(6, 4, 1),
        ),
        {'a.0': 6},
    ),
    'weight used twice': Case(
        lambda: Net(
            lambda net, x: net.b(net.a(x)) + net.b.weight.abs().mean(),
            a=block(3, 6),
            b=nn.Conv2d(6, 4, 1),
        ),
        {},
        {'a.0': 'its weights have another use'},
    ),
    'more outputs in training': Case(
        InTraining, {}, {'a.0': 'it is an output'}
    ),
}  # fmt: skip
