"""Whole Keras models of any network: rebuilt layer by layer, flat, channels last and without their optimizer."""
