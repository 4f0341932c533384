"""The 3D view as text inside a page: numbers in JSON, coordinates as 16-bit integers in base64."""

from __future__ import annotations

import base64
import json

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from aptstream.report.scene import Positions, Scene

#: Blue is small and yellow is large, to every kind of colour vision; the darkest and the palest end are left out.
RAMP_ENDS, N_RAMP = (0.12, 0.95), 24


def ramp() -> list[str]:
    """Return the colours of the colour bar, from the least to the largest value.

    Returns
    -------
    list of str

    Examples
    --------
    >>> len(ramp()), ramp()[0]
    (24, '#472a7a')
    """
    rgb = np.rint(255 * colormaps["viridis"](np.linspace(*RAMP_ENDS, N_RAMP))[:, :3]).astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in rgb.tolist()]


def pack(scene: Scene) -> str:
    """Write a scene as JSON that can stand inside a page: no letter in it ends the element that holds it.

    Coordinates count in 65 535ths of the specimen's box along each axis; triangles count the vertices of their own
    particle. The bytes in ``data`` are, little-endian: x, y, z of all vertices, all triangles, x, y, z of all ions.

    Parameters
    ----------
    scene : Scene
        What is shown.

    Returns
    -------
    str

    Examples
    --------
    >>> pack(Scene((0, 0, 0), (1, 1, 2), (), 0))[:37]
    '{"low": [0, 0, 0], "high": [1, 1, 2],'
    """
    vertices = [_places(scene, body.vertices_nm) for body in scene.bodies]
    triangles = [body.faces.astype("<u2") for body in scene.bodies]
    ions = [_places(scene, layer.position_nm) for layer in scene.ions]
    data = b"".join(part.tobytes() for part in (*vertices, *triangles, *ions))
    header = {
        "low": list(scene.low_nm),
        "high": list(scene.high_nm),
        "ramp": ramp(),
        "particles": [
            {
                "number": body.number,
                "radius": round(body.radius_nm, 3),
                "order": round(body.mean_order, 4),
                "centre": [round(x, 3) for x in body.centroid_nm],
                "vertices": len(body.vertices_nm),
                "triangles": len(body.faces),
            }
            for body in scene.bodies
        ],
        "ions": [{"name": i.name, "colour": i.colour, "n": len(i.position_nm)} for i in scene.ions],
        "data": base64.b64encode(data).decode(),
    }
    text = json.dumps(header, ensure_ascii=True, allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _places(scene: Scene, position_nm: Positions) -> npt.NDArray[np.uint16]:
    """Count positions in 65 535ths of the box; what lies outside is moved to its wall."""
    low = np.array(scene.low_nm)
    size = np.array(scene.high_nm) - low
    part = (position_nm.astype(np.float64) - low) / np.where(size > 0, size, 1)
    places: npt.NDArray[np.uint16] = np.rint(65535 * np.clip(part, 0, 1)).astype("<u2")
    return places
