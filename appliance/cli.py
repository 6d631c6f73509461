"""The command `mona-lisa`: each command a few lines over the rooms."""


def main() -> int:
    """Run a command."""
    return 0
