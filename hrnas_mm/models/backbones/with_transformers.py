"""The plug-and-play Transformer inside other backbones, Table 8."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from ...modules import LightweightTransformer
from ...registry import MODELS, register_in
from ...search.trace import image_channels, run_without_values
from ..arch import searched_
from ..blocks import NORM_CFG, build_stock, norm_layer_of

NAME = 'transformer'


@register_in(MODELS)
def with_transformers(
    backbone: Mapping[str, Any],
    block: str = 'InvertedResidual',
    num_tokens: int = 8,
    token_size: int = 8,
    transformer: Mapping[str, Any] | None = None,
    norm_cfg: Mapping[str, Any] = NORM_CFG,
    arch: None | str | Mapping[str, int] = None,
    pretrained: str | None = None,
) -> nn.Module:
    """Add a LightweightTransformer to every block of a backbone.

    block(x) becomes block(x) + Transformer(x). The backbone keeps the names
    of its weights, so that pre-trained ones load, and becomes of a class
    derived from its own; the tokens are search units. Its ``frozen_stages``
    and ``norm_eval`` do not hold for the Transformers, which are new.

    Source: HR-NAS, Sec. 4.3 and Table 8.

    Args:
        backbone: Config of any backbone, for example MobileNetV2 or
            ShuffleNetV2.
        block: Class name of its blocks, which map one tensor to one tensor.
        num_tokens, token_size, transformer: See
            :class:`~hrnas_mm.models.HRNASSupernet`.
        norm_cfg: Config of the Transformers' batch norms, BN or SyncBN.
        arch: See :class:`~hrnas_mm.models.HRNASSupernet`.
        pretrained: Path of weights of the backbone, used if it has no
            ``init_cfg``.

    Raises:
        ValueError: If the backbone has no such block.
    """
    model = build_stock(backbone, pretrained)
    blocks = [m for m in model.modules() if type(m).__name__ == block]
    if not blocks:
        kinds = sorted({type(m).__name__ for m in model.modules()})
        raise ValueError(
            f'block must be the class name of blocks of '
            f'{type(model).__name__}, got {block!r}; it has {kinds}'
        )
    for module, sizes in zip(blocks, _sizes(model, blocks)):
        plugged = LightweightTransformer(
            num_tokens=num_tokens,
            token_size=token_size,
            norm_layer=norm_layer_of(norm_cfg),
            **sizes,
            **(transformer or {}),
        )
        module.add_module(NAME, plugged)
        module.register_forward_hook(_add)
    searched_(model, arch, plain_weights=True)
    _train_transformers_(model)
    return model


def _add(block: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> Tensor:
    return out + getattr(block, NAME)(args[0])


def _train_transformers_(model: nn.Module) -> None:
    """Exempt the Transformers from what a backbone freezes in ``train()``."""
    kind = type(model)

    def train(self: nn.Module, mode: bool = True) -> nn.Module:
        plugged = [
            m for m in self.modules() if isinstance(m, LightweightTransformer)
        ]
        params = [p for m in plugged for p in m.parameters()]
        trained = [p for p in params if p.requires_grad]
        kind.train(self, mode)
        for param in trained:
            param.requires_grad_(True)
        for module in plugged:
            module.train(mode)
        return self

    # A class, and not a method of the object, because copies of the model
    # need methods of their own.
    names = dict(train=train, __module__=kind.__module__)
    model.__class__ = type(kind.__name__, (kind,), names)


def _sizes(model: nn.Module, blocks: list[nn.Module]) -> list[dict[str, Any]]:
    """Find the channels and the stride of each block with a small image."""
    found: dict[nn.Module, dict[str, Any]] = {}

    def record(
        block: nn.Module, args: tuple[Tensor, ...], out: Tensor
    ) -> None:
        found[block] = dict(
            in_channels=args[0].shape[1],
            out_channels=out.shape[1],
            stride=args[0].shape[2] // out.shape[2],
        )

    handles = [block.register_forward_hook(record) for block in blocks]
    try:
        run_without_values(model, (image_channels(model) or 3, 256, 256))
    finally:
        for handle in handles:
            handle.remove()
    return [found[block] for block in blocks]
