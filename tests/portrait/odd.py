"""Odd pictures, drawn from the astronaut: what people will feed the engine, and what it must refuse."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Made = Callable[[Image.Image], Image.Image]
EYES = ((202, 107), (245, 109))


def over_eyes(width: float, up: float, down: float, colour: tuple[int, int, int] | None) -> Made:
    """Cover both eyes by ellipses; in the colour of the skin below them if none is given."""

    def made(photo: Image.Image) -> Image.Image:
        picture = photo.copy()
        for x, y in EYES:
            skin = photo.getpixel((x, y + 14))
            ImageDraw.Draw(picture).ellipse((x - width, y - up, x + width, y + down), fill=colour or skin)
        return picture

    return made


def closed(photo: Image.Image) -> Image.Image:
    picture = over_eyes(15, 9, 9, None)(photo)
    for x, y in EYES:
        ImageDraw.Draw(picture).arc((x - 15, y - 9, x + 15, y + 5), 20, 160, fill=(60, 40, 30), width=1)
    return picture


def beside(photo: Image.Image) -> Image.Image:
    """Two who can follow together."""
    both = Image.new("RGB", (1024, 512))
    both.paste(photo, (0, 0))
    both.paste(photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    return both


def asleep(photo: Image.Image) -> Image.Image:
    """Two, the one at picture right with closed eyes."""
    both = beside(photo)
    both.paste(closed(photo), (512, 0))
    return both


def animal(photo: Image.Image) -> Image.Image:
    cat = Image.new("RGB", (400, 400), (120, 110, 100))
    draw = ImageDraw.Draw(cat)
    draw.polygon([(100, 170), (113, 40), (193, 120)], fill=(200, 140, 70))
    draw.polygon([(300, 170), (287, 40), (207, 120)], fill=(200, 140, 70))
    draw.ellipse((87, 93, 313, 320), fill=(210, 150, 80))
    for x in (153, 247):
        draw.ellipse((x - 27, 173, x + 27, 220), fill=(170, 200, 60))
        draw.ellipse((x - 7, 175, x + 7, 219), fill="black")
    return cat


def noise(photo: Image.Image) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 150, 3), dtype=np.uint8))


# What each must end in: a part of the refusal, or None where a pack must come of it.
REFUSED: dict[str, tuple[Made, str]] = {
    "closed": (closed, "eyes are closed|no iris"),
    "blank": (over_eyes(15, 9, 9, (230, 225, 215)), "no iris|closed"),
    "black": (over_eyes(15, 9, 9, (40, 30, 25)), "no iris"),
    "skin": (over_eyes(15, 9, 9, None), "no iris|closed"),
    "sunglasses": (over_eyes(22, 14, 16, (15, 15, 18)), "no iris"),
    "two": (
        asleep,
        r"2 faces found \(1 upper left, 2 upper right\), and not all can follow \(face 2: .*(closed|no iris).*"
        r"; choose one with --face N, or --face all for those that can",
    ),
    "animal": (animal, "no face|no human face|no iris"),
    "noise": (noise, "no face"),
    "lying": (lambda p: p.rotate(90, expand=True), "turn the picture upright|no face"),
    "upside down": (lambda p: p.rotate(180), "no face|upright"),
    "negative": (lambda p: p.point(lambda v: 255 - v), "no human face|no iris|no face"),
    "half": (lambda p: p.crop((0, 0, 222, 512)), "no face|no human face|no iris"),
    "tiny": (lambda p: p.resize((200, 200)), "pixels apart .* expected at least 30"),
    "speck": (lambda p: p.resize((60, 60)), "no face|no human face|pixels apart"),
    "one pixel": (lambda p: p.resize((1, 1)), "no face"),
    "line": (lambda p: p.resize((700, 2)), "no face"),
    "black sheet": (lambda p: Image.new("RGB", (300, 400)), "no face"),
    "white sheet": (lambda p: Image.new("RGB", (300, 400), "white"), "no face"),
    "no head": (lambda p: p.crop((0, 220, 512, 512)), "no face"),
    "mouth": (lambda p: p.crop((150, 140, 300, 260)), "no face|no human face|no iris|pixels apart"),
}
EITHER: dict[str, Made] = {
    "grey": lambda p: p.convert("L"),
    "one bit": lambda p: p.convert("1"),
    "palette": lambda p: p.quantize(16),
    "transparent": lambda p: p.convert("RGBA"),
    "inks": lambda p: p.convert("CMYK"),
    "deep": lambda p: Image.fromarray(np.asarray(p.convert("L")).astype(np.uint16) * 257),
    "pale": lambda p: Image.blend(p, Image.new("RGB", p.size, (128, 128, 128)), 0.85),
    "dark": lambda p: p.point(lambda v: v // 6),
    "blurred": lambda p: p.filter(ImageFilter.GaussianBlur(3)),
    "embossed": lambda p: p.filter(ImageFilter.EMBOSS),
    "edges": lambda p: p.filter(ImageFilter.FIND_EDGES),
    "poster": lambda p: p.quantize(4).convert("RGB"),
    "tilted": lambda p: p.rotate(25),
    "leaning": lambda p: p.rotate(-44),
    "narrow": lambda p: p.resize((260, 512)),
    "flat": lambda p: p.resize((512, 260)),
    "close": lambda p: p.crop((150, 40, 300, 260)),
    "brow": lambda p: p.crop((150, 70, 300, 200)),
    "in a corner": lambda p: p.crop((160, 40, 512, 512)),
    "at the edge": lambda p: p.crop((175, 60, 512, 512)),
    "strip": lambda p: p.crop((150, 0, 300, 512)),
    "red": lambda p: Image.merge(
        "RGB",
        (
            p.getchannel("R"),
            p.getchannel("R").point(lambda v: v // 4),
            p.getchannel("R").point(lambda v: v // 4),
        ),
    ),
}
