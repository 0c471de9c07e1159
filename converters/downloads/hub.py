"""Folders of huggingface.co on this machine: `hf://owner/name`, its weights and what stands beside them.

A folder is that of one commit, so that it never changes. Its files are checked against the hashes that the hub gives.
Where the package huggingface_hub is installed (pip install tfseg[hub]), it lists and downloads: with the user's token,
so that private repositories can be read, and into the cache that it shares with other programs.

Reference: https://huggingface.co/docs/hub/api
"""

import importlib.util
import os
import pathlib
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from converters.downloads import transfer
from converters.downloads.fetch import cache_directory, fetch_to
from converters.downloads.hub_files import Files, HubFile, sha256_of
from converters.errors import ConversionError
from converters.reading import limits
from converters.reading.hub_folder import DOCUMENTS, FILES, indexed_names, is_weights

if TYPE_CHECKING:  # a download needs no Keras, which the import of tfseg loads
    from tfseg.progress import Progress

SCHEME = "hf://"
FORM = "hf://owner/name, perhaps with @revision, or with the path of one file after it: hf://owner/name/file.pth"

_ADDRESS = re.compile(r"hf://([\w.-]+/[\w.-]+)(?:@([\w./-]+?))?(?:/([\w./ -]+))?")
_MOST = 8 << 20  # bytes of a listing


def is_hub_address(text: str) -> bool:
    """Whether a text is an address of the hub.

    Args:
        text: path, URL or name that a user gave.
    """
    return text.startswith(SCHEME)


def fetch_folder(address: str, *, timeout: float = 30, progress: "Progress | None" = None) -> pathlib.Path:
    """The local folder of a repository of the hub; or the path of the one file that the address names.

    Only weights and their documents are downloaded, once. `HF_ENDPOINT` names another hub.

    Args:
        address: text of the form `FORM`.
        timeout: seconds to wait for a silent server.
        progress: called with the bytes done and in all, for each file.
    Raises:
        ConversionError: another form; a repository that is not there, asks for a password or has no weights.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address:
        raise ConversionError(f"An address of the hub is {FORM}. Received: {address!r}")
    repository, revision, wanted = match.groups()
    if has_package():
        from converters.downloads.hub_package import open_repository

        files, get = open_repository(address, repository, revision or "main", timeout)
    else:
        files, get = _open_repository(address, repository, revision or "main", timeout, progress)
    chosen = _chosen(address, wanted, list(files))
    folder = pathlib.Path()
    for name in chosen:
        path = get(name)
        folder = path.parents[name.count("/")]
        if name.endswith(".index.json"):
            for part in indexed_names(path):
                if part not in files:
                    raise ConversionError(f"{address}: {name} names {part}, which the repository does not have.")
                get(part)
    return folder.joinpath(*wanted.split("/")) if wanted else folder


def has_package() -> bool:
    """Whether the hub's own package is installed."""
    return importlib.util.find_spec("huggingface_hub") is not None


def _open_repository(
    address: str, repository: str, revision: str, timeout: float, progress: "Progress | None"
) -> tuple[Files, Callable[[str], pathlib.Path]]:
    """The files of a repository, and the function that downloads one."""
    cache = cache_directory() / "hub" / repository.replace("/", "--")
    commit, files = _listing(address, repository, revision, cache, timeout)

    def get(name: str) -> pathlib.Path:
        place = (cache / commit).joinpath(*name.split("/"))
        url = f"{_endpoint()}/{repository}/resolve/{commit}/{urllib.parse.quote(name)}"
        return fetch_to(place, url, hash_=files[name].hash, size=files[name].size, timeout=timeout, progress=progress)

    return files, get


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def _listing(
    address: str, repository: str, revision: str, cache: pathlib.Path, timeout: float
) -> tuple[str, dict[str, HubFile]]:
    """The commit of a revision, and what the hub says of each file.

    Without a network, it is what the hub said when the repository was fetched.
    """
    record = cache / "listings" / f"{urllib.parse.quote(revision, safe='')}.json"
    url = f"{_endpoint()}/api/models/{repository}/revision/{urllib.parse.quote(revision, safe='')}?blobs=true"
    try:
        try:
            with transfer.opened(transfer.new_opener(), url, timeout) as response:
                content = b"".join(transfer.chunks(response, url, timeout, None, _MOST))
        except transfer.Failure:
            if not record.is_file():
                raise
            content = record.read_bytes()
        listing = limits.parse_json(content)
        commit, siblings = listing["sha"], listing["siblings"]
        files = {str(row["rfilename"]): _file(row) for row in siblings}
        if not re.fullmatch(r"[0-9a-f]{40}", commit) or any(".." in name.split("/") for name in files):
            raise ValueError(f"the commit {str(commit)[:60]!r}")
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_bytes(content)
    except transfer.Failure as failure:
        raise ConversionError(
            f"{address} could not be read. Expected a public repository of models. {failure}. If it is private or asks "
            "to accept terms, install the hub's package and log in (pip install tfseg[hub]; hf auth login), or "
            "download it with its owner's account (hf download) and give the folder."
        ) from failure
    except OSError as error:
        raise ConversionError(f"{record} cannot be written: {error}. Let KERAS_HOME name another directory.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"{address}: the hub's listing is not understood ({type(error).__name__}: {str(error)[:100]}). Download "
            "the repository by other means, and give the folder."
        ) from error
    return commit, files


def _file(row: Mapping[str, Any]) -> HubFile:
    lfs = row.get("lfs")
    digest = lfs.get("sha256") if isinstance(lfs, Mapping) else None
    size = row.get("size")
    return HubFile(sha256_of(digest), size if type(size) is int and size >= 0 else None)


def _chosen(address: str, wanted: str | None, names: list[str]) -> list[str]:
    """The files to download: the one that is asked for or the first of the usual ones, and the documents beside it.

    Raises:
        ConversionError: no such file, no weights, or several of other names.
    """
    top = [name for name in names if "/" not in name]
    if wanted is not None and wanted not in names:
        raise ConversionError(f"{address}: there is no {wanted}. Received: {', '.join(sorted(names)[:12])}")
    weights = [name for name in top if is_weights(name)]
    chosen = wanted or next((name for name in FILES if name in top), weights[0] if len(weights) == 1 else None)
    if chosen is None:
        listed = ", ".join(weights or names[:12]) or "no files"
        raise ConversionError(
            f"{address} has {'several files' if weights else 'no file'} of weights that can be read. Expected one of "
            f"{', '.join(FILES[:4])}. Received: {listed}. Name the file: {address}/{(weights or ['file.pth'])[0]}."
        )
    folder = chosen.rpartition("/")[0]
    beside = [f"{folder}/{name}" if folder else name for name in DOCUMENTS]
    return [*(name for name in beside if name in names), chosen]
