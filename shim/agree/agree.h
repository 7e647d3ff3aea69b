/* An agreement: all ranks learn the same table about one all-to-all, and so decide alike. */
#ifndef HM_AGREE_H
#define HM_AGREE_H

#include "ballot.h"
#include "rows.h"
#include "slips.h"

#define HM_ROW_BYTES_MIN 32 /* smaller rows are not looked at: the map costs as much as the copies */

typedef struct hm_agree {
    hm_board_t board;
    hm_ballot_t ballot;
    hm_slips_t slips;
    hm_row_set_t rows;
} hm_agree_t;

/* Memory for any topology that the settings allow: before the ranks meet, so that a rank without it can say so. 0 or
 * -ENOMEM; agree_free frees what was made either way. */
int agree_create(hm_agree_t *agree, hm_channel_t *channel, int ranks);
void agree_free(hm_agree_t *agree, const hm_channel_t *channel);

/* Holds the agreement on a call: two rounds where word->row_bytes, the expected row size, does not fit;
 * HIERMOE_ROW_BYTES overrides it. Where the agreement says able, agree->ballot holds the agreed table and agree->rows
 * what this rank's rows are. The stream must be behind the context's earlier work (kernels' join).
 *
 * A rank whose stream the job holds back does not wait for the other ranks: it withdraws, and all ranks get the reason
 * STREAM_HELD, that rank before its stream has come to the agreement.
 *
 * 0, or a negative errno: the communicator is lost (-ECANCELED aborted, -ETIMEDOUT another rank is missing, -EBUSY this
 * rank's stream is held, -EIO, -EPROTO). */
int agree_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
              const hm_word_t *word, hm_agreement_t *agreement);

#endif
