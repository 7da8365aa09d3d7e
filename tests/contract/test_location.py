"""An app's log (friction 7) is in its instance folder, wherever the process was started."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from app.flask_simulcast.brokers.sqlite.location import locate


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The instance folder of an app that was started in another folder."""
    (tmp_path / "elsewhere" / "instance").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "shop" / "instance"


def test_a_relative_path_begins_in_the_instance_folder_and_an_absolute_one_does_not(instance: Path) -> None:
    assert locate("simulcast.db", str(instance)) == f"{instance}/simulcast.db"
    assert locate("logs/events.db", str(instance)) == f"{instance}/logs/events.db"
    assert locate("../events.db", str(instance)) == f"{instance.parent}/events.db"
    assert locate("/srv/log.db", str(instance)) == "/srv/log.db"
    assert not instance.exists(), "the folder is made by what needs it"


@pytest.mark.parametrize(
    ("path", "old"),
    [
        ("simulcast.db", "instance/simulcast.db"),  # the default, as it was
        ("simulcast.db", "simulcast.db"),
        ("instance/simulcast.db", "instance/simulcast.db"),  # the default, as it was, spelled out
    ],
)
def test_a_log_at_the_old_place_is_used_until_there_is_one_at_the_new_one(
    instance: Path, caplog: pytest.LogCaptureFixture, path: str, old: str
) -> None:
    Path(old).touch()
    with caplog.at_level(logging.WARNING):
        assert locate(path, str(instance)) == str(Path(old).absolute())
    (record,) = caplog.records
    for named in (str(Path(old).absolute()), str(instance / path), "move it"):
        assert named in record.getMessage()
    (instance / path).parent.mkdir(parents=True)
    (instance / path).touch()
    assert locate(path, str(instance)) == str(instance / path)
    assert len(caplog.records) == 1


def test_another_file_of_the_working_directory_is_not_taken_for_the_log(instance: Path) -> None:
    Path("instance/simulcast.db").touch()
    assert locate("events.db", str(instance)) == f"{instance}/events.db"


def test_an_app_that_is_started_in_its_own_folder_has_its_log_where_it_was(
    instance: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    instance.mkdir(parents=True)
    (instance / "simulcast.db").touch()
    monkeypatch.chdir(instance.parent)
    assert locate("simulcast.db", str(instance)) == f"{instance}/simulcast.db"
    assert not caplog.records
