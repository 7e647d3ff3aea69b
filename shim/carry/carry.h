/* What carrying calls out takes, kept per communicator; and one planned call, as the files that carry it out see it. */
#ifndef HM_CARRY_H
#define HM_CARRY_H

#include "agree/rows.h"
#include "door/call.h"
#include "routes.h"
#include "scratch.h"
#include "window.h"

#include "planner/table.h"

/* What a rank keeps of a dispatch (kept.h), and needs for calls along its way, as far as the table says. */
typedef struct hm_kept_count {
    size_t rows, areas;    /* of messages and own sums in scratch, heads off */
    size_t words, arrays;  /* of lists, maps and identity, 4 bytes each, in so many arrays */
    size_t sums, children; /* of all nodes */
} hm_kept_count_t;

typedef struct hm_carry {
    hm_scratch_t scratch;
    hm_windows_t windows;
    hm_routes_t routes;
    size_t *work;          /* [ranks] of layout_need */
    hm_kept_count_t *kept; /* [ranks] of kept_count */
} hm_carry_t;

typedef struct hm_load {
    const hm_call_t *call;
    const hm_place_t *place;
    const hm_board_t *board;  /* votes, and the memory of tokens */
    const hm_table_t *table;  /* agreed */
    const uint32_t *distinct; /* [ranks] agreed: distinct rows of each source */
    const hm_row_set_t *rows; /* of this rank */
    int depth;
    size_t width; /* bytes of a piece of a row */
} hm_load_t;

/* 0 or -ENOMEM; carry_free frees what was made either way. */
int carry_create(hm_carry_t *carry, int ranks);
void carry_free(hm_carry_t *carry, const hm_channel_t *channel, const hm_place_t *place);

#endif
