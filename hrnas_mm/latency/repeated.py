"""Deployed parts alone, repeated, as modules and as ONNX: for timing them."""

import tempfile
from collections.abc import Mapping, Sequence
from copy import deepcopy
from os import path as osp
from typing import Any

import torch
from torch import Tensor, nn

from ..deploy.deployable import deployed_
from ..deploy.onnx import INPUT, write_onnx
from ..modules.deployed import (
    ChannelLayout,
    Deployable,
    Form,
    joining_alone,
)
from ..search import apply_architecture_
from ..search.units import Part, Size

RELATIVE_CHANGE = 2.0**-12  # of the weights, from copy to copy


@torch.no_grad()
def part_alone(
    model: nn.Module,
    part: Part,
    size: Size,
    counts: Mapping[str, int],
    form: Form,
) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the deployed form of some elements of a part, alone.

    Args:
        model: The supernet, which is left as it is.
        part: Part of it.
        size: Height and width of the part's input.
        counts: Number of elements by the unit's name in the part.
        form: Form that it is deployed in.

    Returns:
        See :func:`module_alone`.
    """
    module = deepcopy(model.get_submodule(part.name))
    module.eval().requires_grad_(False)
    apply_architecture_(module, counts)
    return module_alone(module, form, size)


@torch.no_grad()
def module_alone(
    module: Any, form: Form, size: Size
) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the deployed form of a module, alone; the module may change.

    Of what has terms, return only what it adds to its shortcut, between maps
    whose channels are rounded up as in a network; else the whole module.

    Args:
        module: Module in eval mode.
        form: Form that it is deployed in.
        size: Height and width of its input, of the largest if it reads
            several maps.

    Returns:
        The module, and the shape of its input without the batch.
    """
    if not isinstance(module, Deployable) or not module.has_terms():
        convs = (m for m in module.modules() if isinstance(m, nn.Conv2d))
        channels = next(convs).in_channels
        return deployed_(module, form), (channels, *size)
    if module.joined:
        return joining_alone(module, form, size)
    source = ChannelLayout.of(module.in_channels, form.step)
    target = ChannelLayout.of(module.out_channels, form.step)
    terms = module.terms(form, source, target)
    return terms.beside_shortcut(), (source.width, *size)


class Repeated(nn.Module):
    """Several copies of a module, whose outputs are added up.

    A call has a fixed time besides that of what is in it; the difference
    between many copies and one is free of it.

    Args:
        module: Module to copy.
        copies: Number of copies.
        chained: Whether each copy reads the sum so far, as blocks of a branch
            do; the outputs must be as large as the inputs.
    """

    def __init__(self, module: nn.Module, copies: int, chained: bool) -> None:
        super().__init__()
        self.copies = nn.ModuleList(deepcopy(module) for _ in range(copies))
        self.chained = chained

    def forward(self, x: Tensor) -> Tensor:
        total = x if self.chained else None
        for copy in self.copies:
            out = copy(total if self.chained else x)
            total = out if total is None else total + out
        assert total is not None
        return total


class _Each(nn.Module):
    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleList(modules)

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        return tuple(module(x) for module, x in zip(self.each, images))


def onnx_of_each(
    modules: Sequence[nn.Module], images: Sequence[Tensor]
) -> list[Any]:
    """Return ONNX models of modules, each of which takes one image.

    Exporting them together takes a fraction of the time.
    """
    import onnx  # optional: only deployment needs it
    from onnx.utils import Extractor

    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        write_onnx(_Each(modules).eval(), images, path)
        model = onnx.load(path)
    extractor = Extractor(model)
    inputs, outputs = (
        [value.name for value in values]
        for values in (model.graph.input, model.graph.output)
    )
    assert len(inputs) == len(outputs) == len(modules)
    found = []
    for source, target in zip(inputs, outputs):
        found.append(extractor.extract_model([source], [target]))
        _rename_input_(found[-1].graph, source, INPUT)
        found[-1].graph.input[0].name = INPUT
    return found


def repeated_onnx(model: Any, copies: int, chained: bool) -> Any:
    """Return what :class:`Repeated` is, for an ONNX model.

    The image first goes through a convolution that leaves it as it is: from
    there on it has the runtime's own layout, as between the convolutions of a
    network. The weights of each copy differ a little: what several copies
    compute from equal weights and one input, OpenVINO computes only once.
    """
    import onnx
    from onnx import compose, helper

    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    for field in ('node', 'initializer', 'output', 'value_info'):
        graph.ClearField(field)
    source = _pass_through_(graph)
    total = source if chained else ''
    for i in range(copies):
        copy = compose.add_prefix(model, f'{i}/', inplace=False).graph
        (out,) = (value.name for value in copy.output)
        _rename_input_(copy, f'{i}/{INPUT}', total if chained else source)
        graph.node.extend(copy.node)
        graph.initializer.extend(
            _scaled(tensor, 1 + i * RELATIVE_CHANGE)
            for tensor in copy.initializer
        )
        if total:
            added = f'sum/{i}'
            graph.node.append(helper.make_node('Add', [total, out], [added]))
            out = added
        total = out
    graph.output.append(helper.make_empty_tensor_value_info(total))
    return result


def _pass_through_(graph: Any) -> str:
    """Add a convolution of a map that changes nothing; return its name."""
    from onnx import helper, numpy_helper

    shape = graph.input[0].type.tensor_type.shape.dim
    if len(shape) != 4:  # maps of several sizes in a row
        return INPUT
    weight = torch.eye(shape[1].dim_value)[..., None, None].numpy()
    graph.initializer.append(numpy_helper.from_array(weight, 'same/weight'))
    node = helper.make_node('Conv', [INPUT, 'same/weight'], ['same/out'])
    graph.node.append(node)
    return 'same/out'


def _scaled(tensor: Any, factor: float) -> Any:
    """Return a weight times a factor; what is no weight stays as it is."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
        return tensor
    array = numpy_helper.to_array(tensor)
    scaled = (array * factor).astype(array.dtype)
    return numpy_helper.from_array(scaled, tensor.name)


def _rename_input_(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
