"""A picture of three sitters, put together from the portraits of the project; two heads touch."""

from collections.abc import Callable

from PIL import Image

from appliance.assets import home, photograph_path
from appliance.portrait.question import SeveralFaces  # noqa: F401

SIZE = (700, 480)
# Where the faces end to picture left and right, in that order, as the mesh has them.
Made = Callable[[Image.Image], Image.Image]


def three_sitters(third: Made = lambda photo: photo) -> Image.Image:
    """Return the painted sitter at left, the largest face; a photographed one cheek to cheek, and one apart.

    Parameters
    ----------
    third : what is done to the photograph of the sitter at picture right
    """
    picture = Image.new("RGB", SIZE, (90, 80, 70))
    with Image.open(home() / "frames" / "sconosciuta.png") as image:
        picture.paste(
            image.convert("RGB").resize((648, 1152), Image.Resampling.LANCZOS).crop((150, 130, 404, 610)),
            (0, 0),
        )
    with Image.open(photograph_path("grace_hopper.jpg")) as image:
        picture.paste(image.convert("RGB").crop((172, 20, 390, 500)), (254, 0))
    with Image.open(photograph_path("astronaut.png")) as image:
        photo = third(image.convert("RGB")).resize((870, 870), Image.Resampling.LANCZOS)
        picture.paste(photo.crop((250, 10, 478, 490)), (472, 0))
    return picture
