"""Keras's HDF5 and .keras files."""
