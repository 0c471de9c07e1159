"""Bytes from an http address: as many as the server promised, in bounded time, or a `Failure` that says why not."""

import contextlib
import http.client
import http.cookiejar
import string
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # a download needs no Keras, which the import of tfseg loads
    from tfseg.progress import Progress

_CHUNK = 1 << 18
_SLOWEST = 1024  # bytes in `timeout` seconds; a server that sends byte by byte never reaches the socket's own timeout

_ADVICE = {
    401: "the server asks for a password",
    403: "the server refuses access",
    404: "the link is dead",
    410: "the link is dead",
    429: "the server counts too many downloads; try again later",
}


class Failure(Exception):
    """One address did not give the file: the next one may."""

    def __init__(self, url: str, problem: str, received: str) -> None:
        super().__init__(f"{url}: {problem}. Received: {received}")


def new_opener() -> urllib.request.OpenerDirector:
    """An opener that keeps cookies from one request to the next, and follows redirects to http and https only."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()), _HttpRedirects())


@contextlib.contextmanager
def opened(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> Iterator[http.client.HTTPResponse]:
    """The server's answer, once its status is 200.

    Args:
        opener: the result of `new_opener`: it holds the cookies.
        url: address of the file.
        timeout: seconds to wait for a silent server.
    Raises: Failure naming the address and what came from it.
    """
    # Spaces and letters beyond ASCII are common in pasted addresses, and urllib refuses them.
    quoted = urllib.parse.quote(url, safe=string.punctuation)
    # Some file hosts refuse urllib's own name.
    request = urllib.request.Request(quoted, headers={"User-Agent": "Mozilla/5.0 (compatible; tfseg)"})
    with _network(url):
        response = opener.open(request, timeout=timeout)
    with response:
        if response.status != 200:
            raise Failure(url, "the server does not send the file", f"HTTP {response.status} {response.reason}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise Failure(url, "the server altered the file", f"Content-Encoding: {encoding}")
        yield response


def chunks(
    response: http.client.HTTPResponse, url: str, timeout: float, progress: "Progress | None"
) -> Iterator[bytes]:
    """The answer's body in pieces, all of it or a `Failure`; `progress(bytes_done, bytes_total)` is called after each.

    Args:
        response: the server's answer, from `opened`.
        url: its address, for messages.
        timeout: seconds in which a minimum of bytes must arrive.
        progress: called with the bytes done and the bytes in all, or None where the server does not say how many.
    Raises: Failure where the server stalls or the connection is cut.
    """
    # http.client has already parsed Content-Length; `None` means that the server closes the connection at the end.
    total, done = response.length, 0
    mark, done_at_mark = time.monotonic(), 0
    if progress:
        progress(0, total)
    while True:
        with _network(url):
            chunk = response.read1(_CHUNK)  # returns what has arrived; `read` would wait for the whole chunk
        if not chunk:
            break
        done += len(chunk)
        yield chunk
        if progress:
            progress(done, total)
        if time.monotonic() - mark > timeout:
            if done - done_at_mark < _SLOWEST:
                raise Failure(url, f"the server stalls, {timeout:g} s went by", f"{done} of {total} bytes")
            mark, done_at_mark = time.monotonic(), done
    if total is not None and done != total:
        raise Failure(url, f"the connection was cut, expected {total} bytes", f"{done} bytes")


@contextlib.contextmanager
def _network(url: str) -> Iterator[None]:
    """Whatever urllib raises becomes a `Failure`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        redirects = "its redirects cannot be followed" if error.code < 400 else None
        problem = redirects or _ADVICE.get(error.code, "the server fails; try again later")
        raise Failure(url, problem, f"HTTP {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            raise Failure(url, "the server stalls", f"nothing before the timeout ({reason})") from error
        raise Failure(url, "the connection failed", f"{type(reason).__name__}: {reason}") from error


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    # urllib would also follow redirects to ftp, and its own message for a loop takes four lines.
    inf_msg = "endless redirects: "

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"redirect to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
