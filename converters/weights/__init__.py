"""Weights into a model and back: plan, import, export, receipt."""
