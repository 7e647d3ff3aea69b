/* Taking back words that a stream has yet to read, on a GPU. */
#include "claim.h"
#include "kernels_side.h"

#include <stdio.h>
#include <string.h>

/* Words that are taken back while the stream is on its way to them: what is said to be certain must be so. */
void test_claim(void)
{
    enum { ROUNDS = 200, BYTES = 8 << 20 };
    int certain = 0;
    hm_claim_t *claim = NULL;
    uint32_t plain = 7, got;
    unsigned char *from = device_alloc(&cuda, BYTES), *to = device_alloc(&cuda, BYTES);
    hm_move_job_t job = {.dst = to, .src = from, .width = BYTES, .rows = 1};
    must(cuda.kernels->host_alloc(cuda.context, sizeof *claim, (void **)&claim), "host_alloc");
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t *word = upload(&cuda, &plain, sizeof plain);
        memset(claim, 0, sizeof *claim);
        must(cuda.kernels->move(cuda.context, cuda.stream, &job, 1), "move");
        must(cuda.kernels->claim(cuda.context, cuda.stream, claim, word, 9), "claim");
        for (volatile uint32_t spin = below(40000); spin > 0; spin--) continue;
        bool withdraw = below(8) != 0, sure = withdraw && claim_withdraw(claim);
        certain += sure;
        download(&cuda, word, &got, sizeof got);
        check(claim_over(claim), "claim", "over");
        check(sure ? got == 9 : withdraw ? got == 9 || got == 7 : got == 7, "claim", "the word");
        device_free(&cuda, word);
    }
    printf("claim: %d of %d words taken back for certain\n", certain, ROUNDS);
    cuda.kernels->host_free(cuda.context, claim);
    device_free(&cuda, from), device_free(&cuda, to);
}
