"""The dense part of a model: counted, deployed, exported."""

from .checking import check_onnx
from .counting import cost_model_of, input_shape_of, stage_names
from .dense import dense_part
from .deployable import DeployableModel
from .ends import NO_ENDS, Ends, ends_of
from .int8 import INT8, in_float, quantized
from .onnx import (
    INPUT,
    OPSETS,
    check_installed,
    export_onnx,
    onnx_bytes,
)

__all__ = [
    'INPUT',
    'INT8',
    'NO_ENDS',
    'OPSETS',
    'DeployableModel',
    'Ends',
    'check_installed',
    'check_onnx',
    'cost_model_of',
    'dense_part',
    'ends_of',
    'export_onnx',
    'in_float',
    'input_shape_of',
    'onnx_bytes',
    'quantized',
    'stage_names',
]
