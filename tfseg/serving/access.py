"""By which names clients reach the server, and which pages of other sites may use it."""

import ipaddress
import re
from typing import NamedTuple

from aiohttp import web

from tfseg.serving.errors import Refused

ANY = "*"
LOCAL = ("localhost", "127.0.0.1", "::1")
_ASKED_BY_MACHINES = ("/health", "/ready")
_HOST = re.compile(r"(?:\[(?P<address>[^][@/]+)]|(?P<name>[^][@/?#:\s]+))(?::\d*)?")


class Access(NamedTuple):
    """Names of the server, and pages that may use it.

    A page of a stranger can make a browser send requests to this machine, also under a name that the stranger gave
    this machine's address. The first shows in the header `Origin`, the second in the header `Host`.

    Attributes:
        hosts: names and addresses of this server, without port; `*` allows all.
        origins: addresses of sites whose pages may use it, such as `https://example.org`; `*` allows all.
    """

    hosts: tuple[str, ...] = LOCAL
    origins: tuple[str, ...] = ()

    def check(self, request: web.BaseRequest) -> None:
        """Refuses a request to another name, or from the page of another site.

        Args:
            request: request whose head has come.
        Raises:
            Refused: it is one of those.
        """
        if request.path in _ASKED_BY_MACHINES:  # they reveal nothing, and ask by any address
            return
        host = _host_of(request.headers.get("Host", ""))
        if ANY not in self.hosts and host not in self.hosts:
            if not host:
                raise Refused(403, "A request says in its header Host by which name it came. Received: none")
            raise Refused(403, f"This server is not {host}: start it with --allow_host={host}")
        origin = request.headers.get("Origin")
        if origin is not None and not self._is_own(origin, request) and not self.allows(origin):
            raise Refused(403, f"Pages of {origin} may not use this server: start it with --allow_origin={origin}")

    def allows(self, origin: str) -> bool:
        """Whether pages of another site may use the server.

        Args:
            origin: the header `Origin`.
        """
        return ANY in self.origins or origin.lower() in self.origins

    def headers(self, request: web.BaseRequest) -> dict[str, str]:
        """The headers by which a browser lets a page of another site read the answer.

        Args:
            request: request that is answered.
        """
        origin = request.headers.get("Origin")
        if origin is None or not self.allows(origin):
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a browser that asks whether a page may send a request; None for other requests.

        Args:
            request: request that `check` accepts.
        """
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return None
        allowed = {"Access-Control-Allow-Methods": "GET, POST", "Access-Control-Allow-Headers": "Content-Type"}
        return web.Response(status=204, headers=allowed | {"Access-Control-Max-Age": "600"})

    def _is_own(self, origin: str, request: web.BaseRequest) -> bool:
        return origin.partition("://")[2].lower() == request.headers.get("Host", "").lower()


def _host_of(header: str) -> str:
    """The name in a header `Host`, without its port; all of a header that has another form."""
    match = _HOST.fullmatch(header.strip())
    return _plain_name(match["address"] or match["name"]) if match else header


def _plain_name(name: str) -> str:
    """One form of all that mean the same: in lower case, without a dot at the end; the short form of an address.

    Args:
        name: name or address of a server, without port.
    """
    try:
        return str(ipaddress.ip_address(name.lower()))
    except ValueError:
        return name.lower().removesuffix(".")
