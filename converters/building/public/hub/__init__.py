"""Folders of a model hub: the network that config.json names, built by its own package."""
