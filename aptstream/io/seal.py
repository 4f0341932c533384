"""The attributes of a Zarr group under a seal: what was edited by hand or by accident is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import PathLike
from typing import Any

from aptstream.errors import StoreError
from aptstream.io.arrays import damaged, load_metadata
from aptstream.io.digest import canonical_json
from aptstream.io.folder import Folder

_SEAL = "manifest_sha256"


def sealed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Add the SHA-256 of attributes to them.

    Parameters
    ----------
    attributes : mapping
        JSON values.

    Returns
    -------
    dict

    Examples
    --------
    >>> sealed({"format": "x"})["manifest_sha256"][:8]
    '368ff261'
    """
    return {**attributes, _SEAL: _sha256(attributes)}


def load_sealed(folder: str | PathLike[str] | Folder, *, kind: tuple[str, int], made_by: str) -> dict[str, Any]:
    """Read the attributes of a group that were written with `sealed`.

    Parameters
    ----------
    folder : path, str or Folder
        Folder or URL of the group.
    kind : tuple of (str, int)
        The format and version that it must have.
    made_by : str
        The command that makes such a folder.

    Returns
    -------
    dict

    Raises
    ------
    StoreError
        If the folder holds another kind or version, or the attributes differ from what was sealed.
    """
    attributes = load_metadata(folder).get("attributes")
    if not isinstance(attributes, dict):
        raise damaged(folder, "it has no attributes", f"those of {kind[0]}")
    found = (attributes.get("format"), attributes.get("format_version"))
    if found != kind:
        what = " version ".join(ascii(value)[:80] for value in found)
        raise StoreError(
            f"{folder} is of another kind: found {what}, expected '{kind[0]}' version {kind[1]}. "
            f"Give a folder that this version of {made_by} made."
        )
    content = unsealed(attributes)
    if content is None:
        raise damaged(folder, "its attributes are not those that it was written with", "untouched ones")
    return content


def unsealed(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return attributes without their seal, or nothing if it is broken.

    Parameters
    ----------
    attributes : mapping
        JSON values that `sealed` returned.

    Returns
    -------
    dict or None

    Examples
    --------
    >>> unsealed(sealed({"format": "x"})), unsealed({**sealed({"format": "x"}), "format": "y"})
    ({'format': 'x'}, None)
    """
    content = {name: value for name, value in attributes.items() if name != _SEAL}
    try:
        return content if attributes.get(_SEAL) == _sha256(content) else None
    except (ValueError, RecursionError):  # NaN, an infinite number or a thousand levels, which we never write
        return None


def _sha256(attributes: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(dict(attributes))).hexdigest()
