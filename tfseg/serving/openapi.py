"""The server's routes as an OpenAPI document, from which programs make their clients.

Reference: https://spec.openapis.org/oas/v3.1.0
"""

from typing import Any

from tfseg.serving import answers, page
from tfseg.serving.exported import ExportedModel
from tfseg.serving.limits import Limits

ADDRESS = "http://127.0.0.1:8501"
"""Where the server is in the examples, unless something better is known."""

_OUTPUTS = {
    "mask": ("image/png", "a PNG whose pixel values are the classes"),
    "overlay": ("image/jpeg", "the image under the colors of its classes, above a legend"),
    "json": ("application/json", "the share of each class"),
    "npy": ("application/octet-stream", "the classes as a NumPy file"),
}
_ERRORS = {
    "400": "The request is wrong, or the image is damaged; the message says how.",
    "413": "The image or the request is larger than the server takes.",
    "415": "The file is of no kind that is read; the message says what it is.",
    "503": "Too many requests wait. Try again after the seconds in Retry-After.",
}


def document(exported: ExportedModel, limits: Limits, version: str) -> dict[str, Any]:
    """The OpenAPI document of a server.

    Args:
        exported: model of the server.
        limits: what a request may cost.
        version: version of this package.
    """
    name = exported.name
    model = f"/v1/models/{name}"
    paths = {
        "/segment": {"post": _segment(exported, limits)},
        "/preview": {"post": _preview(limits)},
        f"{model}:predict": {"post": _predict(exported)},
        model: {"get": _operation("Whether the model is loaded, as TensorFlow Serving says it.", _json("Its state."))},
        f"{model}/metadata": {"get": _operation("The signatures of the model.", _json("Names, types and shapes."))},
        "/health": {"get": _operation("Answers as long as the server lives.", _json("The model and what waits."))},
        "/ready": {
            "get": _operation("Whether the server takes requests.", _json("It does."), errors=("503",)),
        },
        "/metrics": {
            "get": _operation("Numbers for Prometheus.", {"description": "Text.", "content": {"text/plain": {}}})
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": name, "version": version, "description": page.summary(exported)},
        "paths": paths,
        "components": {
            "schemas": {
                "Error": {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]},
            }
        },
    }


def _segment(exported: ExportedModel, limits: Limits) -> dict[str, Any]:
    names = ", ".join(exported.classes)
    outputs = ". ".join(f"{name}: {text}" for name, (_, text) in _OUTPUTS.items())
    assert _OUTPUTS.keys() == answers.OUTPUTS.keys()
    chosen = " and ".join(answers.OUTPUTS_WITH_CHOICE)
    return _operation(
        "The class of every pixel of an image.",
        {"description": "What was asked for.", "content": {kind: {} for kind, _ in _OUTPUTS.values()}},
        parameters=[
            _parameter("output", f"What comes back; by default mask. {outputs}.", {"enum": list(_OUTPUTS)}),
            _parameter(
                "class",
                f"With {chosen}: names or numbers of the classes that count; may be repeated. They are {names}.",
                {"type": "array", "items": {"type": "string"}},
            ),
        ],
        body=_image_body(limits),
        example="curl --data-binary @photo.jpg '{server}/segment?output=overlay' -o overlay.jpg",
        errors=tuple(_ERRORS),
    )


def _preview(limits: Limits) -> dict[str, Any]:
    return _operation(
        "An image as the server reads it, for browsers that do not show its format.",
        {"description": "The image.", "content": {"image/jpeg": {}}},
        body=_image_body(limits),
        example="curl --data-binary @scan.tif '{server}/preview' -o scan.jpg",
        errors=tuple(_ERRORS),
    )


def _predict(exported: ExportedModel) -> dict[str, Any]:
    signatures = ", ".join(sorted(exported.signatures))
    return _operation(
        f"The outputs of a signature, as TensorFlow Serving answers them. The signatures are {signatures}.",
        _json("The outputs: predictions by rows, or outputs by columns."),
        body={
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {
                            "signature_name": {"type": "string", "enum": sorted(exported.signatures)},
                            "instances": {"type": "array"},
                            "inputs": {},
                        },
                    }
                }
            },
        },
        example=(
            'echo \'{"instances": [{"b64": "\'$(base64 --wrap=0 photo.jpg)\'"}]}\' |\n'
            f"    curl --data @- '{{server}}/v1/models/{exported.name}:predict'"
        ),
        errors=tuple(_ERRORS),
    )


def _operation(
    summary: str,
    answer: dict[str, Any],
    *,
    parameters: list[dict[str, Any]] | None = None,
    body: dict[str, Any] | None = None,
    example: str | None = None,
    errors: tuple[str, ...] = (),
) -> dict[str, Any]:
    error = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    operation: dict[str, Any] = {"summary": summary}
    operation |= {"parameters": parameters} if parameters else {}
    operation |= {"requestBody": body} if body else {}
    operation |= {"x-example": example.replace("{server}", ADDRESS)} if example else {}
    responses = {"200": answer} | {status: {"description": _ERRORS[status], **error} for status in errors}
    return operation | {"responses": responses}


def _parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _json(description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {}}}


def _image_body(limits: Limits) -> dict[str, Any]:
    file: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    form = {"type": "object", "properties": {"image": file["schema"]}}
    encoded = {"type": "object", "properties": {"b64": {"type": "string", "contentEncoding": "base64"}}}
    most = f"{limits.max_bytes} bytes and {limits.max_pixels} pixels"
    return {
        "required": True,
        "description": f"A file of up to {most}; also in a form, or base64.",
        "content": {
            "application/octet-stream": file,
            "multipart/form-data": {"schema": form},
            "application/json": {"schema": encoded},
        },
    }
