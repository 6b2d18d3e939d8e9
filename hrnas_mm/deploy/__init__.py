"""Deploying a trained model."""

from .deployable import DeployableModel
from .onnx import OPSETS, check_installed, check_onnx, export_onnx

__all__ = [
    'OPSETS',
    'DeployableModel',
    'check_installed',
    'check_onnx',
    'export_onnx',
]
