"""The web application that `tfseg serve` runs: its routes, and what happens on them."""

import asyncio
import concurrent.futures
import contextlib
import html
import json
import logging
import os
import sys
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import numpy as np
from aiohttp import web, web_response

from tfseg.serving import answers, memory, monitoring, openapi, page, rest, uploads
from tfseg.serving.access import Access
from tfseg.serving.admission import Admission, Stock
from tfseg.serving.batches import Batches
from tfseg.serving.errors import Refused
from tfseg.serving.exported import ExportedModel
from tfseg.serving.headers import media_type
from tfseg.serving.json_process import JsonProcess
from tfseg.serving.limits import Limits
from tfseg.serving.monitoring import Numbers, route_of
from tfseg.serving.sample import street

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Result = TypeVar("Result")

# Answers to what is no HTTP pass no middleware, and would tell the versions of Python and aiohttp.
web_response.SERVER_SOFTWARE = "tfseg"

_LOG = logging.getLogger("tfseg.serving")
_HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_VERSION = r"{version:(/versions/\d+)?}"
_MOST_IMAGES = 1000  # of one request: each takes time, however small it is
_IMAGES_AT_ONCE = 2  # largest images that are decoded: one is computed, and the next ones wait for the model


class Server:
    """A model over HTTP, within limits.

    The event loop answers at all times: a few threads decode images and write pictures, one thread runs the model, and
    JSON is read in another process.

    Args:
        exported: model to serve.
        limits: what a request may cost.
        access: names of the server, and pages that may use it.
        sample: picture that the page offers to try, the bytes of an image file; by default a drawing of a street, if
            the model takes photographs.
    """

    def __init__(
        self,
        exported: ExportedModel,
        limits: Limits,
        access: Access = Access(),  # noqa: B008
        sample: bytes | None = None,
    ) -> None:
        self.exported, self.limits, self.access = exported, limits, access
        self.admission = Admission(limits)
        self._numbers = Numbers(self.admission)
        self._pixels = Stock(_IMAGES_AT_ONCE * limits.max_pixels)
        self._unread = Stock(limits.held_bytes)
        self._batches = Batches(exported.run, limits.batch, limits.max_pixels)
        self._pictures = concurrent.futures.ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pictures")
        self._json = JsonProcess()
        self._stopping = False
        self._heard: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self._sample = street() if sample is None and exported.channels is None else sample
        version = sys.modules["tfseg"].__version__  # loaded long ago; to import it here would be a circle
        self._document = openapi.document(exported, limits, version)
        self._pages = {
            "/": page.fill(exported, limits, sample=self._sample is not None),
            "/docs": page.write_reference(self._document),
        }

    def app(self) -> web.Application:
        """The application, for `tfseg.serving.running`."""
        app = web.Application(middlewares=[self._measure, self._answer_errors, self._guard])
        for path in self._pages:
            app.router.add_get(path, self._show_page)
        app.router.add_get("/openapi.json", self._describe)
        app.router.add_get("/sample", self._show_sample)
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/segment", self._segment)
        app.router.add_post("/preview", self._preview)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}", self._status)
        app.router.add_get(f"/v1/models/{{name:[^/:]+}}{_VERSION}/metadata", self._signatures)
        app.router.add_post(f"/v1/models/{{name:[^/:]+}}{_VERSION}:predict", self._predict)
        app.on_response_prepare.append(self._add_headers)
        app.cleanup_ctx.append(self._running)
        app.on_shutdown.append(self._stop)
        return app

    def health(self) -> dict[str, Any]:
        """What `/health` tells."""
        return {"status": "ok", "model": self.exported.name, "requests": self.admission.places}

    def note_health_check(self, remote: str, asked: tuple[str, ...], status: int, size: int, seconds: float) -> None:
        """Counts and logs a health check that no handler here has answered.

        Args:
            remote: address of the client.
            asked: method, path and version of the request.
            status: HTTP status of the answer.
            size: bytes of its body.
            seconds: what it took.
        """
        self._numbers.count("/health", status, seconds)
        monitoring.log_request(remote, asked, status, size, seconds)

    def has_heard(self, connection: asyncio.BaseTransport) -> bool:
        """Whether the head of a request has come by a connection.

        Args:
            connection: the connection.
        """
        return connection in self._heard

    def headers(self) -> dict[str, str]:
        """Headers of every answer, wherever it is made."""
        return {"Server": web_response.SERVER_SOFTWARE, **_HEADERS}

    async def _running(self, app: web.Application) -> AsyncIterator[None]:
        await self._json.start()
        giving_back = asyncio.create_task(memory.give_back(self.admission.most_held))
        yield
        giving_back.cancel()
        self._batches.stop()
        self._pictures.shutdown(wait=False, cancel_futures=True)
        await self._json.stop()

    async def _stop(self, app: web.Application) -> None:
        self._stopping = True

    async def _show_page(self, request: web.Request) -> web.Response:
        text, policy = self._pages[request.path]
        try:
            origin = str(request.url.origin())
        except ValueError as error:  # a port of five digits is one that there may not be
            raise Refused(400, f"The header Host is no address: {error}") from error
        text = text.replace(openapi.ADDRESS, html.escape(origin))  # examples run as pasted
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def _describe(self, request: web.Request) -> web.Response:
        return web.json_response(self._document)

    async def _show_sample(self, request: web.Request) -> web.Response:
        if self._sample is None:
            raise Refused(404, "There is no sample picture for this model: tfseg serve --sample=FILE gives one.")
        return web.Response(body=self._sample, content_type="application/octet-stream")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response(self.health())

    async def _ready(self, request: web.Request) -> web.Response:
        if self._stopping or self.admission.places >= self.limits.queue:
            raise Refused(503, "The server is stopping." if self._stopping else "The queue is full.")
        return web.json_response({"status": "ready"})

    async def _metrics(self, request: web.Request) -> web.Response:
        return self._numbers.response()

    async def _segment(self, request: web.Request) -> web.Response:
        output, names = request.query.get("output", "mask"), request.query.getall("class", [])
        if output not in answers.OUTPUTS:
            raise Refused(400, f"The output is one of {', '.join(answers.OUTPUTS)}. Received: {output!r}")
        if names and output not in answers.OUTPUTS_WITH_CHOICE:
            allowed = ", ".join(answers.OUTPUTS_WITH_CHOICE)
            raise Refused(400, f"Classes are chosen with the outputs {allowed}, not {output}.")
        chosen = answers.chosen_classes(names, self.exported)
        max_pixels, channels = self.limits.max_pixels, self.exported.channels
        async with self.admission.admitted(request) as content, contextlib.AsyncExitStack() as unread:
            if media_type(request.headers.get("Content-Type", "")) == "application/json":
                content = await self._json.run("read_file", content, self.limits.max_elements)
            pixels = await self._run(lambda: uploads.count_pixels(content, max_pixels, channels))
            async with self._pixels.taken(pixels):
                body, content_type = await self._answer(content, output, chosen)
                await unread.enter_async_context(self._unread.taken(min(len(body), self.limits.held_bytes)))
            return await _sent(request, web.Response(body=body, content_type=content_type))

    async def _answer(self, content: bytes, output: str, chosen: list[int]) -> answers.Answer:
        """The body and the content type of an answer to an image file."""
        exported, max_pixels = self.exported, self.limits.max_pixels
        image = await self._run(lambda: uploads.decode(content, max_pixels, exported.channels))
        outputs = await self._batches.run("classes", exported.inputs_of(image))
        return await self._run(
            lambda: answers.OUTPUTS[output](image, exported.classes_of(image, outputs), exported, chosen)
        )

    async def _preview(self, request: web.Request) -> web.Response:
        max_pixels, channels = self.limits.max_pixels, self.exported.channels
        async with self.admission.admitted(request) as content, contextlib.AsyncExitStack() as unread:
            pixels = await self._run(lambda: uploads.count_pixels(content, max_pixels, channels))
            async with self._pixels.taken(pixels):
                image = await self._run(lambda: uploads.decode(content, max_pixels, channels))
                body, content_type = await self._run(lambda: answers.preview(image))
                await unread.enter_async_context(self._unread.taken(min(len(body), self.limits.held_bytes)))
            return await _sent(request, web.Response(body=body, content_type=content_type))

    async def _predict(self, request: web.Request) -> web.Response:
        self._check_name(request)
        async with self.admission.admitted(request) as content, contextlib.AsyncExitStack() as unread:
            arguments = content, self.exported.types, self.limits.max_elements
            asked: rest.Request = await self._json.run("read_request", *arguments)
            pixels = await self._run(lambda: self._count_pixels(asked.inputs))
            async with self._pixels.taken(pixels):
                body = await self._predictions(asked)
                await unread.enter_async_context(self._unread.taken(min(len(body), self.limits.held_bytes)))
            return await _sent(request, web.Response(body=body, content_type="application/json"))

    async def _predictions(self, asked: rest.Request) -> bytes:
        """The JSON of the outputs that a request asks for."""
        parts = await self._run(lambda: self._parts(asked.inputs))
        outputs = [await self._batches.run(asked.signature, part) for part in parts]
        rest.check_size(outputs)
        body: bytes = await self._json.run("write_answer", outputs, asked.by_rows)
        return body

    def _count_pixels(self, inputs: Mapping[str, np.ndarray]) -> int:
        """Counts the pixels of a request, of its image files before they are decoded."""
        most = self.limits.max_pixels
        for value in inputs.values():
            if value.ndim and len(value) > _MOST_IMAGES:
                raise Refused(413, f"A request has at most {_MOST_IMAGES} images here. Received: {len(value)}")
            if value.ndim == 4:
                uploads.check_sides(value.shape[2], value.shape[1])
        pixels = sum(
            sum(uploads.count_pixels(content, most) for content in value.ravel())
            if value.dtype == object
            else int(np.prod(value.shape[:-1]))
            for value in inputs.values()
        )
        if pixels > most:
            raise Refused(413, f"The images of a request have at most {most} pixels together. Received: {pixels}")
        return pixels

    def _parts(self, inputs: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """The inputs; image files one by one, unless all have one size."""
        files = [name for name, value in inputs.items() if value.dtype == object]
        for name in files:
            read = [uploads.for_tensorflow(content, self.limits.max_pixels) for content in inputs[name].ravel()]
            inputs[name] = np.array(read, dtype=object).reshape(inputs[name].shape)
        if not files or len(inputs) > 1 or inputs[files[0]].ndim != 1:
            return [inputs]
        (values,) = inputs.values()
        if len({uploads.size(content) for content in values}) <= 1:
            return [inputs]
        return [{files[0]: values[index : index + 1]} for index in range(len(values))]

    async def _status(self, request: web.Request) -> web.Response:
        self._check_name(request)
        status = {"error_code": "OK", "error_message": ""}
        row = {"version": self.exported.version, "state": "AVAILABLE", "status": status}
        return web.json_response({"model_version_status": [row]})

    async def _signatures(self, request: web.Request) -> web.Response:
        self._check_name(request)
        spec = {"name": self.exported.name, "signature_name": "", "version": self.exported.version}
        metadata = {"signature_def": {"signature_def": self.exported.signature_def}}
        return web.json_response({"model_spec": spec, "metadata": metadata})

    def _check_name(self, request: web.Request) -> None:
        name, version = request.match_info["name"], request.match_info["version"].rpartition("/")[2]
        if name != self.exported.name or version not in ("", self.exported.version):
            raise Refused(
                404,
                f"The model here is {self.exported.name}, version {self.exported.version}. "
                f"Received: {name}{version and f', version {version}'}",
            )

    async def _run(self, function: Callable[[], Result]) -> Result:
        """Runs a function in one of the threads for pictures."""
        return await asyncio.wrap_future(self._pictures.submit(function))

    @web.middleware
    async def _measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        start, status = time.monotonic(), 499  # what is logged for clients that hang up
        if request.transport:
            self._heard.add(request.transport)
        try:
            response = await handler(request)
            status = response.status
            return response
        except web.HTTPException as answer:
            status = answer.status
            raise
        finally:
            self._numbers.count(route_of(request), status, time.monotonic() - start)

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers all errors in TF Serving's form, those of aiohttp, too."""
        try:
            return await handler(request)
        except Refused as error:
            headers = {"Retry-After": "5"} if error.status == 503 else None
            response = web.json_response({"error": str(error)}, status=error.status, headers=headers)
            if request.content.exception():  # else aiohttp reads what is left of a damaged body, and logs a traceback
                request.content.feed_eof()
                response.force_close()
            return response
        except web.HTTPException as error:  # an unknown path, a wrong method
            if error.status >= 400:
                error.text, error.content_type = json.dumps({"error": error.reason}), "application/json"
            raise
        except Exception:
            _LOG.exception("%s %s", request.method, request.rel_url)
            return web.json_response({"error": "The server failed; its log says where."}, status=500)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.access.check(request)
        return self.access.preflight(request) or await handler(request)

    async def _add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_HEADERS | self.access.headers(request))


async def _sent(request: web.Request, response: web.Response) -> web.Response:
    """Sends an answer. Until its client has taken it, or the time of the request is over, it holds its place."""
    try:
        await response.prepare(request)
        await response.write_eof()
    except asyncio.CancelledError:  # no other answer can follow one that is half sent
        if request.transport:
            request.transport.abort()
        raise
    return response
