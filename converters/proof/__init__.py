"""Proof that a model computes what its source computes: layer by layer, against the public implementation."""
