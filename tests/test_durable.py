"""A save must never leave a folder that loads neither as it was nor as it should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jaxformers import durable

HERE = Path(__file__).parent


def contents(folder: Path) -> dict[str, str]:
    """All files of a folder, hidden ones too."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def journal(folder: Path, content: str, tag: str = "0" * 16) -> None:
    """A journal that a dead save, or somebody who means harm, has left."""
    (folder / f".jaxformers-save-{tag}.json").write_text(content)


def test_new_files_take_their_names_and_superseded_ones_go(tmp_path):
    folder = tmp_path / "new" / "folder"
    with durable.Replacement(folder) as files:
        files.write("config.json", b"1")
    (folder / "keep.txt").write_text("mine")
    (folder / "old.bin").write_text("old")
    with durable.Replacement(folder) as files:
        files.path("model.bin").write_text("2")
        files.write("config.json", b"2")
        files.remove("old.bin")
        files.remove("never there")
        assert contents(folder).keys() >= {"config.json", "keep.txt", "old.bin"}
        assert (folder / "config.json").read_text() == "1"  # nothing has changed yet
        assert durable.resolve(folder, "config.json").read_text() == "1"
    assert contents(folder) == {"config.json": "2", "keep.txt": "mine", "model.bin": "2"}


def test_files_are_renamed_in_the_order_in_which_they_were_added(tmp_path, monkeypatch):
    renamed = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (renamed.append(Path(b).name), replace(a, b)))
    with durable.Replacement(tmp_path) as files:
        for name in ("z", "a", "m", "config.json"):
            files.write(name, b"")
        files.write("z", b"again")
    assert renamed == ["z", "a", "m", "config.json"]
    assert (tmp_path / "z").read_bytes() == b"again"


def test_a_name_that_is_both_written_and_removed_is_written(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").write_text("old")
    with durable.Replacement(tmp_path) as files:
        files.remove("a")
        files.write("a", b"new")
        files.write("b", b"new")
        files.remove("b")
    assert contents(tmp_path) == {"a": "new", "b": "new"}


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_folder_as_it_was(tmp_path, kind):
    (tmp_path / "config.json").write_text("1")

    def save():
        with durable.Replacement(tmp_path) as files:
            files.write("config.json", b"2")
            files.path("half.bin").write_text("half")
            files.remove("config.json")
            raise kind

    with pytest.raises(kind):
        save()
    assert contents(tmp_path) == {"config.json": "1"}


def test_nothing_to_save_leaves_nothing(tmp_path):
    with durable.Replacement(tmp_path):
        pass
    assert contents(tmp_path) == {}


def test_a_file_announced_but_never_written_is_an_error_and_changes_nothing(tmp_path):
    (tmp_path / "a").write_text("old")

    def save():
        with durable.Replacement(tmp_path) as files:
            files.write("a", b"new")
            files.path("b")

    with pytest.raises(OSError, match="b was announced to a save, but never written"):
        save()
    assert contents(tmp_path) == {"a": "old"}


def test_a_folder_in_the_way_of_a_file_is_an_error_and_changes_nothing(tmp_path):
    (tmp_path / "config.json").mkdir()
    (tmp_path / "a").write_text("old")

    def save():
        with durable.Replacement(tmp_path) as files:
            files.write("a", b"new")
            files.write("config.json", b"new")

    with pytest.raises(OSError, match="is a folder"):
        save()
    assert (tmp_path / "a").read_text() == "old"
    assert len(os.listdir(tmp_path)) == 2


def test_a_file_in_the_way_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "model").write_text("")
    with pytest.raises(OSError, match="is a file: cannot save into it"), durable.Replacement(tmp_path / "model"):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_file_modes_follow_the_umask_whoever_wrote_the_temporary(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        with durable.Replacement(tmp_path) as files:
            files.write("a", b"")
            files.write("b", b"")
            files.path("b").chmod(0o600)  # as safetensors' own writer leaves its files
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [mode, mode]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/a", "a\\b", "a\0b", ".jaxformers-save-0123456789abcdef.json", None, 3]
)
def test_names_that_are_no_file_of_the_folder_are_refused(tmp_path, name):
    with durable.Replacement(tmp_path) as files:
        for method in (files.path, files.remove):
            with pytest.raises(ValueError, match="not the name of a file"):
                method(name)


def run_kills(*arguments: str) -> dict:
    """The result of kills.py in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE / "kills.py"), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_killed_before_any_operation_the_old_or_the_new_files_are_there():
    result = run_kills(str(HERE / "kills_durable.py"), "steps")
    assert result["steps"] >= 15  # temporaries, journal, renames, removals
    assert sorted(result["left"]) == result["left"]  # old ones up to the journal, new ones from there on
    assert {0, 1} == set(result["left"])
    assert result["left"].count(1) >= 5


def test_killed_at_20_random_moments_no_save_is_lost_or_mixed():
    assert len(run_kills(str(HERE / "kills_durable.py"), "20")["seen"]) == 21


def test_an_error_between_two_renames_leaves_the_new_files_for_readers_and_the_next_save(tmp_path, monkeypatch):
    for name in "abc":
        (tmp_path / name).write_text("old")
    replace = os.replace

    def fail_at_b(source, target):
        if Path(target).name == "b":
            raise OSError("the disk is gone")
        replace(source, target)

    def save():
        with durable.Replacement(tmp_path) as files:
            for name in "abc":
                files.write(name, b"new")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail_at_b)
        with pytest.raises(OSError, match="the disk is gone"):
            save()
    assert [(tmp_path / name).read_text() for name in "abc"] == ["new", "old", "old"]
    assert [durable.resolve(tmp_path, name).read_text() for name in "abc"] == ["new", "new", "new"]
    with durable.Replacement(tmp_path) as files:
        files.write("d", b"newer")
    assert contents(tmp_path) == {"a": "new", "b": "new", "c": "new", "d": "newer"}


def test_saves_at_the_same_time_do_not_disturb_each_other(tmp_path):
    with durable.Replacement(tmp_path) as first:
        first.write("a", b"first")
        first.write("b", b"first")
        with durable.Replacement(tmp_path) as second:  # must not take the first one's temporaries for litter
            second.write("a", b"second")
            second.write("b", b"second")
        assert {(tmp_path / name).read_text() for name in "ab"} == {"second"}
    assert contents(tmp_path) == {"a": "first", "b": "first"}


def test_many_threads_saving_at_once_leave_one_whole_set(tmp_path):
    def save(number: int) -> None:
        for _ in range(10):
            with durable.Replacement(tmp_path) as files:
                for name in "abc":
                    files.write(name, str(number).encode())

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = contents(tmp_path)
    assert left.keys() == {"a", "b", "c"}
    assert len(set(left.values())) == 1


def test_resolve_without_a_save_is_the_file_or_none(tmp_path):
    (tmp_path / "a").write_text("")
    assert durable.resolve(tmp_path, "a") == tmp_path / "a"
    assert durable.resolve(tmp_path, "b") is None
    assert durable.resolve(tmp_path / "no folder", "a") is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"rename": {}}',
        '{"rename": {"a": "secret"}, "remove": []}',
        '{"rename": {"a": "../secret"}, "remove": []}',
        '{"rename": {"a": "/etc/passwd"}, "remove": []}',
        '{"rename": {"../a": ".jaxformers-save-0000000000000000-../a"}, "remove": []}',
        '{"rename": {}, "remove": ["../secret"]}',
        '{"rename": {}, "remove": ["/etc/passwd"]}',
        '{"rename": {}, "remove": [3]}',
        '{"rename": ["a"], "remove": []}',
        '{"rename": {"a": ".jaxformers-save-1111111111111111-a"}, "remove": []}',
    ],
)
def test_a_journal_that_no_save_of_ours_could_have_left_is_ignored(tmp_path, content):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret").write_text("secret")
    (folder / "secret").write_text("inner")
    (folder / "a").write_text("a")
    journal(folder, content)
    assert durable.resolve(folder, "a").read_text() == "a"
    with durable.Replacement(folder) as files:
        files.write("b", b"b")
    assert contents(folder) == {"a": "a", "secret": "inner", "b": "b"}
    assert (tmp_path / "secret").read_text() == "secret"


def test_hidden_files_of_others_are_not_litter(tmp_path):
    names = [".jaxformers-save-short.json", ".jaxformers-saved", ".tmpabc", ".jaxformers-save-0123456789abcdef"]
    for name in names:
        (tmp_path / name).write_text("")
    with durable.Replacement(tmp_path) as files:
        files.write("a", b"")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, "a"])
    assert not any(map(durable.is_litter, names))


def test_without_locks_only_old_litter_counts_as_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "fcntl", None)
    young, old = ".jaxformers-save-" + "1" * 16, ".jaxformers-save-" + "2" * 16
    for tag in (young, old):
        for name in (f"{tag}.json", f"{tag}-a"):
            (tmp_path / name).write_text("")
    for name in (f"{old}.json", f"{old}-a"):
        os.utime(tmp_path / name, (0, 0))
    with durable.Replacement(tmp_path) as files:
        files.write("a", b"")
    assert sorted(os.listdir(tmp_path)) == sorted([f"{young}.json", f"{young}-a", "a"])
