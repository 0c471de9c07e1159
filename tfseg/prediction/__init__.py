"""Prediction: one image, a folder, windows of a large image, or many images on a Ray cluster."""
