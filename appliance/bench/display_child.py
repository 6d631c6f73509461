"""One measurement of the display in a process of its own: `python -m appliance.bench.display_child`.

Prints JSON. Arguments: `change OUTPUT WIDTHxHEIGHT ROUNDS` times a change of frame against bare pygame;
`textures` the same with every frame as a texture of a renderer; `hold` only shows every frame once.
"""

import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.config import DisplayConfig
from appliance.display.layout import Size
from appliance.display.outputs import chosen, parsed
from appliance.display.patches import fitted_base, fitted_patches
from appliance.display.screen import Screen, layout_for
from appliance.display.sdl import pygame
from appliance.pack import Pack


def change(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time `Screen.show` against a bare blit, and a bare blit and flip, of the same rectangle."""
    with Screen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        surface = pygame.display.get_surface()
        box, images = fitted_patches(pack, layout_for(config, screen.size))
        bare = [
            pygame.image.frombuffer(image.tobytes(), image.size, "RGB").convert(surface) for image in images
        ]

        def bare_flip(frame: int) -> None:
            pygame.display.update(surface.blit(bare[frame], box[:2]))

        _all_written(screen, config, pack.info.main.count)
        times = _rounds(
            {
                "show": lambda frame: screen.show((frame,)),
                "bare_blit": lambda frame: surface.blit(bare[frame], box[:2]),
                "bare_blit_flip": bare_flip,
            },
            pack.info.main.count,
            rounds,
        )
        return {"driver": screen.driver, "size": screen.size, "patch": bare[0].get_size(), **times}


def textures(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time a change when every frame was uploaded once as a texture: all of the screen is drawn anew."""
    from pygame._sdl2.video import Renderer, Texture, Window

    bare = chosen(parsed(config.output)[0]) == "kmsdrm"
    os.environ["SDL_RENDER_VSYNC"] = "0"
    if bare:
        os.environ["SDL_VIDEODRIVER"] = "kmsdrm"
    pygame.display.init()
    size: Size = pygame.display.get_desktop_sizes()[0] if bare else (config.width, config.height)
    driver = pygame.display.get_driver()
    layout = layout_for(config, size)
    box, images = fitted_patches(pack, layout)
    pictures = [pygame.image.frombuffer(image.tobytes(), image.size, "RGB") for image in images]
    base = fitted_base(pack, layout)
    window = Window("textures", size, fullscreen=bare)
    renderer = Renderer(window, vsync=False)
    whole = Texture.from_surface(renderer, pygame.image.frombuffer(base.tobytes(), base.size, "RGB"))
    patches = [Texture.from_surface(renderer, picture) for picture in pictures]
    area = pygame.Rect(box[0], box[1], box[2] - box[0], box[3] - box[1])

    def draw(frame: int) -> None:
        renderer.blit(whole)
        renderer.blit(patches[frame], area)
        renderer.present()

    return {"driver": driver, "size": size, **_rounds({"textures": draw}, pack.info.main.count, rounds)}


def hold(pack: Pack, config: DisplayConfig, _: int) -> dict[str, Any]:
    """Show every frame once, and say how much memory that took."""
    with Screen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        for frame in range(pack.info.main.count):
            screen.show((frame,))
        status = Path("/proc/self/status").read_text()
        now = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return {"size": screen.size, "resident_mb": round(int(now) / 1024, 1)}


def _all_written(screen: Screen, config: DisplayConfig, frames: int) -> None:
    """Wait until an offscreen display has every frame's picture: packing them is no part of a change."""
    kind, folder = parsed(config.output)
    while kind == "offscreen" and len(list(Path(folder).glob("frame_*.png"))) < frames:
        for frame in range(frames):
            screen.show((frame,))
            time.sleep(0.01)


def _rounds(cases: dict[str, Callable[[int], object]], frames: int, rounds: int) -> dict[str, float]:
    """Return the median of each case's ms per change, over rounds in which every case shows every frame."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    order = random.Random(0)
    for number in range(-2, rounds):
        for name in order.sample(list(cases), len(cases)):
            for frame in range(frames):
                start = time.perf_counter()
                cases[name](frame)
                if number >= 0:
                    times[name].append(1000 * (time.perf_counter() - start))
    return {f"{name}_ms": round(statistics.median(values), 4) for name, values in times.items()}


if __name__ == "__main__":
    what, folder, output, wide, rounds_text = sys.argv[1:]
    width, _, height = wide.partition("x")
    result = {"change": change, "textures": textures, "hold": hold}[what](
        Pack(Path(folder)),
        DisplayConfig(output=output, width=int(width), height=int(height)),
        int(rounds_text),
    )
    print(json.dumps(result))
