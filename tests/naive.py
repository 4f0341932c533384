"""Ten-line twins of the fast paths: slow, plain, and written from the documented definition alone."""

import math

import numpy as np


def sdm(position, role, window, origin=(0, 0, 0)):
    """Pair histogram (3, bins_z, bins_lateral) by two Python loops; roles 0 host, 1 solute, 2 neither."""
    q = np.floor((position.astype(np.float64) - origin) * window.units_per_nm).astype(np.int64)
    counts = np.zeros((3, *window.shape), dtype=np.uint32)
    ions = [(*map(int, q[i]), int(role[i])) for i in range(len(q)) if role[i] != 2]
    for i in range(len(ions)):
        for j in range(i + 1, len(ions)):
            a, b = sorted((ions[i], ions[j]), key=lambda ion: (ion[2], ion[0]))  # dz >= 0, and dx >= 0 in a plane
            dx, dy, dz = (b[k] - a[k] for k in range(3))
            if window.kind == "zx":
                column = (dx + 128 * window.bins_lateral) // 256
            else:
                column = math.isqrt(dx * dx + dy * dy) // 256
            if dz // 256 < window.bins_z and 0 <= column < window.bins_lateral:
                counts[a[3] + b[3], dz // 256, column] += 1
    return counts


def cubes_of(position, role, window, origin, shape, edge, stride=1.0):
    """SDMs of all cubes of a box, each counted on its own: (cx, cy, cz, 3, bins_z, bins_lateral)."""
    cell = np.floor((position.astype(np.float64) - origin) * (1 / stride)).astype(int)
    n = [s - edge + 1 for s in shape]
    out = np.zeros((*n, 3, *window.shape), dtype=np.uint32)
    for cube in np.ndindex(*n):
        inside = ((cell >= cube) & (cell < np.array(cube) + edge)).all(axis=1)
        out[cube] = sdm(position[inside], role[inside], window, origin)
    return out


def vote(p, edge):
    """Scatter every valid cube onto the voxels that it covers."""
    total, count = np.zeros(p.shape), np.zeros(p.shape, dtype=int)
    for corner in np.argwhere(np.isfinite(p)):
        voxels = tuple(slice(c, c + edge) for c in corner)
        total[voxels] += p[tuple(corner)]
        count[voxels] += 1
    return total, count
