"""A checkpoint in, a Keras model out: the network is built or rebuilt, filled, and written."""
