"""A model for deployment: one image in, tensors out, no batch norms."""

from copy import deepcopy

from mmcv.cnn import ConvModule, fuse_conv_bn
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .dense import dense_part


class DeployableModel(nn.Module):
    """The dense part of a model with its batch norms folded away.

    Steps that are not dense are left out: normalising the image, making a
    pseudo-image from points, and turning maps into boxes, keypoints or a
    label map. Heads that only training uses are left out, too.

    Args:
        model: Trained model of any framework; it is copied.

    Shape:
        (B, C, H, W) -> the output tensors of the heads, one after the other
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = folded(dense_part(model))
        self.model._modules.pop('auxiliary_head', None)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(tree_leaves(self.model(image)))


def folded(model: nn.Module) -> nn.Module:
    """Return a copy in eval mode without the batch norms that can be folded.

    Our blocks fold their own, and mmcv folds those of its ConvModules. A norm
    anywhere else stays, as it may not follow the convolution beside it.
    """
    model = deepcopy(model).eval().requires_grad_(False)
    for module in model.modules():
        fold_norm_ = getattr(module, 'fold_norm_', None)
        if fold_norm_ is not None:
            fold_norm_()
        elif isinstance(module, ConvModule) and (
            module.order[:2] == ('conv', 'norm')
        ):
            fuse_conv_bn(module)
    return model
