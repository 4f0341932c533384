/* The window sums (see sdm_kernel.c) for one width of counter. Included once for each: COUNTER, NAME(x), ADD(into, from, n). */

static void NAME(empty)(void *counters, const int32_t *bins, const int32_t *end) {
    COUNTER *h = counters;
    for (; bins < end; bins++) h[*bins]++;
}

/* The y window: fills the rows with the cubes in y of all pairs of x cells (x, x + ex) and smaller z cell m. */
static void NAME(sum_along_y)(const sdm_volume *v, const sdm_tile *tiles, int n_tiles, COUNTER *hook, int x, int ex, int m) {
    const int64_t image = v->n_image;
    int largest = 1, end = 0, first = tiles[0].y0;
    for (int k = 0; k < n_tiles; k++) {
        const sdm_tile *t = tiles + k;
        largest = larger(largest, t->side);
        end = larger(end, smaller(t->y0 + t->ty + t->side - 1, v->ny));
        memset(t->row, 0, (size_t)(t->ty * extents(v, t) * image) * sizeof(COUNTER));
    }
    sdm_sink sink;
    sink.end = sink.bins;
    sink.counters = hook;
    sink.empty = NAME(empty);
    for (int y = first; y < end; y++) {
        memset(hook, 0, (size_t)((v->ext_z + 1) * image) * sizeof(COUNTER));
        for (int ey = 0; ey < largest && y + ey < end; ey++) {
            if (ey <= v->ext_y) {
                count_cells(v, &sink, x, y, m, ex, ey);
                NAME(empty)(hook, sink.bins, sink.end);
                sink.end = sink.bins;
            }
            for (int k = 0; k < n_tiles; k++) {
                const sdm_tile *t = tiles + k;
                const int c = y - (t->side - 1 - ey) - t->y0;
                const int64_t n = extents(v, t) * image;
                if (ey < t->side && ex < t->side && c >= 0 && c < t->ty) ADD((COUNTER *)t->row + c * n, hook, n);
            }
        }
    }
}

/* The z window: adds the rows of smaller z cell m to the cubes of the plane. */
static void NAME(sum_along_z)(const sdm_volume *v, const sdm_tile *t, int m) {
    const int S = t->side, E = extents(v, t) - 1, n = v->n_image;
    for (int y = 0; y < t->ty; y++)
        for (int ez = 0; ez <= E; ez++) {
            COUNTER *image = (COUNTER *)t->row + ((int64_t)y * (E + 1) + ez) * n; /* becomes L_ez: extents up to ez */
            if (ez) ADD(image, image - n, n);
            for (int e = ez; e <= (ez == E ? S - 1 : ez); e++) {
                const int c = m - (S - 1 - e) - t->z0;
                if (c >= 0 && c < t->tz) ADD((COUNTER *)t->plane + ((int64_t)y * t->tz + c) * n, image, n);
            }
        }
}

/* The x window, and the whole step. */
static void NAME(scan_step)(const sdm_volume *v, const sdm_tile *tiles, int n_tiles, COUNTER *hook, int x) {
    int first = v->nz, end = 0;
    for (int k = 0; k < n_tiles; k++) {
        const sdm_tile *t = tiles + k;
        first = smaller(first, t->z0);
        end = larger(end, smaller(t->z0 + t->tz + t->side - 1, v->nz));
        memset(t->plane, 0, (size_t)((int64_t)t->ty * t->tz * v->n_image) * sizeof(COUNTER));
    }
    for (int ex = 0; ex <= v->ext_x && x + ex < v->nx; ex++) {
        for (int m = first; m < end; m++) {
            NAME(sum_along_y)(v, tiles, n_tiles, hook, x, ex, m);
            for (int k = 0; k < n_tiles; k++)
                if (ex < tiles[k].side) NAME(sum_along_z)(v, tiles + k, m);
        }
        for (int k = 0; k < n_tiles; k++) {
            const sdm_tile *t = tiles + k;
            const int S = t->side, last = smaller(S - 1, v->ext_x);
            const int64_t n = (int64_t)t->ty * t->tz * v->n_image;
            for (int e = ex; e <= (ex == last ? S - 1 : ex); e++) {
                const int c = x - (S - 1 - e);
                if (e < S && c >= 0 && c <= v->nx - S) ADD((COUNTER *)t->ring + (c % S) * n, t->plane, n);
            }
        }
    }
}
