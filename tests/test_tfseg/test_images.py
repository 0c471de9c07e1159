"""Image files: which ones are found, and what `tfseg.read_image` makes of them."""

import struct
import zlib

import numpy as np
import pytest
from helpers.paths import STREET
from PIL import Image

import tfseg
from tfseg.images import IMAGE_SUFFIXES, find_images, image_size


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
    for name in ("notes.txt", ".hidden.jpg", "B.JPEG"):
        (photos / name).write_bytes(b"")
    (photos / "folder.png").mkdir()
    assert [path.name for path in find_images(photos)] == ["B.JPEG", "a.jpg", "b.v2.png"]


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


@pytest.mark.parametrize("suffix", sorted(set(IMAGE_SUFFIXES) - {".jpg", ".jpeg"}))
def test_every_suffix_can_be_read(tmp_path, suffix):
    Image.new("RGB", (7, 5), (0, 0, 255)).save(
        tmp_path / f"image{suffix}", **{"lossless": True} if suffix == ".webp" else {}
    )
    image = tfseg.read_image(tmp_path / f"image{suffix}")
    np.testing.assert_array_equal(image, np.full((5, 7, 3), (0, 0, 255)))


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
    with pytest.raises(ValueError, match=rf"8 or 16 bits per channel: scale it. Received: .*deep.tif of mode {mode}"):
        tfseg.read_image(tmp_path / "deep.tif")


def test_transparent_pixels_show_their_colors(tmp_path):
    colors = random_image(6, 7, 4)
    colors[..., 3] = 0
    Image.fromarray(colors, "RGBA").save(tmp_path / "glass.png")
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
