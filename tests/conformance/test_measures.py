"""Da Vinci CRD: what is measured of the calls. Ids as in requirements.py."""

import json

import pytest

from tests.bodies import order
from tests.crd.calls import (
    Client,
    both,
    chart,
    crd,
    service_request,
)

requirement = pytest.mark.requirement


@both
@requirement("metric-1")
async def test_measures_are_kept(version, tmp_path):
    path = tmp_path / "metrics.ndjson"
    site = Client(crd_metrics=path, crd_payers=["urn:payers|123"])
    await site.ask(crd(order(), service_request(), version=version))
    assert (await site.post(crd(version=version, prefetch=chart(coverage=None)))).status_code == 400
    good, bad = (json.loads(line) for line in path.read_text().splitlines())
    assert (good["source"], good["hookType"], good["httpResponse"], good["tokenUse"]) == (
        *("payer-src", "order-sign", 200, "not-used"),
    )
    assert good["payerId"] == {"system": "urn:payers", "value": "123"}
    assert good["requestTime"] <= good["responseTime"]
    drug, other = good["request"]
    assert drug["orderDetail"]["coding"][0]["code"] == "1919503"
    (info,) = drug["response"][0]["coverageInfo"]
    assert (info["covered"], info["paNeeded"], info["docNeeded"]) == ("covered", "auth-needed", "clinical")
    assert other["response"][0]["coverageInfo"][0]["covered"] == "conditional"
    assert {one["type"] for one in good["resources"]} >= {"Patient", "Condition", "Observation", "Coverage"}
    assert (bad["httpResponse"], bad["issue"]) == (400, [{"code": "invalid"}])
    assert "pt-1" not in path.read_text()
    assert "M-1" not in path.read_text()
