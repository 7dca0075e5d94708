"""Batches through the device: several in flight, on CPU by two threads, elsewhere by one that runs ahead."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from ..runtime import Surroundings

Launch = Callable[[Any], Any]


def run(
    jobs: Sequence[Any],
    launch: Launch,
    shape: Callable[[Any], Hashable],
    platform: str,
    surroundings: Surroundings,
) -> Iterator[tuple[Any, Any]]:
    """Each job with its result on the host, as they are finished.

    Args:
        jobs: what to run, in the order in which it should start.
        launch: job → device arrays; returns before they are computed.
        shape: what decides which program a job needs: no two threads wait for the same compilation while another job's
            program is ready.
        platform: the kind of device.
        surroundings: the settings of jax to compute with.

    The generator's end, closing or failure stops and joins the threads. An error of a job is raised here.
    """
    threads, ahead = (2, 1) if platform == "cpu" else (1, 3)
    if len(jobs) == 1:
        with surroundings.entered():
            result = jax.tree.map(np.asarray, launch(jobs[0]))
        yield jobs[0], result
        return
    crew = _Crew(jobs, launch, shape, ahead)
    ending = sys.is_finalizing  # kept here: where a process ends with this generator unfinished, modules are empty
    workers = [
        threading.Thread(target=crew.work, args=(surroundings,), name="jaxformers-worker")
        for _ in range(min(threads, len(jobs)))
    ]
    try:
        for worker in workers:
            worker.start()
        for _ in jobs:
            yield crew.next_result()
    finally:
        if not ending():
            crew.stop()
            for worker in workers:
                if worker.ident is not None:  # an interrupt may come while they start
                    worker.join()


class _Crew:
    """What the workers of one run share, behind one lock."""

    def __init__(self, jobs: Sequence[Any], launch: Launch, shape: Callable[[Any], Hashable], ahead: int) -> None:
        self.todo = list(jobs)
        self.launch, self.shape, self.ahead = launch, shape, ahead
        self.compiling: set[Hashable] = set()
        self.ready: set[Hashable] = set()
        self.done: deque[tuple[Any, Any] | BaseException] = deque()
        self.changed = threading.Condition()

    def work(self, surroundings: Surroundings) -> None:
        """One worker: take, launch, and fetch the oldest result once enough are in flight."""
        flight: deque[tuple[Any, Any]] = deque()
        try:
            with surroundings.entered():
                while (job := self.take(wait=not flight)) is not None or flight:
                    if job is not None:
                        flight.append((job, self.launch(job)))
                        self.compiled(job)
                    if job is None or len(flight) >= self.ahead:
                        job, arrays = flight.popleft()
                        self.deliver((job, jax.tree.map(np.asarray, arrays)))
        except BaseException as error:  # whatever it is: the thread that waits for the result raises it again
            self.deliver(error)

    def take(self, wait: bool) -> Any:
        """The next job whose program nobody is compiling; None where there is none, or none without waiting.

        Raises:
            RuntimeError: the main thread has ended. Python then waits for this one, so it must not go on; killed inside
                the compiler, as threads of the other kind are, it would take the process down.
        """
        with self.changed:
            while self.todo:
                if not threading.main_thread().is_alive():
                    raise RuntimeError("the process is ending: no more batches are run")
                for i, job in enumerate(self.todo):
                    shape = self.shape(job)
                    if shape in self.compiling:
                        continue
                    if shape not in self.ready:
                        self.compiling.add(shape)
                    return self.todo.pop(i)
                if not wait:
                    return None
                self.changed.wait()
            return None

    def compiled(self, job: Any) -> None:
        """The job's program is there: others may take jobs of its shape."""
        with self.changed:
            self.compiling.discard(self.shape(job))
            self.ready.add(self.shape(job))
            self.changed.notify_all()

    def deliver(self, outcome: tuple[Any, Any] | BaseException) -> None:
        """Hand a job with its result, or what went wrong, to the waiting thread."""
        with self.changed:
            self.done.append(outcome)
            self.changed.notify_all()

    def next_result(self) -> tuple[Any, Any]:
        """Wait for a finished job."""
        with self.changed:
            while not self.done:
                self.changed.wait()
            outcome = self.done.popleft()
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def stop(self) -> None:
        """No job is taken any more."""
        with self.changed:
            self.todo.clear()
            self.changed.notify_all()
