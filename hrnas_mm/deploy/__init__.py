"""The dense part of a model: counted, deployed, exported."""

from .counting import cost_model_of, input_shape_of, stage_names
from .dense import dense_part
from .deployable import DeployableModel
from .onnx import (
    INPUT,
    OPSETS,
    check_installed,
    check_onnx,
    export_onnx,
    onnx_bytes,
)

__all__ = [
    'INPUT',
    'OPSETS',
    'DeployableModel',
    'check_installed',
    'check_onnx',
    'cost_model_of',
    'dense_part',
    'export_onnx',
    'input_shape_of',
    'onnx_bytes',
    'stage_names',
]
