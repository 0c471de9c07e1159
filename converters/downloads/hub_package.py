"""Repositories of huggingface.co through its own package: with the user's token, into the cache that programs share.

Reference: https://huggingface.co/docs/huggingface_hub
"""

import os
import pathlib
import secrets
from collections.abc import Callable, Mapping

import huggingface_hub

from converters.downloads.hub_files import Files, HubFile, sha256_of
from converters.downloads.published import digest
from converters.errors import ConversionError

_Get = Callable[[str], pathlib.Path]


def open_repository(address: str, repository: str, revision: str, timeout: float) -> tuple[Files, _Get]:
    """The files of a repository, and the function that downloads one and compares its hash.

    Without a network, it is what an earlier download left in the cache.

    Args:
        address: text that the user gave, for messages.
        repository: owner and name.
        revision: branch, tag or commit.
        timeout: seconds to wait for the hub.
    Raises:
        ConversionError: a repository that cannot be read; the function, a file that cannot be downloaded.
    """
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        info = huggingface_hub.HfApi(endpoint=endpoint).model_info(
            repository, revision=revision, files_metadata=True, timeout=timeout
        )
    except Exception as error:  # of the package, of httpx, of the system
        return _cached(address, repository, revision, error)
    commit = str(info.sha)
    files = {
        row.rfilename: HubFile(sha256_of(row.lfs.sha256 if row.lfs else None), row.size) for row in info.siblings or ()
    }
    if any(".." in name.split("/") or name.startswith("/") for name in files):
        raise ConversionError(f"{address}: the hub lists a file outside the repository. Do not trust this hub.")

    def get(name: str) -> pathlib.Path:
        try:
            path = huggingface_hub.hf_hub_download(
                repository, name, revision=commit, endpoint=endpoint, etag_timeout=timeout
            )
        except Exception as error:
            raise _failed(f"{address}: {name}", error) from error
        _check(address, pathlib.Path(path), files[name])
        _note(pathlib.Path(path).parents[name.count("/")], revision, commit)
        return pathlib.Path(path)

    return files, get


def _check(address: str, path: pathlib.Path, file: HubFile) -> None:
    """Compares a file with what the hub says; one of other bytes is taken out of the cache."""
    received = f"sha256:{digest(path, 'sha256')}" if file.hash else None
    if received == file.hash:
        return
    os.unlink(os.path.realpath(path))
    path.unlink(missing_ok=True)
    raise ConversionError(
        f"{address}: {path.name}: not the published bytes, expected {file.hash}. Received: {received}. Try again: "
        "it is downloaded again."
    )


def _note(snapshot: pathlib.Path, revision: str, commit: str) -> None:
    """Notes in the cache which commit a revision was, as the package does for files that it gets by the revision.

    Without a network, the cache is asked by the revision. The files themselves are asked for by commit, so that all are
    of one.
    """
    note = snapshot.parents[1].joinpath("refs", *revision.split("/"))
    if revision != commit and not (note.is_file() and note.read_text() == commit):
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_name(f"{note.name}.{secrets.token_hex(4)}.part")
        part.write_text(commit)
        part.replace(note)


def _cached(address: str, repository: str, revision: str, reason: Exception) -> tuple[Files, _Get]:
    """What the cache has of a revision."""
    try:
        folder = pathlib.Path(huggingface_hub.snapshot_download(repository, revision=revision, local_files_only=True))
    except Exception:
        raise _failed(address, reason) from reason
    places = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files: Mapping[str, HubFile] = dict.fromkeys(places, HubFile(None, None))
    return files, places.__getitem__


def _failed(subject: str, error: Exception) -> ConversionError:
    words = " ".join(str(error).split())[:300]
    return ConversionError(
        f"{subject} could not be read. Expected a repository of models that you may read. Received: "
        f"{type(error).__name__}: {words}. If it is private or asks to accept terms, log in (hf auth login) with an "
        "account that may read it, or give a folder that was downloaded."
    )
