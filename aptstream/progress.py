"""How long work tells of itself: the library calls, the command line draws."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the state of a stage; called from one thread, often."""

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        """Tell that `done` of `total` units of a stage are finished.

        Parameters
        ----------
        stage : str
            What is going on, such as ``"scan"``.
        done, total : int
            Work finished and work in all, in `unit`.
        unit : str
            What is counted, such as ``"ions"`` or ``"cubes"``.
        """


def silent(stage: str, done: int, total: int, unit: str) -> None:
    """Say nothing: the default of every library function."""
