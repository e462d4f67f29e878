"""dlt's internals on which patches rely, so that an upgrade which changes them fails here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import dlt
import pytest
from dlt.common import jsonpath, validation
from dlt.common.configuration import configspec, resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ConfigFieldMissingException, ValueNotSecretException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.runtime import exec_info
from dlt.common.typing import TSecretStrValue

from lakefeed.loading.dlt_adapter import patches
from lakefeed.loading.dlt_adapter.config_providers import FilteringProvider, use_filtering_providers
from lakefeed.loading.dlt_adapter.destination import RawDestination
from lakefeed.loading.dlt_adapter.pipeline import TablePipeline


@configspec
class Knobs(BaseConfiguration):
    from_nowhere: str = "default"
    from_file: str = "default"
    from_environment: int = 0
    both: str = "default"
    secret: TSecretStrValue | None = None


@configspec
class Needed(BaseConfiguration):
    needed: str = None  # type: ignore[assignment]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("PROVIDERS__ENABLE_AIRFLOW_SECRETS", "false")
    (tmp_path / ".dlt").mkdir()
    return tmp_path


def knobs(project: Path, config: str) -> Knobs:
    (project / ".dlt" / "config.toml").write_text(config)
    use_filtering_providers(project)
    return resolve_configuration(Knobs(), sections=("shop", "deep"))


def test_dlt_settings_are_found_in_files_and_in_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP__FROM_ENVIRONMENT", "7")
    monkeypatch.setenv("BOTH", "environment")

    found = knobs(project, 'both = "file"\n[shop.deep]\nfrom_file = "file"')

    assert (found.from_nowhere, found.from_file, found.from_environment) == ("default", "file", 7)
    assert found.both == "environment"


def test_a_secret_in_config_toml_is_refused(project: Path) -> None:
    with pytest.raises(ValueNotSecretException):
        knobs(project, '[shop]\nsecret = "pssst"')


def test_a_secret_in_secrets_toml_is_found(project: Path) -> None:
    (project / ".dlt" / "secrets.toml").write_text('[shop]\nsecret = "pssst"')

    assert knobs(project, "").secret == "pssst"


def test_dlt_uses_the_filtering_providers(project: Path) -> None:
    knobs(project, "")

    asked = Container()[PluggableRunContext].providers.providers

    assert [type(provider) for provider in asked] == [FilteringProvider] * 3


def test_a_provider_is_asked_only_for_fields_that_it_may_have(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    look_up = FilteringProvider.get_value

    def watched(provider: FilteringProvider, key: str, *rest: Any) -> Any:
        asked.append((provider.name, key))
        return look_up(provider, key, *rest)

    monkeypatch.setattr(FilteringProvider, "get_value", watched)

    knobs(project, 'from_file = "file"')

    assert {name for name, key in asked if key == "from_file"} == {"config.toml"}
    assert "from_nowhere" not in {key for _, key in asked}


def test_a_field_that_is_nowhere_is_not_looked_for_section_by_section(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for = set()
    look_up = resolve.resolve_single_provider_value

    def watched(provider: FilteringProvider, key: str, *rest: Any) -> Any:
        looked_for.add(key)
        return look_up(provider, key, *rest)

    monkeypatch.setattr(resolve, "resolve_single_provider_value", watched)

    knobs(project, 'from_file = "file"')

    assert "from_file" in looked_for
    assert "from_nowhere" not in looked_for


def test_a_missing_setting_is_named_with_the_places_that_lack_it(project: Path) -> None:
    use_filtering_providers(project)

    with pytest.raises(ConfigFieldMissingException) as missing:
        resolve_configuration(Needed(), sections=("shop", "deep"))

    assert "NEEDED" in str(missing.value)
    assert "config.toml" in str(missing.value)


def test_a_pipeline_reads_its_schema_from_disk_only_once(project: Path) -> None:
    def pipeline() -> TablePipeline:
        folder = str(project / "pipelines")
        return dlt.pipeline("kept", pipelines_dir=folder, _impl_cls=TablePipeline)

    first = pipeline()
    first.extract([{"a": 1}], table_name="t")
    again = pipeline()
    schema = again.default_schema

    (project / "pipelines/kept/schemas/kept.schema.json").unlink()

    assert "t" in schema.tables
    assert again.default_schema is schema


def test_dlt_calls_the_cached_functions() -> None:
    assert jsonpath.compile_path("a.b") is jsonpath.compile_path("a.b")
    assert patches._HINTS in validation.validate_dict.__code__.co_names
    assert getattr(validation, patches._HINTS).__module__ == patches.__name__
    assert BaseConfiguration.__len__.__module__ == patches.__name__
    assert (len(BaseConfiguration()), len(Knobs())) == (0, 5)
    assert patches._PACKAGE in exec_info.get_execution_context.__code__.co_names
    assert hasattr(getattr(exec_info, patches._PACKAGE), "cache_info")
    for name in patches._OF_HINTS:
        assert getattr(resolve, name).__module__ == patches.__name__, name


def test_hints_that_cannot_be_hashed_are_taken_as_before() -> None:
    assert resolve.is_secret_hint(Annotated[str, {"not": "hashable"}]) is False  # type: ignore[arg-type]


def test_dlt_cannot_change_the_settings_of_a_shared_destination(tmp_path: Path) -> None:
    destination = RawDestination(bucket_url=str(tmp_path))

    destination.config_params["credentials"] = None

    assert destination.config_params == {"bucket_url": str(tmp_path)}
