"""A picture to try the page with: a street, drawn, so that it belongs to everyone."""

import io

import numpy as np

_WIDTH, _HEIGHT, _HORIZON = 960, 640, 300
_SCALE = 2  # drawn larger and made smaller, for smooth edges


Point = tuple[float, float]
Color = tuple[int, int, int]


class _Canvas:
    """What is drawn on."""

    def __init__(self) -> None:
        from PIL import Image, ImageDraw

        self.picture = Image.fromarray(_sky()).resize((_SCALE * _WIDTH, _SCALE * _HEIGHT))
        self._draw = ImageDraw.Draw(self.picture)

    def polygon(self, points: list[Point], color: Color) -> None:
        self._draw.polygon([(_SCALE * x, _SCALE * y) for x, y in points], fill=color)

    def ellipse(self, middle: Point, radius: float, color: Color, flat: float = 1) -> None:
        x, y = middle
        left, top, right, bottom = x - radius, y - flat * radius, x + radius, y + flat * radius
        self._draw.ellipse((_SCALE * left, _SCALE * top, _SCALE * right, _SCALE * bottom), fill=color)


def street() -> bytes:
    """The drawing as a JPEG."""
    from PIL import Image, ImageFilter

    random = np.random.default_rng(4)
    canvas = _Canvas()
    _draw_ground(canvas)
    for near, far, height, color in (
        (0, 190, 330, (150, 84, 66)),
        (190, 330, 240, (176, 150, 120)),
        (330, 430, 150, (122, 108, 104)),
    ):
        _draw_house(canvas, near, far, height, color, mirrored=False)
        _draw_house(canvas, near, far, height, (color[0] - 20, color[1] + 8, color[2] + 14), mirrored=True)
    for x, width in ((250, 46), (705, 60), (385, 22)):
        _draw_tree(canvas, x, width, random)
    _draw_car(canvas, (610, 470), 1.0, (168, 30, 34))
    _draw_car(canvas, (430, 345), 0.34, (44, 66, 120))
    for place, size, color in (
        ((180, 545), 1.0, (40, 52, 92)),
        ((226, 540), 0.95, (150, 60, 40)),
        ((800, 470), 0.6, (60, 60, 60)),
    ):
        _draw_person(canvas, place, size, color)
    small = canvas.picture.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS).filter(ImageFilter.GaussianBlur(0.6))
    grain = random.normal(0, 4, (_HEIGHT, _WIDTH, 1))  # networks have never seen a picture without it
    stream = io.BytesIO()
    Image.fromarray((np.asarray(small) + grain).clip(0, 255).astype("uint8")).save(stream, "JPEG", quality=88)
    return stream.getvalue()


def _draw_ground(canvas: _Canvas) -> None:
    """Pavement, road, and the line in its middle."""
    bottom = float(_HEIGHT)
    pavement = [(0, bottom), (0, 420), (430, _HORIZON), (530, _HORIZON), (_WIDTH, 420), (_WIDTH, bottom)]
    canvas.polygon([(float(x), float(y)) for x, y in pavement], (128, 122, 116))
    canvas.polygon([(70, bottom), (452, _HORIZON), (508, _HORIZON), (890, bottom)], (72, 74, 78))
    for start, end in ((0.05, 0.12), (0.2, 0.32), (0.45, 0.65), (0.8, 1.0)):
        far, near = (_HORIZON + share**1.6 * (bottom - _HORIZON) for share in (start, end))
        narrow, wide = 6 * start, 9 * end
        line = [(480 - narrow, far), (480 + narrow, far), (480 + wide, near), (480 - wide, near)]
        canvas.polygon(line, (225, 225, 220))


def _draw_tree(canvas: _Canvas, x: float, size: float, random: np.random.Generator) -> None:
    ground = _HORIZON + 30 + size
    foot, crown = size / 9, size / 14
    trunk = [(x - foot, ground), (x - crown, ground - 2 * size), (x + crown, ground - 2 * size), (x + foot, ground)]
    canvas.polygon(trunk, (84, 62, 44))
    for _ in range(60):
        angle, reach = random.uniform(0, 2 * np.pi), size * random.uniform(0, 0.9)
        green = int(random.integers(80, 132))
        middle = x + reach * np.cos(angle), ground - 2.4 * size + 0.8 * reach * np.sin(angle)
        canvas.ellipse(middle, size * 0.3, (green - 40, green, 44))


def _sky() -> np.ndarray:
    share = np.linspace(0, 1, _HEIGHT // 4)[:, None, None]
    colors = (1 - share) * np.array([112, 160, 216]) + share * np.array([226, 234, 240])
    return np.repeat(colors, _WIDTH // 4, axis=1).astype("uint8")


def _draw_house(canvas: _Canvas, near: int, far: int, height: int, color: Color, *, mirrored: bool) -> None:
    """A house along the street, with windows that grow smaller to the horizon."""

    def at(x: float, share: float) -> tuple[float, float]:
        ground = 420 - (420 - _HORIZON) * x / 430
        top = ground - height * (1 - 0.55 * x / 430)
        return (_WIDTH - x if mirrored else x), ground + share * (top - ground)

    canvas.polygon([at(near, 0), at(near, 1), at(far, 1), at(far, 0)], color)
    columns = max(2, (far - near) // 48)
    step = (far - near) / columns
    for column in range(columns):
        left, right = near + step * (column + 0.22), near + step * (column + 0.78)
        for low, high in ((0.08, 0.3), (0.4, 0.58), (0.68, 0.86)):
            canvas.polygon([at(left, low), at(left, high), at(right, high), at(right, low)], (62, 72, 84))


def _draw_car(canvas: _Canvas, place: Point, size: float, color: Color) -> None:
    """A car from behind."""

    def at(across: float, above: float) -> tuple[float, float]:
        return place[0] + size * across, place[1] - size * above

    canvas.ellipse(place, 82 * size, (44, 45, 48), 0.12)
    for side in (-1, 1):
        canvas.polygon([at(side * 62, 0), at(side * 62, 26), at(side * 40, 26), at(side * 40, 0)], (22, 22, 24))
    canvas.polygon([at(-76, 14), at(-78, 62), at(-60, 70), at(60, 70), at(78, 62), at(76, 14)], color)
    canvas.polygon([at(-58, 70), at(-44, 112), at(44, 112), at(58, 70)], color)
    canvas.polygon([at(-48, 72), at(-37, 104), at(37, 104), at(48, 72)], (52, 62, 74))
    for side in (-1, 1):
        canvas.polygon([at(side * 74, 44), at(side * 74, 58), at(side * 52, 58), at(side * 52, 44)], (232, 70, 52))
    canvas.polygon([at(-24, 30), at(-24, 44), at(24, 44), at(24, 30)], (236, 232, 214))


def _draw_person(canvas: _Canvas, place: Point, size: float, color: Color) -> None:
    """Somebody who walks."""

    def at(across: float, above: float) -> tuple[float, float]:
        return place[0] + size * across, place[1] - size * above

    for side in (-1, 1):
        canvas.polygon([at(side * 3, 66), at(side * 14, 66), at(side * 17, 0), at(side * 6, 0)], (38, 38, 46))
        canvas.polygon([at(side * 14, 118), at(side * 21, 112), at(side * 22, 62), at(side * 16, 62)], color)
    canvas.polygon([at(-17, 122), at(17, 122), at(15, 62), at(-15, 62)], color)
    canvas.ellipse(at(0, 138), 13 * size, (206, 160, 132), 1.2)
    canvas.ellipse(at(0, 146), 13 * size, (60, 44, 34), 0.7)
