"""A name and a file name to a local file: from a folder, from what ships with the package, or from the Hub.

One `Source` serves one load: it finds out once whether the Hub answers and at which commit the repository is, and then
gives every file of that same commit, from the cache wherever it is there. Without a network the cached copy is used.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import functools
import json
import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from . import durable

logger = logging.getLogger(__name__)

SHIPPED = Path(__file__).parent / "weights"
"""The folder of the models that ship with the package, under names such as "jaxformers/tiny-sentiment"."""

OPTIONS = ("revision", "subfolder", "token", "cache_dir", "local_files_only", "force_download", "gguf_file")
"""The keywords of every `from_pretrained` that say where files come from."""

_HUB_NAME = re.compile(r"(?!.*(?:--|\.\.))(?!.*\.git$)(?:\b[\w\-.]{1,96}\b/)?\b[\w\-.]{1,96}\b", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER = re.compile(rf"{re.escape(_ADAPTER_CONFIG)}|adapter_model\.(safetensors|bin)")
_LARGEST_ADAPTER_CONFIG = 1 << 20  # bytes
_PROBE = "config.json"  # the file that every model repository has
_PATIENCE = 5.0  # seconds for the first answer of the Hub, unless HF_HUB_ETAG_TIMEOUT says otherwise
_ADVICE = "pass a local folder instead"

# Models published before the Hub had namespaces answer to both names, but each name has a cache of its own.
_NAMESPACES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("google-bert", ("bert-base-", "bert-large-")),
    ("distilbert", ("distilbert-", "distilgpt2", "distilroberta-base")),
    ("openai-community", ("gpt2", "openai-gpt", "roberta-base-openai-detector", "roberta-large-openai-detector")),
    ("FacebookAI", ("roberta-base", "roberta-large", "xlm-")),
    ("google-t5", ("t5-",)),
    ("albert", ("albert-",)),
    ("xlnet", ("xlnet-",)),
    ("almanach", ("camembert-base",)),
    ("transfo-xl", ("transfo-xl-",)),
    ("Salesforce", ("ctrl",)),
)


class Unreachable(OSError):
    """A file is not in the cache and cannot be fetched now; nothing is said about whether it exists."""


def source_of(
    name_or_path: str | os.PathLike[str] | Source,
    *,
    revision: str | None = None,
    subfolder: str = "",
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
    gguf_file: str | None = None,
) -> Source:
    """Where the files of a checkpoint come from; nothing is read or fetched yet.

    Args:
        name_or_path: a folder; or a name on the Hub; or the name of a model that ships with the package; or the path of
            a .gguf file. A `Source` is returned as it is, so that one may serve the config, the tokenizer and the
            weights of one load.
        revision: branch, tag or commit on the Hub; None is "main".
        subfolder: a folder within the folder or repository.
        token: a Hub token; True for the stored one, False for none, None for the stored one if there is one.
        cache_dir: where downloads are kept, instead of the Hub library's own cache folder.
        local_files_only: never ask the Hub, take what is cached.
        force_download: fetch anew what is cached.
        gguf_file: the name of a file in the folder or repository from which config, tokenizer and weights are read.

    Raises:
        OSError: neither a folder nor a possible Hub name.
        ValueError: an impossible subfolder, or options that exclude each other.
    """
    if isinstance(name_or_path, Source):
        return name_or_path
    name = os.fspath(name_or_path)
    if not name:
        raise OSError("an empty name is neither a folder nor a Hub name")
    if local_files_only and force_download:
        raise ValueError("local_files_only=True and force_download=True exclude each other: pass one of them")
    subfolder = (subfolder or "").removesuffix("/")
    if subfolder:
        _check_relative(subfolder, "subfolder")
    folder = Path(os.path.expanduser(name))
    if gguf_file is not None:
        _check_relative(gguf_file, "gguf_file")
        if not gguf_file.endswith(".gguf"):
            raise ValueError(f"gguf_file={gguf_file!r}: expected a name that ends in .gguf")
    if not folder.is_dir():
        if gguf_file is None and folder.suffix == ".gguf":
            if not folder.is_file():
                raise OSError(f"{name}: no such file")
            return _Folder(name, revision, gguf_file=folder.name, folder=folder.parent)
        if folder.is_file():
            raise OSError(f"{name} is a file: pass the folder that holds it")
        if isinstance(name_or_path, os.PathLike) or not _HUB_NAME.fullmatch(name):
            raise OSError(f"{name!r}: no such folder, and not a Hub name")
        owner, _, shipped = name.partition("/")
        folder = SHIPPED / shipped
        if owner != "jaxformers" or not shipped or not folder.is_dir():
            cache = None if cache_dir is None else os.path.expanduser(cache_dir)
            asked = (token, cache, local_files_only, force_download, gguf_file)
            return _Repository(name, revision or "main", subfolder, *asked)
    return _Folder(name, revision, subfolder, gguf_file=gguf_file, folder=folder / subfolder)


def split_options(
    name_or_path: str | os.PathLike[str] | Source, options: Mapping[str, Any]
) -> tuple[Source, dict[str, Any]]:
    """The source that a `from_pretrained`'s keywords name, and the keywords that are about something else.

    Raises:
        OSError, ValueError: as `source_of`.
    """
    given = {name: options[name] for name in OPTIONS if name in options}
    rest = {name: value for name, value in options.items() if name not in given}
    return source_of(name_or_path, **given), rest


@dataclasses.dataclass(frozen=True)
class Source(abc.ABC):
    """Where files come from: made by `source_of`."""

    name: str
    revision: str | None = None
    subfolder: str = ""
    token: str | bool | None = dataclasses.field(default=None, repr=False)
    cache_dir: str | None = None
    local_files_only: bool = False
    force_download: bool = False
    gguf_file: str | None = None

    @abc.abstractmethod
    def find(self, filename: str) -> Path | None:
        """The local path of a file, fetched if need be; None if the source does not have it.

        Args:
            filename: a relative name within the source, with "/" between folders.

        Raises:
            OSError: the repository does not exist, is gated, or cannot be reached and nothing of it is cached; or the
                file lies outside the source or is no regular file.
            ValueError: an absolute name, or one with "..".
        """

    def file(self, filename: str) -> Path:
        """As `find`, for a file that must be there.

        Raises:
            OSError: also when the file is absent.
            ValueError: an absolute name, or one with "..".
        """
        path = self.find(filename)
        if path is None:
            raise self.absent(f"a file named {filename}")
        return path

    def within(self, folder: str) -> Self:
        """The same source, one folder further in.

        Raises:
            ValueError: an absolute path, or one with "..".
        """
        _check_relative(folder, "subfolder")
        inner = f"{self.subfolder}/{folder}" if self.subfolder else folder
        return dataclasses.replace(self, subfolder=inner, gguf_file=None)

    def holds_adapter(self) -> bool:
        """Whether the files are of an adapter. Of a repository that has a config.json it is not asked."""
        return self.find(_PROBE) is None and self.find(_ADAPTER_CONFIG) is not None

    @abc.abstractmethod
    def names(self) -> list[str]:
        """The names of the files that are known to be there, for error messages."""

    def absent(self, what: str) -> OSError:
        """The error that says that `what` is not there, and what is."""
        names = sorted(self.names())
        gguf = next((name for name in names if name.endswith(".gguf")), None)
        hint = f"; to read a GGUF file pass gguf_file={gguf!r}" if gguf else ""
        if adapter := next((name for name in names if _ADAPTER.fullmatch(name)), None):
            hint += (
                f"; {adapter} is of an adapter (LoRA): load the base model{self._adapted()}, and add it with "
                "PeftModel.from_pretrained"
            )
        return OSError(f"{self} does not appear to have {what}; it has: {', '.join(names[:20]) or 'nothing'}{hint}")

    def _adapted(self) -> str:
        """The name of the model that an adapter was made for, in a sentence; nothing where it does not say."""
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            path = self.find(_ADAPTER_CONFIG)
            if path is not None and path.stat().st_size < _LARGEST_ADAPTER_CONFIG:
                base = json.loads(path.read_bytes()).get("base_model_name_or_path")
                return f", {base!r:.200}" if isinstance(base, str) else ""
        return ""

    def __str__(self) -> str:
        return f"{self.name}/{self.subfolder}" if self.subfolder else self.name


@dataclasses.dataclass(frozen=True)
class _Folder(Source):
    """A folder on this machine."""

    folder: Path = dataclasses.field(default=Path(), kw_only=True)

    def within(self, folder: str) -> Self:
        return dataclasses.replace(super().within(folder), folder=self.folder / folder)

    def find(self, filename: str) -> Path | None:
        _check_relative(filename, "file name")
        folder, name = os.path.split(self.folder / filename)
        path = durable.resolve(folder, name)
        return None if path is None else _checked(path, self.folder, filename)

    def holds_adapter(self) -> bool:
        return self.find(_ADAPTER_CONFIG) is not None

    def names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return [
            entry.name for entry in os.scandir(self.folder) if entry.is_file() and not durable.is_litter(entry.name)
        ]


@dataclasses.dataclass(frozen=True)
class _Repository(Source):
    """A model repository on the Hub, or what is cached of it."""

    _found: dict[str, Path | None] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # one load gets one answer for one file

    def find(self, filename: str) -> Path | None:
        _check_relative(filename, "file name")
        if filename not in self._found:
            inside = f"{self.subfolder}/{filename}" if self.subfolder else filename
            path = self._find(inside)
            if path is not None and not stat.S_ISREG(os.stat(path).st_mode):
                raise OSError(f"{self}: {filename} is not a regular file")
            self._found[filename] = path
        return self._found[filename]

    def names(self) -> list[str]:
        inside = f"{self.subfolder}/" if self.subfolder else ""
        return [name.removeprefix(inside) for name in self._listing() if name.startswith(inside)]

    def absent(self, what: str) -> OSError:
        if self._answer.commit is None:
            return OSError(f"{self}: {what} is not in the cache, and {self._answer.why}; {_ADVICE}")
        return super().absent(what)

    @property
    def _names(self) -> tuple[str, ...]:
        """The names under which the repository may be cached or answer, the given one first."""
        return (self.name, *other_names(self.name))

    @property
    def _wanted(self) -> str:
        return self.revision or "main"

    def _find(self, inside: str) -> Path | None:
        if not self.force_download and _COMMIT.fullmatch(self._wanted):
            path = self._cached(inside, self._wanted)
            if path is not None:  # what a commit holds never changes: nobody needs to be asked
                return path
        if self._answer.commit is None:
            return self._offline(inside)
        if self.force_download or not self._current:
            return self._fetch(inside, self._wanted)  # by name, so that the cache learns which commit it means
        path = self._cached(inside, self._answer.commit)
        if path is not None or self._known_absent(inside, self._answer.commit):
            return path
        return self._fetch(inside, self._answer.commit)

    def _offline(self, inside: str) -> Path | None:
        """The file from the cache; None if other files of the same revision are cached, and an error if none is."""
        if self._snapshot is None or self.force_download:
            cached = "force_download=True asks for more than the cache" if self._snapshot else "nothing of it is cached"
            raise Unreachable(f"cannot fetch {inside} of {self.name}: {self._answer.why}, and {cached}; {_ADVICE}")
        path = self._snapshot / inside
        return path if path.exists() else None

    def _fetch(self, inside: str, revision: str) -> Path | None:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        try:
            path = hf_hub_download(
                self._answer.name,
                inside,
                revision=revision,
                token=self.token,
                cache_dir=self.cache_dir,
                force_download=self.force_download,
            )
        except LocalEntryNotFoundError as error:
            raise OSError(f"cannot fetch {inside} of {self.name}: {_reason(error)}; {_ADVICE}") from error
        except EntryNotFoundError:
            return None
        except Exception as error:
            raise _refusal(self, error) or OSError(
                f"cannot fetch {inside} of {self.name}: {_reason(error)}; {_ADVICE}"
            ) from error
        return Path(path)

    @functools.cached_property
    def _answer(self) -> _Answer:
        """Whether the Hub answers, under which name and at which commit: asked once, with one request.

        Raises:
            OSError: the Hub says that the repository or revision does not exist or is closed to this user, and
                nothing of it is cached.
        """
        from huggingface_hub import constants

        if self.local_files_only:
            return _Answer(self.name, None, "local_files_only=True forbids asking the Hub")
        if constants.HF_HUB_OFFLINE:
            return _Answer(self.name, None, "HF_HUB_OFFLINE forbids asking the Hub")
        refusal: OSError | None = None
        for name in self._names:
            try:
                return _Answer(name, self._probe(name))
            except Exception as error:
                refused = _refusal(self, error)
                if refused is None:
                    logger.info("%s: %s; looking in the cache", name, _reason(error))
                    return _Answer(self.name, None, f"the Hub cannot be reached ({_reason(error)})")
                refusal = refusal or refused
        assert refusal is not None
        if self._snapshot is None or self.force_download:
            raise refusal
        logger.warning("%s; the cached copy is used", refusal)
        return _Answer(self.name, None, str(refusal))

    def _probe(self, name: str) -> str:
        """The commit at which the repository is, from the head of one file; raises what the Hub library raises.

        The library's own download is not used to find out: with nothing cached it tries again for half a minute.
        """
        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub.errors import RemoteEntryNotFoundError

        asked = constants.HF_HUB_ETAG_TIMEOUT
        patience = _PATIENCE if asked == constants.DEFAULT_ETAG_TIMEOUT else float(asked)
        try:
            head = get_hf_file_metadata(
                hf_hub_url(name, _PROBE, revision=self._wanted), token=self.token, timeout=patience
            )
            return head.commit_hash or self._wanted
        except RemoteEntryNotFoundError as error:  # no such file, but the repository is there
            return error.response.headers.get(constants.HUGGINGFACE_HEADER_X_REPO_COMMIT) or self._wanted

    # -- the cache ----------------------------------------------------------------------------------------------

    def _cached(self, inside: str, revision: str) -> Path | None:
        """The cached file at a revision, under any of the repository's names."""
        from huggingface_hub import try_to_load_from_cache

        for name in self._names:
            path = try_to_load_from_cache(name, inside, cache_dir=self.cache_dir, revision=revision)
            if isinstance(path, str):
                return Path(path)
        return None

    def _known_absent(self, inside: str, revision: str) -> bool:
        """Whether the Hub has said before that the file is not in this commit."""
        from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache

        return any(
            try_to_load_from_cache(name, inside, cache_dir=self.cache_dir, revision=revision) is _CACHED_NO_EXIST
            for name in self._names
        )

    @property
    def _current(self) -> bool:
        """Whether the cache knows that the wanted revision means the commit of which the Hub speaks."""
        return any(folder.name == self._answer.commit for folder in self._snapshots())

    @functools.cached_property
    def _snapshot(self) -> Path | None:
        """The cached folder of the revision, under the name for which most files are there; None if nothing is."""
        folders = [folder for folder in self._snapshots() if folder.is_dir()]
        return max(folders, key=lambda folder: sum(len(files) for _, _, files in os.walk(folder)), default=None)

    def _snapshots(self) -> Iterator[Path]:
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        cache = Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()
        for name in self._names:
            repository = cache / repo_folder_name(repo_id=name, repo_type="model")
            reference = repository / "refs" / self._wanted
            commit = reference.read_text().strip() if reference.is_file() else self._wanted
            yield repository / "snapshots" / commit

    def _listing(self) -> list[str]:
        """All file names of the repository, from the Hub if it answers, else from the cache."""
        if self._answer.commit is not None:
            from huggingface_hub import HfApi

            try:
                info = HfApi().model_info(self._answer.name, revision=self._wanted, token=self.token, timeout=_PATIENCE)
                return [sibling.rfilename for sibling in info.siblings or ()]
            except Exception as error:  # only an error message gets shorter by it
                logger.debug("%s: no listing (%s)", self.name, _reason(error))
        if self._snapshot is None:
            return []
        return [path.relative_to(self._snapshot).as_posix() for path in self._snapshot.rglob("*") if path.is_file()]


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What the Hub says of a repository.

    Attributes:
        name: the name that it answers to.
        commit: the commit that the wanted revision means; None if the Hub was not asked or did not answer.
        why: the reason for None.
    """

    name: str
    commit: str | None
    why: str = ""


def other_names(name: str) -> tuple[str, ...]:
    """The other spelling of a model's name: with the namespace that it has today, or without."""
    namespace, _, bare = name.rpartition("/")
    home = next((home for home, starts in _NAMESPACES if bare.startswith(starts)), None)
    if home is None or namespace not in ("", home):
        return ()
    return (bare,) if namespace else (f"{home}/{bare}",)


def _refusal(source: Source, error: Exception) -> OSError | None:
    """The readable error for what the Hub has refused; None for anything that says nothing about the repository."""
    from huggingface_hub import constants, errors

    page = f"{constants.ENDPOINT}/{source.name}"
    if isinstance(error, errors.GatedRepoError):
        return OSError(
            f"{source.name} is gated: accept its conditions at {page} with your account, then pass token= or set "
            "HF_TOKEN"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return OSError(f"{source.name} has no revision {source.revision!r}: see {page}/tree/main for those it has")
    if isinstance(error, errors.LocalTokenNotFoundError):
        return OSError(f"{source.name}: token=True, but no token is stored: pass token=, or set HF_TOKEN")
    response = getattr(error, "response", None)
    code = getattr(response, "status_code", None)
    if code == 401 and "credentials" in response.headers.get("X-Error-Message", ""):  # type: ignore[union-attr]
        return OSError(f"{source.name}: {constants.ENDPOINT} does not accept the token: check token= or HF_TOKEN")
    if isinstance(error, errors.RepositoryNotFoundError) or code in (401, 403, 404):
        return OSError(
            f"{source.name!r} is neither a folder here nor a repository that {constants.ENDPOINT} shows to you: check "
            "the name; if it is private, pass token= or set HF_TOKEN"
        )
    return None


def _reason(error: BaseException) -> str:
    """An exception, or the one that caused it, in one short line."""
    while error.__cause__ is not None:
        error = error.__cause__
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:200].rstrip(": ")


def _check_relative(name: Any, what: str) -> None:
    """Refuse what could name a file outside the source; ValueError says why."""
    if not isinstance(name, str) or not name:
        raise ValueError(f"not a {what}: {name!r}")
    if "\0" in name or "\\" in name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise ValueError(f"{what} {name!r} must be relative, with / between folders")
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise ValueError(f"{what} {name!r} must stay inside the folder: no empty part, '.' or '..'")


def _checked(path: Path, folder: Path, filename: str) -> Path:
    """`path` if it is a regular file that lies in `folder`, or in the cache of the Hub that `folder` belongs to."""
    real, inside = path.resolve(), folder.resolve()
    if not real.is_relative_to(inside) and not any(real.is_relative_to(blobs) for blobs in _blobs(inside)):
        raise OSError(f"{folder}: {filename} is a link to {real}, outside the folder: put the file itself there")
    try:
        mode = real.stat().st_mode
    except OSError as error:
        raise OSError(f"{folder}: {filename} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(mode):
        raise OSError(f"{folder}: {filename} is not a regular file")
    return path


def _blobs(folder: Path) -> Iterator[Path]:
    """Where the Hub's cache keeps the content of a snapshot's files: the links in it lead there."""
    for parent in (folder, *folder.parents):
        if parent.parent.name == "snapshots":
            repository = parent.parent.parent
            yield repository / "blobs"
            yield repository.parent / "blobs"  # shared by all repositories in the cache


def push(
    repo_id: str,
    save: Callable[[Path], object],
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Upload with jaxformers",
    create_pr: bool = False,
) -> str:
    """Upload what `save(folder)` writes to a repository of the Hub, made if absent; returns the commit's URL.

    Raises:
        OSError: the Hub refuses or cannot be reached.
    """
    import tempfile

    from huggingface_hub import HfApi

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder))
        api = HfApi(token=token)
        try:
            repository = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            done = api.upload_folder(
                repo_id=repository, folder_path=folder, commit_message=commit_message, create_pr=create_pr
            )
        except Exception as error:
            raise OSError(f"cannot upload to {repo_id}: {_reason(error)}") from error
    return str(done)
