"""Caffe: binary and HDF5 networks, and prototxts."""
