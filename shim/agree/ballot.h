/* The agreed table: the layout of the row that each rank puts on the board, and what all rows together come to. */
#ifndef HM_BALLOT_H
#define HM_BALLOT_H

#include "door/call.h"
#include "sizes.h"
#include "talk/board.h"
#include "talk/place.h"

#include "planner/table.h"

/* One rank's row starts with this; raw[ranks], want[ranks], found[2], counts[1 + groups] and wrong follow, 32-bit words
 * each: the rows it sends to each rank, those it expects from each, the size of a row that it found in its bytes and
 * the share of rows that then repeat (kernels' period), its distinct rows, in all and by group (hm_identity_t), and,
 * where tokens were announced, how many rows were found to be announced wrongly (hm_tokens_found_t). */
typedef struct hm_ballot_head {
    uint32_t magic, sequence;
    uint32_t span_us, wait_us;     /* see hm_word_t */
    uint64_t announced;            /* hash of what this rank announced; 0: nothing */
    uint64_t spare;                /* 0 */
    uint32_t able;                 /* HM_ABLE_* */
    uint32_t reason;               /* hm_reason_t where not able */
    uint64_t gcd;                  /* of all counts of this rank in bytes, 0 where it has none */
    uint64_t row_bytes;            /* what counts and identity were made with, 0: unknown yet */
    uint32_t lead_us, transfer_us; /* of an earlier call, the same on all ranks; 0: not known */
} hm_ballot_head_t;
_Static_assert(sizeof(hm_ballot_head_t) % 16 == 0, "copies like multiples of 16 bytes");

/* Cannot; the row is complete; only the gcd is; taken back on the stream, so that the call is left alone whatever the
 * other rows say; can along a kept dispatch, without counts. */
enum { HM_ABLE_NOT, HM_ABLE_ROWS, HM_ABLE_GCD, HM_ABLE_WITHDRAWN, HM_ABLE_ALONG };

/* What a rank says of a call because it announced it. */
typedef struct hm_said {
    uint64_t hash;             /* of what all ranks must have announced alike; not 0 */
    size_t row_bytes;          /* announced */
    hm_reason_t refusal;       /* why the call cannot be carried out by this announcement; NONE: it can */
    const hm_tokens_t *tokens; /* which rows are one token; NULL: rows are compared. Whether, is the same on all ranks
                                  whose hash is */
    bool along;                /* a kept dispatch says all about the call's rows, on this rank; the same */
} hm_said_t;

/* What a rank says of a call besides its counts. */
typedef struct hm_word {
    size_t row_bytes;              /* to look at the call with; 0: not known */
    uint32_t lead_us, transfer_us; /* of the look before the last; 0: not known, as below */
    uint32_t span_us; /* from when this rank had the table of the look before the last to when it had the last one's */
    uint32_t wait_us; /* that the last look held this rank's host up until its table was there */
    const hm_said_t *said; /* NULL: this rank did not announce the call */
} hm_word_t;

/* What the announcements of all ranks come to. */
typedef enum hm_heard {
    HM_HEARD_NOTHING, /* there is none, or not all ranks made the same */
    HM_HEARD_ALIKE,
    HM_HEARD_ALONG /* alike and able: all ranks have kept the dispatch that the call goes along; no table is agreed */
} hm_heard_t;

/* What the ranks' times of earlier calls come to. */
typedef struct hm_times {
    bool timed;           /* every rank knew: */
    uint32_t lead_us;     /* minimum over ranks: the last rank to arrive did not wait */
    uint32_t transfer_us; /* maximum over ranks */
    uint32_t span_us;     /* rank 0's, so that spans add up; 0: not known, as below */
    uint32_t wait_us;     /* maximum over ranks */
} hm_times_t;

/* What all rows come to, alike on all ranks. */
typedef struct hm_agreement {
    bool able;          /* every rank is able and the counts of senders and receivers match */
    hm_reason_t reason; /* where not */
    bool row_fits;      /* row_bytes divides every count; false: try again with `gcd` */
    size_t gcd;         /* of all counts of all ranks, bytes; 0 too where the reason is STREAM_HELD */
    int64_t net;        /* where able and row_fits: what the rows' copies save, as period_net */
    size_t found;       /* size of a row that ranks found in their bytes, 0: none */
    int64_t found_net;  /* what that may save */
    bool row_proven;    /* row_bytes was found in bytes: counts that allow a larger row say nothing */
    uint64_t bytes;     /* to other ranks and to themselves, all ranks together */
    hm_heard_t heard;   /* what announcements came to */
    hm_times_t times;   /* of earlier calls */
} hm_agreement_t;

typedef struct hm_ballot {
    int ranks;
    size_t row_words;   /* of one rank's row, a multiple of 4 */
    int groups;         /* that distinct rows are counted for */
    uint32_t sequence;  /* agreements so far */
    hm_table_t table;   /* the agreed table taken apart; its arrays lie in memory */
    uint32_t *distinct; /* [ranks] distinct rows of each source */
    uint32_t *memory;
} hm_ballot_t;

/* Room for any topology of at most so many levels. 0 or -ENOMEM. */
int ballot_create(hm_ballot_t *ballot, int ranks, size_t levels);
/* Lays rows and table out for the agreed topology. */
void ballot_place_set(hm_ballot_t *ballot, const hm_place_t *place);
void ballot_free(hm_ballot_t *ballot);

/* Bytes of a board for rows of such a ballot, whatever the topology. */
size_t ballot_board_bytes(int ranks, size_t levels);

static inline size_t ballot_row_bytes(const hm_ballot_t *ballot)
{
    return ballot->row_words * sizeof(uint32_t);
}

/* Where in a rank's row the words found and the counts begin, in bytes. What lies before the counts is the host's. */
size_t ballot_found_at(const hm_ballot_t *ballot);
size_t ballot_counts_at(const hm_ballot_t *ballot);

/* Writes this rank's head, raw and want to `own`, a row in host memory; the counts come from the rows themselves. What
 * keeps this rank from having the call replaced (call->refusal) is said there. */
hm_ballot_head_t *ballot_row_write(const hm_ballot_t *ballot, const hm_call_t *call, const hm_word_t *word,
                                   uint32_t *own);

/* What becomes of a call whose agreement a rank has withdrawn from: nothing else is known on that rank. */
static inline hm_agreement_t ballot_withdrawn(void)
{
    return (hm_agreement_t){.able = false, .reason = HM_REASON_STREAM_HELD};
}

/* Where in a row the number of wrongly announced rows is, in bytes. */
size_t ballot_wrong_at(const hm_ballot_t *ballot);

/* Judges the rows on the board; word: what this rank said. 0, or -EPROTO where they do not belong to one call. */
int ballot_judge(const hm_ballot_t *ballot, const hm_board_t *board, const hm_word_t *word, hm_agreement_t *agreement);

/* After ballot_judge: a rank whose announcement differs from rank 0's, where that is the reason, or that announced rows
 * wrongly, where that is; else -1. */
int ballot_odd_find(const hm_ballot_t *ballot, const hm_board_t *board, hm_reason_t reason);

/* Takes the rows of all ranks apart into ballot->table and ballot->distinct; sets agreement->bytes and ->net. */
void ballot_split(hm_ballot_t *ballot, const hm_board_t *board, const hm_topo_t *topo, size_t row_bytes,
                  hm_agreement_t *agreement);

#endif
