"""What the shell can complete beside verbs and options: names of figures and models, and paths."""

from __future__ import annotations

from pathlib import Path


def complete_figure(begun: str) -> list[tuple[str, str]]:
    """Complete the name of a figure, with what it shows.

    Parameters
    ----------
    begun : str
        What was typed so far.

    Returns
    -------
    list of (str, str)
    """
    from aptstream.gallery import DRAWINGS

    return [(name, drawing.shows) for name, drawing in DRAWINGS.items() if name.startswith(begun)]


def complete_model(begun: str) -> list[str]:
    """Complete the name of a shipped model, or the path of a model file.

    Parameters
    ----------
    begun : str
        What was typed so far.

    Returns
    -------
    list of str
    """
    from aptstream.model.modelfile import SUFFIX, shipped_models

    return [name for name in shipped_models() if name.startswith(begun)] + complete_path(begun, SUFFIX)


def complete_source(begun: str) -> list[str]:
    """Complete what a figure is drawn from: the name of a shipped model, or any path.

    Parameters
    ----------
    begun : str
        What was typed so far.

    Returns
    -------
    list of str
    """
    return list(dict.fromkeys([*complete_model(begun), *complete_path(begun)]))


def complete_path(begun: str, suffix: str = "") -> list[str]:
    """Complete a path: folders, and files with a suffix; hidden ones only where a dot was typed.

    Parameters
    ----------
    begun : str
        What was typed so far.
    suffix : str
        How the names of files end.

    Returns
    -------
    list of str
    """
    folder, slash, name = begun.rpartition("/")
    try:
        entries = [entry for entry in Path(folder + slash or ".").iterdir() if entry.name.startswith(name)]
    except OSError:
        return []
    shown = [entry for entry in entries if name or not entry.name.startswith(".")]
    return sorted(folder + slash + entry.name for entry in shown if entry.is_dir() or entry.name.endswith(suffix))
