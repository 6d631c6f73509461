"""Sitters for tests: one prepared, and a picture of three put together, two of whose heads touch."""

from PIL import Image

from appliance.assets import home_folder, photograph_path
from appliance.camera.sampling import Pixels
from appliance.portrait.landmarks import FaceLandmarker
from appliance.portrait.prepared_sitters import PreparedSitter, RequestedMotion, prepare_sitters
from tests.portrait.odd import Made

SIZE = (700, 480)


def prepared(pixels: Pixels, motion: RequestedMotion) -> PreparedSitter:
    """The sitter of a picture of one face."""
    landmarker = FaceLandmarker()
    return prepare_sitters(landmarker, pixels, {1: landmarker.find_sitter(pixels)}, motion).sitters[0]


def as_it_is(photo: Image.Image) -> Image.Image:
    return photo


def three_sitters(third: Made = as_it_is) -> Image.Image:
    """Return a picture of the painted sitter at left, a photographed one cheek to cheek, and one apart.

    Their faces are 230, 200 and 180 pixels high, so that `--face` counts them as a pack does.

    Parameters
    ----------
    third : what is done to the photograph of the sitter at picture right
    """
    picture = Image.new("RGB", SIZE)
    with Image.open(home_folder() / "frames" / "sconosciuta.png") as image:
        painting = image.convert("RGB").resize((648, 1152), Image.Resampling.LANCZOS)
        picture.paste(painting.crop((150, 130, 404, 610)), (0, 0))
    with Image.open(photograph_path("grace_hopper.jpg")) as image:
        picture.paste(image.convert("RGB").crop((172, 20, 390, 500)), (254, 0))
    with Image.open(photograph_path("astronaut.png")) as image:
        photo = third(image.convert("RGB")).resize((870, 870), Image.Resampling.LANCZOS)
        picture.paste(photo.crop((250, 10, 478, 490)), (472, 0))
    return picture
