"""Serves an exported model over HTTP: TF Serving's REST API, images in and masks out, and a page to try it.

    tfseg serve street

`street` is a folder that `tfseg export` wrote. The command prints its address. After Ctrl-C or SIGTERM it answers the
requests that it has begun, and stops.
"""

import errno
import logging
import os
import re
import socket
import sys

from tfseg_cli import flag_types, path_flags
from tfseg_cli.launch import UsageError, invalid, launch
from tfseg_cli.quiet import load_library


def _model_name(value: str) -> str:
    if not re.fullmatch(r"[^\s/:?#%]+", value):
        raise ValueError
    return value


_MODEL = path_flags.exported_folder("model", "The folder that `tfseg export` wrote.")
_NAME = flag_types.define(
    "name",
    None,
    "Name of the model in addresses; by default the name in its metadata.",
    flag_types.Parser(_model_name, "a name for an address, without spaces and / : ? # %"),
)
_HOST = flag_types.text("host", "127.0.0.1", "Address to listen on; 0.0.0.0: all addresses of this machine.")
_PORT = flag_types.integer("port", 8501, "Port to listen on; 0: any free one.", least=0, most=65535)
_MAX_BYTES = flag_types.integer("max_bytes", 16 * 2**20, "Largest request, in bytes.", least=1)
_MAX_PIXELS = flag_types.integer(
    "max_pixels", 4_000_000, "Largest image, in pixels: its height times its width.", least=1, most=178_956_970
)
_TIMEOUT = flag_types.number(
    "timeout", 300.0, "Seconds that a request may take, waiting included.", least=0.001, most=1e6
)
_QUEUE = flag_types.integer(
    "queue", 256, "Requests at once; further ones are asked to try again later.", least=1, most=65535
)


def main() -> None:
    """Runs `tfseg serve`."""
    launch(_serve, required=("model",), positional="model")


def _serve() -> int:
    with _reserved_port() as listening:
        try:
            from aiohttp import web
        except ModuleNotFoundError as error:
            raise ValueError('Serving needs aiohttp: pip install "tfseg[serve]"') from error
        load_library()
        from tfseg.serving.app import Server
        from tfseg.serving.exported import ExportedModel
        from tfseg.serving.limits import Limits

        limits = Limits(_MAX_BYTES.value, _MAX_PIXELS.value, _TIMEOUT.value, _QUEUE.value)
        exported = ExportedModel(_MODEL.value, _NAME.value)
        backlog = max(1024, limits.queue)  # further connections are lost before they can be refused
        listening.listen(backlog)
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"{exported.name}, version {exported.version}: http://{address}", flush=True)
        web.run_app(
            Server(exported, limits).app(),
            sock=listening,
            print=None,
            backlog=backlog,
            shutdown_timeout=limits.timeout,
            handler_cancellation=True,  # a client that hangs up does not keep others waiting
            access_log=_request_log(),
            access_log_format='%a "%r" %s %b bytes %Tf s',
        )
    return 0


def _reserved_port() -> socket.socket:
    """A socket with the address of --host and --port. It refuses connections until it listens.

    Raises:
        UsageError: the address is not one of this machine, or the port is not free.
    """
    family = socket.AF_INET6 if ":" in _HOST.value else socket.AF_INET
    try:
        reserved = socket.socket(family)
        try:
            if os.name == "posix":
                reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                reserved.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            reserved.bind((_HOST.value, _PORT.value))
        except BaseException:
            reserved.close()
            raise
    except (OSError, ValueError) as error:  # UnicodeError for what is no name of a host
        raise _refusal(error) from None
    return reserved


def _refusal(error: Exception) -> UsageError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return invalid(_PORT, "the port is in use. Choose another one, or 0 for any free one")
    if isinstance(error, PermissionError):
        return invalid(_PORT, "listening on this port is not allowed. Choose one from 1024 on")
    reason = (error.strerror if isinstance(error, OSError) else None) or "it is no name of a host"
    return invalid(_HOST, f"expected an address of this machine, such as 127.0.0.1 or 0.0.0.0 ({reason})")


def _request_log() -> logging.Logger:
    """A logger that writes one line per request to stderr."""
    log = logging.getLogger("tfseg.serving.requests")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log


if __name__ == "__main__":
    main()
