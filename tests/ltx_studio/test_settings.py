"""The settings file and its declarations. Alone: `pytest tests/ltx_studio/test_settings.py`."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RequestError
from ltx_studio.settings import (
    KEY_CHANGES,
    MONITOR_MINUTES,
    SETTINGS,
    SHOW_WELCOME,
    THEME,
    OneOf,
    Setting,
    SettingsFile,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "settings.json"


def values_in(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))["values"]


def test_without_a_file_every_setting_is_at_its_default(path: Path) -> None:
    file = SettingsFile(path)

    assert [file.get(setting) for setting in SETTINGS] == [setting.default for setting in SETTINGS]


def test_a_value_is_on_the_disk_when_put_returns(path: Path) -> None:
    SettingsFile(path).put(THEME, "light")

    assert SettingsFile(path).get(THEME) == "light"


def test_a_default_is_not_written_so_that_a_better_one_can_come(path: Path) -> None:
    file = SettingsFile(path)
    file.put(THEME, "light")

    file.put(THEME, THEME.default)

    assert values_in(path) == {}


def test_keys_that_nobody_declared_are_kept(path: Path) -> None:
    path.write_text(json.dumps({"version": 9, "values": {"from_the_future": 3}}), encoding="utf-8")

    SettingsFile(path).put(SHOW_WELCOME, True)

    assert values_in(path) == {"from_the_future": 3, "show_welcome": True}


@pytest.mark.parametrize(
    ("setting", "value"), [(THEME, "pink"), (MONITOR_MINUTES, 0), (MONITOR_MINUTES, True), (KEY_CHANGES, {"mute": 3})]
)
def test_a_value_that_is_not_allowed_counts_as_none(setting: Setting[Any], value: object, path: Path) -> None:
    path.write_text(json.dumps({"version": 1, "values": {setting.key: value}}), encoding="utf-8")

    assert SettingsFile(path).get(setting) == setting.default


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "values": []}', "\0\0\0"])
def test_a_damaged_file_is_set_aside_and_the_defaults_hold(content: str, path: Path) -> None:
    path.write_text(content, encoding="utf-8")

    file = SettingsFile(path)

    assert file.get(THEME) == THEME.default
    assert path.with_suffix(".damaged.json").read_text(encoding="utf-8") == content


@pytest.mark.skipif(os.name != "posix", reason="a file in the place of the folder is the way to refuse on any user")
def test_what_cannot_be_written_is_said_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    file = SettingsFile(tmp_path / "taken" / "settings.json")

    with pytest.raises(RequestError, match="so it is as it was"):
        file.put(THEME, "light")

    assert file.get(THEME) == THEME.default


def test_every_setting_has_its_own_key() -> None:
    keys = [setting.key for setting in SETTINGS]

    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_default_is_a_value_that_the_file_may_hold(setting: Setting[Any], path: Path) -> None:
    written = json.loads(json.dumps(setting.default))

    assert setting.parse(written) == setting.default


def test_a_choice_has_a_label_for_each_value() -> None:
    choices = [setting for setting in SETTINGS if isinstance(setting, OneOf)]

    assert all(option.label and option.value for choice in choices for option in choice.options)
    assert THEME in choices
