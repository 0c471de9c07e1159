"""TensorFlow 1 checkpoints."""
