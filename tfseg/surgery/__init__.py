"""Nets made out of other nets, weights included: denser ones, sliding ones."""
