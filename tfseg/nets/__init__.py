"""The networks: pure Keras 3, functional models, for images of any size."""
