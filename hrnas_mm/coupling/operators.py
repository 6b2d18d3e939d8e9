"""Follow operators; those in no set here keep all channels they read."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from .marks import Marks, tensors_in

# They move values, and run on the numbers of channels as well.
MOVES = {
    'view', '_unsafe_view', 'reshape', '_reshape_alias', 'view_as', 'permute',
    'transpose', 't', 'expand', 'slice', 'select', 'split', 'narrow',
    'split_with_sizes', 'unbind', 'cat', 'stack', 'clone', 'alias', 'detach',
    'unsqueeze', 'squeeze', 'repeat', 'flip', 'pixel_shuffle',
    'pixel_unshuffle', 'channel_shuffle', 'native_channel_shuffle',
    '_to_copy', 'lift_fresh', 'contiguous',
}  # fmt: skip
# Arguments of theirs that say nothing about places.
OF_VALUES = {'dtype', 'device', 'layout', 'memory_format', 'pin_memory'}

# They work on the pixels of each channel by itself, in so many dimensions.
SPATIAL = {
    'max_pool2d_with_indices': 2, 'avg_pool2d': 2, '_adaptive_avg_pool2d': 2,
    'adaptive_max_pool2d': 2, 'reflection_pad2d': 2, 'replication_pad2d': 2,
    'constant_pad_nd': 2, 'upsample_nearest2d': 2, 'upsample_bilinear2d': 2,
    'upsample_bicubic2d': 2, '_upsample_nearest_exact2d': 2,
    '_upsample_bilinear2d_aa': 2, '_upsample_bicubic2d_aa': 2,
    'max_pool3d_with_indices': 3, 'avg_pool3d': 3, '_adaptive_avg_pool3d': 3,
    'upsample_nearest3d': 3, 'upsample_trilinear3d': 3,
}  # fmt: skip
# They compute over the dimensions that their second argument names.
ALONG = {'mean', 'sum', 'amax', 'amin', '_softmax', '_log_softmax'}

# They compute each value from those in its place, of maps that are broadcast.
POINTWISE = {
    'relu', 'relu6', 'silu', 'hardswish', 'leaky_relu', 'elu', 'gelu', 'tanh',
    'mish', 'hardtanh', 'clamp', 'clamp_min', 'clamp_max', 'neg', 'abs',
    'sqrt', 'square', 'erf', 'pow', 'native_dropout', 'dropout', 'prelu',
    '_prelu_kernel', 'mul', 'div', 'add', 'sub', 'rsub', 'maximum', 'minimum',
    'copy', 'sigmoid', 'hardsigmoid', 'exp', 'softplus', 'rsqrt', 'where',
    'reciprocal', 'log', 'fill', 'zero', 'masked_fill', 'sin', 'cos', 'sign',
}  # fmt: skip


class Call(NamedTuple):
    """A call of an operator.

    Attributes:
        name: Name of the operator, without a trailing underscore.
        operator: The operator.
        args, kwargs: What it was given.
        outs: Tensors that it returned.
    """

    name: str
    operator: Callable[..., Any]
    args: Any
    kwargs: Any
    outs: Sequence[Tensor]

    @property
    def ins(self) -> list[Tensor]:
        """Return the tensors that it was given."""
        return tensors_in((self.args, self.kwargs))

    def is_zero_where(self, *zeros: Tensor) -> bool:
        """Return whether it makes zero where some operands are zero.

        It is tried, with an arbitrary value in the other operands.
        """

        def value(tensor: Tensor) -> Tensor:
            number = 0.0 if any(tensor is t for t in zeros) else 0.37
            return torch.full((1,) * tensor.dim(), number, dtype=tensor.dtype)

        given = tree_map_only(Tensor, value, (self.args, self.kwargs))
        out = self.operator(*given[0], **given[1])
        return not tree_leaves(out)[0].any()


def follow(marks: Marks, call: Call) -> bool:
    """Mark what an operator returns, if it is known what it does.

    Returns:
        Whether it is known.
    """
    if call.name in MOVES:
        _move(marks, call)
    elif call.name in POINTWISE:
        _compute(marks, call)
    elif call.name in SPATIAL:
        dims = list(range(-SPATIAL[call.name], 0))
        if call.outs[0].shape[:2] != call.args[0].shape[:2]:
            return False  # it pads channels
        fills = call.name == 'constant_pad_nd' and any(call.args[2:])
        return _along(marks, call, dims, fills)
    elif call.name in ALONG and len(call.args) > 1:
        given = call.args[1]
        dims = [given] if isinstance(given, int) else list(given or ())
        return _along(marks, call, dims, 'softmax' in call.name)
    else:
        return False
    return True


def _along(marks: Marks, call: Call, dims: Sequence[int], live: bool) -> bool:
    """Mark what works along dimensions, if no channels lie along them."""
    numbers = marks.numbers_of(call.args[0])
    if not dims or any(numbers.shape[d] > 1 for d in dims):
        return False
    sources = marks.sources_of(call.args[:1])
    if call.outs[0].dim() < numbers.dim():
        numbers = numbers.amax(list(dims))
    for out in call.outs:
        marks.set(out, numbers, marks.live(sources) if live else sources)
    return True


def _move(marks: Marks, call: Call) -> None:
    """Mark what is moved, by moving the numbers in the same way."""
    flat = [marks.numbers_of(t).flatten() for t in call.ins]
    read = _in_order(torch.cat(flat))
    places = tree_map_only(
        Tensor,
        lambda t: marks.numbers_of(t).expand(t.shape).contiguous(),
        call.args,
    )
    where = {k: v for k, v in call.kwargs.items() if k not in OF_VALUES}
    moved = tensors_in(call.operator(*places, **where))
    for out, numbers in zip(call.outs, moved):
        # Places in the code do not change with what is removed before them.
        if _in_order(numbers) != read:
            marks.numbers.keep(torch.tensor(read), 'its channels are divided')
        marks.set(out, numbers, marks.sources_of(call.ins))


def _compute(marks: Marks, call: Call) -> None:
    """Mark what is computed value by value."""
    ins, out = call.ins, call.outs[0]
    ones = [[1] * (out.dim() - t.dim()) for t in ins]
    own = [
        marks.numbers_of(t).view(*one, *marks.numbers_of(t).shape)
        for t, one in zip(ins, ones)
    ]
    shapes = [[*one, *t.shape] for t, one in zip(ins, ones)]
    numbers = marks.numbers.meet(list(zip(shapes, own)))
    # What is one map for all channels switches none of them off.
    marked = [
        t
        for t, its in zip(ins, own)
        if marks.get(t) is not None and its.shape == numbers.shape
    ]
    for tensor in marked:
        sources = marks.sources_of([tensor])
        if all(s.switches for s in sources) and call.is_zero_where(tensor):
            break
    else:
        sources = marks.sources_of(marked)
        if not call.is_zero_where(*marked):
            sources = marks.live(sources)
    marks.set(out, numbers, sources)


def _in_order(numbers: Tensor) -> list[int]:
    """Return the numbers of channels in the order in which they occur."""
    return list(dict.fromkeys(numbers.flatten().tolist()))
