"""Every command that README and the guide tell somebody to type exists, with the options that are given to it."""

import argparse
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from appliance.cli import _parser
from tests.test_guide import CHECKOUT, PAGES

# What stands before the name of a unit or a user, not of the command.
_UNIT = {"start", "stop", "restart", "reload", "status", "-u", "disable", "enable"}


def _typed(page: Path) -> list[list[str]]:
    """Return the words of every command in a page's code blocks and code spans, one list for each command."""
    text = page.read_text("utf-8")
    lines = re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE) + re.findall(r"`([^`\n]+)`", text)
    commands = [part for line in lines for part in re.split(r"&&|\|\||[;|]|'", re.sub(r"\s#.*", "", line))]
    return [command.split() for command in commands if command.split()]


def _wrong_in(words: list[str]) -> str | None:
    """Return what does not exist in a command, or None."""
    for i, word in enumerate(words):
        if (word == "mona-lisa" or word.endswith("bin/mona-lisa")) and (i == 0 or words[i - 1] not in _UNIT):
            return _wrong_for_program(words[i + 1 :])
        if re.fullmatch(r"deploy/[\w-]+", word):
            return _wrong_for_script(word, words[i + 1 :])
    return None


def _wrong_for_program(words: list[str]) -> str | None:
    parser = _parser()
    for word in words:
        groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        if word.startswith("--"):
            if word.split("=")[0] not in parser._option_string_actions:
                return f"{parser.prog}: {word}"
        elif groups and word not in groups[0].choices:
            return f"{parser.prog}: {word}"
        elif groups:
            parser = groups[0].choices[word]
    return None


@cache
def _help(script: str) -> str:
    return subprocess.run([CHECKOUT / script, "--help"], capture_output=True, text=True, check=True).stdout


def _wrong_for_script(script: str, words: list[str]) -> str | None:
    if not (CHECKOUT / script).is_file():
        return None if (CHECKOUT / script).is_dir() else script
    given = [word for word in words if word.startswith("--")]
    known = re.findall(r"--[\w-]+", _help(script)) if given else []
    return next((f"{script} {option}" for option in given if option not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_a_page_names_exists(page: Path) -> None:
    assert [wrong for words in _typed(page) if (wrong := _wrong_in(words))] == []


def test_the_pages_commands_are_found() -> None:
    found = [" ".join(words) for page in PAGES for words in _typed(page)]
    for command in (
        "deploy/portrait USER@HOST PICTURE",
        "sudo mona-lisa calibrate --reset",
        "mona-lisa config check",
    ):
        assert command in found


@pytest.mark.parametrize(
    "command",
    [
        "mona-lisa shine",
        "sudo mona-lisa portrait hang",
        "mona-lisa run --loud",
        "deploy/paint",
        "deploy/update --now",
    ],
)
def test_a_command_that_does_not_exist_is_told(command: str) -> None:
    assert _wrong_in(command.split())
