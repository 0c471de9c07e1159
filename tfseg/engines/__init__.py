"""Engines: the runtimes that can compute a model's logits, each held against the model itself."""
