"""The client registry: what loads, what is refused with file and line, and changes while the service runs."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from cds_service.cards.words import REASONS
from cds_service.errors import RegistryError
from cds_service.trust.addresses import normal_base
from cds_service.trust.registry import (
    SANDBOX_KEY,
    CardSettings,
    Client,
    FhirServer,
    LiveRegistry,
    SmartApp,
    demo_registry,
    load_registry,
)
from tests.minting import ec_key, public

EXAMPLE = Path(__file__).parents[2] / "docs" / "registry.example.yaml"
GOOD = "clients:\n  - {name: a, issuer: https://a.example, jku: https://a.example/jwks}\n"


def written(folder: Path, text: str) -> Path:
    """A registry file."""
    path = folder / "registry.yaml"
    path.write_text(dedent(text))
    return path


def problems(folder: Path, text: str, **more: bool) -> list[str]:
    """What is wrong with a registry file."""
    with pytest.raises(RegistryError) as refused:
        load_registry(written(folder, text), **more)
    return refused.value.problems


BOMB = "".join(
    f"{name}: &{name} [{', '.join([before] * 9)}]\n"
    for before, name in zip(["x", *(f"*{one}" for one in "abcdefghi")], "abcdefghij", strict=True)
)
"""Ten lines that come to 9 to the tenth."""
READ = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (600 << 20, 600 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from cds_service.crd.authorizations import read_register
from cds_service.errors import DocumentError
from cds_service.policies.load import load_revision
from cds_service.trust.registry import load_registry
for read in (load_registry, read_register, load_revision):
    try:
        read(Path(sys.argv[1]))
    except DocumentError as error:
        print(*error.problems)
"""


def test_a_few_lines_that_repeat_each_other_are_refused_before_they_fill_the_memory(tmp_path: Path) -> None:
    path = written(tmp_path, BOMB + "clients: *j\n")
    tried = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    lines = tried.stdout.splitlines()
    assert len(lines) == 3, tried.stderr
    assert all(re.fullmatch(r".*registry\.yaml:\d+: is repeated \(\*\) too often; .*", one) for one in lines)


@pytest.mark.parametrize("text", ["[" * 100_000 + "]" * 100_000, "- " * 100_000 + "a", "? " * 100_000])
def test_a_file_that_is_nested_very_deep_is_refused_before_the_reader_goes_down_with_it(
    tmp_path: Path, text: str
) -> None:
    path = written(tmp_path, text)
    tried = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False)
    lines = tried.stdout.splitlines()
    assert [Path(line).name for line in lines] == ["registry.yaml:1: nested too deep"] * 3, tried.returncode


def test_a_list_in_the_place_of_a_word_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "? [a, b]\n: x\n") == ["registry.yaml:1: before a colon stands one word"]


def test_a_part_that_is_written_once_and_repeated_is_read(tmp_path: Path) -> None:
    text = "clients:\n"
    for name in "abc":
        mark = "&hosts [ehr.example]" if name == "a" else "*hosts"
        text += (
            f"  - {{name: {name}, issuer: https://{name}.example, jku: https://a.example/k, private_hosts: {mark}}}\n"
        )
    assert {client.private_hosts for client in load_registry(written(tmp_path, text)).clients} == {("ehr.example",)}


def test_the_example_in_the_docs_loads_and_says_what_it_says() -> None:
    registry = load_registry(EXAMPLE)
    hospital, clinic, pilot = registry.clients
    assert (hospital.algorithms, clinic.algorithms) == (("RS384",), ("ES384", "RS384"))
    assert hospital.deadline == Decimal("3.5")
    assert (hospital.cards.show_passing, pilot.fhir[0].without_token) == (False, True)
    assert registry.client("https://cds-hooks.cerner.com", "ec2458f2-1e24-41c8-b71b-0e701af7583d") is clinic
    assert registry.client("https://cds-hooks.cerner.com", "another") is None
    assert registry.client("https://cds-hooks.cerner.com", None) is None
    assert hospital.server("HTTPS://EHR.general.example:443/api/FHIR/R4/") is hospital.fhir[0]
    assert hospital.server("https://ehr.general.example/api/FHIR/R4/../admin") is None
    assert hospital.server("https://ehr.general.example.attacker.example/api/FHIR/R4") is None
    assert pilot.static_keys is not None
    assert registry.launching("HTTPS://EHR.general.example:443/api/FHIR/R4/") == (hospital, hospital.fhir[0].base)
    assert registry.launching(clinic.fhir[0].base) is None
    assert hospital.smart is not None
    assert hospital.smart.origins == ("https://login.general.example",)
    assert set(registry.key_addresses) == {*hospital.jku, *clinic.jku}
    assert len(registry.sha256) == 64
    assert set(hospital.cards.override_codes) <= set(REASONS)


def test_the_example_in_the_docs_names_every_member_and_override_reason() -> None:
    text = EXAMPLE.read_text()
    for model in (Client, CardSettings, SmartApp, FhirServer):
        for member in model.model_fields:
            assert re.search(rf"\b{member}\b", text), member
    reasons = text.partition("override_codes")[2].partition("silent")[0]
    assert all(re.search(rf"\b{code}\b", reasons) for code in REASONS)


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        ("name: Upper Case", 2, "lower case letters, digits and hyphens"),
        ("issuer: ''", 3, "is empty"),
        ("jku: http://a.example/jwks", 4, "not https"),
        ("jku: ftp://a.example/jwks", 4, "no http(s) address"),
        ("jku: https://user:secret@a.example/jwks", 4, "credentials"),
        ("algorithms: [HS256]", 5, "no algorithm that clients may use"),
        ("algorithms: [none]", 5, "no algorithm that clients may use"),
        ("algorithms: []", 5, "no algorithm that clients may use"),
        ("profile: meditech", 6, "'generic', 'crd', 'sandbox', 'epic' or 'cerner'"),
        ("profile: sandbox", 3, "anybody can call in its name"),
        ("deadline: 60", 7, "less than or equal to 30"),
        ("deadline: soon", 7, "a number, in digits"),
        ("cards: {show_passing: maybe}", 10, "show_passing: is to be yes or no"),
        ("fhir: [{base: http://fhir.a.example}]", 8, "not https; only demo mode"),
        ("fhir: [{base: 'https://fhir.a.example?x=1'}]", 8, "query"),
        ("unobtainable: 500", 9, "'card' or '412'"),
        ("cards: {show_pasing: yes}", 10, "did you mean show_passing?"),
        ("cards: {critical_factor: 1}", 10, "greater than 1"),
        ("smart: {client_id: ''}", 11, "pattern"),
        ("smart: {client_id: form, client_secret: s3cret}", 11, "no word of this place"),
        ("smart: {client_id: form, secret_env: lower-case}", 11, "pattern"),
        ("smart: {client_id: form, secret_env: A, secret_file: b}", 11, "one of them is enough"),
        ("smart: {client_id: form, origins: ['https://a.example/path']}", 11, "more than an origin"),
        ("smart: {client_id: form, origins: ['http://a.example']}", 11, "not https"),
    ],
)
def test_a_problem_is_named_with_file_and_line(tmp_path: Path, change: str, line: int, said: str) -> None:
    lines = {
        "name": "name: a",
        "issuer": "issuer: https://a.example",
        "jku": "jku: https://a.example/jwks",
        "algorithms": "algorithms: [ES384]",
        "profile": "profile: generic",
        "deadline": "deadline: 2",
        "fhir": "fhir: [{base: https://fhir.a.example}]",
        "unobtainable": "unobtainable: card",
        "cards": "cards: {show_passing: yes}",
        "smart": "smart: {client_id: form}",
    }
    good = "clients:\n  - " + "\n    ".join(lines.values())
    assert load_registry(written(tmp_path, good)).clients[0].name == "a"
    lines[change.partition(":")[0]] = change
    found = problems(tmp_path, "clients:\n  - " + "\n    ".join(lines.values()))
    assert len(found) == 1
    assert found[0].startswith(f"registry.yaml:{line}: ")
    assert said in found[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "registry.yaml:1: the file is empty"),
        ("clients: []", "registry.yaml:1: no client is registered"),
        ("clients:\n  - name: a\n    name: b", "registry.yaml:3: 'name' is given twice"),
        ("clients: [", "registry.yaml:2: what stands here cannot be read (did not find"),
        ("clients:\n  - {name: a, issuer: i}", "registry.yaml:2: a client needs jku"),
        (GOOD + "  - {name: a, issuer: https://b.example, jku: https://b.example}", "registry.yaml:3: another client"),
        ("clients:\n  - {name: a, issuer: i, jku: https://a.example, smart: {client_id: f}}", "smart needs fhir"),
        (
            GOOD.replace("}", ", fhir: https://f.example, smart: {client_id: f}}")
            + "  - {name: b, issuer: j, jku: https://b.example, fhir: https://F.example/, smart: {client_id: f}}",
            "registry.yaml:3: another client's SMART app is launched from the same FHIR server",
        ),
        (
            GOOD + "  - {name: b, issuer: https://a.example, jku: https://b.example}",
            "registry.yaml:3: clients that share",
        ),
        (
            GOOD.replace("}", ", tenants: [t]}")
            + "  - {name: b, issuer: https://a.example, jku: https://b.example, tenants: [t]}",
            "registry.yaml:3: clients that share",
        ),
        (
            "clients:\n  - {name: a, issuer: 'https://sandbox.cds-hooks.org/', jku: https://x.example}",
            "anybody can call",
        ),
        ("clients: [{name: a, issuer: i, jwks: {keys: []}}]", "jwks: it holds no list of keys"),
        ("clients: [{name: a, issuer: i, jwks: {keys: [{kty: oct, k: AAAA}]}}]", "private or symmetric"),
        (
            "clients: [{name: a, issuer: i, jwks: {keys: [{kty: EC, crv: P-384, x: A, y: B, d: C}]}}]",
            "private or symmetric",
        ),
        (
            "clients: [{name: a, issuer: i, jwks: {keys: [{kty: EC, crv: P-384, x: A, y: B}]}}]",
            "no public signature key",
        ),
    ],
)
def test_what_does_not_hold_together_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in "\n".join(problems(tmp_path, text))


def test_several_problems_are_all_named_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = problems(tmp_path, "clients:\n  - name: A\n    issuer: ''\n    jku: https://a.example\n    extra: 1\n")
    assert [one.split(":")[1] for one in found] == ["2", "3", "5"]


def test_the_sandboxs_key_is_refused_under_any_name_outside_demo_mode(tmp_path: Path) -> None:
    text = yaml.safe_dump(
        {
            "clients": [
                {"name": "a", "issuer": "https://harmless.example", "jwks": {"keys": [{**SANDBOX_KEY, "kid": "x"}]}}
            ]
        }
    )
    assert "its private half is published" in problems(tmp_path, text)[0]
    assert load_registry(written(tmp_path, text), demo=True)


def test_keys_that_fit_no_algorithm_are_refused(tmp_path: Path) -> None:
    client = {"name": "a", "issuer": "i", "algorithms": ["RS384"], "jwks": public(ec_key())}
    assert "no key fits RS384" in problems(tmp_path, yaml.safe_dump({"clients": [client]}))[0]


def test_demo_mode_may_use_http_and_pins_the_sandbox(tmp_path: Path) -> None:
    text = "clients: [{name: a, issuer: http://a.test, jku: http://a.test/jwks, fhir: {base: http://a.test/fhir}}]"
    assert load_registry(written(tmp_path, text), demo=True)
    sandbox = demo_registry().clients[0]
    assert sandbox.static_keys is not None
    assert sandbox.static_keys.find("44823f3d-0b01-4a6c-a80e-b9d3e8a7226f", "ES384") is not None


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://A.example/", "https://a.example"),
        ("https://a.example:443/x/", "https://a.example/x"),
        ("http://a.example:80", "http://a.example"),
        ("https://a.example:8443/X", "https://a.example:8443/X"),
        ("https://[::1]:9/x", "https://[::1]:9/x"),
        ("https://Klinik-München.example/x", "https://xn--klinik-mnchen-3ob.example/x"),
    ],
)
def test_addresses_have_one_spelling(url: str, normal: str) -> None:
    assert normal_base(url) == normal


@pytest.mark.parametrize(
    "url", ["", "a.example", "file:///etc", "https://", "https://a.example:port", "https://a\\@b", "https://①"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        normal_base(url)


async def test_a_changed_file_is_read_and_a_broken_one_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, GOOD)
    live = LiveRegistry.of(path, every=0)
    assert [client.name for client in (await live.fresh()).clients] == ["a"]
    written(tmp_path, GOOD.replace("name: a", "name: another"))
    assert [client.name for client in (await live.fresh()).clients] == ["another"]
    written(tmp_path, "clients: [{name: broken}]")
    assert [client.name for client in (await live.fresh()).clients] == ["another"]
    assert live.alarm == "registry: 1 problem"
    assert [record.cds_fields["what"] for record in caplog.records if record.msg == "reload refused"] == ["registry"]
    path.unlink()
    assert [client.name for client in (await live.fresh()).clients] == ["another"]
    written(tmp_path, GOOD)
    assert [client.name for client in (await live.fresh()).clients] == ["a"]
    assert live.alarm == ""


async def test_while_a_file_is_read_the_old_registry_serves(tmp_path: Path) -> None:
    live = LiveRegistry.of(written(tmp_path, GOOD), every=0)
    written(tmp_path, GOOD.replace("name: a", "name: another"))
    names = {r.clients[0].name for r in await asyncio.gather(*(live.fresh() for _ in range(10)))}
    assert names == {"a", "another"}
