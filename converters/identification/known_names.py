"""Which names the tables of all families know."""

import functools
import itertools
import operator
from collections.abc import Collection, Iterable, Mapping

from converters.families import FAMILIES, Family, FamilyNetwork
from converters.names.name_index import NameIndex
from converters.names.tables import Table
from tfseg.garbage import uncollected


def networks_of(families: Iterable[Family]) -> list[FamilyNetwork]:
    """All networks of families, in the order in which they are tried."""
    return [network for family in families for network in family.networks]


def index_of(networks: Iterable[FamilyNetwork]) -> NameIndex:
    """The index of the networks' tables, made once.

    Args:
        networks: records of networks.
    """
    known = list(networks)
    tables = [network.table for network in known] + [network.whole.table for network in known if network.whole]
    return _index(tuple(dict.fromkeys(tables)))


def known_keys(networks: Iterable[FamilyNetwork], keys: Collection[str]) -> Mapping[Table, frozenset[str]]:
    """The keys that the table of each network knows, or leaves out.

    Networks that begin in the same way share an index. A file begins as few of them do, and an index of all takes
    0.2 s.

    Args:
        networks: records of networks.
        keys: keys of a source.
    """
    first = operator.attrgetter("first")
    groups = [list(group) for _, group in itertools.groupby(sorted(networks, key=first), first)]
    return dict(itertools.chain.from_iterable(index_of(group).known(keys).items() for group in groups))


@functools.lru_cache(1000)
@uncollected()
def _index(tables: tuple[Table, ...]) -> NameIndex:
    return NameIndex(tables)


def known_names(names: Collection[str]) -> frozenset[str]:
    """The names that some network knows which begins as these do.

    Args:
        names: keys as a network has them.
    """
    networks = networks_of(FAMILIES.values())
    there = frozenset(names)
    begun = {network.table for network in networks if network.first in there}
    index = index_of(networks)
    return frozenset(name for name in there if any(table in begun for table in index.tables_of(name)))
