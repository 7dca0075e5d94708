"""The checkpoints of a run: `checkpoint-N` after N steps, written in the background, each whole or not there at all.

A checkpoint holds what a run goes on from: of `State` what training changes (arrays that stay as they are come from the
model), and what the host has counted. orbax writes it beside its place and renames it when it is complete.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import jax
import orbax.checkpoint as ocp
from etils import epath

from .. import declare, durable
from ..declare import Tree
from . import parts
from .step import State

PREFIX = "checkpoint-"
TRAINER_STATE = "trainer_state.json"
"""What the host has counted, under the name and with the fields of torch Transformers: for people to read."""

_COMPLETE = "_CHECKPOINT_METADATA"  # stands in every checkpoint of orbax that has been renamed to its place
_NAME = re.compile(rf"{PREFIX}(0|[1-9]\d*)")

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or is of another run."""


def steps(folder: Path | str) -> list[int]:
    """After how many steps the checkpoints in a folder were written, in ascending order."""
    found = [_NAME.fullmatch(path.name) for path in Path(folder).iterdir()] if Path(folder).is_dir() else []
    return sorted(int(match[1]) for match in found if match and (Path(folder) / match[0] / _COMPLETE).exists())


def get_last_checkpoint(folder: Path | str) -> str | None:
    """The path of the latest checkpoint in a folder; None where there is none."""
    found = steps(folder)
    return str(Path(folder) / f"{PREFIX}{found[-1]}") if found else None


class Checkpoints:
    """The checkpoints in a run's folder, to write and to read; a context that waits for what is being written.

    Args:
        folder: of the run; made if absent. What a killed save has left there is removed.
        trained: paths of the arrays that a state's checkpoint holds.
        limit: how many are kept; None: all.
    """

    def __init__(self, folder: Path | str, trained: Collection[str], limit: int | None = None) -> None:
        self.folder, self._limit, self._trained = Path(folder).absolute(), limit, frozenset(trained)
        if limit is not None and limit < 1:
            raise ValueError(f"save_total_limit is {limit}: expected 1 or more, or None for all")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not jax.process_index():
            for litter in self.folder.glob(f"{PREFIX}*{ocp.utils.TMP_DIR_SUFFIX}*"):
                shutil.rmtree(litter, ignore_errors=True)
        self._manager = _manager(self.folder)
        self._tell()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Wait, and let go of orbax's threads."""
        try:
            self.wait()
        finally:
            self._manager.close()

    def save(self, step: int, state: State, told: Mapping[str, Any], keep: Collection[int] = ()) -> None:
        """Write a checkpoint, in the background; of older ones more than the limit are removed.

        Args:
            step: how many steps were made.
            state: after them.
            told: what the host has counted, as JSON has it; "trainer_state" is also written for people to read.
            keep: steps whose checkpoints are kept beside the latest ones: they count among those of the limit.

        Raises:
            OSError: the one before could not be written: a full disk, no permission. Those before it are as they were.
        """
        self.wait()
        if step in self._manager.all_steps():  # of this very state: a run that ended here and went on
            return
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(_arrays(state, self._trained)),
            told=ocp.args.JsonSave(dict(told)),
        )
        with _as_os_error(f"cannot write {self.path(step)}"):
            self._manager.save(step, args=items, force=True)
        self._rotate(step, keep)

    def wait(self) -> None:
        """Until what is being written is on disk; raises as `save`."""
        with _as_os_error(f"cannot write a checkpoint into {self.folder}"):
            self._manager.wait_until_finished()
        self._tell()

    def path(self, step: int) -> Path:
        """Of the checkpoint after so many steps."""
        return self.folder / f"{PREFIX}{step}"

    def restore(self, step: int, like: State) -> tuple[State, dict[str, Any]]:
        """The state after so many steps, and what the host had counted.

        Args:
            step: of a checkpoint that is there.
            like: a state of the same plan, on whose devices arrays are put; what is not trained is taken from it.

        Raises:
            CheckpointError: there is none, its files are damaged, or it is of another model or optimizer.
        """
        if step not in self._manager.all_steps():
            there = ", ".join(map(str, self._manager.all_steps())) or "none"
            raise CheckpointError(f"{self.folder} has no checkpoint after {step} steps; there are {there}")
        wanted = jax.tree.map(_abstract, _arrays(like, self._trained))
        self._check(step, wanted)
        arguments = ocp.args.Composite(state=ocp.args.StandardRestore(wanted), told=ocp.args.JsonRestore())
        try:
            found = self._manager.restore(step, args=arguments)
        except Exception as error:
            raise CheckpointError(
                f"{self.path(step)} is damaged ({str(error).splitlines()[0]:.200}): remove it, to go on from the one "
                "before"
            ) from error
        return _state(found.state, like, self._trained), dict(found.told)

    def _check(self, step: int, wanted: Mapping[str, Any]) -> None:
        """Refuse the checkpoint of another model or optimizer."""
        try:
            there = dict(self._manager.item_metadata(step)["state"].tree)
        except Exception as error:
            raise CheckpointError(f"{self.path(step)} is damaged: remove it, to go on from the one before") from error
        for name in sorted(wanted.keys() | there.keys()):
            one, other = (tuple(tree[name].shape) if name in tree else None for tree in (there, wanted))
            if one != other:
                shapes = [f"has no {name}" if shape is None else f"has {name} {list(shape)}" for shape in (one, other)]
                raise CheckpointError(
                    f"{self.path(step)} is of another model or optimizer: it {shapes[0]}, this run {shapes[1]}"
                )

    def _rotate(self, latest: int, keep: Collection[int]) -> None:
        """Remove older checkpoints than the limit allows, never one to keep, nor the only one that is complete."""
        if self._limit is None:
            return
        others = [step for step in steps(self.folder) if step != latest]
        room = max(self._limit - 1 - sum(step in keep for step in others), 0)
        free = [step for step in others if step not in keep]
        old = free[: len(free) - room]
        if old:
            self.wait()  # the latest is complete before another goes
        for step in old:
            logger.info("removing %s, as save_total_limit is %s", self.path(step), self._limit)
            self._manager.delete(step)

    def _tell(self) -> None:
        """Write the trainer's state of checkpoints that have none yet as a file of its own."""
        if jax.process_index():
            return
        for step in steps(self.folder):
            own, told = self.path(step), self.path(step) / "told" / "metadata"
            if durable.resolve(own, TRAINER_STATE) is None and told.exists():
                text = json.dumps(json.loads(told.read_text()).get("trainer_state", {}), indent=2, sort_keys=True)
                with durable.Replacement(own) as files:
                    files.write(TRAINER_STATE, f"{text}\n".encode())


def _arrays(state: State, trained: frozenset[str]) -> dict[str, jax.Array]:
    """What a checkpoint holds of a state, by path."""
    tree: dict[str, Any] = {
        "params": parts.split(state.params, trained)[0],
        "opt_state": state.opt_state,
        "step": state.step,
    }
    if state.key is not None:
        tree["key"] = jax.random.key_data(state.key)
    return {declare.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def _state(arrays: Mapping[str, jax.Array], like: State, trained: frozenset[str]) -> State:
    """The inverse of `_arrays`."""
    own, others = parts.split(like.params, trained)

    def filled(name: str, tree: Tree) -> Tree:
        return jax.tree_util.tree_map_with_path(lambda path, _: arrays[f"{name}.{declare.keystr(path)}"], tree)

    key = None
    if like.key is not None:
        key = jax.random.wrap_key_data(arrays["key"], impl=jax.random.key_impl(like.key))
    params = parts.joined(filled("params", own), others)
    return State(params, filled("opt_state", like.opt_state), key, arrays["step"])


def _abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


@contextlib.contextmanager
def _as_os_error(words: str) -> Iterator[None]:
    """What goes wrong within is an OSError that begins with these words."""
    try:
        yield
    except Exception as error:
        said = str(error).splitlines() or [type(error).__name__]
        raise OSError(f"{words}: {said[0]:.300}") from error


@dataclasses.dataclass(frozen=True)
class _Names(ocp.path.step.NameFormat):
    """Folders as torch Transformers calls them."""

    def build_name(self, step: int) -> str:
        """Of the checkpoint after so many steps."""
        return f"{PREFIX}{step}"

    def find_all(self, base_path: Any) -> Iterator[Any]:
        """All that are complete."""
        return iter([self.find_step(base_path, step) for step in steps(base_path)])

    def find_step(self, base_path: Any, step: int) -> Any:
        """One of them.

        Raises:
            ValueError: it is not there, or not complete.
        """
        path = epath.Path(base_path) / self.build_name(step)
        if not (path / _COMPLETE).exists():
            raise ValueError(f"{path} is no complete checkpoint")
        return ocp.path.step.Metadata(step=step, path=path)


def _manager(folder: Path) -> ocp.CheckpointManager:
    handlers = {"state": ocp.StandardCheckpointHandler(), "told": ocp.JsonCheckpointHandler()}
    options = ocp.CheckpointManagerOptions(step_name_format=_Names())
    return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)
