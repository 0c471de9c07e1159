"""The networks: pure Keras 3, functional, any image size."""
