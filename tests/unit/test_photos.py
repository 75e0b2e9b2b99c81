"""Photos: names and bounds (regulation 三.1(3)), and pixels as a worker sees them."""

import io
import unicodedata

import pytest
from PIL import Image

from core import photos
from core.refusals import Fault
from server.photo_files import upright
from tests.rosters import jpeg

LIMIT = 2_097_152


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("张三200571020316.JPG", "张三200571020316"),
        ("张三200571020316.jpeg", "张三200571020316"),
        ("a.b200571020316.jpg", "a.b200571020316"),
        ("张三200571020316.png", ""),
        ("张三200571020316", ""),
        ("", ""),
        (".jpg", ""),
        ("照片/张三200571020316.jpg", ""),
        ("..\\张三200571020316.jpg", ""),
        ("C:张三200571020316.jpg", ""),
        ("张三\u202e200571020316.jpg", ""),
        ("张三\x00200571020316.jpg", ""),
        ("张" * 120 + ".jpg", ""),
    ],
)
def test_stems(name, stem):
    assert photos.stem_of(name) == stem


def test_stems_are_nfc_and_without_spaces_in_the_name():
    decomposed = unicodedata.normalize("NFD", "Zoë200571020316.jpg")
    assert photos.stem_of(decomposed) == photos.stem_for("Zoë", "200571020316")
    assert photos.stem_for("Anna  Lee", "2005A") == "AnnaLee2005A"


def test_every_reading_of_a_stem_longest_first():
    assert photos.candidates("张三316") == ("316", "16", "6")
    assert photos.candidates("Al7") == ("l7", "7"), "a name has at least one character"
    assert photos.candidates("200571020316张三") == ()
    assert photos.candidates("") == ()
    assert len(photos.candidates("x" * 60)) == 20


@pytest.mark.clause("三.1(3)")
def test_size_to_the_byte():
    """Scenario 17: 2 097 152 B is taken, one byte more is not."""
    good = jpeg(800, 800, size=LIMIT)
    assert len(good) == LIMIT
    assert photos.check_content(good, bytes_max=LIMIT) is None
    fault = photos.check_content(good + b"\0", bytes_max=LIMIT)
    assert (fault.reason, fault.metadata) == ("PHOTO_TOO_LARGE", {"allowedBytes": LIMIT})


def test_type_by_content():
    png = io.BytesIO()
    Image.new("RGB", (10, 10)).save(png, "PNG")
    assert photos.check_content(png.getvalue(), bytes_max=LIMIT).reason == "PHOTO_NOT_JPEG"
    assert photos.check_content(b"", bytes_max=LIMIT).reason == "PHOTO_NOT_JPEG"
    assert photos.check_content(b"\xff\xd8", bytes_max=LIMIT).reason == "PHOTO_NOT_JPEG"


def test_scans_are_bounded():
    """A progressive file of 2 MiB could ask for 200,000 passes over its pixels."""
    bomb = jpeg()[:-2] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 65
    assert photos.check_content(bomb, bytes_max=LIMIT).reason == "PHOTO_UNREADABLE"
    progressive = io.BytesIO()
    Image.effect_noise((400, 400), 60).save(progressive, "JPEG", progressive=True)
    assert photos.check_content(progressive.getvalue(), bytes_max=LIMIT) is None


@pytest.mark.parametrize(
    ("width", "height", "good"),
    [(800, 800, True), (1, 1, True), (801, 600, False), (600, 801, False), (0, 5, False)],
)
@pytest.mark.clause("三.1(3)")
def test_sides(width, height, good):
    fault = photos.check_sides(width, height, side_max=800)
    assert (fault is None) == good
    if not good:
        assert (fault.reason, fault.metadata["width"]) == ("PHOTO_SIDES", width)


def test_pixels_are_written_anew_without_what_came_with_them():
    content = jpeg(600, 800, orientation=1)
    assert b"Secret Camera" in content
    photo = upright(content, 800)
    assert (photo.width, photo.height) == (600, 800)
    assert photo.content.startswith(b"\xff\xd8\xff")
    with Image.open(io.BytesIO(photo.content)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (600, 800))
        assert not image.getexif()
    assert b"Secret Camera" not in photo.content
    assert b"Exif" not in photo.content
    assert upright(content, 800).content == photo.content, "the same photo gives the same bytes"


def test_photos_are_turned_upright():
    image = Image.new("RGB", (40, 20), (255, 255, 255))
    image.paste((255, 0, 0), (0, 0, 20, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees: the left side is shown on top
    content = io.BytesIO()
    image.save(content, "JPEG", exif=exif, quality=95)
    photo = upright(content.getvalue(), 800)
    assert (photo.width, photo.height) == (20, 40)
    with Image.open(io.BytesIO(photo.content)) as turned:
        top, bottom = turned.getpixel((10, 5)), turned.getpixel((10, 35))
    assert top[0] > 200 > top[1]
    assert min(bottom) > 200


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_colours_become_rgb(mode):
    content = io.BytesIO()
    Image.new(mode, (30, 30)).save(content, "JPEG")
    with Image.open(io.BytesIO(upright(content.getvalue(), 800).content)) as image:
        assert image.mode == "RGB"


@pytest.mark.parametrize("sides", [(801, 600), (600, 801)])
def test_larger_sides_are_refused_before_a_pixel_is_decoded(sides):
    whole = jpeg(*sides)
    header_only = whole[: whole.index(b"\xff\xda")]
    fault = upright(header_only + b"\xff\xd9", 800)
    assert (fault.reason, fault.metadata) == (
        "PHOTO_SIDES",
        {"width": sides[0], "height": sides[1], "side": 800},
    )


def test_pixel_bombs_are_refused():
    """A header that claims 65,500 x 65,500 pixels costs no memory."""
    content = bytearray(jpeg(64, 64))
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = (65_500).to_bytes(2, "big") * 2
    assert isinstance(upright(bytes(content), 4_000), Fault)


@pytest.mark.parametrize("keep", [4, 200, 600])
def test_torn_photos_are_refused(keep):
    noisy = io.BytesIO()
    Image.effect_noise((300, 300), 80).convert("RGB").save(noisy, "JPEG")
    assert upright(noisy.getvalue()[:keep], 800).reason == "PHOTO_UNREADABLE"
