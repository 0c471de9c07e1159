"""Bytes from an http address: as many as the server promised, in bounded time, or a `Failure` that says why not."""

import contextlib
import http.client
import http.cookiejar
import io
import socket
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

MOST_BYTES = 16 << 30
"""Bytes of a download whose size no record knows."""

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
    cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
    return urllib.request.build_opener(cookies, _HttpRedirects(), _HttpHandler(), _HttpsHandler())


@contextlib.contextmanager
def opened(opener: urllib.request.OpenerDirector, url: str, timeout: float) -> Iterator[http.client.HTTPResponse]:
    """The server's answer, once its status is 200.

    Args:
        opener: the result of `new_opener`: it holds the cookies.
        url: address of the file.
        timeout: seconds to wait for a silent server, and for the whole head of each answer.
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
    response: http.client.HTTPResponse,
    url: str,
    timeout: float,
    progress: "Progress | None",
    most: int = MOST_BYTES,
) -> Iterator[bytes]:
    """The answer's body in pieces, all of it or a `Failure`; `progress(bytes_done, bytes_total)` is called after each.

    Args:
        response: the server's answer, from `opened`.
        url: its address, for messages.
        timeout: seconds in which a minimum of bytes must arrive.
        progress: called with the bytes done and the bytes in all, or None where the server does not say how many.
        most: bytes that are taken.
    Raises: Failure where the server stalls or sends more than that, or the connection is cut.
    """
    # http.client has already parsed Content-Length; `None` means that the server closes the connection at the end.
    total, done = response.length, 0
    if total is not None and total > most:
        raise Failure(url, f"the file is too large, expected at most {most} bytes", f"{total} bytes")
    mark, done_at_mark = time.monotonic(), 0
    if progress:
        progress(0, total)
    while True:
        with _network(url), _deadline(response, timeout):
            chunk = response.read1(_CHUNK)  # returns what has arrived; `read` would wait for the whole chunk
        if not chunk:
            break
        done += len(chunk)
        if done > most:
            raise Failure(url, f"the file is too large, expected at most {most} bytes", f"more than {done} bytes")
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


@contextlib.contextmanager
def _deadline(response: http.client.HTTPResponse, timeout: float) -> Iterator[None]:
    """Inside, all that is read together must come in time: bytes, and what stands between the chunks."""
    stream = getattr(response, "bounded", None)
    if isinstance(stream, _Bounded):
        stream.deadline = time.monotonic() + timeout
    yield


class _Bounded(io.RawIOBase):
    """What comes from a socket until a deadline. The socket's own timeout begins again with every byte.

    Args:
        raw: stream of the socket.
        sock: the socket.
        timeout: seconds until the first deadline.
    """

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, timeout: float) -> None:
        self._raw, self._sock, self._timeout = raw, sock, timeout
        self.deadline = time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"timed out after {self._timeout:g} s")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        raw = self.fp.detach()
        self.bounded = _Bounded(raw, sock, sock.gettimeout() or 30)
        self.fp = io.BufferedReader(self.bounded)


class _Connection(http.client.HTTPConnection):
    response_class = _Response


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Connection, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureConnection, req)


class _HttpRedirects(urllib.request.HTTPRedirectHandler):
    # urllib would also follow redirects to ftp, and its own message for a loop takes four lines.
    inf_msg = "endless redirects: "

    def http_error_302(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any
    ) -> IO[bytes] | None:
        fp.close()  # urllib would read the body of a redirect to its end
        return super().http_error_302(req, io.BytesIO(), code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if urllib.parse.urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.HTTPError(req.full_url, code, f"redirect to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
