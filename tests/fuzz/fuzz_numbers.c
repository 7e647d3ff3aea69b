/* libFuzzer target: lists of numbers in options. The first byte says which kind; what is taken must be in range. */
#include "fuzz_seed.h"

#include "numbers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const fuzz_seed[] = {
    "09,4,1", "01000000000000,0", "01,2,3,4,5,6,7,8,9", "11e3", "1.5", "20.5,2e-3", "2-0,+1", NULL};

static void taken_check(const char *text, int kind)
{
    uint64_t whole[8];
    double real[2];
    const char *why = NULL;
    if (kind > 0) {
        if (numbers_real(text, real, kind, &why) != 0) {
            if (why == NULL || why[0] == '\0') abort();
            return;
        }
        for (int i = 0; i < kind; i++)
            if (!(real[i] >= 0 && real[i] <= 1e18) || signbit(real[i])) abort();
        return;
    }
    int count = numbers_whole(text, HM_NUMBERS_LOAD_MOST, whole, 8, &why);
    if (count < 0 || count > 8 || (count == 0 && (why == NULL || why[0] == '\0'))) abort();
    for (int i = 0; i < count; i++)
        if (whole[i] > HM_NUMBERS_LOAD_MOST) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    char *text = malloc(size);
    if (text == NULL) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    taken_check(text, data[0] % 3);
    free(text);
    return 0;
}
