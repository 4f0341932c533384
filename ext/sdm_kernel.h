/* Pair histograms of ions in overlapping cubes. Trusts its caller: the gate is aptstream/sdm/kernel.py. */
#ifndef APTSTREAM_SDM_KERNEL_H
#define APTSTREAM_SDM_KERNEL_H
#include <stdint.h>

enum { SDM_RHOZ = 0, SDM_ZX = 1 };                      /* lateral axis: distance, or signed offset along x */
enum { SDM_PLAIN = 0, SDM_AVX2 = 1, SDM_AVX512 = 2 };   /* instructions used; the results are the same */
enum { SDM_PAD = 32 };                                  /* elements readable behind the last ion */
enum { SDM_TABLE = 16 };                                /* sums of two labels */
enum { SDM_MAX_EDGES = 8 };

/* Ions of a box of nx * ny * nz cells, sorted by (x cell, y cell, z slice) and by z inside a slice. */
typedef struct {
    int nx, ny, nz;             /* cells on each axis */
    int slices;                 /* z slices in a cell */
    int reach;                  /* how many slices up a partner may be, own slice included */
    int ext_x, ext_y, ext_z;    /* largest distance in cells of two ions of a pair: min(S - 1, window) */
    int kind;                   /* SDM_RHOZ or SDM_ZX */
    int n_z, n_lat;             /* bins of an image: rows (offset along z), columns (lateral) */
    int n_image;                /* bins of a cube: channels * n_z * n_lat */
    int instructions;           /* SDM_PLAIN … SDM_AVX512, at most what the processor has */
    int n_sets;                 /* label sets counted together; 0: channels by table */
    int parted;                 /* whether an edge of two slices can part ions of equal z */
    int by_table;               /* channels by table; else one channel, or the cell tag says it all */
    float y_limit;              /* |dy| below this, in bins */
    float radius2;              /* squared distance below this, in units of 1/16 bin; 0: no limit */
    int32_t table[SDM_TABLE];   /* first bin of the channel of two labels by their sum; negative: not counted */
    const float *x, *y;         /* in bins: whole multiples of 1/256 below 2^15 */
    const int32_t *z;           /* in units of 1/256 bin */
    const int32_t *label;       /* 0, 1, 3 or 7: sums of two are unique. With n_sets: bit p = solute in set p */
    const int32_t *tag;         /* z cell * n_image, plus what the ion adds to the bin of its pairs */
    const int64_t *start;       /* first ion of every slice, and the end of the last */
} sdm_volume;

/* Cubes of one edge in a tile, and their unfinished images (counters of 16 or 32 bits). */
typedef struct {
    int side;                   /* S, edge of a cube in cells */
    int y0, ty, z0, tz;         /* first cube and number of cubes */
    void *ring;                 /* [S][ty][tz][n_image]: cubes that x has not left yet */
    void *plane;                /* [ty][tz][n_image] */
    void *row;                  /* [ty][min(S - 1, ext_z) + 1][n_image] */
} sdm_tile;

int sdm_best_instructions(void);
/* Add all pairs whose smaller x cell is x_cell; hook: [ext_z + 1][n_image] counters. wide: all counters have 32 bits, else
 * 16 bits that stop at 65 535. */
void sdm_scan_step(const sdm_volume *v, const sdm_tile *tiles, int n_tiles, void *hook, int x_cell, int wide);
/* Take n finished counters out, as 32 bits, and clear them; returns 1 if one may have stopped at its end. */
int sdm_take(void *counters, int64_t n, uint32_t *out, int wide);
/* All pairs of n ions sorted by z, counted into image[n_image]. */
void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image);

/* counts of n cubes -> network input, see aptstream/sdm/image.py for the formulas */
void sdm_contrast(const uint32_t *counts, const float *fraction, int64_t n, int n_z, int n_lat, float *out);
void sdm_standardise(const uint32_t *counts, int64_t n, int n_z, int n_lat, float *out);
#endif
