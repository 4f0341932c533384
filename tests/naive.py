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


def stored_order(position):
    """Rows in the order of a point store: by 16 nm brick, then by 1 nm cell, then as they came; z runs fastest.

    Returns the order, the origin of the lattice, its bricks along x, y, z, and every ion's brick * 4096 + cell.
    """
    origin = np.floor(position.min(axis=0).astype(np.float64))
    cell = np.floor(position.astype(np.float64) - origin).astype(np.int64)
    bricks = tuple((cell.max(axis=0) // 16 + 1).tolist())
    order = np.lexsort([*(cell % 16).T[::-1], *(cell // 16).T[::-1]])
    brick = np.ravel_multi_index(tuple((cell // 16).T), bricks)
    return order, origin, bricks, brick * 4096 + np.ravel_multi_index(tuple((cell % 16).T), (16, 16, 16))


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


def coherence(field, usual=None):
    """Kappa of every voxel, at least half of the usual one, and the median over voxels that hold ions."""
    ions = material(field)
    if usual is None:
        usual = math.sqrt(max(float(np.median(field.coherence2[ions].astype(float))), 0.004**2))
    kappa = np.clip(np.sqrt(np.maximum(field.coherence2.astype(float), (usual / 2) ** 2)), 0.004, 1)
    return kappa, float(np.median(kappa[ions]))


def judged_twice(field, n, first, second):
    """Both passes in doubles, n planes to a period: channels and map of each pass, and (order, its quantile 0.9).

    `first` and `second` turn channels into logits. A voxel at a time where order is compared with its neighbours'.
    """
    kappa, median = coherence(field)
    damping = kappa ** (1 / n**2)
    ions = material(field)
    strength = float(np.median((field.strength * damping**2)[ions]))
    high = np.quantile((field.order[3] / damping)[ions], [0.98, 0.995])
    one = order_channels(field, damping, -1, [math.log(strength), math.log(median), *high])
    p1 = ions / (1 + np.exp(-first(one)))
    s, upper = specimen_order(field, damping, p1)
    scalars = [math.log(strength) + 2 * math.log(s), math.log(median), math.log(s), math.log(upper / s)]
    sure = np.clip(p1, 1e-4, 1 - 1e-4)
    logit = np.log(sure / (1 - sure)) / 3
    two = np.concatenate([logit[..., None], order_channels(field, damping * s, -1.5, scalars)], axis=-1)
    return one, p1, (s, upper), two, ions / (1 + np.exp(-second(two)))


def material(field):
    """Voxels with at least a quarter of the usual density."""
    usual = np.median(field.density[field.density > 1].astype(float))
    return field.density >= 0.25 * usual


def order_channels(field, unit, lowest, scalars):
    """5 powers, 5 locked powers, 5 linear orders, 5 orders, 3 maxima of orders, 4 numbers of the specimen."""
    order = np.minimum(field.order / unit, 3)
    maps = [np.log(p + 0.3) for p in field.power.astype(float)]
    maps += [np.log(np.maximum(q, 0) + 0.3) for q in field.locked.astype(float)]
    maps += [np.clip(line / unit, lowest, 3) for line in field.linear]
    maps += list(order)
    for scale, half in ((2, 2), (3, 2), (3, 4)):  # 1 nm over 5 voxels, 1.4 nm over 5 and 9 voxels
        around = np.empty(unit.shape)
        for voxel in np.ndindex(*unit.shape):
            near = tuple(slice(max(i - half, 0), i + half + 1) for i in voxel)
            around[voxel] = order[scale][near].max()
        maps.append(around)
    maps += [np.full(unit.shape, number) for number in scalars]
    return np.stack(maps, axis=-1)


def specimen_order(field, damping, p):
    """Slope of two linear orders on the blurred map, and quantile 0.9 of the first; 0.6 where little is ordered."""
    inside = p > 0.3
    if inside.sum() < 8 or p[p > 0.5].sum() < 6:
        return 0.6, 0.6
    slopes = []
    for line, sigma in ((field.linear[3], 1.0), (field.linear[2], 0.76)):
        expected = blurred(np.where(p > 0.1, p, 0), sigma)[inside]
        found = (line / damping)[inside]
        slopes.append(min(max((found * expected).sum() / (expected**2).sum(), 0.15), 1.5))
    upper = np.quantile((field.linear[3] / damping)[inside], 0.9)
    return float(np.mean(slopes)), float(min(max(upper, 0.15), 1.5))


def blurred(grid, sigma):
    """Gaussian cut at 3.5 standard deviations, the outermost voxels repeated beyond the grid."""
    reach = int(3.5 * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in range(3):
        padded = np.pad(grid, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
        shifted = (np.take(padded, range(t, t + grid.shape[axis]), axis) for t in range(2 * reach + 1))
        grid = sum(w * part for w, part in zip(weights / weights.sum(), shifted, strict=True))
    return grid


def particle_cores(order, rule):
    """Voxels that reach the core and share faces, as sets; those that reach the peak somewhere."""
    probable = np.nan_to_num(order.astype(np.float64))
    unseen = {tuple(map(int, v)) for v in np.argwhere(np.nan_to_num(order) >= np.float32(rule.core))}
    cores = []
    for seed in sorted(unseen):
        core, frontier = set(), [seed]
        while frontier:
            voxel = frontier.pop()
            if voxel in unseen:
                unseen.discard(voxel)
                core.add(voxel)
                x, y, z = voxel
                frontier += [(x + d, y, z) for d in (-1, 1)] + [(x, y + d, z) for d in (-1, 1)]
                frontier += [(x, y, z + d) for d in (-1, 1)]
        if core and max(probable[voxel] for voxel in core) >= rule.peak:
            cores.append(sorted(core))
    return cores


def distances(shape, cores, voxel_nm):
    """Distance from every voxel to every core, (cores, nx, ny, nz), in nm."""
    voxels = np.stack(np.indices(shape), axis=-1).reshape(-1, 1, 3)
    squared = [((voxels - np.array(core)) ** 2).sum(axis=2).min(axis=1).reshape(shape) for core in cores]
    return np.sqrt(np.array(squared, dtype=np.float64).reshape(-1, *shape)) * voxel_nm


def between_particles(order, rule, voxel_nm):
    """Voxels that lie as near to one core as to another."""
    distance = distances(order.shape, particle_cores(order, rule), voxel_nm)
    return (distance == distance.min(axis=0, initial=np.inf)).sum(axis=0) > 1


def expected_particles(order, rule, voxel_nm):
    """Volume and voxels of each particle: the probabilities nearest to its core, and the most probable voxels there."""
    cores = particle_cores(order, rule)
    distance = distances(order.shape, cores, voxel_nm)
    particles = []
    for number in range(len(cores)):
        mine = (distance[number] == distance.min(axis=0)) & (distance[number] <= rule.reach_nm)
        voxels = sorted((tuple(map(int, v)) for v in np.argwhere(mine)), key=lambda v: (-np.nan_to_num(order[v]), v))
        volume = sum(float(np.nan_to_num(order[v])) for v in voxels) * voxel_nm**3
        if volume >= rule.min_volume_nm3:
            particles.append((volume, voxels[: max(round(volume / voxel_nm**3), 1)]))
    return sorted(particles, key=lambda particle: -particle[0])


def nearest(position, points, k):
    """Distances to all ions, sorted; of equal squares the smallest row comes first."""
    distance, rows = np.full((len(points), k), np.inf), np.full((len(points), k), len(position))
    for i, point in enumerate(points):
        d = position.astype(np.float64).reshape(-1, 3) - point
        square = d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2]
        best = np.argsort(square, kind="stable")[:k]
        distance[i, : len(best)], rows[i, : len(best)] = np.sqrt(square[best]), best
    return distance, rows


def pair_counts(position, radii):
    """All pairs i < j, one ion at a time."""
    points, counts = position.astype(np.float64), np.zeros(len(radii), dtype=np.int64)
    for i in range(len(points)):
        d = points[i + 1 :] - points[i]
        square = d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2]
        counts += np.array([(square <= r * r).sum() for r in radii], dtype=np.int64)
    return counts
