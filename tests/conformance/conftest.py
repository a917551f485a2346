"""The sites that CRD calls are put to. Tests run in both versions of the guide wherever these agree."""

import pytest

from tests.crd.calls import Client


@pytest.fixture(scope="module")
def site():
    return Client()


@pytest.fixture(scope="module")
def pilot():
    return Client(plans={"Example Commercial PPO": "commercial", "Example Marketplace Silver": "him"})
