"""What the server tells of itself: an OpenAPI document, the page of it, a sample, and previews of files."""

import io
import re

import numpy as np
import pytest

pytest.importorskip("tensorflow")
pytest.importorskip("aiohttp")

from helpers.served import CLASSES, call, encoded, photograph, serving
from PIL import Image

from tfseg.serving.app import Server
from tfseg.serving.limits import Limits

UNLISTED = {"/", "/docs", "/openapi.json", "/sample"}


def test_the_document_has_every_route(port, exported):
    status, headers, document = call(port, "/openapi.json")
    assert (status, headers.get_content_type(), document["openapi"]) == (200, "application/json", "3.1.0")
    assert document["info"]["title"] == "colors"
    routes = set()
    for route in Server(exported, Limits()).app().router.routes():
        if route.method != "HEAD":
            path = re.sub(r"\{name[^}]*\}|\{name\}", "colors", route.resource.canonical).replace("{version}", "")
            routes.add((path, route.method.lower()))
    listed = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(path, method) for path, method in routes if path not in UNLISTED}


def test_every_reference_in_the_document_leads_somewhere(port):
    _, _, document = call(port, "/openapi.json")
    assert set(re.findall(r"#/components/schemas/(\w+)", str(document))) == set(document["components"]["schemas"])
    parameters = {row["name"]: row for row in document["paths"]["/segment"]["post"]["parameters"]}
    assert parameters["output"]["schema"]["enum"] == ["mask", "overlay", "json", "npy"]
    assert all(name in parameters["class"]["description"] for name in CLASSES)


def test_the_page_of_the_document_runs_nothing_and_names_this_server(port):
    status, headers, body = call(port, "/docs")
    text = body.decode()
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert "script-src 'none'" in headers["Content-Security-Policy"]
    assert "<script" not in text
    assert f"http://127.0.0.1:{port}/segment?output=overlay" in text
    assert "POST /v1/models/colors:predict" in text


def test_a_preview_is_the_image_as_it_is_read(port):
    image = np.repeat(np.repeat(photograph()[::8, ::8], 8, 0), 8, 1)
    status, headers, body = call(port, "/preview", encoded(image, "TIFF"))
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    with Image.open(io.BytesIO(body)) as seen:
        assert np.abs(np.asarray(seen, int) - image).mean() < 4
    status, _, answer = call(port, "/preview", b"%PDF-1.7")
    assert status == 415
    assert "an upload is a PDF document" in answer["error"]


def test_the_sample_is_a_picture_or_the_given_one(port, exported):
    _, headers, body = call(port, "/sample")
    assert headers["Content-Type"] == "application/octet-stream"
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.size == (960, 640)
    given = encoded(photograph())
    with serving(exported, sample=given) as other:
        assert call(other, "/sample")[2] == given
