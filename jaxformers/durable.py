"""Writing into a folder so that whatever was there stays loadable until the new files are all there.

A save has three stages, and a process may be killed in any of them:

1. every new file is written whole to a temporary beside its target: readers see the old files;
2. the temporaries are on disk and a *journal* names them: from this moment on readers see the new files, whether
   renamed yet or not (`resolve`);
3. the temporaries are renamed one by one, superseded files and the journal are removed.

The journal exists, empty and locked, from the start of a save. The lock dies with its process, so that another save
can tell what a dead one left (finished if its journal is written, removed if not) from what a live one is writing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

try:
    import fcntl
except ImportError:  # Windows: without locks, what is younger than a day counts as alive
    fcntl = None  # type: ignore[assignment]

_PREFIX = ".jaxformers-save-"
_LITTER = re.compile(re.escape(_PREFIX) + r"([0-9a-f]{16})(?:\.json|-.+)")
_JOURNAL = re.compile(re.escape(_PREFIX) + r"([0-9a-f]{16})\.json")
_LARGEST_JOURNAL = 1 << 24  # bytes
_LONGEST_WAIT = 10.0  # seconds
_DAY = 86400.0  # seconds


class Replacement:
    """A set of files that replaces its namesakes in a folder, all or none.

    with Replacement(folder) as files:
        save(files.path("model.safetensors"))     # a path to write to, beside the target
        files.remove("pytorch_model.bin")         # superseded: goes after the new files are in place
        files.write("config.json", text)          # renamed last, since it was added last

    On leaving without an exception every file is flushed to disk and takes its name, in the order in which they were
    added; with an exception the folder is left as it was found. A process killed at any moment leaves either the old
    files or the new ones, as seen by `resolve`. File modes follow the umask.

    Attributes:
        folder: where the files go; made, with its parents, on entering.

    Raises:
        OSError: on entering or leaving, when the folder cannot be written to, or a file that was asked for by `path`
            was not written.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not os.fspath(folder):
            raise OSError("an empty name is no folder: pass '.' for this one")
        self.folder = Path(folder).expanduser()
        self._tag = secrets.token_hex(8)
        self._temporaries: dict[str, str] = {}  # target → temporary, in the order in which they are renamed
        self._superseded: dict[str, None] = {}
        self._journal: IO[bytes] | None = None

    def path(self, name: str) -> Path:
        """The path to write the new content of `name` to; the same path when asked again."""
        _check_name(name)
        self._superseded.pop(name, None)
        temporary = self._temporaries.setdefault(name, f"{_PREFIX}{self._tag}-{name}")
        return self.folder / temporary

    def write(self, name: str, content: bytes) -> None:
        """Make `content` the new content of `name`."""
        self.path(name).write_bytes(content)

    def remove(self, name: str) -> None:
        """Let `name` disappear after the new files are in place; nothing happens if it is absent by then."""
        _check_name(name)
        if name not in self._temporaries:
            self._superseded[name] = None

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise NotADirectoryError(f"{self.folder} is a file: cannot save into it") from None
        with _locked(self.folder):  # held until the journal is locked too: an unlocked one looks dead
            _tidy(self.folder)
            self._journal = _create(self.folder / f"{_PREFIX}{self._tag}.json")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._journal is not None
        with self._journal:
            if kind is not None or not (self._temporaries or self._superseded):
                self._discard()
                return
            with _locked(self.folder):
                try:
                    plan = self._seal()
                except BaseException:
                    self._discard()
                    raise
                _carry_out(self.folder, self._tag, plan)

    def _seal(self) -> _Plan:
        """Bring the temporaries to disk and write the journal: the step after which the new files count."""
        assert self._journal is not None
        mode = stat.S_IMODE(os.fstat(self._journal.fileno()).st_mode)  # 0666 less the umask
        for target, temporary in self._temporaries.items():
            if (self.folder / target).is_dir():
                raise IsADirectoryError(f"{self.folder / target} is a folder: cannot save a file of that name")
            _flush(self.folder / temporary, mode, target)
        _tidy(self.folder, mine=self._tag)  # what a save that died meanwhile had promised comes before this one
        plan = _Plan(self._temporaries, tuple(self._superseded))
        self._journal.write(plan.to_json())
        self._journal.flush()
        os.fsync(self._journal.fileno())
        _flush_folder(self.folder)
        return plan

    def _discard(self) -> None:
        """Remove what this save has made."""
        for temporary in self._temporaries.values():
            (self.folder / temporary).unlink(missing_ok=True)
        (self.folder / f"{_PREFIX}{self._tag}.json").unlink(missing_ok=True)


def resolve(folder: str | os.PathLike[str], name: str) -> Path | None:
    """The file to open when `name` is to be read from `folder`; None if there is none.

    After an interrupted save this is the new content of `name` if the save had come far enough to promise it, and
    the old one if not, so that all names together are wholly old or wholly new.
    """
    folder = Path(folder)
    if _journals(folder):
        with _locked(folder, exclusive=False):  # a live save is at its renames for milliseconds: let it finish
            for tag in _journals(folder):
                plan = _read_plan(folder, tag)
                if plan is None:
                    continue
                if name in plan.superseded:
                    return None
                if name in plan.temporaries and (folder / plan.temporaries[name]).exists():
                    return folder / plan.temporaries[name]
    path = folder / name
    return path if os.path.lexists(path) else None


def is_litter(name: str) -> bool:
    """Whether a file name is one of a save's temporaries or journals."""
    return _LITTER.fullmatch(name) is not None


@dataclass(frozen=True)
class _Plan:
    """What a journal promises.

    Attributes:
        temporaries: target name → temporary's name, in the order of renaming.
        superseded: names to remove afterwards.
    """

    temporaries: Mapping[str, str]
    superseded: tuple[str, ...]

    def to_json(self) -> bytes:
        return json.dumps({"rename": dict(self.temporaries), "remove": list(self.superseded)}).encode()

    @classmethod
    def from_json(cls, text: bytes, tag: str) -> _Plan:
        """Read a journal as strictly as any file that may come from elsewhere; ValueError if it is not whole."""
        fields = json.loads(text)
        rename, remove = fields["rename"], fields["remove"]
        for name in [*rename, *remove]:
            _check_name(name)
        if any(temporary != f"{_PREFIX}{tag}-{target}" for target, temporary in rename.items()):
            raise ValueError("a journal may only rename its own temporaries")
        return cls(rename, tuple(remove))


def _carry_out(folder: Path, tag: str, plan: _Plan) -> None:
    """Rename, remove, and strike the journal off: may be repeated from any point at which it was interrupted."""
    for target, temporary in plan.temporaries.items():
        with contextlib.suppress(FileNotFoundError):  # renamed before the interruption
            os.replace(folder / temporary, folder / target)
    _flush_folder(folder)
    for name in plan.superseded:
        (folder / name).unlink(missing_ok=True)
    (folder / f"{_PREFIX}{tag}.json").unlink(missing_ok=True)
    _flush_folder(folder)


def _tidy(folder: Path, mine: str = "") -> None:
    """Finish the dead saves that had sealed their journal, remove what the other dead ones left. Needs the lock."""
    litter: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        if match := _LITTER.fullmatch(name):
            litter.setdefault(match[1], []).append(name)
    for tag, names in litter.items():
        if tag == mine or _alive(folder, tag, names):
            continue
        if plan := _read_plan(folder, tag):
            _carry_out(folder, tag, plan)
        for name in names:
            (folder / name).unlink(missing_ok=True)


def _journals(folder: Path) -> list[str]:
    """The tags of the journals in a folder; empty for a folder that cannot be listed."""
    try:
        return [match[1] for match in map(_JOURNAL.fullmatch, os.listdir(folder)) if match]
    except OSError:
        return []


def _read_plan(folder: Path, tag: str) -> _Plan | None:
    """What a journal promises; None while it is empty or torn: nothing has been renamed then."""
    try:
        with open(folder / f"{_PREFIX}{tag}.json", "rb") as file:
            return _Plan.from_json(file.read(_LARGEST_JOURNAL), tag)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _alive(folder: Path, tag: str, names: list[str]) -> bool:
    """Whether the process that made these files is still at work."""
    try:
        with open(folder / f"{_PREFIX}{tag}.json", "rb+") as journal:
            if fcntl is not None:
                fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        pass
    with contextlib.suppress(FileNotFoundError):  # it ended just now
        return time.time() - max((folder / name).lstat().st_mtime for name in names) < _DAY
    return True


def _create(path: Path) -> IO[bytes]:
    """A new file, locked until it is closed."""
    file = open(path, "xb")  # noqa: SIM115 - lives as long as the save
    if fcntl is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
    return file


@contextlib.contextmanager
def _locked(folder: Path, exclusive: bool = True) -> Iterator[None]:
    """Keep others out of the renames in this folder, which take milliseconds.

    Where there are no locks nothing happens, and nobody waits longer than a few seconds for a stuck one.
    """
    if fcntl is None:
        yield
        return
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + _LONGEST_WAIT
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                    break
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)


def _flush(path: Path, mode: int, target: str) -> None:
    """Bring a file's bytes to disk."""
    try:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
    except FileNotFoundError:
        raise OSError(f"{path.parent / target} was announced to a save, but never written") from None
    os.chmod(path, mode)


def _flush_folder(folder: Path) -> None:
    """Bring a folder's names to disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or name in ("", ".", "..") or any(c in name for c in "/\\\0") or is_litter(name):
        raise ValueError(f"not the name of a file in the folder itself: {name!r}")
