/* Weights in a complete binary tree of sums: a leaf is drawn, taken out or put back in O(log leaves). Sums are never
 * made by subtraction, so that however little is left keeps its precision. */
#ifndef HM_WEIGHT_TREE_H
#define HM_WEIGHT_TREE_H

#include <stddef.h>

typedef struct hm_weight_tree {
    size_t leaves;
    double *whole; /* [2 * leaves] node i has children 2i and 2i+1, node 1 is the root, leaf e is node leaves + e */
    double *left;  /* the same without the leaves that are taken out */
} hm_weight_tree_t;

/* leaves > 0. -ENOMEM, after which destroying it is allowed. */
int weight_tree_create(size_t leaves, hm_weight_tree_t *tree);
void weight_tree_destroy(hm_weight_tree_t *tree);

/* Sums up the weights that the caller has set by weight_tree_weights(); no leaf is taken out. */
void weight_tree_sum(hm_weight_tree_t *tree);

void weight_tree_take(hm_weight_tree_t *tree, size_t leaf);
void weight_tree_restore(hm_weight_tree_t *tree, size_t leaf);

/* The leaf at `share`, 0 <= share < 1, of what is left; something must be. */
size_t weight_tree_find(const hm_weight_tree_t *tree, double share);

static inline double *weight_tree_weights(const hm_weight_tree_t *tree)
{
    return tree->whole + tree->leaves;
}

static inline double weight_tree_total(const hm_weight_tree_t *tree)
{
    return tree->whole[1];
}

#endif
