"""What `mona-lisa fomm` does with its words; what it needs is looked for before it is imported."""

import argparse
import json
from collections.abc import Callable

from appliance.fomm import needs
from appliance.text import readable


def animate(
    arguments: argparse.Namespace, told: Callable[[], dict[str, str]], say: Callable[[str], None]
) -> int:
    """Animate a painting by a film; `told` knows title, artist, licence. Returns the exit code."""
    needs.check("torch", "av")
    from appliance.fomm.animate import Choices
    from appliance.fomm.animate import animate as animate_painting
    from appliance.portrait.compose import Look

    place, frames, size = arguments.place, arguments.frames, arguments.size
    choices = Choices(frames, size, arguments.face, place, arguments.start, arguments.align_corners)
    look = Look(arguments.j, arguments.k, arguments.detail, **told())
    inputs = arguments.source, arguments.driving, arguments.checkpoint
    animate_painting(*inputs, arguments.out, choices, look, say)
    return 0


def check_driving(arguments: argparse.Namespace, show: Callable[[str], None]) -> int:
    """Judge a driving film, and show what was found; returns the exit code, 1 if it will not do."""
    needs.check("av")
    from appliance.fomm.check import judge

    result = judge(arguments.film)
    if arguments.json:
        show(json.dumps(result, indent=2))
    else:
        for name, finding in result["findings"].items():
            show(readable(f"{name:10} {'right' if finding['right'] else 'WRONG'}  {finding['says']}"))
        (first, last), verdict = result["sweep_seconds"], "will do" if result["fit"] else "will not do"
        show(readable(f"{arguments.film}: {verdict}; its best sweep goes from {first} s to {last} s"))
    return 0 if result["fit"] else 1
