"""The authors' networks: their outputs and their counts, in ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conversion.official import (
    blocks_in_order,
    convert_state_dict,
    official_architecture,
    unused_params,
)
from mmengine.config import Config
from torch import Tensor

from hrnas_mm.building import build_model
from hrnas_mm.cli.config import prepare_config
from hrnas_mm.deploy import DeployableModel, cost_model_of
from hrnas_mm.search import (
    apply_architecture_,
    architecture_in,
    architecture_of,
    count_params,
)

pytest.importorskip('mmseg')
SEGMENTATION = 'configs/_base_/models/hrnas_seg.py'
CLASSIFICATION = 'configs/mmpretrain/hrnas-a_8xb64-350e_in1k.py'
NO_TOKENS = {'model.backbone.num_tokens': 0, 'model.neck.0.num_tokens': 0}


def segmentation_model(setting: dict[str, Any]) -> Any:
    """Our model with the supernet that a released setting describes."""
    stages = [
        dict(num_blocks=blocks, num_channels=channels)
        for _, blocks, channels in setting['stages']
    ]
    cfg = Config.fromfile(SEGMENTATION)
    cfg.default_scope = 'mmseg'
    cfg.model.backbone.update(
        stem_channels=setting['stem_channels'],
        stages=stages,
        expand_ratio=setting['expand_ratio'],
        num_tokens=0,
        fuse_channels=setting['last_channel'],
    )
    cfg.model.decode_head.update(
        in_channels=setting['last_channel'],
        channels=setting['last_channel'],
        num_classes=setting['num_classes'],
    )
    return build_model(cfg)


def assert_within(found: Tensor, expected: Tensor, share: float) -> None:
    bound = max(1e-4, share * expected.abs().max().item())
    torch.testing.assert_close(found, expected, atol=bound, rtol=0)


@pytest.mark.parametrize('name', ['supernet_small', 'searched_small'])
def test_released_segmentation_nets(shared_data: Path, name: str) -> None:
    path = shared_data / 'official' / f'{name}.pt'
    stored = torch.load(path, weights_only=True)
    theirs = stored['state_dict']
    model = segmentation_model(stored['setting']).eval()
    cost_model = cost_model_of(model, stored['input'].shape[1:])
    if stored['searched_blocks'] is not None:
        blocks = stored['searched_blocks']
        expected = official_architecture(blocks, model)
    else:
        expected = architecture_of(model)
    model.load_state_dict(convert_state_dict(theirs, model))
    assert architecture_of(model) == expected
    branches = []
    model.backbone.stages[-1].register_forward_hook(
        lambda module, args, out: branches.extend(out.values())
    )
    with torch.no_grad():
        output = model(stored['input'])
        forms = [
            DeployableModel(model, runtime, fuse)(stored['input'])
            for runtime, fuse in (
                ('torch', 'auto'),
                ('onnxruntime', 'always'),
                ('onnxruntime', 'never'),
            )
        ]
    # Values of up to 1600 in single precision: their own rounding errors are
    # a millionth, which is more than 1e-4.
    for found, reference in zip(
        [output, *branches], [stored['output'], *stored['branches']]
    ):
        assert_within(found, reference, 1e-6)
    for (found,) in forms:
        assert_within(found, stored['output'], 3e-6)
    assert cost_model.total(expected) == stored['macs_one_image']
    assert count_params(model) + unused_params(theirs) == stored['params']


def test_released_classification_architecture(shared_data: Path) -> None:
    pytest.importorskip('mmpretrain')
    path = shared_data / 'official' / 'checkpoint.json'
    model = build_model(prepare_config(CLASSIFICATION, NO_TOKENS))
    cost_model = cost_model_of(model, (224, 224))
    entries = json.loads(path.read_text())
    architecture = official_architecture(entries, model)
    assert round(cost_model.total(architecture) / 1e6, 1) == 259.2
    apply_architecture_(model, architecture)
    assert round(count_params(model) / 1e6, 2) == 3.89


def renamed(model: Any) -> dict[str, Tensor]:
    """Our weights by the released code's names, written down on their own."""
    found = {}
    for block in blocks_in_order(model):
        module = model.get_submodule(block.ours)
        parts = {'pw_bn': module.mixconv.norm, 'residual': module.shortcut}
        for i, path in enumerate(module.mixconv.paths.values()):
            parts |= {
                f'ops.{i}.0.0': path.expand.conv,
                f'ops.{i}.0.1': path.expand.norm,
                f'ops.{i}.1.0': path.depthwise.conv,
                f'ops.{i}.1.1': path.depthwise.norm,
                f'ops.{i}.2': path.project,
            }
        for name, part in parts.items():
            for key, tensor in part.state_dict().items():
                found[f'module.{block.theirs}.{name}.{key}'] = tensor
    if hasattr(model, 'neck'):
        head = 2 * len(model.backbone.stages)
        parts = {
            f'features.{head}.final_layer.0': model.neck[0].last.conv,
            f'features.{head}.final_layer.1': model.neck[0].last.norm,
            'classifier.1': model.head.fc,
        }
    else:
        parts = {'classifier': model.head.final_layer}
    for i, layer in enumerate(model.backbone.stem):
        parts |= {
            f'downsamples.{i}.0': layer.conv,
            f'downsamples.{i}.1': layer.norm,
        }
    for name, part in parts.items():
        for key, tensor in part.state_dict().items():
            found[f'module.{name}.{key}'] = tensor
    return found


def classification_model(**options: Any) -> Any:
    pytest.importorskip('mmpretrain')
    path = 'configs/mmpretrain/hrnas-demo_1xb16-18e_in1k-64x64.py'
    return build_model(prepare_config(path, options))


def test_classification_weights() -> None:
    """There are none to compare with: the names, and nothing left over."""
    model = classification_model(**NO_TOKENS)
    theirs = renamed(model)
    assert 'module.features.6.incre_modules.2.pw_bn.weight' in theirs
    assert 'module.features.6.downsamp_modules.1.residual.weight' in theirs
    converted = convert_state_dict(theirs, classification_model(**NO_TOKENS))
    torch.testing.assert_close(converted, dict(model.state_dict()))


def test_pose_weights() -> None:
    """Built as their segmentation nets, with a heatmap per joint."""
    pytest.importorskip('mmpose')
    path = 'configs/mmpose/td-hm_hrnas-demo_1xb16-8e_coco-192x144.py'
    cfg = prepare_config(path, {'model.backbone.num_tokens': 0})
    model = build_model(cfg)
    theirs = renamed(model)
    assert 'module.transform.residual.weight' in theirs
    converted = convert_state_dict(theirs, build_model(cfg))
    torch.testing.assert_close(converted, dict(model.state_dict()))


def test_weights_in_a_supernet_with_transformers() -> None:
    """They have none: ours lose all tokens, and change nothing."""
    plain = classification_model(**NO_TOKENS)
    model = classification_model()
    state_dict = convert_state_dict(renamed(plain), model)
    found = architecture_in(state_dict, model)
    assert not any(n for name, n in found.items() if name.endswith('tokens'))
    model.load_state_dict(state_dict)
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.eval()(image), plain.eval()(image))


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda e: e.pop(), 'has 18 blocks, the model of the config has 19'),
        (lambda e: e[1].__setitem__(0, 7), 'branches.0.0 has 7 channels'),
        (lambda e: e[0].__setitem__(3, [3, 5, 9]), 'kernel size 9'),
        (lambda e: e[0].pop(), r'must be \[out_channels, .*, got \[\d+, 1, '),
        (lambda e: e[0].__setitem__(3, [3, 5]), r'kernel sizes, .*\[3, 5\]'),
    ],
)
def test_an_architecture_of_another_supernet(
    change: Callable[[list[Any]], Any], message: str
) -> None:
    model = classification_model(**NO_TOKENS)
    entries = []
    for block in blocks_in_order(model):
        channels = len(model.get_submodule(block.ours).mixconv.norm.bias)
        entries.append([channels, 1, 1, [3, 5, 7], [1, 1, 1], True])
    assert set(official_architecture(entries, model).values()) == {1}
    change(entries)
    with pytest.raises(ValueError, match=message):
        official_architecture(entries, model)


def test_weights_of_another_network() -> None:
    model = classification_model(**NO_TOKENS)
    theirs = renamed(model)
    with pytest.raises(ValueError, match='extra.weight of the released'):
        convert_state_dict({**theirs, 'extra.weight': torch.ones(1)}, model)
    odd = {'features.0.fuse_layers.0.0.odd.weight': torch.ones(1)}
    with pytest.raises(ValueError, match='0.0.odd.weight of the released'):
        convert_state_dict({**theirs, **odd}, model)
    with pytest.raises(ValueError, match='no block features.0.fuse_layers'):
        convert_state_dict({}, model)
