"""What the tests of trust share with those of fetching."""

from tests.fetch.conftest import opened  # noqa: F401
