#include "weight_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int weight_tree_create(size_t leaves, hm_weight_tree_t *tree)
{
    tree->leaves = leaves;
    tree->whole = calloc(2 * leaves, sizeof *tree->whole);
    tree->left = calloc(2 * leaves, sizeof *tree->left);
    return tree->whole != NULL && tree->left != NULL ? 0 : -ENOMEM;
}

void weight_tree_destroy(hm_weight_tree_t *tree)
{
    free(tree->whole);
    free(tree->left);
}

void weight_tree_sum(hm_weight_tree_t *tree)
{
    for (size_t node = tree->leaves; node-- > 1;) tree->whole[node] = tree->whole[2 * node] + tree->whole[2 * node + 1];
    memcpy(tree->left, tree->whole, 2 * tree->leaves * sizeof *tree->left);
}

void weight_tree_take(hm_weight_tree_t *tree, size_t leaf)
{
    size_t node = tree->leaves + leaf;
    tree->left[node] = 0;
    while (node >>= 1) tree->left[node] = tree->left[2 * node] + tree->left[2 * node + 1];
}

/* Correct once all taken leaves are back. */
void weight_tree_restore(hm_weight_tree_t *tree, size_t leaf)
{
    for (size_t node = tree->leaves + leaf; node > 0; node >>= 1) tree->left[node] = tree->whole[node];
}

size_t weight_tree_find(const hm_weight_tree_t *tree, double share)
{
    double at = share * tree->left[1];
    size_t node = 1;
    while (node < tree->leaves) {
        node *= 2;
        /* A rounded `at` may lie just behind all that is left. */
        if (at < tree->left[node] || tree->left[node + 1] == 0) continue;
        at -= tree->left[node++];
    }
    return node - tree->leaves;
}
