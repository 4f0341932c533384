/* The tree of sixteens: see kdtree.c. */
#ifndef KDTREE_H
#define KDTREE_H

#include <stdint.h>

enum { KDTREE_LANES = 16, KDTREE_LEVELS = 8 };
enum { KDTREE_PLAIN, KDTREE_AVX2, KDTREE_AVX512 };

/* Kinds of region and their numbers (doubles):
 * box: low x, y, z, high x, y, z; ball: centre, squared radius;
 * cylinder: start, unit axis, length, radius, squared radius; oriented box: centre, three axes, three half edges. */
enum { KDTREE_BOX, KDTREE_BALL, KDTREE_CYLINDER, KDTREE_ORIENTED, KDTREE_NUMBERS = 15 };

typedef struct {
    float at[3];
    int32_t row;
} kdtree_ion;

typedef struct {
    int64_t n_ions, n_blocks;
    int n_levels, instructions;
    int64_t begin[KDTREE_LEVELS];   /* first group of each level */
    int64_t n_nodes[KDTREE_LEVELS]; /* nodes of each level: blocks, groups of blocks, ... */
    const float *position;          /* (n_blocks, 3, 16) */
    const int32_t *row;             /* (n_blocks, 16) */
    const float *bounds;            /* (n_groups, 6, 16): lowest x, y, z, highest x, y, z of 16 nodes */
    const int32_t *first;           /* (n_groups, 16): smallest row of each */
} kdtree;

int kdtree_best_instructions(void);
/* Fill in levels from n_ions; return the number of groups of all levels. */
int64_t kdtree_lay_out(kdtree *tree);
/* Put neighbours next to each other. */
void kdtree_arrange(kdtree_ion *ion, int64_t n_ions);
/* Copy ions into blocks, and measure blocks and groups. */
void kdtree_pack(const kdtree *tree, const kdtree_ion *ion, float *position, int32_t *row, float *bounds, int32_t *first);
/* Write the rows inside a region in the tree's order, or count them where out is NULL; -1 where there is no room. */
int64_t kdtree_gather(const kdtree *tree, int kind, const double *numbers, int32_t *out, int64_t room);
/* The k nearest ions of a point, nearest first, equally near ones by row; missing ones are (infinity, n_ions). */
void kdtree_nearest(const kdtree *tree, const double *point, int64_t k, double *square, int64_t *row);
/* The same for the ions of blocks start .. stop - 1, each written to its own row of the outputs. */
void kdtree_nearest_of_blocks(const kdtree *tree, int64_t start, int64_t stop, int64_t k, double *square, int64_t *row);
/* Count unordered pairs of distinct ions whose squared distance is at most square[q], ascending. */
void kdtree_pairs(const kdtree *tree, const double *square, int n_squares, int64_t *count);

#endif
