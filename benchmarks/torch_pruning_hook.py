"""Torch-Pruning in a run of mmengine, to compare a search with.

    pip install --no-deps torch-pruning==1.6.1
    C=benchmarks/camvid/lite0-torch-pruning_1xb8-1200_camvid-192x256.py
    PYTHONPATH=benchmarks python tools/train.py $C

It prunes as its documents advise: once in the middle of a run, by the norms of
groups (its quick start), or in small steps while batch norms are regularized
(its BNScalePruner). What a run of mmengine then lacks is done here: the
auxiliary heads are traced, the optimizer begins anew with what is left, with
its learning rates, and the average of the weights is pruned in step.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch_pruning
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hrnas_mm.deploy.dense import dense_part
from hrnas_mm.search.trace import trace

# Of so many equal steps of a pruner, a cut takes as many as it needs.
STEPS = 200


@HOOKS.register_module()
class TorchPruningHook(Hook):
    """Prune a network by Torch-Pruning until it meets a budget.

    Args:
        target: Share of the network's multiply-adds that stays.
        at: Iterations of the cuts. Multiply-adds fall by the same share at
            each.
        reg: Coefficient of the L1 regularization of batch norms up to the
            last cut, with a ranking of all channels by their scales; 0 for
            the norms of groups, layer by layer.
        input_shape: (C, H, W) at which multiply-adds are counted.
    """

    priority = 'LOW'  # after the average of the weights

    def __init__(
        self,
        target: float,
        at: Sequence[int],
        reg: float = 0.0,
        input_shape: Sequence[int] = (3, 192, 256),
    ) -> None:
        self.target, self.at, self.reg = target, list(at), reg
        self.input_shape = tuple(input_shape)

    def before_train(self, runner: Runner) -> None:
        """Trace the network, and regularize it in each step."""
        model: Any = runner.model
        for name, norm in model.named_modules():
            if isinstance(norm, _BatchNorm) and not isinstance(
                norm, nn.BatchNorm2d
            ):
                raise ValueError(f'{name} must be nn.BatchNorm2d to be seen')
        self.whole = self._macs(model)
        self.pruner = self._pruner(model)
        if self.reg:
            runner.optim_wrapper.optimizer.register_step_pre_hook(
                lambda *_: self._regularize(runner)
            )

    def _regularize(self, runner: Runner) -> None:
        if runner.iter < self.at[-1]:
            self.pruner.regularize(runner.model)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Cut, if it is time, and carry on with what is left."""
        if runner.iter not in self.at:
            return
        done = (self.at.index(runner.iter) + 1) / len(self.at)
        goal = self.whole * self.target**done
        model: Any = runner.model
        names = {id(p): name for name, p in model.named_parameters()}
        before = len(self.pruner.pruning_history())
        while self._macs(model) > goal:
            if self.pruner.current_step == STEPS:
                raise ValueError(f'{goal} multiply-adds cannot be reached')
            self.pruner.step()
        self.pruner.update_regularizer()
        _begin_anew_(runner, names)
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                graph = _graph(hook.ema_model.module, self.input_shape)
                history = self.pruner.pruning_history()[before:]
                graph.load_pruning_history(history)
                averaged = hook.ema_model.module.state_dict()
                hook.ema_model.avg_parameters = averaged
        runner.logger.info(
            f'Torch-Pruning: {self._macs(model) / 1e9:.4g} G multiply-adds'
        )

    def _macs(self, model: nn.Module) -> int:
        return trace(model, self.input_shape, dense_part(model)).macs['']

    def _pruner(self, model: Any) -> Any:
        kinds = torch_pruning.pruner, torch_pruning.importance
        last = [
            layer
            for head in (model.decode_head, *_auxiliary_heads(model))
            for name, layer in head.named_modules()
            if name.endswith('_seg')  # conv_seg, cls_seg, aux_cls_seg
        ]
        common = dict(
            model=model,
            example_inputs=torch.zeros(2, *self.input_shape),
            forward_fn=_all_heads,
            pruning_ratio=0.99,
            iterative_steps=STEPS,
            ignored_layers=last,
        )
        if self.reg:
            return kinds[0].BNScalePruner(
                importance=kinds[1].BNScaleImportance(),
                reg=self.reg,
                global_pruning=True,
                **common,
            )
        return kinds[0].MagnitudePruner(
            importance=kinds[1].GroupMagnitudeImportance(p=2), **common
        )


def _auxiliary_heads(model: Any) -> list[Any]:
    heads = getattr(model, 'auxiliary_head', None)
    if heads is None:
        return []
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def _all_heads(model: Any, images: Tensor) -> list[Any]:
    """Return what all heads put out while training, without new statistics."""
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    training = model.training
    model.train()
    for norm in norms:
        norm.eval()
    maps = model.extract_feat(images)
    heads = (model.decode_head, *_auxiliary_heads(model))
    outputs = [head(maps) for head in heads]
    model.train(training)
    return outputs


def _graph(model: nn.Module, shape: Sequence[int]) -> Any:
    images = torch.zeros(2, *shape)
    needed = [p.requires_grad for p in model.parameters()]
    model.requires_grad_(True)  # what needs no gradient is not traced
    graph = torch_pruning.DependencyGraph().build_dependency(
        model, example_inputs=images, forward_fn=_all_heads
    )
    for parameter, before in zip(model.parameters(), needed):
        parameter.requires_grad_(before)
    return graph


def _begin_anew_(runner: Runner, names: dict[int, str]) -> None:
    """Give the optimizer the new parameters, with their learning rates."""
    now = dict(runner.model.named_parameters())
    optimizer = runner.optim_wrapper.optimizer
    for group in optimizer.param_groups:
        group['params'] = [now[names[id(p)]] for p in group['params']]
    optimizer.state.clear()
