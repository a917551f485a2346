"""Carries the stories of ``fixtures/fhir`` into the distribution: the workbench opens with them."""

from pathlib import Path
from shutil import copytree, ignore_patterns

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithStories(build_py):
    """Copies the stories beside the package's own files; a checkout reads them where they stand."""

    def run(self) -> None:
        """Build as usual, then add the stories."""
        super().run()
        stories = Path(__file__).parent / "fixtures" / "fhir"
        if stories.is_dir() and not self.editable_mode:
            target = Path(self.build_lib) / "cds_service" / "stories"
            copytree(stories, target, dirs_exist_ok=True, ignore=ignore_patterns("cards.md", "README.md"))


setup(cmdclass={"build_py": BuildWithStories})
