#include "tape.h"

#define SEEN 0x80
#define PERIOD_CALLS 64 /* that must repeat, or a whole period */
#define PERIOD_ERRORS 1 /* of them need not, and one more for every PERIOD_PER_ERROR of the period */
#define PERIOD_PER_ERROR 32

static uint8_t *cell(hm_tape_t *tape, uint64_t call)
{
    return &tape->symbol[call % HM_TAPE_CALLS];
}

static uint8_t symbol_at(const hm_tape_t *tape, uint64_t call)
{
    return tape->symbol[call % HM_TAPE_CALLS] & (SEEN - 1);
}

static uint64_t oldest(const hm_tape_t *tape)
{
    return tape->calls < HM_TAPE_CALLS ? 0 : tape->calls - HM_TAPE_CALLS + 1;
}

uint8_t tape_next(const hm_tape_t *tape)
{
    return tape->found ? symbol_at(tape, tape->at) : HM_TAPE_UNKNOWN;
}

uint8_t tape_last(const hm_tape_t *tape)
{
    return tape->calls > 0 ? symbol_at(tape, tape->calls - 1) : HM_TAPE_UNKNOWN;
}

/* How many symbols before `end` are those before the end of the tape. */
static uint64_t context_length(const hm_tape_t *tape, uint64_t end)
{
    uint64_t most = end - oldest(tape), length = 0;
    if (most > HM_TAPE_LONGEST) most = HM_TAPE_LONGEST;
    while (length < most && symbol_at(tape, end - 1 - length) == symbol_at(tape, tape->calls - 1 - length)) length++;
    return length;
}

static void context_search(hm_tape_t *tape)
{
    uint64_t longest = 0;
    tape->found = false;
    for (uint64_t end = tape->calls - 1; end > oldest(tape) && longest < HM_TAPE_LONGEST; end--) {
        uint64_t length = context_length(tape, end);
        if (length <= longest) continue;
        longest = length;
        tape->at = end;
        tape->found = true;
    }
}

void tape_append(hm_tape_t *tape, uint8_t symbol, bool seen)
{
    bool right = tape->found && tape_next(tape) == symbol;
    if (seen && !right)
        for (uint64_t call = tape->calls; call > oldest(tape) && *cell(tape, call - 1) < SEEN; call--)
            *cell(tape, call - 1) = HM_TAPE_UNKNOWN;
    *cell(tape, tape->calls) = seen ? symbol | SEEN : symbol;
    tape->calls++;
    if (right)
        tape->at++;
    else
        context_search(tape);
}

void tape_forget(hm_tape_t *tape, uint8_t symbol)
{
    for (int i = 0; i < HM_TAPE_CALLS; i++)
        if ((tape->symbol[i] & (SEEN - 1)) == symbol) tape->symbol[i] &= SEEN;
}

/* How many of the last calls are not what stood a period before, or more than `most`. */
static uint64_t errors_count(const hm_tape_t *tape, uint64_t period, uint64_t most)
{
    uint64_t calls = period > PERIOD_CALLS ? period : PERIOD_CALLS, errors = 0;
    if (oldest(tape) + period + calls > tape->calls) return most + 1;
    for (uint64_t i = 1; i <= calls && errors <= most; i++)
        errors += symbol_at(tape, tape->calls - i) != symbol_at(tape, tape->calls - i - period);
    return errors;
}

uint32_t tape_period(const hm_tape_t *tape)
{
    uint64_t least = UINT64_MAX;
    uint32_t found = 0;
    for (uint32_t period = 1; period <= HM_TAPE_LONGEST && least > 0; period++) {
        uint64_t most = PERIOD_ERRORS + period / PERIOD_PER_ERROR, errors = errors_count(tape, period, most);
        if (errors > most || errors >= least) continue;
        least = errors;
        found = period;
    }
    return found;
}
