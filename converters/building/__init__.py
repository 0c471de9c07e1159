"""Any network as a native Keras model: its program is read, and built step by step."""
