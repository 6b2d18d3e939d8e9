"""8-bit integers: ONNX files that compute in them."""

import os.path as osp
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor

from .onnx import INPUT

INT8 = 'int8'
QUANTIZED_FOR = 'quantized_for'  # metadata: the runtime
# What both runtimes compute in 8 bits. The matrix products of Transformers
# and of a classifier's last layer stay in float.
IN_INTEGERS = (
    'Conv',
    'Relu',
    'Clip',
    'Resize',
    'MaxPool',
    'AveragePool',
    'GlobalAveragePool',
)
# By runtime. Additions in 8 bits make a searched supernet 13 % slower in
# OpenVINO, which adds up in the convolution before. On some networks, such as
# DDRNet, OpenVINO 2026.4 crashes where maps are joined in 8 bits.
OPERATORS = dict(
    onnxruntime=(*IN_INTEGERS, 'Add', 'Concat'), openvino=IN_INTEGERS
)
# What the log says of operators that stay in float.
COMPUTING = (
    'Conv',
    'ConvTranspose',
    'Gemm',
    'MatMul',
    'LayerNormalization',
    'Softmax',
    'Resize',
)
NOT_NEGATIVE = ('Relu', 'Clip')
# A convolution of so few channels, as of an image, takes two to three times as
# long in 8 bits (3x3 of 3: 197 against 65 us on an AMD EPYC with VNNI).
FEW_CHANNELS = 4


def quantized(
    content: bytes,
    images: Sequence[Tensor] | None = None,
    runtime: str = 'onnxruntime',
) -> bytes:
    """Return an ONNX file that computes in 8-bit integers where it pays.

    The static quantisation of onnxruntime in its QDQ form: weights in int8
    with a scale for each output channel, maps in uint8 with a range that is
    the smallest and largest value in some images. Convolutions of an image
    stay in float, and so does what is not in :data:`OPERATORS`. OpenVINO
    reads this form, too, and is about as fast with it as with NNCF's.

    Args:
        content: Content of a file in float32, with one input.
        images: What to calibrate with, each of shape (B, C, H, W) as the file
            reads it; None assumes some ranges: the file then takes the same
            time and computes nonsense.
        runtime: 'onnxruntime' or 'openvino', which will run the file.

    Raises:
        ValueError: If there are no images, or no such runtime.
    """
    import onnx  # optional: only deployment needs it
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    if runtime not in OPERATORS:
        raise ValueError(
            f'runtime must be one of {", ".join(OPERATORS)}, got {runtime!r}'
        )
    model = onnx.shape_inference.infer_shapes(
        onnx.load_from_string(content), data_prop=True
    )
    _name_nodes_(model.graph)
    operators = list(OPERATORS[runtime])
    ranges = (
        _assumed(model) if images is None else _seen(model, images, operators)
    )
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[],
        nodes_to_exclude=list(_kept_in_float(model.graph)),
        op_types_to_quantize=operators,
        extra_options={},
    )
    quantizer.quantize_model()
    for key, value in {'dtype': INT8, QUANTIZED_FOR: runtime}.items():
        quantizer.model.model.metadata_props.add(key=key, value=value)
    found: bytes = quantizer.model.model.SerializeToString()
    return found


def in_float(content: bytes) -> Counter[str]:
    """Return how many of the larger operators compute in float, by type.

    Args:
        content: What :func:`quantized` returned.
    """
    import onnx

    graph = onnx.load_from_string(content).graph
    integers = {
        out
        for node in graph.node
        if node.op_type == 'DequantizeLinear'
        for out in node.output
    }
    return Counter(
        node.op_type
        for node in graph.node
        if node.op_type in COMPUTING
        and (
            node.op_type not in IN_INTEGERS
            or not integers.intersection(node.input)
        )
    )


def _name_nodes_(graph: Any) -> None:
    """Give names to nodes without one; the quantiser tells them apart."""
    for i, node in enumerate(graph.node):
        node.name = node.name or f'node_{i}'


def _kept_in_float(graph: Any) -> Iterator[str]:
    """Yield the names of convolutions that are slower in 8 bits."""
    shapes = {each.name: each.dims for each in graph.initializer}
    for node in graph.node:
        if node.op_type == 'Conv':
            groups = [a.i for a in node.attribute if a.name == 'group'] or [1]
            dims = shapes.get(node.input[1])  # None: computed in the graph
            if dims is None or dims[1] * groups[0] <= FEW_CHANNELS:
                yield node.name


def _assumed(model: Any) -> Any:
    """Return ranges of all maps, from -1 or 0 to 1."""
    import numpy as np
    from onnxruntime.quantization.calibrate import (
        CalibrationMethod,
        TensorData,
        TensorsData,
    )

    lowest = {each.name: -1.0 for each in model.graph.input}
    for node in model.graph.node:
        low = 0.0 if node.op_type in NOT_NEGATIVE else -1.0
        lowest |= dict.fromkeys(node.output, low)
    return TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(low), highest=np.float32(1))
            for name, low in lowest.items()
        },
    )


def _seen(
    model: Any, images: Sequence[Tensor], operators: Sequence[str]
) -> Any:
    """Return the ranges in some images of what operators read and return."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization.calibrate import create_calibrator

    if not images:
        raise ValueError('images must be some to calibrate with, got none')

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """Images, one after the other, as onnxruntime wants them."""

        def __init__(self) -> None:
            self.left = iter(images)

        def get_next(self) -> dict[str, Any] | None:
            """Return the next batch."""
            image = next(self.left, None)
            return None if image is None else {INPUT: image.numpy()}

    with tempfile.TemporaryDirectory() as folder:
        path = osp.join(folder, 'model.onnx')
        onnx.save(model, path)
        calibrator = create_calibrator(
            path, operators, osp.join(folder, 'augmented.onnx')
        )
        calibrator.collect_data(Reader())
        return calibrator.compute_data()
