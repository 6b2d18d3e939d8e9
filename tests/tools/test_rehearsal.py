"""What would end a run at its first step or evaluation is told before."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DATASETS, METRICS, MODELS, TRANSFORMS
from mmengine.runner import Runner
from torch import Tensor, nn
from training.check_config import check_config
from training.quiet import quiet
from training.rehearsal import rehearse

from hrnas_mm.check_pairs import check_pairs
from hrnas_mm.engine.check_samples import check_fit
from hrnas_mm.resume.rng import rng_state

TOLD = ('epoch', 'iter', 'max_epochs', 'max_iters')
HOOK = 'custom_hooks.0'
CHECKPOINT = 'default_hooks.checkpoint'


@MODELS.register_module()
class Odd(tiny.TinyModel):
    """Fails as it is told to."""

    def __init__(self, fault: str, **options: Any) -> None:
        super().__init__(**options)
        self.fault = fault
        norm: Any = nn.BatchNorm1d(4)
        if fault == 'weights':
            self.num_classes = 4
            norm.class_weight = [1.0] * 3
        self.norm = norm

    def forward(
        self, inputs: Tensor, labels: Any = None, mode: str = 'tensor'
    ) -> Any:
        if mode == 'loss' and self.fault == 'norm':
            self.norm(self.head(self.backbone(inputs)[0]).mean((2, 3)))
        outputs = super().forward(inputs, labels, mode)
        if mode == 'loss' and self.fault == 'names':
            return dict(ce=outputs['loss_ce'])
        if mode == 'loss' and self.fault == 'time':
            told = MessageHub.get_current_instance().runtime_info
            self.told = {name: told[name] for name in TOLD}
        if mode == 'loss' and self.fault == 'constant':
            return dict(loss_ce=outputs['loss_ce'] * 0)
        return outputs


@TRANSFORMS.register_module()
class Unreadable:
    def __call__(self, results: dict[str, Any]) -> Any:
        raise KeyError('img_path')


@DATASETS.register_module()
class Piped(BaseDataset):
    def load_data_list(self) -> list[dict[str, Any]]:
        return [{}]


@DATASETS.register_module()
class Empty(BaseDataset):
    def load_data_list(self) -> list[dict[str, Any]]:
        return []


@DATASETS.register_module()
class TwoSizes(tiny.TinyData):
    def prepare_data(self, index: int) -> dict[str, Any]:
        sample = super().prepare_data(index)
        end = 32 - 8 * (index % 2)
        return {k: v[..., :end].clone() for k, v in sample.items()}


@METRICS.register_module()
class NoMetric(BaseMetric):
    def process(self, data_batch: Any, data_samples: Any) -> None:
        pass

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        raise IndexError('of five classes, four')


@METRICS.register_module()
class OfAll(BaseMetric):
    """Counts its results, as mmdet's proposal_fast and KITTI's metric do."""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        assert len(results) == len(tiny.TinyData())
        return dict(all=1.0)


def config(tmp_path: Path, **options: Any) -> Config:
    cfg = tiny.config(tmp_path, rho=None, interval=None, target=0.5)
    cfg.merge_from_dict(options)
    return cfg


def odd(fault: str, **more: Any) -> dict[str, Any]:
    return {'model.type': 'Odd', 'model.fault': fault, **more}


def batches(size: int, **options: Any) -> dict[str, Any]:
    return {
        'train_dataloader.batch_size': size,
        'train_dataloader.sampler.type': 'DefaultSampler',
        **{f'train_dataloader.{k}': v for k, v in options.items()},
    }


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'optim_wrapper.optimizer.type': 'Adamw'},
            "optimizer.type must be a registered optimizer, got 'Adamw'; did "
            "you mean 'AdamW'",
        ),
        (
            {'train_dataloader.sampler.type': 'InfinitSampler'},
            "train_dataloader.sampler.type must .* mean 'InfiniteSampler'",
        ),
        (
            {'val_evaluator.type': 'PixelAcuracy'},
            "val_evaluator.type must be a registered metric.*'PixelAccuracy'",
        ),
        (
            {'param_scheduler.type': 'PolyLr'},
            "param_scheduler.type must be a registered .*'PolyLR'",
        ),
        (
            {f'{CHECKPOINT}.type': 'Checkpoint'},
            f"{CHECKPOINT}.type must be a registered hook.*'CheckpointHook'",
        ),
        (
            {'train_cfg.max_epochs': 3},
            "train_cfg, a IterBasedTrainLoop, has no option 'max_epochs'",
        ),
        (
            {'train_cfg.val_interval': 0},
            'train_cfg.val_interval must be a number of at least 1, got 0',
        ),
        (
            {'train_cfg.max_iters': '9'},
            "train_cfg.max_iters must be a number of at least 1, got '9'",
        ),
        (
            {'train_cfg': dict(_delete_=True, by_epoch=True, max_epochs=8)},
            'train_dataloader.sampler must come to an end, got InfiniteSamp',
        ),
        (
            {'val_dataloader.sampler.type': 'InfiniteSampler'},
            'val_dataloader.sampler must come to an end, got InfiniteSampler',
        ),
        (
            {'train_dataloader.dataset': dict(_delete_=True, type='Empty')},
            '^train_dataloader.dataset must have samples, got none: its',
        ),
        (
            {'train_dataloader.persistent_workers': True},
            'train_dataloader.persistent_workers must not be given with .*=0',
        ),
        ({'load_from': 'gone.pth'}, "load_from 'gone.pth' does not exist"),
        (odd('names'), 'names of the losses .* must contain .loss., got ce:'),
        (odd('constant'), "own losses, loss_ce, must depend on its weights"),
        (odd('weights'), 'model.norm.class_weight must .* 4 classes, got 3'),
        (batches(99, drop_last=True), 'no batch: its 24 .* fewer .*size=99'),
        (
            odd('norm', **batches(23)),
            'has 24 images, of which batch_size=23 leaves one to the last .*'
            'model.norm fails .*more than 1 value.*drop_last=True leaves it',
        ),
        (
            {'train_dataloader.dataset': dict(
                _delete_=True, type='Piped', pipeline=[dict(type='Unreadable')]
            )},
            r"train_dataloader.dataset.pipeline\[0\] fails .*'img_path'",
        ),
        (
            {'train_dataloader.dataset': dict(
                _delete_=True, type='Piped', pipeline=[
                    dict(type='Unreadable'), dict(type='Unreadable', prob=2)]
            )},
            r'train_dataloader.dataset.pipeline\[1\] fails .*takes no arg',
        ),
        (
            {'val_evaluator': [dict(type='PixelAccuracy'),
                               *[dict(type='PixelAccuracy', thr=1)] * 2]},
            r"val_evaluator\[1\] fails in the rehearsal: TypeError: .*'thr'",
        ),
        (
            {'val_dataloader.dataset.type': 'TwoSizes'},
            'val_dataloader.batch_size=4 fails in the rehearsal: ',
        ),
        (
            {'val_evaluator.type': 'NoMetric'},
            'val_evaluator fails in the rehearsal: IndexError: of five',
        ),
        (
            {f'{CHECKPOINT}.save_best': 'accurcy'},
            f"{CHECKPOINT}.save_best must be .*, accuracy, got .*; did you",
        ),
        (
            {f'{CHECKPOINT}.save_best': 'x'},
            f'{CHECKPOINT} fails in the rehearsal: .*infer the rule',
        ),
        (
            {'param_scheduler.end': -1},
            r'param_scheduler\[0\] fails in the rehearsal: ValueError',
        ),
        (
            {'param_scheduler': dict(
                _delete_=True, type='LinearLR', begin=12, by_epoch=False
            )},
            r'param_scheduler\[0\] fails .*end should be larger than begin',
        ),
        (
            {'optim_wrapper.accumulative_counts': 4, f'{HOOK}.end': 9},
            'end must be after begin=1 and at most 8 iterations, .*, got 9',
        ),
        (
            {'train_cfg': dict(_delete_=True, by_epoch=True, max_epochs=2),
             f'{HOOK}.end': 12, **batches(4)},
            'end must be after begin=1 and at most 11 iterations, .*, got 12',
        ),
        (
            {'optim_wrapper.optimizer.lr': -1.0},
            'optim_wrapper fails in the rehearsal: ValueError: Invalid learn',
        ),
    ],
)  # fmt: skip
def test_faults(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    cfg = config(tmp_path, **options)
    with pytest.raises((FileNotFoundError, ValueError), match=message) as told:
        rehearse(cfg, check_config(cfg))
    assert '\n' not in str(told.value)


def test_what_cannot_be_decided_passes(tmp_path: Path) -> None:
    """A metric that needs all of the data set, and the metric to save by."""
    options = {f'{CHECKPOINT}.save_best': 'x', f'{CHECKPOINT}.rule': 'less'}
    cfg = config(tmp_path, **options)
    dump = dict(type='DumpResults', out_file_path=str(tmp_path / 'x.pkl'))
    cfg.val_evaluator = [cfg.val_evaluator, dump]
    rehearse(cfg, check_config(cfg))
    assert not (tmp_path / 'x.pkl').exists()


def test_loggers_that_have_logged_are_quiet_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They remember that they are enabled; mmengine keeps its own list."""
    logger = MMLogger.get_instance('chatty', log_level='INFO')
    logger.addHandler(caplog.handler)
    logger.info('before')
    with quiet():
        logger.info('in the rehearsal')
    logger.info('after')
    assert caplog.messages == ['before', 'after']
    MMLogger._instance_dict.pop('chatty')


@pytest.mark.parametrize('by_epoch', [False, True])
def test_models_are_told_the_time(tmp_path: Path, by_epoch: bool) -> None:
    """YOLOX, BoxInst, TOOD and others ask the message hub for it."""
    cfg = tiny.config(tmp_path, by_epoch=by_epoch)
    cfg.model.update(type='Odd', fault='time')
    model: Any = check_config(cfg)
    hubs = dict(MessageHub._instance_dict)
    rehearse(cfg, model)
    length = (2, 12) if by_epoch else (1, 12)
    assert tuple(model.told.values()) == (0, 0, *length)
    assert MessageHub._instance_dict == hubs


def test_a_metric_may_count_its_results(tmp_path: Path) -> None:
    cfg = config(tmp_path, **{'val_evaluator.type': 'OfAll'})
    rehearse(cfg, check_config(cfg))
    cfg.default_hooks.checkpoint.update(save_best='al', rule='less')
    with pytest.raises(ValueError, match="save_best must .*, all, got 'al'"):
        rehearse(cfg, check_config(cfg))


def test_a_run_is_the_same_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = []
    for name in ('with', 'without'):
        cfg = config(tmp_path / name)
        model = check_config(cfg)
        before, text = rng_state(), cfg.pretty_text
        if name == 'with':
            rehearse(cfg, model)
            out = capsys.readouterr().out
            assert out.startswith('Rehearsal: ') and out.count('\n') == 1
            torch.testing.assert_close(rng_state()['torch'], before['torch'])
            assert rng_state()['python'] == before['python']
            assert cfg.pretty_text == text
        runner = Runner.from_cfg(cfg)
        runner.train()
        weights.append(runner.model.state_dict())
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_classes_that_the_annotations_lack(tmp_path: Path) -> None:
    """mmdet drops them without a word."""
    path = tmp_path / 'train.json'
    path.write_text(json.dumps(dict(categories=[dict(id=1, name='car')])))

    class Annotated(list):
        metainfo: dict[str, Any] = dict(classes=('car', 'Bus'))
        cat_ids = [1]
        ann_file = str(path)

    data = Annotated([{}])
    with pytest.raises(ValueError, match="dataset.metainfo.cl.* car, got 'Bu"):
        check_pairs(Config({}), 'val_dataloader', data)
    data.metainfo = dict(classes='car')
    with pytest.raises(ValueError, match=r"must be a tuple.* \('car',\) with"):
        check_pairs(Config({}), 'val_dataloader', data)
    data.metainfo = dict(classes=('car',))
    check_pairs(Config({}), 'val_dataloader', data)


def test_images_of_no_class(tmp_path: Path) -> None:
    """Those of a multi-label data set need not show any."""

    class Labels(list):
        def get_gt_labels(self) -> Any:
            raise NotImplementedError

        def get_data_info(self, index: int) -> dict[str, Any]:
            return dict(gt_label=self[index])

    class Loader:
        dataset = Labels([[0], [1, 3], []])

    model: Any = nn.Module()
    model.head = nn.Module()
    model.head.num_classes = 4
    check_fit(Loader, model)
    model.head.num_classes = 3
    with pytest.raises(ValueError, match='model.head.num_classes is 3, but'):
        check_fit(Loader, model)
