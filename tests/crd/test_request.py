"""What a call says of CRD: versions, configuration, and nothing that could break a call."""

import json
import logging
import re

import pytest

from cds_service.crd.decision import Version
from cds_service.crd.request import CrdRequest, discovery_extension, is_crd_call, read_request
from cds_service.errors import RequestError
from tests.crd.checker import CARD_CODES

HOOKS = ["order-sign", "order-dispatch", "order-select"]


@pytest.mark.parametrize(
    ("named", "version"),
    [(None, "2.0"), ("2.0", "2.0"), ("2.0.1", "2.0"), ("2.2", "2.2"), ("2.2.1", "2.2")],
)
def test_the_version_is_the_one_asked_for_and_2_0_1_without_one(named, version):
    extension = {} if named is None else {"davinci-crd.requestedVersion": named}
    assert read_request(extension).version.value == version


@pytest.mark.parametrize("named", ["2.1", "1.0", "3.0", "2.20", "2", "", "v2.2", 2.2, ["2.2"], {}])
def test_another_version_is_refused(named):
    with pytest.raises(RequestError, match=r"2\.0 and 2\.2 are") as error:
        read_request({"davinci-crd.requestedVersion": named})
    assert error.value.status == 400
    assert error.value.expression == "davinci-crd.requestedVersion"


@pytest.mark.parametrize(
    ("extension", "crd"),
    [
        ({}, False),
        ({"org.durvalumab-cds.explain": True}, False),
        ({"davinci-crd.requestedVersion": "2.2"}, True),
        ({"davinci-crd.configuration": {}}, True),
        ({"davinci-crd.anything": 1}, True),
        ({"davinci-crd": 1}, False),
    ],
)
def test_any_member_of_crd_makes_a_crd_call(extension, crd):
    assert is_crd_call(extension) is crd


def test_configuration_is_honoured():
    configuration = {"coverage-info": False, "max-cards": 1, "guideline": False, "off-guideline": True}
    request = read_request({"davinci-crd.configuration": configuration})
    assert request == CrdRequest(coverage_info=False, max_cards=1, silenced=frozenset({"guideline"}))


@pytest.mark.parametrize(
    "configuration",
    [
        *(None, [], "off", 7, True, {}, {"unknown": True}, {"coverage-info": "no"}, {"coverage-info": None}),
        *({"coverage-info": 0}, {"max-cards": True}, {"max-cards": "3"}, {"max-cards": -1}, {"max-cards": 2.5}),
        *({"guideline": 1}, {"": False}, {"network": False}, {"coverage-info": {"valueBoolean": False}}),
    ],
)
def test_unknown_and_nonsensical_configuration_changes_nothing(configuration):
    assert read_request({"davinci-crd.configuration": configuration}) == CrdRequest()


def test_what_is_ignored_is_logged_without_what_a_client_wrote(caplog):
    with caplog.at_level(logging.INFO, logger="cds_service.crd.request"):
        read_request({"davinci-crd.configuration": {"patient Jane Doe": True, "coverage-info": "Jane"}})
    fields = caplog.records[0].cds_fields
    assert fields == {"outcome": "2 ignored: coverage-info"}


@pytest.mark.parametrize("hook", HOOKS)
def test_discovery_declares_versions_and_options(hook):
    extension = discovery_extension(hook)
    assert extension["davinci-crd.version"] == ["2.0", "2.2"]
    options = extension["davinci-crd.configuration-options"]
    for option in options:
        assert set(option) == {"code", "type", "name", "description", "default"}
        assert option["type"] in {"boolean", "integer"}
        assert type(option["default"]) is {"boolean": bool, "integer": int}[option["type"]]
        assert option["code"] in CARD_CODES or option["code"] == "max-cards"
        assert re.fullmatch(r"[a-z-]+", option["code"])
    for member in ("code", "name", "description"):
        assert len({option[member] for option in options}) == len(options)
    codes = {option["code"] for option in options}
    assert ("coverage-info" in codes) is (hook != "order-select"), "only where coverage information is sent"
    assert "max-cards" in codes
    json.dumps(extension)


def test_options_are_the_same_for_every_service():
    by_code = {}
    for hook in HOOKS:
        for option in discovery_extension(hook)["davinci-crd.configuration-options"]:
            assert by_code.setdefault(option["code"], option) == option


def test_versions_are_those_of_the_specification():
    assert [version.value for version in Version] == ["2.0", "2.2"]
