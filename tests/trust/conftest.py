"""What the tests of trust share with those of fetching."""

from tests.fetch.conftest import fhir, opened, server_process  # noqa: F401
