"""Serves an exported model over HTTP: TF Serving's REST API, images in and masks out, and a page to try it.

    tfseg-serve --model=street

`street` is a folder that tfseg-export wrote. The command prints its address. After Ctrl-C or SIGTERM it answers the
requests that it has begun, and stops.
"""

import logging
import socket
import sys

from absl import flags

from tfseg_cli.launch import launch

_MODEL = flags.DEFINE_string("model", None, "The folder that tfseg-export wrote.", required=True)
_NAME = flags.DEFINE_string("name", None, "Name of the model in addresses; by default the name in its metadata.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0: all addresses of this machine.")
_PORT = flags.DEFINE_integer("port", 8501, "Port to listen on; 0: any free one.", 0, 65535)
_MAX_BYTES = flags.DEFINE_integer("max_bytes", 16 * 2**20, "Largest request, in bytes.", 1)
_MAX_PIXELS = flags.DEFINE_integer(
    "max_pixels", 4_000_000, "Largest image, in pixels: its height times its width.", 1, 178_956_970
)
_TIMEOUT = flags.DEFINE_float("timeout", 300.0, "Seconds that a request may take, waiting included.", 0.001)
_QUEUE = flags.DEFINE_integer("queue", 256, "Requests at once; further ones are asked to try again later.", 1)


def main() -> None:
    """Runs `tfseg-serve`."""
    launch(_serve)


def _serve() -> int:
    try:
        from aiohttp import web
    except ModuleNotFoundError as error:
        raise ValueError('Serving needs aiohttp: pip install "tfseg[serve]"') from error
    from tfseg.serving.app import Server
    from tfseg.serving.exported import ExportedModel
    from tfseg.serving.limits import Limits

    limits = Limits(_MAX_BYTES.value, _MAX_PIXELS.value, _TIMEOUT.value, _QUEUE.value)
    exported = ExportedModel(_MODEL.value, _NAME.value)
    family = socket.AF_INET6 if ":" in _HOST.value else socket.AF_INET
    with socket.create_server((_HOST.value, _PORT.value), family=family) as listening:
        host, port = listening.getsockname()[:2]
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        print(f"{exported.name}, version {exported.version}: http://{address}", flush=True)
        web.run_app(
            Server(exported, limits).app(),
            sock=listening,
            print=None,
            backlog=max(1024, limits.queue),  # further connections are lost before they can be refused
            shutdown_timeout=limits.timeout,
            handler_cancellation=True,  # a client that hangs up does not keep others waiting
            access_log=_request_log(),
            access_log_format='%a "%r" %s %b bytes %Tf s',
        )
    return 0


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
