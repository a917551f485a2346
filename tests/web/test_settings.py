"""Configuration: from the environment, checked before anything starts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cds_service.app import create_app
from cds_service.errors import PolicyError, SettingsError
from cds_service.evidence import Known
from cds_service.settings import Settings


def test_without_configuration_it_is_a_demonstration_on_loopback() -> None:
    settings = Settings.load()
    assert (settings.host, settings.demo_mode, settings.body_limit) == ("127.0.0.1", True, 8 * 1024 * 1024)
    site = settings.site()
    assert site.demo
    assert site.show_passing
    assert site.configured == {}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "cds.example"])
def test_demo_mode_stays_on_loopback_unless_told_in_so_many_words(host: str) -> None:
    with pytest.raises(SettingsError, match="DEMO_MODE"):
        Settings.load(host=host)
    assert Settings.load(host=host, allow_demo_anywhere=True).demo_mode


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_has_many_names(host: str) -> None:
    assert Settings.load(host=host).demo_mode


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_registry_ends_demo_mode_and_without_one_there_is_no_other(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REGISTRY"):
        Settings.load(host=host, demo_mode=False)
    with pytest.raises(SettingsError, match="PUBLIC_BASE_URL"):
        Settings.load(host=host, registry=tmp_path)
    settings = Settings.load(host=host, registry=tmp_path, public_base_url="https://cds.example")
    assert not settings.demo_mode
    assert not settings.site().demo
    assert Settings.load(registry=tmp_path, demo_mode=True).site().demo


def test_the_environment_configures(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "REGISTRY": "/etc/clients.yaml",
        "DEMO_MODE": "false",
        "PAYER_LABEL": "Example Health Plan",
        "ROUNDING_BAND_PERCENT": "2.5",
        "PLANS": '{"Ambetter": "him"}',
        "PREFETCH_NAMES": '{"-weights": "weight"}',
        "LABEL_CHANGE_DATE": "2026-09-01",
        "FORMULARY": "true",
        "PUBLIC_BASE_URL": "https://cds.example/base/",
        "POLICY_DATE": "2023-01-01",
    }.items():
        monkeypatch.setenv(f"DURVALUMAB_CDS_{name}", value)
    site = Settings.load().site()
    assert not site.show_passing
    assert site.payer_label == "Example Health Plan"
    assert site.rounding_band_percent == Decimal("2.5")
    assert site.plans == {"Ambetter": "him"}
    assert site.prefetch_names == {"-weights": "weight"}
    assert site.public_base_url == "https://cds.example/base"
    assert site.policy_date == date(2023, 1, 1)
    configured = {name: fact.value for name, fact in site.configured.items() if isinstance(fact, Known)}
    assert configured == {"label_change_date": date(2026, 9, 1), "formulary": True}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 70000),
        ("body_limit", 0),
        ("memory_hours", 10**20),
        ("rounding_band_percent", -1),
        ("timezone", "Middle/Earth"),
        ("log_level", "loud"),
    ],
)
def test_a_bad_value_is_named(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"DURVALUMAB_CDS_{name.upper()}"):
        Settings.load(**{name: value})


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"PLANS": "Ambetter: him"}, "DURVALUMAB_CDS_PLANS: a list or map is given as JSON"),
        ({"CONFIG_FILE": "{folder}/broken.yaml"}, "DURVALUMAB_CDS_CONFIG_FILE: {folder}/broken.yaml, line 2"),
        ({"CONFIG_FILE": "{folder}/list.yaml"}, "DURVALUMAB_CDS_CONFIG_FILE: {folder}/list.yaml"),
        ({"CONFIG_FILE": "{folder}/bomb.yaml"}, "DURVALUMAB_CDS_CONFIG_FILE: {folder}/bomb.yaml, line 2: repeats (*)"),
        (
            {"CONFIG_FILE": "{folder}/deep.yaml"},
            "DURVALUMAB_CDS_CONFIG_FILE: {folder}/deep.yaml does not hold settings",
        ),
        ({"CONFIG_FILE": "{folder}/none.yaml"}, "DURVALUMAB_CDS_CONFIG_FILE: {folder}/none.yaml is not there"),
        ({"SECRETS_FOLDER": "{folder}/none"}, "DURVALUMAB_CDS_SECRETS_FOLDER: {folder}/none is no folder"),
        ({"SECRETS_FOLDER": "{folder}/list.yaml"}, "DURVALUMAB_CDS_SECRETS_FOLDER: {folder}/list.yaml is no folder"),
        ({"SECRETS_FOLDER": "{folder}/secrets"}, "DURVALUMAB_CDS_PLANS: a list or map is given as JSON"),
        ({"PUBLIC_BASE_URL": "cds.example"}, "DURVALUMAB_CDS_PUBLIC_BASE_URL: an address begins with https://"),
        ({"PUBLIC_BASE_URL": "https://cds.example/?a=1"}, "DURVALUMAB_CDS_PUBLIC_BASE_URL: an address names a host"),
        ({"PUBLIC_BASE_URL": "https://"}, "DURVALUMAB_CDS_PUBLIC_BASE_URL: an address names a host"),
        ({"PUBLIC_BASE_URL": "https://[::1"}, "DURVALUMAB_CDS_PUBLIC_BASE_URL: an address names a host"),
        ({"PUBLIC_BASE_URL": "https://cds .example"}, "DURVALUMAB_CDS_PUBLIC_BASE_URL: an address has no blanks"),
        ({"HOST": "0.0.0.0"}, "demo mode listens on a loopback address only"),
        ({"HOST": ""}, "DURVALUMAB_CDS_HOST: "),
        ({"REGISTRY": ""}, "DURVALUMAB_CDS_REGISTRY: is empty"),
        ({"POLICY_FOLDER": " "}, "DURVALUMAB_CDS_POLICY_FOLDER: is empty"),
        ({"DATA_FOLDER": ""}, "DURVALUMAB_CDS_DATA_FOLDER: is empty"),
        ({"RECORD_URL": ""}, "DURVALUMAB_CDS_RECORD_URL: is empty"),
        ({"RECORD_SECRET": ""}, "DURVALUMAB_CDS_RECORD_SECRET: is empty"),
        ({"RECORD_SECRET": "\udcff" * 40}, "DURVALUMAB_CDS_RECORD_SECRET: is no text in UTF-8"),
        ({"PLANS": '{"\udcff": "him"}'}, "DURVALUMAB_CDS_PLANS: is no text in UTF-8"),
        ({"POLICY_DATE": "0"}, "DURVALUMAB_CDS_POLICY_DATE: is to be a date, written as 2022-12-02"),
        ({"LABEL_CHANGE_DATE": "86400"}, "DURVALUMAB_CDS_LABEL_CHANGE_DATE: is to be a date, written as 2022-12-02"),
        ({"BODY_SECONDS": "inf"}, "DURVALUMAB_CDS_BODY_SECONDS: "),
        ({"CA_FILE": ""}, "DURVALUMAB_CDS_CA_FILE: is empty"),
        ({"CA_FILE": "{folder}/none.pem"}, "DURVALUMAB_CDS_CA_FILE: {folder}/none.pem cannot be read (No such file"),
        ({"CA_FILE": "{folder}"}, "DURVALUMAB_CDS_CA_FILE: {folder} cannot be read ("),
        ({"CA_FILE": "{folder}/list.yaml"}, "DURVALUMAB_CDS_CA_FILE: {folder}/list.yaml holds no certificates in PEM"),
        (
            {"CA_FILE": "{folder}/broken.pem"},
            "DURVALUMAB_CDS_CA_FILE: {folder}/broken.pem holds no certificates in PEM",
        ),
        ({"OTLP_ENDPOINT": "collector:4318"}, "DURVALUMAB_CDS_OTLP_ENDPOINT: "),
    ],
)
def test_what_is_wrong_with_the_configuration_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], told: str
) -> None:
    (tmp_path / "broken.yaml").write_text("port: [1\n")
    (tmp_path / "list.yaml").write_text("- port\n")
    (tmp_path / "bomb.yaml").write_text("plans: &a {x: him}\nprefetch_names: *a\n")
    (tmp_path / "deep.yaml").write_text(f"plans: {'[' * 5000}{']' * 5000}\n")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\n=\n-----END CERTIFICATE-----\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "plans").write_text("him")
    for name, value in environment.items():
        monkeypatch.setenv(f"DURVALUMAB_CDS_{name}", value.replace("{folder}", str(tmp_path)))
    with pytest.raises(SettingsError) as error:
        Settings.load()
    assert str(error.value).startswith(told.replace("{folder}", str(tmp_path)))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DEMOMODE", "demo_mode"), ("RECORD_DAY", "record_days"), ("DATADIR", ""), ("REGISTRY_", "registry")],
)
def test_a_setting_that_is_none_is_told_with_what_may_be_meant(
    name: str, meant: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as environment:
        environment.setenv(f"DURVALUMAB_CDS_{name}", "false")
        with pytest.raises(SettingsError, match=rf"\ADURVALUMAB_CDS_{name}: is no setting.*{meant}.*\Z"):
            Settings.load()
    file = tmp_path / "settings.yaml"
    file.write_text(f"{name}: false\n")
    monkeypatch.setenv("DURVALUMAB_CDS_CONFIG_FILE", str(file))
    with pytest.raises(SettingsError, match=rf"settings.yaml: {name} is no setting.*{meant}.*\Z"):
        Settings.load()


def test_names_of_the_file_are_written_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "settings.yaml"
    monkeypatch.setenv("DURVALUMAB_CDS_CONFIG_FILE", str(file))
    file.write_text("body_limit: 1000\n")
    assert Settings.load().body_limit == 1000
    file.write_text("BODY_LIMIT: 1000\n")
    with pytest.raises(SettingsError, match="BODY_LIMIT is no setting; is body_limit meant"):
        Settings.load()


def test_what_kubernetes_sets_for_a_service_of_this_name_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    links = "SERVICE_HOST SERVICE_PORT SERVICE_PORT_HTTP PORT_80_TCP PORT_80_TCP_ADDR DB_SERVICE_HOST DB_PORT"
    for name in links.split():
        monkeypatch.setenv(f"DURVALUMAB_CDS_{name}", "tcp://10.0.0.1:80")
    assert Settings.load().port == 8080
    monkeypatch.setenv("DURVALUMAB_CDS_PORT", "tcp://10.0.0.1:80")
    with pytest.raises(SettingsError, match=r"PORT: tcp://10.0.0.1:80 was set by Kubernetes.*enableServiceLinks"):
        Settings.load()


def test_the_end_of_a_line_is_no_part_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """As files of variables bring it that were written on another system."""
    told = {
        "PUBLIC_BASE_URL": "https://cds.example/",
        "PAYER_LABEL": "Ambetter",
        "DATA_FOLDER": "/srv/cds",
        "RECORD_URL": "postgresql://cds@db/record",
        "CRD_CONTACT": " ",
        "RECORD_SECRET": "s" * 40,
    }
    for name, value in told.items():
        monkeypatch.setenv(f"DURVALUMAB_CDS_{name}", f"{value}\r\n")
    settings = Settings.load()
    assert settings.public_base_url == "https://cds.example"
    assert settings.payer_label == "Ambetter"
    assert settings.data_folder == Path("/srv/cds")
    assert settings.record_url is not None
    assert settings.record_url.get_secret_value() == told["RECORD_URL"]
    assert settings.site().crd.contact is None
    assert settings.record_secret is not None
    assert settings.record_secret.get_secret_value() == f"{told['RECORD_SECRET']}\r\n"  # rows were written under it


def test_the_day_of_the_call_is_that_of_the_configured_zone() -> None:
    now = datetime.now(UTC)
    days = {Settings.load(timezone=zone).today() for zone in ("Pacific/Kiritimati", "Pacific/Niue", "UTC")}
    assert now.date() in days
    assert len(days) >= 2  # those two islands never share a day


def test_a_wrong_policy_folder_keeps_the_service_from_starting(tmp_path: Path) -> None:
    from cds_service.app import create_app

    (tmp_path / "bad.yaml").write_text("policy: X\n")
    with pytest.raises(PolicyError, match=r"bad\.yaml:1"):
        create_app(Settings.load(policy_folder=tmp_path))


def test_every_setting_is_documented() -> None:
    docs = Path(__file__).parents[2] / "docs"
    page = "".join((docs / name).read_text() for name in ("integrate-ehr.md", "operate.md"))
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert f"`DURVALUMAB_CDS_{name.upper()}`" in page, name


@pytest.mark.parametrize("broken", ["folder", "file", "below-a-file"])
def test_a_file_for_used_tokens_that_cannot_be_one_is_named(tmp_path: Path, broken: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"no database" * 1000)
    path = tmp_path / ("file/tokens" if broken == "below-a-file" else broken)
    with pytest.raises(SettingsError) as error:
        create_app(Settings.load(replay_file=path))
    assert str(error.value).startswith(f"{path}: used tokens cannot be noted there (")
    assert str(error.value).count(str(path)) == 1
