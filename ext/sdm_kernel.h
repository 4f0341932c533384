/* Pair histograms of ions in overlapping cubes. Trusts its caller: the gate is aptstream/sdm/count.py. */
#ifndef APTSTREAM_SDM_KERNEL_H
#define APTSTREAM_SDM_KERNEL_H
#include <stdint.h>

enum { SDM_RHOZ = 0, SDM_ZX = 1 };      /* lateral axis: distance in the plane, or signed offset along x */
enum { SDM_PAD = 32 };                  /* elements that must be readable behind the last ion */

/* Ions of a box of nx * ny * nz cells, sorted by (x cell, y cell, z slice) and by z inside a slice. */
typedef struct {
    int nx, ny, nz;             /* cells on each axis */
    int slices;                 /* z slices in a cell */
    int reach;                  /* how many slices up a partner may be, own slice included */
    int side;                   /* S, edge of a cube in cells */
    int ext_x, ext_y, ext_z;    /* largest distance in cells of two ions of a pair: min(S - 1, window) */
    int kind;                   /* SDM_RHOZ or SDM_ZX */
    int n_z, n_lat;             /* bins of an image: rows (offset along z), columns (lateral) */
    int n_image;                /* bins of a cube: channels * n_z * n_lat */
    const float *x, *y, *z;     /* positions in units of 1/256 bin, whole numbers below 2^24 */
    const int32_t *tag;         /* z cell * n_image + role * n_z * n_lat */
    const int64_t *start;       /* first ion of every slice, and the end of the last */
} sdm_volume;

/* Scratch of one tile of cubes (ty * tz): see sdm_scan_step. */
typedef struct {
    int y0, ty, z0, tz;         /* first cube of the tile and number of cubes */
    uint32_t *ring;             /* [S][ty][tz][n_image]: cubes that x has not left yet */
    uint32_t *plane;            /* [ty][tz][n_image] */
    uint32_t *row;              /* [ty][ext_z + 1][n_image] */
    uint32_t *hook;             /* [ext_z + 1][n_image] and SDM_PAD bins for pairs outside the window */
} sdm_tile;

void sdm_scan_step(const sdm_volume *v, const sdm_tile *t, int x_cell);

/* All pairs of n ions sorted by z, counted into image[n_image + SDM_PAD]. tag = role * n_z * n_lat. */
void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image);

/* counts of n cubes -> contrast images, see aptstream/sdm/image.py for the formula */
void sdm_contrast(const uint32_t *counts, const float *fraction, int64_t n, int n_z, int n_lat, float *out);
#endif
