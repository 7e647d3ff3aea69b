/* An agreement: all ranks learn the same table about one all-to-all, and so decide alike. */
#ifndef HM_AGREE_H
#define HM_AGREE_H

#include "ballot.h"
#include "rows.h"
#include "sizes.h"
#include "slips.h"

typedef struct hm_agree {
    hm_board_t board;
    hm_ballot_t ballot;
    hm_slips_t slips;
    hm_row_set_t rows;
    hm_sizes_t sizes;
} hm_agree_t;

/* Memory for any topology that the settings allow: before the ranks meet, so that a rank without it can say so. 0 or
 * -ENOMEM; agree_free frees what was made either way. */
int agree_create(hm_agree_t *agree, hm_channel_t *channel, int ranks);
void agree_free(hm_agree_t *agree, const hm_channel_t *channel);

/* Holds the agreement on a call: one round where word->row_bytes, the expected row size, fits and rows repeat; up to
 * HM_SIZE_ROUNDS where a better size is to be found (sizes.h). An announced size overrides all others, then
 * HIERMOE_ROW_BYTES does. Where the agreement says able, agree->ballot holds the agreed table and agree->rows what this
 * rank's rows are. The stream must be behind the context's earlier work (kernels' join).
 *
 * A rank whose stream the job holds back does not wait for the other ranks: it withdraws, and all ranks get the reason
 * STREAM_HELD, that rank before its stream has come to the agreement.
 *
 * 0, or a negative errno: the communicator is lost (-ECANCELED aborted, -ETIMEDOUT another rank is missing, -EBUSY this
 * rank's stream is held, -EIO, -EPROTO). */
int agree_run(hm_agree_t *agree, hm_channel_t *channel, const hm_place_t *place, const hm_call_t *call,
              const hm_word_t *word, hm_agreement_t *agreement);

#endif
