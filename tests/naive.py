"""Ten-line twins of the fast paths: slow, plain, and written from the documented definition alone."""

import math

import numpy as np


def sdm(position, group, window, channels, origin=(0, 0, 0)):
    """Pair histogram (channels, bins_z, bins_lateral) by two Python loops; group −1: not counted."""
    q = np.floor((position.astype(np.float64) - origin) * window.units_per_nm).astype(np.int64)
    counts = np.zeros((len(channels.pairs), *window.shape), dtype=np.uint32)
    channel = {tuple(sorted(pair)): k for k, pair in enumerate(channels.pairs)}
    per_nm = window.units_per_nm[0]
    y_limit = math.inf if window.y_limit_nm is None else math.floor(window.y_limit_nm * per_nm)
    radius2 = math.inf if window.radius_nm is None else math.floor(window.radius_nm * per_nm / 16) ** 2
    ions = [(*map(int, q[i]), int(group[i])) for i in range(len(q)) if group[i] >= 0]
    for i in range(len(ions)):
        for j in range(i + 1, len(ions)):
            a, b = sorted((ions[i], ions[j]), key=lambda ion: (ion[2], ion[0]))  # dz >= 0; dx >= 0 in a plane
            dx, dy, dz = (b[k] - a[k] for k in range(3))
            if window.kind == "zx":
                column = (dx + 128 * window.bins_lateral) // 256
            else:
                column = math.isqrt(dx * dx + dy * dy) // 256
            near = abs(dy) < y_limit and sum((abs(d) // 16) ** 2 for d in (dx, dy, dz)) < radius2
            which = channel.get(tuple(sorted((a[3], b[3]))))
            if near and which is not None and dz // 256 < window.bins_z and 0 <= column < window.bins_lateral:
                counts[which, dz // 256, column] += 1
    return counts


def cubes_of(position, group, window, channels, *, box, edge):
    """SDMs of all cubes of a box of cells, each counted on its own: (cx, cy, cz, channels, rows, columns)."""
    cell = np.floor((position.astype(np.float64) - box.origin_nm) * (1 / box.stride_nm)).astype(int)
    n = box.n_cubes(edge)
    out = np.zeros((*n, len(channels.pairs), *window.shape), dtype=np.uint32)
    for cube in np.ndindex(*n):
        inside = ((cell >= cube) & (cell < np.array(cube) + edge)).all(axis=1)
        out[cube] = sdm(position[inside], group[inside], window, channels, box.origin_nm)
    return out


def vote(p, edge):
    """Scatter every valid cube onto the voxels that it covers."""
    total, count = np.zeros(p.shape), np.zeros(p.shape, dtype=int)
    for corner in np.argwhere(np.isfinite(p)):
        voxels = tuple(slice(c, c + edge) for c in corner)
        total[voxels] += p[tuple(corner)]
        count[voxels] += 1
    return total, count


def grid_logits(features, mean, std, layers, weights):
    """Convolutions by adding shifted copies of a padded grid, in doubles; layers: (edge, dilation, filters)."""
    values = (features.astype(np.float64) - mean) / std
    for k, (edge, dilation, filters) in enumerate(layers):
        kernel, bias = weights[2 * k : 2 * k + 2]
        half = edge // 2 * dilation
        padded = np.pad(values, [(half, half)] * 3 + [(0, 0)])
        values = np.zeros((*features.shape[:3], filters)) + bias
        for taps in np.ndindex(edge, edge, edge):
            part = tuple(slice(t * dilation, t * dilation + n) for t, n in zip(taps, features.shape[:3], strict=True))
            values += padded[part] @ kernel[taps].astype(np.float64)
        if k + 1 < len(layers):
            values = np.maximum(values, 0)
    return values[..., 0]
