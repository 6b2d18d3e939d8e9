"""Ways to train that people have, and those that are refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import METRICS, OPTIMIZERS
from mmengine.runner import FlexibleRunner, Runner
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hrnas_mm.building import build_runner
from hrnas_mm.engine import ProgressiveShrinkHook
from hrnas_mm.engine.check_runner import check_runner
from hrnas_mm.engine.searched_config import searched_config
from hrnas_mm.runners import bare_model
from hrnas_mm.search import architecture_of
from hrnas_mm.search_in_config import search_shape


def run(cfg: Config) -> Runner:
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def assert_same(first: Runner, second: Runner) -> None:
    first, second = bare_model(first), bare_model(second)
    assert architecture_of(first) == architecture_of(second)
    torch.testing.assert_close(
        dict(first.named_parameters()),
        dict(second.named_parameters()),
        # Adam makes whole steps of gradients that are nearly 0.
        rtol=1e-4,
        atol=1e-4,
    )


def test_activation_checkpointing(tmp_path: Path) -> None:
    plain = run(tiny.config(tmp_path / 'plain'))
    cfg = tiny.config(tmp_path / 'with_cp')
    cfg.model.backbone.with_cp = True
    assert_same(run(cfg), plain)


def test_compile(tmp_path: Path) -> None:
    """Compiled again after a shrink, and with the same result."""

    def config(name: str) -> Config:
        hook: dict[str, Any] = dict(
            target=0.8, importance='taylor', rho=0.01, threshold=1e-3,
            interval=1, begin=0, end=1,
        )  # fmt: skip
        cfg = tiny.config(tmp_path / name, max_iters=2, **hook)
        # Tracing takes long: one stage of small blocks is enough.
        cfg.model.backbone.update(
            stages=tiny.SUPERNET['stages'][:1],
            kernel_sizes=(3,),
            fuse_channels=None,
        )
        return cfg

    plain = run(config('plain'))
    compiled_at = []
    torch.compiler.reset()

    def backend(graph: Any, inputs: Any) -> Callable[..., Any]:
        compiled_at.append(runner.iter)
        return graph.forward

    cfg = config('compiled')
    cfg.compile = dict(backend=backend)
    runner = Runner.from_cfg(cfg)
    # After so many recompilations torch would go on without.
    with torch._dynamo.config.patch(recompile_limit=1):
        runner.train()
    assert_same(runner, plain)
    history = tiny.history_of(runner)
    macs = [facts['macs'] for facts in history]
    assert macs[0] > macs[-1]
    assert set(compiled_at) == {0, 1}


# Refused


class Spread(nn.Module):
    """Stands for a wrapper that shards parameters, as FSDP does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_other_wrappers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner.from_cfg(tiny.config(tmp_path))
    runner.model = Spread(runner.model)
    monkeypatch.setattr(
        'hrnas_mm.engine.check_runner.is_model_wrapper',
        lambda model: isinstance(model, (Spread, DistributedDataParallel)),
    )
    with pytest.raises(TypeError, match='model_wrapper_cfg.type.*got Spread'):
        check_runner(runner, ProgressiveShrinkHook(target=0.5))


def test_flexible_runner_is_refused(tmp_path: Path) -> None:
    """The way to FSDP and DeepSpeed; before the first iteration."""
    cfg = tiny.config(tmp_path)
    cfg.runner_type, cfg.env_cfg = 'FlexibleRunner', {}
    runner = FlexibleRunner.from_cfg(cfg)
    with pytest.raises(TypeError, match="runner_type='Runner', got Flexible"):
        runner.train()
    assert not list(tmp_path.rglob('*.pth'))


def test_exact_resume_of_a_flexible_runner_is_refused(tmp_path: Path) -> None:
    cfg = tiny.config(tmp_path)
    cfg.runner_type, cfg.env_cfg = 'FlexibleRunner', {}
    cfg.custom_hooks = [dict(type='hrnas_mm.ExactResumeHook')]
    with pytest.raises(TypeError, match='ExactResumeHook needs runner_type'):
        FlexibleRunner.from_cfg(cfg).train()
    cfg.model.backbone.arch = {}
    written = searched_config(cfg, {})
    assert written.custom_hooks == []


@pytest.mark.parametrize('kind', ['EMAHook', 'ProgressiveShrinkHook'])
def test_two_of_a_kind_are_refused(tmp_path: Path, kind: str) -> None:
    cfg = tiny.config(tmp_path, ema=dict(momentum=0.5))
    hooks = [hook for hook in cfg.custom_hooks if hook.type == kind]
    cfg.default_hooks.another = hooks[0].copy()
    with pytest.raises(TypeError, match=f'must have one {kind} at most'):
        Runner.from_cfg(cfg).train()


def test_weights_of_a_plain_backbone_stay() -> None:
    """Those of a supernet do not fit what is left of it."""
    kept = {}
    for kind in ('hrnas_mm.with_transformers', 'HRNASSupernet'):
        backbone = dict(type=kind, pretrained='1.pth')
        model = dict(type='X', backbone=backbone, pretrained='2.pth')
        written = searched_config(Config(dict(model=model)), {'backbone.a': 3})
        kept[kind] = (
            written.model.backbone.arch,
            *(
                part.get('pretrained')
                for part in (written.model, written.model.backbone)
            ),
        )
    assert [*kept.values()] == [
        (dict(a=3), '2.pth', '1.pth'), (dict(a=3), None, None),
    ]  # fmt: skip


def test_searched_config_has_no_search_in_it(tmp_path: Path) -> None:
    """Wherever the hook was; what it said of the input stays."""
    cfg = tiny.config(tmp_path)
    cfg.default_hooks.search = cfg.custom_hooks.pop()
    assert cfg.custom_hooks == []
    cfg.custom_hooks = None
    written = searched_config(cfg, {'backbone.fuse.mixconv.k3': 2})
    assert 'ProgressiveShrinkHook' not in written.pretty_text
    assert search_shape(written) == search_shape(cfg) == (32, 32)
    assert search_shape(searched_config(written, {})) == (32, 32)
    Runner.from_cfg(cfg).train()
    written = Config.fromfile(tmp_path / 'searched/config.py')
    assert written.work_dir == str(tmp_path / 'searched/retrained')
    written.work_dir = str(tmp_path)
    with pytest.raises(ValueError, match='has a run with another custom_h'):
        build_runner(written).train()


def test_the_best_network_meets_the_target(tmp_path: Path) -> None:
    """In tiny searches the accuracy only falls: the supernet's is best."""
    monitor = dict(monitor='accuracy', rule='greater')
    cfg = tiny.config(
        tmp_path, rho=None, interval=2, begin=2, end=8, target=0.3
    )
    cfg.train_cfg.val_interval = 2
    cfg.log_level = 'INFO'
    cfg.val_evaluator = dict(type='Falling')
    cfg.default_hooks.checkpoint.update(save_best='accuracy', rule='greater')
    cfg.custom_hooks.append(
        dict(type='EarlyStoppingHook', patience=2, **monitor)
    )
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 12
    (best,) = tmp_path.glob('best_*')
    saved = torch.load(best, weights_only=True)
    assert best.name == 'best_accuracy_iter_10.pth'
    target = tiny.search_of(runner).budget.amount
    assert saved['architecture']['costs']['macs'] <= target
    log = '\n'.join(p.read_text() for p in tmp_path.rglob('*.log'))
    for name in ('CheckpointHook', 'EarlyStoppingHook'):
        assert f'Search: {name} counts evaluations of networks that' in log


def test_several_optimizers_are_refused(tmp_path: Path) -> None:
    runner = Runner.from_cfg(tiny.config(tmp_path))
    optimizer = torch.optim.SGD(runner.model.parameters(), lr=0.1)
    runner.optim_wrapper = OptimWrapperDict(a=OptimWrapper(optimizer))
    with pytest.raises(TypeError, match='one optimizer, .* OptimWrapperDict'):
        check_runner(runner, ProgressiveShrinkHook(target=0.5))


class Falling(tiny.PixelAccuracy):
    """Each evaluation is worse than the one before."""

    metric = 1.0

    def compute_metrics(self, results: Any) -> dict[str, float]:
        self.metric *= 0.9
        return dict(accuracy=self.metric)


METRICS.register_module(module=Falling)


@OPTIMIZERS.register_module(force=True)
class RowWise(torch.optim.SGD):
    """Has one number per row of a parameter, as Adafactor has."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for param in group['params']:
                param.data -= group['lr'] * param.grad
                if param.dim() > 1:
                    self.state[param]['rows'] = param.detach().sum(-1)


class Projector:
    """Tensors in an object, as GaLore's."""

    def __init__(self, param: torch.Tensor) -> None:
        self.matrix = param.detach().clone()


@OPTIMIZERS.register_module(force=True)
class ByObjects(torch.optim.SGD):
    """Keeps objects, as Conda and ScalableShampoo do."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for param in group['params']:
                if not self.state[param]:
                    self.state[param]['by'] = Projector(param)
        return super().step(closure)


@pytest.mark.parametrize(
    'kind, why', [('RowWise', "'rows'"), ('ByObjects', "'by' is of type Proj")]
)
def test_optimizers_with_another_state_are_refused(
    tmp_path: Path, kind: str, why: str
) -> None:
    """In the first iteration, not at the first shrink."""

    class Count(Hook):
        iterations = 0

        def after_train_iter(self, *args: Any, **kwargs: Any) -> None:
            Count.iterations += 1

    cfg = tiny.config(tmp_path, interval=10)
    cfg.optim_wrapper.optimizer = dict(type=kind, lr=0.1)
    runner = Runner.from_cfg(cfg)
    runner.register_hook(Count())
    message = f'optim_wrapper.optimizer: {kind} cannot be shrunk: .*{why}'
    with pytest.raises(TypeError, match=message):
        runner.train()
    assert Count.iterations == 0


def test_a_run_that_cannot_be_resumed_says_so(tmp_path: Path) -> None:
    """At once, and when it should be."""
    cfg = tiny.config(tmp_path, max_iters=4)
    cfg.custom_hooks = [dict(type='ExactResumeHook')]
    cfg.log_level = 'INFO'
    cfg.optim_wrapper.optimizer = dict(type='ByObjects', lr=0.1)
    runner = Runner.from_cfg(cfg)
    runner.train()
    [log] = tmp_path.rglob('*.log')
    told = log.read_text().index('so that this run cannot be resumed')
    assert told < log.read_text().index('Saving checkpoint')
    cfg.resume = True
    cfg.experiment_name += '-resumed'
    with pytest.raises(
        RuntimeError, match='iter_4.pth .* lacks optimizer.*by'
    ):
        Runner.from_cfg(cfg).train()
