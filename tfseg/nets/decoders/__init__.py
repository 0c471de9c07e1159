"""Decoders on the maps of any classifier: each is a loop over the maps of its strides."""
