"""All configs build, at full size, and cost what the paper says."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS

import hrnas_mm  # noqa: F401  (before mmpose, see compat.py)
from hrnas_mm.building import build_model
from hrnas_mm.deploy import cost_model_of
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.search import CostModel, parse_budget
from hrnas_mm.search_in_config import search_shape

ROOT = Path(__file__).parents[1] / 'configs'
CONFIGS = sorted(
    str(path.relative_to(ROOT)) for path in ROOT.glob('mm*/**/*.py')
)
CAMVID = 'mmseg/camvid/{}_1xb8-1200_camvid-192x256.py'
STOCK = [  # to compare with
    CAMVID.format(name)
    for name in (
        'ddrnet-23-slim', 'ddrnet-23-slim-w16', 'ddrnet-23-slim-w10',
        'fcn_hr18s', 'hrnas-supernet', 'lite0', 'segformer_mit-b0',
        'stdc1',
    )
]  # fmt: skip
TABLES = {  # budgets A and B of the paper, multiply-adds
    'mmseg/hrnas-{}_8xb4-40k_cityscapes-512x1024.py': ('1.91G', '4.66G'),
    'mmseg/hrnas-{}_8xb8-63k_ade20k-512x512.py': ('1.42G', '2.19G'),
    'mmpose/td-hm_hrnas-{}_8xb48-210e_coco-256x192.py': ('0.25G', '1.35G'),
    'mmpose/td-hm_hrnas-{}_8xb48-210e_coco-384x288.py': ('0.35G', '3.72G'),
    'mmdet3d/pointpillars_hrnas-{}_8xb6-80e_kitti-3d-3class.py': (
        '3.22G',
        '15.65G',
    ),
    'mmpretrain/hrnas-{}_8xb64-350e_in1k.py': ('267M', '325M'),
}
CONVOLUTIONS = {  # of the released supernets, multiply-adds in G
    'mmseg/hrnas-a_8xb4-40k_cityscapes-512x1024.py': 61.8,
    'mmseg/hrnas-a_8xb8-63k_ade20k-512x512.py': 36.1,
    'mmpose/td-hm_hrnas-a_8xb48-210e_coco-256x192.py': 5.80,
    'mmpretrain/hrnas-a_8xb64-350e_in1k.py': 2.42,
}


def supernet_of(name: str) -> str:
    """A name that the configs of one supernet share."""
    return name.replace('hrnas-b_', 'hrnas-a_')


def read(name: str) -> Config:
    pytest.importorskip(name.split('/')[0])
    if 'lite0' in name:
        pytest.importorskip('timm')
    return Config.fromfile(str(ROOT / name))


def cost_model(cfg: Config) -> CostModel:
    """Budgets A and B have the same supernet, which is traced once."""
    key = str((cfg.model, search_shape(cfg)))
    if key not in COST_MODELS:
        model = build_model(cfg)
        COST_MODELS[key] = cost_model_of(model, search_shape(cfg))
    return COST_MODELS[key]


COST_MODELS: dict[str, CostModel] = {}


def search_of(cfg: Config) -> ProgressiveShrinkHook:
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    (hook,) = (h for h in hooks if isinstance(h, ProgressiveShrinkHook))
    return hook


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=pytest.mark.xdist_group(supernet_of(name)))
        for name in CONFIGS
    ],
)
def test_config_builds(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.match(r'# [\s\S]*\n#   .*(tools/(dist_)?train|make )', text), (
        name
    )
    cfg = read(name)
    if name in STOCK:
        build_model(cfg)
        return
    cost, options = cost_model(cfg), search_of(cfg).options
    assert cost.supernet
    target = options.target
    if options.latency is None and target is not None:
        assert parse_budget(target, cost).amount < cost.total(cost.supernet)


@pytest.mark.parametrize('name', TABLES)
def test_benchmarks_have_the_budgets_of_the_paper(name: str) -> None:
    for letter, budget in zip('ab', TABLES[name]):
        assert search_of(read(name.format(letter))).options.target == budget


@pytest.mark.parametrize('name', CONVOLUTIONS)
def test_supernets_are_of_the_released_size(name: str) -> None:
    cfg = read(name)
    for part in (cfg.model.backbone, *cfg.model.get('neck', [])):
        if part.type.startswith('HRNAS'):
            part.num_tokens = 0
    cost = cost_model(cfg)
    macs = cost.total(cost.supernet) / 1e9
    assert macs == pytest.approx(CONVOLUTIONS[name], rel=2e-3)
