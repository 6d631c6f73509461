"""One measurement of the display in a process of its own: `python -m appliance.bench.display_child`.

Prints JSON. Arguments: `change PACK OUTPUT WIDTHxHEIGHT ROUNDS` times a change of frame against bare pygame;
`together` one of several sitters at once; `textures` a change with every frame as a texture of a renderer;
`hold` only shows every frame once.
"""

import json
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from appliance.bench.sitters import beside_rest, there_and_back
from appliance.config import DisplayConfig
from appliance.display.frames import Lit
from appliance.display.layout import Size, layout_for
from appliance.display.outputs import chosen, parsed
from appliance.display.patches import fitted_base, fitted_patches
from appliance.display.screen import Screen
from appliance.display.sdl import pygame
from appliance.grid import Box
from appliance.pack import Pack

# Calls of `Screen.tick` between two changes: a gaze that crosses its range in a second leaves so many.
_TICKS: Final = 3


def change(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time `Screen.show` against a bare blit, and a bare blit and flip, of the same rectangle.

    The gaze goes from frame to frame near rest, with time between them, as after a visitor. `sweep_ms` is a
    change on the way through the whole grid, whose frames are read shortly before; `jump_ms` is one to a
    frame far away, which is read from the disk's cache unless it was lit lately.
    """
    with Screen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        surface = pygame.display.get_surface()
        box, bare = _bare(pack, config, screen, 0)
        grid = pack.info.main
        order, sweep = beside_rest(grid), there_and_back(grid)

        def bare_flip(frame: int) -> None:
            pygame.display.update(surface.blit(bare[frame], box[:2]))

        _all_written(screen, config, order)
        times = _rounds(
            {
                "show": lambda frame: screen.show((frame,)),
                "bare_blit": lambda frame: surface.blit(bare[frame], box[:2]),
                "bare_blit_flip": bare_flip,
            },
            order,
            rounds,
            lambda frame: _go(screen, (frame,)),
        )
        _all_written(screen, config, sweep)
        times |= _rounds({"sweep": lambda frame: screen.show((frame,))}, sweep, 1, lambda _: _tick(screen))
        far = random.Random(1).sample(sweep, len(sweep))
        times |= _rounds({"jump": lambda frame: screen.show((frame,))}, far, 1)
        return {"driver": screen.driver, "size": screen.size, "patch": bare[0].get_size(), **times}


def together(pack: Pack, config: DisplayConfig, rounds: int) -> dict[str, Any]:
    """Time a change that moves one, two and all sitters against as many bare blits of their rectangles."""
    with Screen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        surface = pygame.display.get_surface()
        sitters, rest = range(len(pack.info.sitters)), screen.shown
        boxes, bare = zip(*(_bare(pack, config, screen, sitter) for sitter in sitters), strict=True)
        order = beside_rest(pack.info.main)

        def moved_to(frame: int, moved: int) -> Lit:
            return (frame,) * moved + rest[moved:]

        def show(frame: int, moved: int) -> None:
            screen.show(moved_to(frame, moved))

        def go(frame: int, moved: int) -> None:
            _go(screen, moved_to(frame, moved))

        def blit(frame: int, moved: int) -> None:
            for sitter in range(moved):
                surface.blit(bare[sitter][frame], boxes[sitter][:2])

        _all_written(screen, config, order)
        found: dict[str, dict[str, float]] = {}
        for moved in (1, 2, len(sitters)):
            cases: dict[str, Callable[[int], object]] = {
                "show": partial(show, moved=moved),
                "bare_blits": partial(blit, moved=moved),
            }
            times = _rounds(cases, order, rounds, partial(go, moved=moved))
            found[f"{moved}"] = times | {"ratio": round(times["show_ms"] / times["bare_blits_ms"], 3)}
        return {"patches": [bare[sitter][0].get_size() for sitter in sitters], "sitters": found}


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

    order = list(range(pack.info.main.count))
    return {"driver": driver, "size": size, **_rounds({"textures": draw}, order, rounds)}


def hold(pack: Pack, config: DisplayConfig, _: int) -> dict[str, Any]:
    """Show every frame once, and say how much memory that took."""
    with Screen(config) as screen:
        screen.light(pack)
        screen.load(pack, threading.Event())
        counts = [grid.count for grid in pack.info.sitters]
        for number in range(max(counts)):
            screen.show(tuple(number % count for count in counts))
        status = Path("/proc/self/status").read_text()
        now = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return {"size": screen.size, "resident_mb": round(int(now) / 1024, 1)}


def _bare(pack: Pack, config: DisplayConfig, screen: Screen, sitter: int) -> tuple[Box, list[pygame.Surface]]:
    """Return a sitter's box on the screen and its patches as surfaces, without a colour key."""
    box, images = fitted_patches(pack, layout_for(config, screen.size), sitter)
    found = []
    for image in images:
        loaded = pygame.image.frombuffer(image.convert("RGB").tobytes(), image.size, "RGB")
        found.append(loaded.convert(pygame.display.get_surface()))
    return box, found


def _go(screen: Screen, frames: Lit) -> None:
    """Show frames, and let the screen do what it does between two changes."""
    screen.show(frames)
    _tick(screen)


def _tick(screen: Screen) -> None:
    for _ in range(_TICKS):
        screen.tick(time.monotonic(), time.time())


def _all_written(screen: Screen, config: DisplayConfig, order: list[int]) -> None:
    """Wait until an offscreen display has every frame's picture: packing them is no part of a change."""
    kind, folder = parsed(config.output)
    while kind == "offscreen" and len(list(Path(folder).glob("frame_*.png"))) < len(order):
        for frame in order:
            screen.show(tuple(frame for _ in screen.shown))
            time.sleep(0.01)


def _rounds(
    cases: dict[str, Callable[[int], object]],
    order: list[int],
    rounds: int,
    after: Callable[[int], object] = bool,
) -> dict[str, float]:
    """Return the median of each case's ms per change, over rounds in which every case shows every frame.

    `after` is called with the frame, not timed, so that all cases find the processor's cache alike.
    """
    times: dict[str, list[float]] = {name: [] for name in cases}
    shuffle = random.Random(0)
    for number in range(-1, rounds):
        for name in shuffle.sample(list(cases), len(cases)):
            for frame in order:
                start = time.perf_counter()
                cases[name](frame)
                if number >= 0:
                    times[name].append(1000 * (time.perf_counter() - start))
                after(frame)
    return {f"{name}_ms": round(statistics.median(values), 4) for name, values in times.items()}


if __name__ == "__main__":
    what, folder, output, wide, rounds_text = sys.argv[1:]
    width, _, height = wide.partition("x")
    result = {"change": change, "together": together, "textures": textures, "hold": hold}[what](
        Pack(Path(folder)),
        DisplayConfig(output=output, width=int(width), height=int(height)),
        int(rounds_text),
    )
    print(json.dumps(result))
