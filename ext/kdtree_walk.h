/* The walks of kdtree.c, for one set of instructions. Included once for each: TARGET, NAME(x), and the lanes: NAME(at_most),
 * NAME(below), NAME(distances), NAME(reach), NAME(in_box),
 * NAME(collect), NAME(within), NAME(place), NAME(keep). */

/* Which of 16 nodes a ball touches, and which it holds. Sums are rounded as those of ions are. */
TARGET INLINE void NAME(judge_ball)(const float *bounds, const double *number, uint32_t *touched, uint32_t *held) {
    double near2[KDTREE_LANES], far2[KDTREE_LANES];
    NAME(reach)(bounds, number, near2, far2);
    *touched = NAME(at_most)(near2, number[3]);
    *held = NAME(at_most)(far2, number[3]);
}

/* Half extent of 16 nodes along an axis, their middles relative to an origin, and what rounding may amount to. */
TARGET INLINE void NAME(middle)(const float *bounds, const double *origin, double (*mid)[16], double (*half)[16],
                                double *slack) {
    for (int i = 0; i < KDTREE_LANES; i++) slack[i] = magnitude(origin[0]) + magnitude(origin[1]) + magnitude(origin[2]);
    for (int axis = 0; axis < 3; axis++)
        for (int i = 0; i < KDTREE_LANES; i++) {
            const double low = bounds[16 * axis + i], high = bounds[16 * (axis + 3) + i];
            mid[axis][i] = (low + high) * 0.5 - origin[axis];
            half[axis][i] = (high - low) * 0.5;
            slack[i] += magnitude(mid[axis][i]) + half[axis][i];
        }
    for (int i = 0; i < KDTREE_LANES; i++) slack[i] *= ROUNDING;
}

/* Whether [t - e, t + e] touches, and is held by, the interval from low to high, either way safe against rounding. */
TARGET INLINE void NAME(judge_slab)(double (*mid)[16], double (*half)[16], const double *slack, const double *axis,
                                    const double *limits, uint32_t *touched, uint32_t *held) {
    double beyond[KDTREE_LANES], within[KDTREE_LANES];
    for (int i = 0; i < KDTREE_LANES; i++) {
        const double t = mid[0][i] * axis[0] + mid[1][i] * axis[1] + mid[2][i] * axis[2];
        const double e = half[0][i] * magnitude(axis[0]) + half[1][i] * magnitude(axis[1]) + half[2][i] * magnitude(axis[2]);
        const double past_high = t - limits[1], past_low = limits[0] - t;
        beyond[i] = larger(past_high, past_low) - e - slack[i];
        within[i] = larger(past_high, past_low) + e + slack[i];
    }
    *touched &= NAME(at_most)(beyond, 0);
    *held &= NAME(below)(within, 0);
}

TARGET INLINE void NAME(judge_slanted)(const float *bounds, int kind, const double *number, uint32_t *touched,
                                       uint32_t *held) {
    double mid[3][16], half[3][16], slack[16];
    *touched = *held = ALL;
    NAME(middle)(bounds, number, mid, half, slack);
    if (kind == KDTREE_ORIENTED) {
        for (int k = 0; k < 3; k++) {
            const double limits[2] = {-number[12 + k], number[12 + k]};
            NAME(judge_slab)(mid, half, slack, number + 3 + 3 * k, limits, touched, held);
        }
        return;
    }
    const double limits[2] = {0, number[6]};
    double beyond[KDTREE_LANES], within[KDTREE_LANES];
    NAME(judge_slab)(mid, half, slack, number + 3, limits, touched, held);
    /* Off the axis by p, a node reaches back to it by its extent along p, and out by no more than half its diagonal. */
    for (int i = 0; i < KDTREE_LANES; i++) {
        const double t = mid[0][i] * number[3] + mid[1][i] * number[4] + mid[2][i] * number[5];
        double off = 0, round = 0, back = 0;
        for (int axis = 0; axis < 3; axis++) {
            const double p = mid[axis][i] - t * number[3 + axis];
            off += p * p;
            round += half[axis][i] * half[axis][i];
            back += half[axis][i] * (magnitude(p) + slack[i]);
        }
        off = sqrt(off);
        round = sqrt(round);
        beyond[i] = off - back / (off + DBL_MIN) - slack[i] - number[7];
        within[i] = off + round + slack[i] - number[7];
    }
    *touched &= NAME(at_most)(beyond, 0);
    *held &= NAME(below)(within, 0);
}

/* Which of 16 nodes lie partly or wholly inside a region; all of `held` are `touched`. */
TARGET INLINE void NAME(judge)(const float *bounds, int kind, const query *q, uint32_t *touched, uint32_t *held) {
    if (kind == KDTREE_BOX) {
        *touched = NAME(in_box)(bounds + 48, bounds, q->face);
        *held = NAME(in_box)(bounds, bounds + 48, q->face);
    } else if (kind == KDTREE_BALL) {
        NAME(judge_ball)(bounds, q->number, touched, held);
    } else {
        NAME(judge_slanted)(bounds, kind, q->number, touched, held);
    }
}

/* Which of 16 ions lie inside; the same operations in the same order as `contains` of the regions. */
TARGET INLINE uint32_t NAME(test)(const float *at, int kind, const query *q) {
    const double *n = q->number;
    double t[KDTREE_LANES], off[KDTREE_LANES];
    uint32_t inside = ALL;
    if (kind == KDTREE_BOX) return NAME(in_box)(at, at, q->face);
    if (kind == KDTREE_BALL) {
        NAME(distances)(at, n, t);
        return NAME(at_most)(t, n[3]);
    }
    if (kind == KDTREE_CYLINDER) {
        for (int i = 0; i < KDTREE_LANES; i++) {
            const double x = at[i] - n[0], y = at[16 + i] - n[1], z = at[32 + i] - n[2];
            t[i] = x * n[3] + y * n[4] + z * n[5];
            const double px = x - t[i] * n[3], py = y - t[i] * n[4], pz = z - t[i] * n[5];
            off[i] = px * px + py * py + pz * pz;
        }
        return ~NAME(below)(t, 0) & NAME(at_most)(t, n[6]) & NAME(at_most)(off, n[8]);
    }
    for (int k = 0; k < 3; k++) {
        const double *axis = n + 3 + 3 * k;
        for (int i = 0; i < KDTREE_LANES; i++)
            t[i] = (at[i] - n[0]) * axis[0] + (at[16 + i] - n[1]) * axis[1] + (at[32 + i] - n[2]) * axis[2];
        inside &= ~NAME(below)(t, -n[12 + k]) & NAME(below)(t, n[12 + k]);
    }
    return inside;
}

/* The ions of a group of blocks. Blocks that are cut are tested first and all are written afterwards: deciding block by
 * block would be guessed wrong too often. */
TARGET INLINE int64_t NAME(take_blocks)(const kdtree *tree, int kind, const query *q, int64_t group, int32_t *out) {
    const float *bounds = tree->bounds + 96 * group;
    uint32_t touched, held, inside[KDTREE_LANES];
    int64_t found = 0;
    NAME(judge)(bounds, kind, q, &touched, &held);
    touched &= nodes_of(tree, 0, group);
    for (int lane = 0; lane < KDTREE_LANES; lane++) inside[lane] = ALL;
    for (uint32_t cut = touched & ~held; cut; cut &= cut - 1) {
        const int lane = lowest(cut);
        inside[lane] = NAME(test)(tree->position + 48 * (KDTREE_LANES * group + lane), kind, q);
    }
    for (; touched; touched &= touched - 1) {
        const int64_t block = KDTREE_LANES * group + lowest(touched);
        const uint32_t kept = inside[lowest(touched)] & ions_of(tree, block);
        if (out) NAME(keep)(kept, tree->row + 16 * block, out + found);
        found += bits(kept);
    }
    return found;
}

/* From left to right, so that rows come out in the tree's order. */
TARGET INLINE int64_t NAME(walk)(const kdtree *tree, int kind, const query *q, int32_t *out, int64_t room) {
    const int top = tree->n_levels - 1;
    int level = top;
    int64_t group[KDTREE_LEVELS] = {0}, found = 0;
    uint32_t touched[KDTREE_LEVELS], held[KDTREE_LEVELS];
    if (!top) return out && room < GROUP ? -1 : NAME(take_blocks)(tree, kind, q, 0, out);
    NAME(judge)(tree->bounds + 96 * tree->begin[top], kind, q, touched + top, held + top);
    touched[top] &= nodes_of(tree, top, 0);
    for (;;) {
        while (!touched[level])
            if (++level > top) return found;
        const int lane = lowest(touched[level]);
        const int64_t node = KDTREE_LANES * group[level] + lane;
        touched[level] &= touched[level] - 1;
        if (held[level] >> lane & 1) {
            const int64_t begin = node * ((int64_t)KDTREE_LANES << 4 * level), n = ions_in(tree, level, node);
            if (out) {
                if (found + n > room) return -1;
                memcpy(out + found, tree->row + begin, (size_t)n * sizeof(int32_t));
            }
            found += n;
        } else if (level > 1) {
            group[--level] = node;
            NAME(judge)(tree->bounds + 96 * (tree->begin[level] + node), kind, q, touched + level, held + level);
            touched[level] &= nodes_of(tree, level, node);
        } else {
            if (out && found + GROUP > room) return -1;
            found += NAME(take_blocks)(tree, kind, q, node, out ? out + found : NULL);
        }
    }
}

TARGET static int64_t NAME(gather)(const kdtree *tree, int kind, const query *q, int32_t *out, int64_t room) {
    if (kind == KDTREE_BOX) return NAME(walk)(tree, KDTREE_BOX, q, out, room);
    if (kind == KDTREE_BALL) return NAME(walk)(tree, KDTREE_BALL, q, out, room);
    if (kind == KDTREE_CYLINDER) return NAME(walk)(tree, KDTREE_CYLINDER, q, out, room);
    return NAME(walk)(tree, KDTREE_ORIENTED, q, out, room);
}

/* ---- nearest ions ----------------------------------------------------------------------------------------------- */

/* Leave out what is surely not among the k nearest: halve towards a distance that at least k, and few more, keep. */
TARGET static void NAME(narrow)(ranking *best) {
    double low = 0, high = 0;
    for (int64_t i = 0; i < best->n; i++) high = larger(high, best->few_square[i]);
    double limit = high;
    int64_t kept = best->n;
    for (int turn = 0; turn < 8 && kept > best->k + 6 && high < INFINITY; turn++) {
        /* Ions within a distance are as its cube: the power is 2/3, and 5/8 is quicker. */
        const double share = (double)(best->k + 2) / (double)kept, guess = high * sqrt(share * sqrt(sqrt(share)));
        const double at = guess > low && guess < high ? guess : (low + high) / 2;
        const int64_t within = NAME(within)(best, at);
        if (within < best->k) {
            low = at;
        } else {
            limit = high = at;
            kept = within;
        }
    }
    int64_t n = 0;
    for (int64_t i = 0; i < best->n; i++) {
        const double square = best->few_square[i];
        best->few_square[n] = square;
        best->few_row[n] = best->few_row[i];
        n += square <= limit;
    }
    best->n = n;
}

/* Put the k nearest of those collected in order: an entry's place is how many are ahead of it. */
TARGET static void NAME(rank)(ranking *best) {
    if (best->n > best->k) NAME(narrow)(best);
    const int64_t n = best->n, kept = smaller(n, best->k);
    for (int64_t i = 0; i < n; i++) {
        const double square = best->few_square[i];
        const int64_t row = best->few_row[i];
        const int64_t place = NAME(place)(best, square, row);
        if (place < best->k) {
            best->square[place] = square;
            best->row[place] = row;
        }
    }
    memcpy(best->few_square, best->square, (size_t)kept * sizeof(double));
    memcpy(best->few_row, best->row, (size_t)kept * sizeof(int64_t));
    best->n = kept;
    if (kept == best->k) {
        best->worst = best->square[kept - 1];
        best->worst_row = best->row[kept - 1];
    }
}

/* Squared distances of a block's ions come back, for whoever has a use for them. */
TARGET INLINE void NAME(offer_block)(const kdtree *tree, int64_t block, const double *point, ranking *best, double *square) {
    const int32_t *row = tree->row + 16 * block;
    NAME(distances)(tree->position + 48 * block, point, square);
    uint32_t mask = NAME(at_most)(square, best->worst) & ions_of(tree, block);
    if (best->k > FEW) {
        for (; mask; mask &= mask - 1) offer(best, square[lowest(mask)], row[lowest(mask)]);
        return;
    }
    /* Ties matter where they have smaller rows; without this, coincident ions would be ranked again and again. */
    for (uint32_t tied = mask & ~NAME(below)(square, best->worst); tied; tied &= tied - 1)
        if (row[lowest(tied)] > best->worst_row) mask &= ~(1u << lowest(tied));
    NAME(collect)(mask, square, row, best);
    if (best->n > best->k + SPARE) NAME(rank)(best);
}

/* Nearest node first; a node as near as the worst so far matters only if it holds a smaller row. */
TARGET static void NAME(visit)(const kdtree *tree, int level, int64_t group, const double *point, ranking *best) {
    const float *bounds = tree->bounds + 96 * (tree->begin[level] + group);
    const int32_t *first = tree->first + 16 * (tree->begin[level] + group);
    double near2[KDTREE_LANES], near2_of_ions[KDTREE_LANES];
    NAME(reach)(bounds, point, near2, NULL);
    uint32_t left = NAME(at_most)(near2, best->worst) & nodes_of(tree, level, group);
    while (left) {
        int lane = lowest(left);
        for (uint32_t mask = left & (left - 1); mask; mask &= mask - 1)
            if (near2[lowest(mask)] < near2[lane]) lane = lowest(mask);
        left &= ~(1u << lane);
        if (near2[lane] > best->worst) return;
        if (near2[lane] == best->worst && first[lane] > best->worst_row) continue;
        const int64_t node = KDTREE_LANES * group + lane;
        if (level)
            NAME(visit)(tree, level - 1, node, point, best);
        else if (node != best->own_block)
            NAME(offer_block)(tree, node, point, best, near2_of_ions);
    }
}

TARGET INLINE void NAME(finish)(ranking *best) {
    if (best->k > FEW)
        sort_heap(best);
    else
        NAME(rank)(best);
}

TARGET static void NAME(nearest)(const kdtree *tree, const double *point, ranking *best) {
    double square[KDTREE_LANES];
    empty_ranking(best, INFINITY, tree->n_ions);
    if (best->own_block >= 0) NAME(offer_block)(tree, best->own_block, point, best, square);
    NAME(visit)(tree, tree->n_levels - 1, 0, point, best);
    NAME(finish)(best);
}

/* Squared gaps between a box and 16 nodes. */
TARGET INLINE void NAME(gaps)(const float *bounds, const float *box, double *near2) {
    for (int i = 0; i < KDTREE_LANES; i++) near2[i] = 0;
    for (int axis = 0; axis < 3; axis++) {
        const double low = box[16 * axis], high = box[16 * axis + 48];
        for (int i = 0; i < KDTREE_LANES; i++) {
            const double out = larger(larger(bounds[16 * axis + i] - high, low - bounds[16 * axis + 48 + i]), 0);
            near2[i] += out * out;
        }
    }
}

/* List the other blocks that come within `reach` of a block, nearest first; false if they are too many. */
TARGET static int NAME(list_blocks)(const kdtree *tree, int64_t own, double reach2, vicinity *near) {
    const int top = tree->n_levels - 1;
    const float *box = tree->bounds + 96 * (own / KDTREE_LANES) + own % KDTREE_LANES;
    int level = top;
    int64_t group[KDTREE_LEVELS] = {0};
    uint32_t left[KDTREE_LEVELS];
    double near2[KDTREE_LANES];
    near->n = 0;
    NAME(gaps)(tree->bounds + 96 * tree->begin[top], box, near2);
    left[top] = NAME(at_most)(near2, reach2) & nodes_of(tree, top, 0);
    for (;;) {
        while (level && !left[level])
            if (++level > top) return 1;
        if (!level) {
            for (uint32_t mask = left[0]; mask; mask &= mask - 1) {
                const int64_t block = KDTREE_LANES * group[0] + lowest(mask);
                if (block != own && !list_block(near, block, near2[lowest(mask)])) return 0;
            }
            if (++level > top) return 1;
            continue;
        }
        const int64_t node = KDTREE_LANES * group[level] + lowest(left[level]);
        left[level] &= left[level] - 1;
        group[--level] = node;
        NAME(gaps)(tree->bounds + 96 * (tree->begin[level] + node), box, near2);
        left[level] = NAME(at_most)(near2, reach2) & nodes_of(tree, level, node);
    }
}

/* As `nearest`, where a list of blocks is known to hold all that can matter; `last` are the distances of the last
 * neighbours of the ions of the block, infinite where they are not known: 0 times infinity is below nothing. */
TARGET static void NAME(nearest_listed)(const kdtree *tree, const double *point, const vicinity *near, const double *last,
                                        ranking *best) {
    double square[KDTREE_LANES], limit = INFINITY;
    int next = 0;
    NAME(distances)(tree->position + 48 * best->own_block, point, square);
    for (int i = 0; i < KDTREE_LANES; i++)
        if (square[i] + 0 * last[i] < limit) {
            limit = square[i];
            next = i;
        }
    limit = (sqrt(limit) + last[next]) * (1 + ROUNDING);
    empty_ranking(best, limit * limit, tree->n_ions);
    NAME(offer_block)(tree, best->own_block, point, best, square);
    for (int start = 0; start < near->n; start += KDTREE_LANES) {
        double near2[KDTREE_LANES];
        NAME(reach)(near->bounds + 6 * start, point, near2, NULL);
        for (uint32_t mask = NAME(at_most)(near2, best->worst) & lanes(near->n - start); mask; mask &= mask - 1) {
            const int lane = lowest(mask);
            const int64_t block = near->block[start + lane];
            if (near2[lane] < best->worst || (near2[lane] == best->worst && tree->first[block] < best->worst_row))
                NAME(offer_block)(tree, block, point, best, square);
        }
    }
    NAME(finish)(best);
}

/* Sixteen ions share what is near them. The ion in the middle is ranked first: no other ion's last neighbour is farther
 * than its last neighbour is, plus the way to it. */
TARGET static void NAME(nearest_of_block)(const kdtree *tree, int64_t block, int64_t k, double *square, int64_t *row) {
    const float *at = tree->position + 48 * block;
    const int n = bits(ions_of(tree, block)), middle = middle_ion(at, n);
    vicinity near;
    ranking best;
    double last[KDTREE_LANES], way2[KDTREE_LANES], farthest = 0;
    int listed = 0;
    best.k = k;
    best.own_block = block;
    for (int i = 0; i < KDTREE_LANES; i++) last[i] = INFINITY;
    for (int turn = 0; turn < n; turn++) {
        const int i = turn == 0 ? middle : turn <= middle ? turn - 1 : turn;
        const double point[3] = {at[i], at[16 + i], at[32 + i]};
        best.square = square + k * tree->row[16 * block + i];
        best.row = row + k * tree->row[16 * block + i];
        if (listed)
            NAME(nearest_listed)(tree, point, &near, last, &best);
        else
            NAME(nearest)(tree, point, &best);
        last[i] = sqrt(best.square[k - 1]);
        if (turn == 0 && last[i] < INFINITY) {
            NAME(distances)(at, point, way2);
            for (int other = 0; other < n; other++) farthest = larger(farthest, way2[other]);
            const double reach = (last[i] + sqrt(farthest)) * (1 + ROUNDING);
            listed = NAME(list_blocks)(tree, block, reach * reach, &near);
            if (listed) box_vicinity(tree, &near);
        }
    }
}

/* ---- pairs -------------------------------------------------------------------------------------------------------- */

TARGET static void NAME(pairs_of_blocks)(const kdtree *tree, int64_t a, int64_t b, const tallies *all) {
    double square[KDTREE_LANES];
    for (uint32_t mask = ions_of(tree, a); mask; mask &= mask - 1) {
        const int lane = lowest(mask);
        const float *at = tree->position + 48 * a + lane;
        const double point[3] = {at[0], at[16], at[32]};
        const uint32_t others = ions_of(tree, b) & (a == b ? ALL << lane << 1 : ALL);
        NAME(distances)(tree->position + 48 * b, point, square);
        for (int q = all->low; q < all->high; q++) all->count[q] += bits(NAME(at_most)(square, all->square[q]) & others);
    }
}

/* Pairs of one ion in group a and one in group b >= a; of radii, only those that no parent has settled. */
TARGET static void NAME(pairs)(const kdtree *tree, int level, int64_t a, int64_t b, const tallies *all) {
    const float *ours = tree->bounds + 96 * (tree->begin[level] + a), *theirs = tree->bounds + 96 * (tree->begin[level] + b);
    double near2[KDTREE_LANES], far2[KDTREE_LANES];
    for (uint32_t mine = nodes_of(tree, level, a); mine; mine &= mine - 1) {
        const int lane = lowest(mine);
        for (int i = 0; i < KDTREE_LANES; i++) near2[i] = far2[i] = 0;
        for (int axis = 0; axis < 3; axis++) {
            const double low = ours[16 * axis + lane], high = ours[16 * (axis + 3) + lane];
            for (int i = 0; i < KDTREE_LANES; i++) {
                const double above = theirs[16 * axis + i] - high, below = low - theirs[16 * (axis + 3) + i];
                const double out = larger(larger(above, below), 0), reach = larger(-above, -below);
                near2[i] += out * out;
                far2[i] += reach * reach;
            }
        }
        uint32_t left = NAME(at_most)(near2, all->square[all->high - 1]) & nodes_of(tree, level, b);
        if (a == b) left &= ALL << lane;
        for (; left; left &= left - 1) {
            const int other = lowest(left);
            const int64_t one = KDTREE_LANES * a + lane, two = KDTREE_LANES * b + other;
            const int64_t n = ions_in(tree, level, one), m = ions_in(tree, level, two);
            tallies rest = *all;
            while (rest.low < rest.high && rest.square[rest.low] < near2[other]) rest.low++;
            while (rest.low < rest.high && far2[other] <= rest.square[rest.high - 1])
                rest.count[--rest.high] += one == two ? n * (n - 1) / 2 : n * m;
            if (rest.low == rest.high) continue;
            if (level)
                NAME(pairs)(tree, level - 1, one, two, &rest);
            else
                NAME(pairs_of_blocks)(tree, one, two, &rest);
        }
    }
}

#undef NAME
#undef TARGET
