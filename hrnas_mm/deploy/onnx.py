"""Exporting a model to ONNX."""

import ast
import inspect
import os.path as osp
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from ..compat_torch import quick_matching
from ..files import replacing
from ..frameworks import DETECTION_HEADS
from ..modules.deployed import Choice
from .deployable import DeployableModel
from .ends import NO_ENDS, Ends, WithEnds
from .metadata import metadata_of

# Opsets that torch's exporter writes; older ones lack LayerNormalization and
# Resize as the network uses them.
OPSETS = range(18, 24)
INPUT = 'image'


def check_installed() -> None:
    """Raise ModuleNotFoundError unless ONNX files can be written and run."""
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f'ONNX needs {package}, which is not installed: '
                "pip install 'hrnas_mm[deploy]'"
            )


def export_onnx(
    model: nn.Module,
    input_shape: Sequence[int],
    path: str,
    dynamic_batch: bool = False,
    opset: int = OPSETS[0],
    runtime: str = 'onnxruntime',
    fuse: str = 'auto',
    round: int | str = 'auto',
    dataset_meta: Mapping[str, Any] | None = None,
    choices: Mapping[str, Choice] | None = None,
    ends: Ends = NO_ENDS,
) -> None:
    """Write a :class:`DeployableModel` as one ONNX file.

    Args:
        model: Model of any framework, with its weights.
        input_shape: (C, H, W) of an image or a pseudo-image.
        path: Path of the file.
        dynamic_batch: Whether the file takes any batch size, rather than 1
            only.
        opset: Version of the ONNX operators, one of :data:`OPSETS`.
        runtime, fuse, round, choices: See :class:`DeployableModel`.
        dataset_meta: What a checkpoint says of its data: the file has its
            classes, beside the mean and std of the images.
        ends: What stands before and after the dense part in the file.

    Raises:
        ModuleNotFoundError: If a package that this needs is not installed.
        ValueError: If the opset cannot be written, or an option is unknown.
    """
    check_installed()
    if opset not in OPSETS:
        raise ValueError(
            f'opset must be {OPSETS[0]} to {OPSETS[-1]}, got {opset}'
        )
    deployable = DeployableModel(
        model, runtime, fuse, round, input_shape, choices
    )
    # The exporter would treat a batch size of 1 as a constant.
    image = torch.zeros(2 if dynamic_batch else 1, *input_shape)
    network = WithEnds(deployable, ends).eval().cpu()
    with torch.no_grad():
        count = len(network(image))
    names = ends.last.names if ends.last else output_names(model, count)
    metadata = metadata_of(
        model, input_shape[0], dataset_meta or {}, ends.first is not None
    )
    write_onnx(
        network, image, path, names, dynamic_batch, opset,
        metadata=metadata,
    )  # fmt: skip


def write_onnx(
    module: nn.Module,
    image: Tensor | Sequence[Tensor],
    path: str,
    names: Sequence[str] | None = None,
    dynamic_batch: bool = False,
    opset: int = OPSETS[0],
    scoped: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a module as one ONNX file.

    Args:
        module: Module that takes one tensor or several, in eval mode, on the
            CPU.
        image: Example of this tensor, which is called 'image' in the file, or
            of each of several, 'image_0' and so on.
        path: Path of the file.
        names: Names of the output tensors; None for names by their number.
        dynamic_batch, opset: See :func:`export_onnx`.
        scoped: Whether names of nodes and outputs begin with those of the
            modules.
        metadata: Texts by their names that the file has beside the graph.
    """
    batch = ({0: torch.export.Dim('batch')},) if dynamic_batch else None
    images = (image,) if isinstance(image, Tensor) else tuple(image)
    inputs = [INPUT]
    if not isinstance(image, Tensor):
        inputs = [f'{INPUT}_{i}' for i in range(len(images))]
    with warnings.catch_warnings(), quick_matching():
        warnings.simplefilter('ignore')  # about the exporter's internals
        program = torch.onnx.export(
            module,
            images,
            dynamo=True,
            dynamic_shapes=batch,
            input_names=inputs,
            output_names=names,
            opset_version=opset,
            verbose=False,
        )
    assert program is not None  # never None with dynamo=True
    if scoped:
        _name_after_modules_(program.model.graph)
    _forget_sources_(program.model)
    program.model.metadata_props.update(metadata or {})
    with replacing(path) as new:
        program.save(new, external_data=False)


def onnx_bytes(
    module: nn.Module, image: Tensor, scoped: bool = False
) -> bytes:
    """Return the ONNX file of a module; see :func:`write_onnx`."""
    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        write_onnx(module.cpu(), image.cpu(), path, scoped=scoped)
        with open(path, 'rb') as file:
            return file.read()


def output_names(model: nn.Module, count: int) -> list[str]:
    """Return names for the output tensors of a model.

    Args:
        model: Model; the outputs of a detection head are named after the
            arguments of its loss.
        count: Number of output tensors.
    """
    for name in DETECTION_HEADS:
        loss = getattr(getattr(model, name, None), 'loss_by_feat', None)
        if loss is not None:
            names = list(inspect.signature(loss).parameters)
            names = [n for n in names if not n.startswith('batch_')][:count]
            if len(names) == count:
                return names
    return ['output'] if count == 1 else [f'output_{i}' for i in range(count)]


def _name_after_modules_(graph: Any) -> None:
    """Let the names of all nodes and values begin with those of the modules.

    onnxruntime names what it makes of a node after the node or its output.
    """
    for node in graph:
        scopes = node.metadata_props.get('pkg.torch.onnx.name_scopes', '[]')
        *modules, _ = ast.literal_eval(scopes) or ['']
        prefix = f'{modules[-1] if modules else ""}/'
        node.name = prefix + node.name
        for value in node.outputs:
            value.name = prefix + value.name


def _forget_sources_(graph_model: Any) -> None:
    """Remove the exporter's notes on source lines, a megabyte in all."""
    graphs = [graph_model.graph, *graph_model.functions.values()]
    for graph in graphs:
        for node in graph:
            node.metadata_props.clear()
            node.doc_string = None
            for value in node.outputs:
                value.metadata_props.clear()
        for value in getattr(graph, 'initializers', {}).values():
            value.metadata_props.clear()
    graph_model.metadata_props.clear()
