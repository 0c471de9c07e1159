"""Which of several complete subtrees is taken."""

import re

# The one whose key has the earlier of these parts: averages before the last step, teacher before student, query before
# key, the model before what is beside it.
_ORDER = (
    r"(\w+_)?(ema|swa|averaged|avg)(_\w+)?",
    r"(\w+_)?teacher(_\w+)?",
    r"(\w+_)?(encoder_q|query_encoder|encoder_query|base_encoder|online_encoder|online_network|online)",
    r"model|net|network",
    r"(\w+_)?student(_\w+)?",
    r".*",
    r"attacker",
    r"(\w+_)?(encoder_k|key_encoder|encoder_key|momentum\w*|base_momentum|target(_\w+)?)",
)
_USUAL = _ORDER.index(r".*")


def preference(prefix: str) -> tuple[int, int]:
    """Numbers to sort subtrees by: the wanted ones first, then those with few levels around them.

    Args:
        prefix: text before the subtree's keys.
    """
    parts = [part for part in prefix.split(".") if part]
    ranks = [next(rank for rank, pattern in enumerate(_ORDER) if re.fullmatch(pattern, part, re.S)) for part in parts]
    special = [rank for rank in ranks if rank != _USUAL]
    if not special:
        return _USUAL if prefix else _USUAL - 2, prefix.count(".")
    return max(special) if max(special) > _USUAL else min(special), prefix.count(".")
