"""What a hub says of the files in a repository."""

import re
from collections.abc import Mapping
from typing import NamedTuple

Files = Mapping[str, "HubFile"]
"""Name of a file in a repository -> what the hub says of it."""


class HubFile(NamedTuple):
    """What the hub says of a file.

    Attributes:
        hash: "sha256:..." where it gives one, else None.
        size: bytes, where it gives them, else None.
    """

    hash: str | None
    size: int | None


def sha256_of(digest: object) -> str | None:
    """The hash as messages have it; None for what is none.

    Args:
        digest: 64 digits.
    """
    return f"sha256:{digest}" if isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) else None
