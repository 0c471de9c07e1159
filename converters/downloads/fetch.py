"""Published checkpoints on this machine: downloaded once, checked every time, whole or not at all."""

import contextlib
import dataclasses
import difflib
import hashlib
import json
import os
import pathlib
import re
import secrets
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPResponse
from io import FileIO
from typing import TYPE_CHECKING

from converters.downloads import published, transfer
from converters.downloads.html_pages import LOOKED_AT, Page
from converters.errors import ConversionError
from converters.reading.strangers import is_web_page
from converters.types import Path

if TYPE_CHECKING:  # a download needs no Keras, which the import of tfseg loads
    from tfseg.progress import Progress

# Only pages of these hosts may send a download on to a further address.
GOOGLE_DRIVE_HOSTS = {"drive.google.com", "docs.google.com", "drive.usercontent.google.com"}

_ROUNDED = 2e6  # bytes by which a published size may be too small

_HASH = re.compile(r"sha256[:=][0-9a-f]{8,64}|md5[:=][0-9a-f]{32}")
# torch.hub's naming rule is "<name>-<first digits of the SHA-256>.pth"; the digits of "<name>-20240131.pth" are a date.
_HASH_IN_NAME = re.compile(r"-(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])[0-3]\d\.)([0-9a-f]{8,64})\.pth$")


def fetch(name_or_url: str, *, timeout: float = 30, progress: "Progress | None" = None) -> pathlib.Path:
    """The local path of a published checkpoint, downloaded if the cache does not hold it yet.

    The file at the path is whole, and has the published hash where one is known: from the table of published files,
    from a URL's end (`#sha256=<8 to 64 digits>` or `#md5=<32 digits>`), or from a file name as torch.hub writes them
    (`vgg16-397923af.pth`). The cache is checked as well: a damaged file is downloaded again. Any number of processes
    may fetch the same file at once.

    Args:
        name_or_url: a name of `published.PUBLISHED`, or an http or https URL.
        timeout: seconds to wait for a silent server.
        progress: called as `progress(bytes_done, bytes_total)` while bytes arrive; the total is `None` where the
            server does not tell. It starts at 0 again when a further address is tried.
    Returns: the path of the file in `cache_directory()`.
    Raises: ConversionError naming each address that was tried and what came from it.

    Example:
        >>> converters.fetch("resnet50")  # a network has several published files, and each has a name
        Traceback (most recent call last):
        ...
        converters.errors.ConversionError: 'resnet50' is no published checkpoint; expected a name of ... (near: ...
    """
    return _fetched(_wanted(str(name_or_url)), timeout, progress)


def fetch_to(
    path: pathlib.Path,
    url: str,
    *,
    hash_: str | None,
    size: int | None = None,
    timeout: float = 30,
    progress: "Progress | None" = None,
) -> pathlib.Path:
    """`fetch` for a file that has a place of its own in the cache.

    Args:
        path: where the file lies, or is put.
        url: its address.
        hash_: its hash, as "sha256:<64 digits>"; None: not known.
        size: its bytes; None: not known.
        timeout: seconds to wait for a silent server.
        progress: called as by `fetch`.
    Raises:
        ConversionError: as `fetch`.
    """
    return _fetched(_Wanted(url, (url,), hash_, path, transfer.MOST_BYTES if size is None else size), timeout, progress)


def _fetched(wanted: "_Wanted", timeout: float, progress: "Progress | None") -> pathlib.Path:
    failures = []
    if os.path.exists(wanted.path):
        expected = wanted.hash or _recorded(wanted.path)
        received = expected and _digest_like(expected, wanted.path)
        if expected and received and received.startswith(expected):
            return wanted.path
        failures.append(f"{wanted.path}: the cached copy is damaged. Received: {received or 'no record of its hash'}")
    for url in wanted.urls:
        try:
            return _download(wanted, url, timeout, progress)
        except transfer.Failure as failure:
            failures.append(str(failure))
    raise ConversionError(
        f"{wanted.name} could not be downloaded; expected a file"
        + (f" with {wanted.hash}" if wanted.hash else "")
        + ".\n"
        + "".join(f"  {failure}\n" for failure in failures)
        + "Download it by hand, for instance with a browser, and pass its path"
        + (f", or put it at {wanted.path}." if wanted.hash else ".")
    )


def cache_directory() -> pathlib.Path:
    """The directory where downloads are kept: "tfseg" in Keras's own directory, `$KERAS_HOME` or `~/.keras`."""
    return pathlib.Path(os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras") / "tfseg"


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """One file to fetch: what messages call it, its addresses, its hash if one is known, its path in the cache.

    It has at most so many bytes, a few more than its record states.
    """

    name: str
    urls: tuple[str, ...]
    hash: str | None
    path: pathlib.Path
    most: int = transfer.MOST_BYTES


def _wanted(name_or_url: str) -> _Wanted:
    row = published.find(name_or_url)
    if row is None and "://" in name_or_url:
        url, _, fragment = name_or_url.partition("#")
        row = next((row for row in published.PUBLISHED if url in row.urls), None)
        if row is None or fragment:
            return _wanted_url(url, fragment)
    if row is None:
        near = difflib.get_close_matches(name_or_url, [row.name for row in published.PUBLISHED], n=3, cutoff=0.5)
        raise ConversionError(
            f"{name_or_url!r} is no published checkpoint; expected a name of converters.downloads.published.PUBLISHED"
            + (f" (near: {', '.join(near)})" if near else "")
            + f" or an http(s) URL. Received: {name_or_url!r}. A file of your own needs no download: pass its path."
        )
    most = transfer.MOST_BYTES if row.mebibytes is None else int(row.mebibytes * (1 << 20) + _ROUNDED)
    return _Wanted(row.name, row.urls, row.hash, cache_directory() / row.filename, most)


def _wanted_url(url: str, fragment: str) -> _Wanted:
    try:
        parts = urllib.parse.urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        usable = False
    if not usable:
        raise ConversionError(
            f"{url} cannot be downloaded; expected an http:// or https:// address. Received: {url!r}. "
            "Download the file by other means and pass its path."
        )
    if fragment and not _HASH.fullmatch(fragment.lower()):
        raise ConversionError(
            f"{url}: what follows the '#' must be the file's hash; expected sha256=<8 to 64 hex digits> or "
            f"md5=<32 hex digits>. Received: {fragment!r}. Correct it, or leave it out to download unchecked."
        )
    file_name = urllib.parse.unquote(parts.path).rpartition("/")[2]
    hash_ = fragment.lower().replace("=", ":") or hash_in_name(file_name)
    # Two addresses may end in the same file name: digits of the whole address, before the suffix, distinguish them.
    stem, suffix = os.path.splitext(re.sub(r"[^\w.-]", "_", file_name, flags=re.ASCII)[-80:].lstrip("."))
    address = hashlib.sha256(url.encode()).hexdigest()[:10]
    return _Wanted(url, (url,), hash_, cache_directory() / f"{stem or 'download'}.{address}{suffix}")


def hash_in_name(file_name: str) -> str | None:
    """The hash that a file name states by torch.hub's rule: "sha256:397923af" for "vgg16-397923af.pth"; or None."""
    match = _HASH_IN_NAME.search(file_name)
    return f"sha256:{match[1]}" if match else None


def _digest_like(expected: str, path: Path) -> str:
    algorithm = expected.partition(":")[0]
    return f"{algorithm}:{published.digest(path, algorithm)}"


def _record(path: pathlib.Path) -> pathlib.Path:
    return path.with_name(path.name + ".json")


def _recorded(path: pathlib.Path) -> str | None:
    """The hash that the cache has recorded for a download without a published hash."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        hash_ = json.loads(_record(path).read_text(encoding="utf-8"))["hash"]
        if _HASH.fullmatch(hash_):
            return hash_
    return None


def _download(wanted: _Wanted, url: str, timeout: float, progress: "Progress | None") -> pathlib.Path:
    with _disk(wanted.path):
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
    # Every download has a file of its own until it is whole, so that no other process sees half of it.
    part = wanted.path.with_name(f"{wanted.path.name}.{secrets.token_hex(4)}.part")
    try:
        algorithm = (wanted.hash or "sha256:").partition(":")[0]
        received, size = _receive(part, url, transfer.new_opener(), algorithm, timeout, progress, wanted.most)
        if wanted.hash and not received.startswith(wanted.hash):
            raise transfer.Failure(url, f"not the published bytes, expected {wanted.hash}", f"{received}, {size} bytes")
        with _disk(wanted.path):
            if not wanted.hash:
                _write_record(wanted, received)
            os.replace(part, wanted.path)
    finally:
        part.unlink(missing_ok=True)
    return wanted.path


def _write_record(wanted: _Wanted, received: str) -> None:
    part = _record(wanted.path).with_suffix(f".{secrets.token_hex(4)}.part")
    try:
        part.write_text(json.dumps({"url": wanted.name, "hash": received}), encoding="utf-8")
        os.replace(part, _record(wanted.path))
    finally:
        part.unlink(missing_ok=True)


def _receive(
    part: pathlib.Path,
    url: str,
    opener: urllib.request.OpenerDirector,
    algorithm: str,
    timeout: float,
    progress: "Progress | None",
    most: int,
    confirmed: bool = False,
) -> tuple[str, int]:
    """Writes what the address gives; returns its hash and its size in bytes. It confirms "Download anyway" once."""
    hasher, size = published.new_hash(algorithm), 0
    with transfer.opened(opener, url, timeout) as response:
        with _disk(part):
            # Unbuffered: a full disk raises an error here, and not a second one when the file is closed.
            file = open(part, "wb", buffering=0)  # noqa: SIM115
        with file:
            for chunk in transfer.chunks(response, url, timeout, progress, most):
                hasher.update(chunk)
                size += len(chunk)
                with _disk(part):
                    _write_all(file, chunk)
    if size == 0:
        raise transfer.Failure(url, "an empty file", "0 bytes")
    page = _page(part, response)
    if page:
        return _receive(part, _onward(page, confirmed), opener, algorithm, timeout, progress, most, confirmed=True)
    return f"{algorithm}:{hasher.hexdigest()}", size


def _write_all(file: FileIO, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:  # an unbuffered file may take less than it is given
        rest = rest[file.write(rest) :]


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """An `OSError` inside becomes a ConversionError about room and permissions."""
    try:
        yield
    except OSError as error:
        raise ConversionError(
            f"{path} cannot be written; expected room in a directory of yours. Received: {error}. "
            "Free some space, or let KERAS_HOME name another directory."
        ) from error


def _page(part: pathlib.Path, response: HTTPResponse) -> Page | None:
    """The `Page` that came in place of the file, or `None`."""
    with open(part, "rb") as file:
        start = file.read(LOOKED_AT)
    looks = is_web_page(start)
    claims = response.headers.get_content_type() == "text/html" and b"\0" not in start
    return Page.parse(start.decode("utf-8", "replace"), response.url) if looks or claims else None


def _onward(page: Page, confirmed: bool) -> str:
    """The address that Google Drive's "Download anyway" leads to; a `transfer.Failure` for every other page."""
    received = f"an HTML page titled {page.title!r}"
    if urllib.parse.urlsplit(page.url).hostname not in GOOGLE_DRIVE_HOSTS:
        raise transfer.Failure(page.url, "a web page, not a file", received)
    if page.refusal or "quota" in page.title.lower():
        problem = "Google Drive refuses; where this is its daily quota, try again tomorrow"
        raise transfer.Failure(page.url, problem, page.refusal or received)
    onward = urllib.parse.urlsplit(page.onward or "")
    is_google_drive = onward.scheme in ("http", "https") and onward.hostname in GOOGLE_DRIVE_HOSTS
    if confirmed or not page.onward or not is_google_drive:
        raise transfer.Failure(page.url, "a Google Drive page, not a file (a link must read .../uc?id=ID)", received)
    return page.onward
