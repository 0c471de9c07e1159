"""Images through a model: one, a folder, windows of a large one, or many on a Ray cluster."""
