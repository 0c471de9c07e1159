"""Networks whose code is installed: their package builds the module, and the file's tensors fill it."""
