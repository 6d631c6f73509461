"""What pyproject.toml cannot say: the wheel has three files that lie beside the package in a checkout."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("models/manifest.toml", "frames/portraits.toml", "frames/sconosciuta.png")


class BuildWithShipped(build_py):
    """Copies the files of `SHIPPED` to appliance/shipped/, where `appliance.assets` finds them."""

    def run(self):
        """Build the package; an editable install uses the checkout's own files."""
        super().run()
        if self.editable_mode:
            return
        for name in SHIPPED:
            target = Path(self.build_lib) / "appliance/shipped" / name
            self.mkpath(str(target.parent))
            self.copy_file(name, str(target))

    def get_source_files(self):
        """Name the files for a source distribution, too."""
        return [*super().get_source_files(), *SHIPPED]


setup(cmdclass={"build_py": BuildWithShipped})
