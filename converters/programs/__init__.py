"""What a source says that it computes: programs in one vocabulary, and their comparison with a Keras model."""
