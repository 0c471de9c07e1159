"""ONNX files: tensors and nodes, and the layers with weights in order of computation."""
