"""ONNX graphs in the builder's vocabulary."""
