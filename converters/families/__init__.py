"""Families of checkpoints: one record each, in a registry that a user's own families join (`register`).

A family says which tensor names are which variables (`table`), which networks it has (`FamilyNetwork`) and what else
its publisher decided (`Family`). CONTRIBUTING.md, "Add a family", has a worked example.
"""

from tfseg.garbage import uncollected

with uncollected():  # a thousand records and their tables
    from converters.families.family import COUNTER, Family, FamilyNetwork
    from converters.families.registry import FAMILIES, check_family, get_family, register
    from converters.names.tables import table

__all__ = ["COUNTER", "FAMILIES", "Family", "FamilyNetwork", "check_family", "get_family", "register", "table"]
