"""What only export_onnx.py needs."""
