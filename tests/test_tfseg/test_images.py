"""Image files: which ones are found, and what `tfseg.read_image` makes of them."""

import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from helpers.paths import STREET
from PIL import Image

import tfseg
from tfseg.image_search import find_images, search
from tfseg.images import IMAGE_SUFFIXES, image_size


def random_image(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def photos(tmp_path):
    """A directory with two files that have the suffix of an image."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.jpg", "b.v2.png"):
        (folder / name).write_bytes(b"")
    return folder


# ---------------------------------------------------------------------------------------------------------- find_images


def test_a_directory_gives_its_images(photos):
    for name in ("notes.txt", ".hidden.jpg", "B.JPEG", "folder.png/c.heic", ".thumbnails/d.jpg"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"")
    assert [path.name for path in find_images(photos)] == ["B.JPEG", "a.jpg", "b.v2.png", "c.heic"]


def test_what_is_left_out_of_a_directory_is_named(photos):
    for name in ("notes.txt", ".hidden.jpg", "deep/d.psd", "deep/IMG_0001", ".thumbnails/d.jpg", "maps/a.png"):
        (photos / name).parent.mkdir(exist_ok=True)
        (photos / name).write_bytes(b"")
    os.symlink(photos, photos / "deep" / "back")
    (photos / "maps" / "record.1").write_bytes(b"")
    results = search([photos, photos / "notes.txt"], marker="record")
    assert {os.path.basename(path): folder for path, folder in results.folders.items()} == {
        "a.jpg": ".",
        "b.v2.png": ".",
        "notes.txt": ".",
    }
    left_out = [".hidden.jpg", ".thumbnails", "deep/IMG_0001", "deep/back", "deep/d.psd", "maps"]
    assert [str(path.relative_to(photos)) for path in results.left_out] == left_out
    assert photos / "maps" not in search(photos, without=[photos / "maps"]).left_out


@pytest.mark.parametrize(
    ("place", "folders"),
    [
        ("{}", {"a.jpg": ".", "b.v2.png": ".", "c.jpg": "deep/deeper"}),
        ("{}/*.jpg", {"a.jpg": "."}),
        ("{}/**/*.jpg", {"a.jpg": ".", "c.jpg": "deep/deeper"}),
        ("{}/deep/*/c.*", {"c.jpg": "deeper"}),
        ("{}/deep/deeper/c.jpg", {"c.jpg": "."}),
    ],
)
def test_folders_are_those_below_the_fixed_part_of_a_place(photos, place, folders):
    (photos / "deep" / "deeper").mkdir(parents=True)
    (photos / "deep" / "deeper" / "c.jpg").write_bytes(b"")
    images = search(place.format(photos)).folders
    assert {os.path.basename(path): folder for path, folder in images.items()} == folders


def test_results_are_not_images_of_a_pattern(photos):
    (photos / "maps").mkdir()
    (photos / "maps" / "a.png").write_bytes(b"")
    places = search(f"{photos}/**/*.*", without=[photos / "maps"])
    assert [os.path.basename(path) for path in places.folders] == ["a.jpg", "b.v2.png"]
    assert list(search(f"{photos}/maps/*", without=[photos / "maps"]).folders) == [str(photos / "maps" / "a.png")]


def test_a_pattern_gives_each_match_once(photos):
    (photos / "deep" / "deeper").mkdir(parents=True)
    (photos / "deep" / "deeper" / "c.jpg").write_bytes(b"")
    assert find_images(f"{photos}/*.png") == [photos / "b.v2.png"]
    assert find_images(f"{photos}/**/**/*.jpg") == [photos / "a.jpg", photos / "deep" / "deeper" / "c.jpg"]


def test_an_existing_name_with_brackets_is_no_pattern(photos):
    (photos / "a.jpg").rename(photos / "a[1].jpg")
    assert find_images(photos / "a[1].jpg") == [photos / "a[1].jpg"]


def test_several_places_give_each_image_once(photos):
    assert find_images([photos / "b.v2.png", photos, f"{photos}/*.jpg"]) == [photos / "a.jpg", photos / "b.v2.png"]
    with pytest.raises(ValueError, match=r"No images: '.*nowhere' is neither"):
        find_images([photos, photos / "nowhere"])
    with pytest.raises(ValueError, match="Received: an empty list"):
        find_images([])


def test_tilde_is_the_home_directory(photos, monkeypatch):
    monkeypatch.setenv("HOME", str(photos.parent))
    assert find_images("~/photos") == find_images(photos)
    assert find_images("~/photos/*.png") == [photos / "b.v2.png"]


@pytest.mark.parametrize("where", ["nowhere", "*.gif", "."])
def test_no_images_is_an_error(tmp_path, where):
    with pytest.raises(ValueError, match=r"No images: '.*' is neither a directory with images .* nor a pattern"):
        find_images(tmp_path / where)


# ----------------------------------------------------------------------------------------------------------- read_image

# What each EXIF orientation asks the viewer to do with the stored pixels.
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_turns_the_image(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(random_image(16, 24, 3)).save(tmp_path / "image.jpg", exif=exif)
    with Image.open(tmp_path / "image.jpg") as image:
        stored = np.asarray(image)
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "image.jpg"), TURNS[orientation](stored))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "1", "CMYK"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.fromarray(random_image(12, 17, 3)).convert(mode)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    np.testing.assert_array_equal(tfseg.read_image(path), np.asarray(image.convert("RGB")))


def test_an_open_file_is_read_like_its_path(tmp_path):
    Image.fromarray(random_image(5, 7, 3)).save(tmp_path / "image.png")
    with open(tmp_path / "image.png", "rb") as file:
        np.testing.assert_array_equal(tfseg.read_image(file), random_image(5, 7, 3))


MODES = {".pbm": "1", ".pgm": "L"}
LOSSY = (".avif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg")
SAVED = {".webp": {"lossless": True}, ".jfif": {"format": "JPEG"}, ".jpe": {"format": "JPEG"}}


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_suffix_can_be_read(tmp_path, suffix):
    if suffix in (".heic", ".heif"):
        pytest.importorskip("pillow_heif").register_heif_opener()
    pixels = np.full((50, 70, 3), (20, 40, 200), "uint8")
    pixels[30:, 20:] = 160
    image, path = Image.fromarray(pixels).convert(MODES.get(suffix, "RGB")), tmp_path / f"image{suffix}"
    image.save(path, **SAVED.get(suffix, {}))
    difference = np.abs(tfseg.read_image(path).astype(int) - np.asarray(image.convert("RGB")))
    assert difference.mean() <= (4 if suffix in LOSSY else 0)
    assert image_size(path) == (70, 50)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"


def test_no_file_starts_a_program(tmp_path, monkeypatch):
    (tmp_path / "photo.jpg").write_bytes(EPS)
    with Image.open(tmp_path / "photo.jpg") as image:
        assert image.format == "EPS"  # Pillow alone takes it, and starts Ghostscript to draw it
    for name in ("Popen", "check_call", "check_output", "run"):
        monkeypatch.setattr(subprocess, name, lambda *_, **__: pytest.fail("a program was started"))
    for read in (tfseg.read_image, image_size):
        with pytest.raises(ValueError, match=r"photo.jpg is a PostScript drawing: save it as PNG, TIFF or JPEG"):
            read(tmp_path / "photo.jpg")
    with open(tmp_path / "photo.jpg", "rb") as file, pytest.raises(ValueError, match="is a PostScript drawing"):
        tfseg.read_image(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%PDF-1.7", "is a PDF document"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "is a Windows metafile"),
        (b"8BPS" + bytes(40), "is a Photoshop document"),
        (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"<!DOCTYPE html>", "is a web page"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "is a film: save its frames"),
        (b"\0\0\0\x0cJXL \r\n", "is a JPEG XL picture"),
    ],
)
def test_other_kinds_of_files_are_named(tmp_path, content, message):
    (tmp_path / "photo.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"photo.png {message}"):
        tfseg.read_image(tmp_path / "photo.png")


@pytest.mark.parametrize(
    ("content", "start"),
    [(b"", "an empty file"), (b"no image", "text that starts with 'no image'"), (b"\0\1\2no", "one that starts with")],
)
def test_unknown_content_is_no_picture(tmp_path, content, start):
    (tmp_path / "photo.png").write_bytes(content)
    with pytest.raises(OSError, match=rf"photo.png: no whole picture of a format that is read .*Received: {start}"):
        tfseg.read_image(tmp_path / "photo.png")


def test_raw_photographs_are_refused(tmp_path):
    """Pillow would read the small preview that a TIFF of a camera has in front."""
    Image.fromarray(random_image(4, 6, 3)).save(tmp_path / "photo.nef", format="TIFF")
    with pytest.raises(ValueError, match=r"photo.nef is a raw photograph, .* develop it"):
        tfseg.read_image(tmp_path / "photo.nef")


def test_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.jpg").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    with pytest.raises(ValueError, match=r'photo.jpg is a HEIC picture, .* pip install "tfseg\[heif\]"'):
        tfseg.read_image(tmp_path / "photo.jpg")


def test_avif_is_turned_once(tmp_path):
    """Its file says twice how it is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((48, 64, 3), "uint8")
    stored[:20, :30] = 255
    Image.fromarray(stored).save(tmp_path / "photo.avif", exif=exif)
    difference = tfseg.read_image(tmp_path / "photo.avif").astype(int) - np.rot90(stored, -1)
    assert np.abs(difference).mean() < 2


def test_sixteen_bits_of_a_portable_graymap_are_scaled(tmp_path):
    gray = random_image(5, 7)
    deep = (gray.astype("uint16") * 256 + 9).astype(">u2").tobytes()
    (tmp_path / "deep.pgm").write_bytes(b"P5 7 5 65535\n" + deep)
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "deep.pgm"), np.repeat(gray[..., None], 3, axis=-1))


@pytest.mark.parametrize(("name", "dtype"), [("deep.png", "uint16"), ("deep.tif", "uint16"), ("big_endian.tif", ">u2")])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path, name, dtype):
    gray = random_image(8, 9)
    Image.fromarray((gray.astype("uint16") * 256 + 77).astype(dtype)).save(tmp_path / name)
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / name), np.repeat(gray[..., None], 3, axis=-1))


def chunk(kind, content):
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_sixteen_bits_of_each_color_are_scaled(tmp_path):
    """The PNG is written by hand, because Pillow writes none of 16 bits per channel."""
    deep = random_image(3, 5, 3).astype(">u2") * 257
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 3, 16, 2, 0, 0, 0))
    (tmp_path / "deep.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "deep.png"), random_image(3, 5, 3))


@pytest.mark.parametrize(("dtype", "mode"), [("int32", "I"), ("float32", "F")])
def test_pixels_of_32_bits_are_refused(tmp_path, dtype, mode):
    Image.fromarray(random_image(8, 8).astype(dtype)).save(tmp_path / "deep.tif")
    with pytest.raises(
        ValueError, match=rf"8 or 16 bits per channel: scale it.*--channels=1.*Received: .*deep.tif of mode {mode}"
    ):
        tfseg.read_image(tmp_path / "deep.tif")


def test_transparent_pixels_show_their_colors(tmp_path):
    colors = random_image(6, 7, 4)
    colors[..., 3] = 0
    Image.fromarray(colors).save(tmp_path / "glass.png")
    np.testing.assert_array_equal(tfseg.read_image(tmp_path / "glass.png"), colors[..., :3])


def test_images_beyond_max_pixels_are_not_decoded(tmp_path):
    bomb = tmp_path / "bomb.png"
    Image.new("1", (20_000, 10_000)).save(bomb)
    assert bomb.stat().st_size < 50_000
    limit = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match=r"20000x10000 pixels exceeds max_pixels, 178956970: raise that .*bomb.png"):
        tfseg.read_image(bomb)
    with pytest.raises(ValueError, match=r"exceeds max_pixels, 11"):
        tfseg.read_image(STREET, max_pixels=11)
    assert limit == Image.MAX_IMAGE_PIXELS


def test_image_size_is_width_and_height():
    assert image_size(STREET) == (480, 360)
