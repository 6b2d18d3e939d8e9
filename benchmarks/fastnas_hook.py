r"""nvidia-modelopt's FastNAS in a run of mmengine, to compare a search with.

    pip install --no-deps nvidia-modelopt==0.47.0 annotated-types httpx \
        huggingface_hub nvidia-ml-py omegaconf onnx_graphsurgeon \
        onnxconverter_common pulp pydantic pydantic_core typing_inspection

FastNAS prunes a trained network to a latency; what is left is fine-tuned. It
does not time what it chooses: it interpolates between the FLOPs of three
networks, the smallest, one in between and the whole, that it has timed.
"""

import json
from copy import deepcopy
from functools import partial
from typing import Any

import modelopt.torch._deploy as deploy
import modelopt.torch.nas as mtn
import modelopt.torch.prune as mtp
import numpy as np
import onnxruntime
import torch
from mmengine.hooks import EMAHook, Hook
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import Runner
from modelopt.torch.nas import algorithms, autonas
from modelopt.torch.nas.modules.conv import _DynamicConvNd
from modelopt.torch.nas.modules.norm import _DynamicBatchNorm
from modelopt.torch.nas.registry import DMRegistry
from modelopt.torch.nas.utils import get_subnet_config
from modelopt.torch.prune.pruning import PruneModeRegistry
from modelopt.torch.trace.symbols import SymMap
from timm.layers import BatchNormAct2d, Conv2dSame
from torch import Tensor, nn

from hrnas_mm.runtimes.stopwatch import settled

DEPLOYMENT = dict(runtime='ORT', accelerator='CPU')

# timm's layers have forward methods of their own. Unless FastNAS is told what
# they are, it finds no hyperparameters in the network.
for _own, _stock, _dynamic in (
    (Conv2dSame, nn.Conv2d, _DynamicConvNd),
    (BatchNormAct2d, nn.BatchNorm2d, _DynamicBatchNorm),
):
    SymMap.register(_own)(SymMap._registry[_stock])
    DMRegistry.register({_own: f'nn.{_stock.__name__}'})(_dynamic)


@HOOKS.register_module()
class FastNASHook(Hook):
    """Prune a network once, until FastNAS thinks that it meets a latency.

    Its onnxruntime client takes all cores, and times with the profiler on,
    which makes small networks a fifth slower: networks are timed as those of
    a search are, one thread, before the first iteration.

    Args:
        latency: Milliseconds of one image.
        at: Iteration before which it is pruned.
        input_shape: (C, H, W) of the image.
        divisor: Number to whose multiples channels are pruned.
        ratios: Number of widths of each layer that are tried; FastNAS tries
            20.
        images: Number of images of the train set by which widths are rated.
        batches: Number of batches that set the statistics of batch norms each
            time; FastNAS takes 50.
    """

    priority = 'LOW'  # after the average of the weights

    def __init__(
        self,
        latency: float,
        at: int,
        input_shape: tuple[int, int, int] = (3, 192, 256),
        divisor: int = 16,
        ratios: int = 10,
        images: int = 32,
        batches: int = 4,
    ) -> None:
        self.latency, self.at = latency, at
        self.images, self.batches = images, batches
        self.image = torch.randn(1, *input_shape)
        self.mode = [('fastnas', _rules(divisor, ratios))]
        self.known: dict[str, float] = {}
        deploy.get_latency = self._milliseconds

    def _milliseconds(self, model: nn.Module, *_: Any) -> float:
        """Return the milliseconds of a network, measured once."""
        key = json.dumps(get_subnet_config(model, True), sort_keys=True)
        if key not in self.known:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            file = deploy.compile(model, self.image, DEPLOYMENT).compiled_model
            session = onnxruntime.InferenceSession(file, options)
            inputs = {session.get_inputs()[0].name: self.image.numpy()}
            calls = {'': partial(session.run, None, inputs)}
            seconds = settled(calls, torch.device('cpu'), limit=10.0)
            self.known[key] = 1e3 * seconds['']
        return self.known[key]

    def before_train(self, runner: Runner) -> None:
        """Time the three networks, while nothing else runs."""
        model = mtn.convert(
            deepcopy(runner.model), self.mode, registry=PruneModeRegistry
        )
        limits = algorithms.get_constraints_func(
            model.eval(), {'latency': self.latency}, self.image, DEPLOYMENT
        )
        algorithms.profile(model, constraints=limits, use_centroid=True)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Prune, if it is time, and carry on with what is left."""
        if runner.iter != self.at:
            return
        model: Any = runner.model
        averages = [h for h in runner.hooks if isinstance(h, EMAHook)]
        for hook in averages:  # the trained network is the averaged one
            model.load_state_dict(hook.ema_model.module.state_dict())
        names = {id(p): name for name, p in model.named_parameters()}
        autonas.MODELOPT_QUEUE_MAXLEN = self.batches
        rated = self._rated(runner, model)
        _, state = mtp.prune(
            model,
            mode=self.mode,
            constraints={'latency': self.latency},
            dummy_input=self.image,
            config=dict(
                data_loader=self._batches(runner, model),
                collect_func=lambda images: images,
                max_iter_data_loader=self.batches,
                score_func=lambda model: mean_iou(model, rated),
                deployment=DEPLOYMENT,
            ),
        )
        model.train()
        _begin_anew_(runner, names)
        for hook in averages:
            hook.ema_model = MODELS.build(
                hook.ema_cfg, default_args=dict(model=hook.src_model)
            )
        runner.logger.info(f'FastNAS: {state["best"]["constraints"]}')

    def _batches(self, runner: Runner, model: Any) -> list[Tensor]:
        """Return images as they are trained on, to set batch norms."""
        dataset: Any = runner.train_dataloader.dataset
        chosen = np.random.default_rng(0).permutation(len(dataset))
        size = runner.train_dataloader.batch_size
        batches = chosen[: size * self.batches].reshape(-1, size)
        return [
            _prepared(model, [dataset[int(i)] for i in batch])[0]
            for batch in batches
        ]

    def _rated(self, runner: Runner, model: Any) -> list[Any]:
        """Return batches of images of the train set, not augmented."""
        cfg = runner.cfg.train_dataloader.dataset.copy()
        cfg.pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='Resize', scale=tuple(self.image.shape[:1:-1])),
            dict(type='PackSegInputs'),
        ]
        data = DATASETS.build(cfg)
        chosen = np.linspace(0, len(data) - 1, self.images).astype(int)
        return [
            _prepared(model, [data[int(i)] for i in part])
            for part in np.array_split(chosen, max(1, self.images // 8))
        ]


def _rules(divisor: int, ratios: int) -> dict[str, Any]:
    """Return FastNAS's own rules, with another divisor and fewer widths."""
    rules: dict[str, Any] = mtp.fastnas.FastNASConfig().model_dump()
    shares = tuple((i + 1) / ratios for i in range(ratios))
    rules['nn.Conv2d']['*'].update(
        channel_divisor=divisor, channels_ratio=shares
    )
    rules['nn.BatchNorm2d']['*'].update(
        feature_divisor=divisor, features_ratio=shares
    )
    return rules


def _prepared(model: Any, samples: list[Any]) -> tuple[Tensor, Tensor]:
    data = dict(
        inputs=[each['inputs'] for each in samples],
        data_samples=[each['data_samples'] for each in samples],
    )
    data = model.data_preprocessor(data, True)
    labels = [each.gt_sem_seg.data for each in data['data_samples']]
    return data['inputs'], torch.cat(labels)


@torch.no_grad()
def mean_iou(model: Any, batches: list[Any]) -> float:
    """Return the mIoU of a network in per cent.

    As of FastNAS, model.eval() sets the statistics of batch norms anew if
    widths have changed.
    """
    model.eval()
    counts: Any = 0
    for images, labels in batches:
        logits = nn.functional.interpolate(
            model(images), labels.shape[-2:], mode='bilinear'
        )
        n, predicted = logits.shape[1], logits.argmax(1)
        valid = labels < n
        pairs = labels[valid] * n + predicted[valid]
        counts += torch.bincount(pairs, minlength=n * n).reshape(n, n)
    right = counts.diag().double()
    union = counts.sum(0) + counts.sum(1) - right
    return 100 * float((right / union).nanmean())


def _begin_anew_(runner: Runner, names: dict[int, str]) -> None:
    """Give the optimizer the new parameters, with their learning rates."""
    now = dict(runner.model.named_parameters())
    optimizer = runner.optim_wrapper.optimizer
    for group in optimizer.param_groups:
        group['params'] = [now[names[id(p)]] for p in group['params']]
    optimizer.state.clear()
