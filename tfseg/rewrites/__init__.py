"""The same function in fewer operations: exact rewrites of a network for inference, one law a file."""
