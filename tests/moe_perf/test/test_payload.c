/* Every changed byte is noticed, counted and described; and the small tools of the report. */
#include "../layout.h"
#include "../payload.h"
#include "../report.h"
#include "../wire.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define BYTES 27 /* no multiple of a word */

static void a_row_checks_against_its_own_name_only(void **state)
{
    (void)state;
    uint8_t row[BYTES], scratch[BYTES];
    const mp_name_t name = {MP_DISPATCH, 3, 2, 17};
    const mp_name_t others[] = {{MP_COMBINE, 3, 2, 17},
                                {MP_DISPATCH, 4, 2, 17},
                                {MP_DISPATCH, 3, 1, 17},
                                {MP_DISPATCH, 3, 2, 18},
                                {MP_DISPATCH, 3, 2, MP_PAD}};
    mp_wrong_t wrong = {0};
    payload_write(row, BYTES, name);
    payload_check(row, BYTES, name, 0, scratch, &wrong);
    assert_int_equal(wrong.bytes, 0);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        wrong = (mp_wrong_t){0};
        payload_check(row, BYTES, others[i], 0, scratch, &wrong);
        assert_true(wrong.bytes > BYTES / 2);
    }
}

static void each_single_wrong_byte_is_counted(void **state)
{
    (void)state;
    uint8_t row[BYTES], scratch[BYTES];
    const mp_name_t name = {MP_DISPATCH, 0, 0, 0};
    mp_wrong_t wrong = {0};
    for (size_t i = 0; i < BYTES; i++) {
        payload_write(row, BYTES, name);
        row[i] ^= 0x80;
        payload_check(row, BYTES, name, 9, scratch, &wrong);
        assert_int_equal(wrong.bytes, i + 1);
    }
    assert_int_equal(wrong.place, 9);
    assert_int_equal(wrong.offset, 0);
    assert_int_equal(wrong.expected ^ wrong.got, 0x80);
}

static void describe(const uint8_t *row, mp_name_t name, const char *expected)
{
    uint8_t scratch[BYTES];
    char text[512];
    mp_wrong_t wrong = {0};
    payload_check(row, BYTES, name, 40, scratch, &wrong);
    payload_describe(&wrong, 2, text, sizeof(text));
    if (!strstr(text, expected)) fail_msg("expected '%s' in '%s'", expected, text);
}

static void descriptions_tell_where_a_wrong_row_came_from(void **state)
{
    (void)state;
    uint8_t row[BYTES];
    const mp_name_t name = {MP_DISPATCH, 5, 2, 17};
    payload_write(row, BYTES, (mp_name_t){MP_DISPATCH, 5, 7, 1234});
    describe(row, name, "dispatch iteration 5: token 17 of rank 2, in buffer row 40, column 0");
    describe(row, name, "row 1234 of rank 7 from byte 0");
    payload_write(row, BYTES, (mp_name_t){MP_DISPATCH, 4, 2, 17});
    describe(row, name, "row 17 of rank 2 from byte 0, dispatch 4");
    memset(row, MP_POISON, BYTES);
    describe(row, name, "nothing was written there");
    payload_write(row, BYTES, name);
    row[11] = (uint8_t)~row[11];
    describe(row, name, "column 5 (byte 11)");
}

static void bytes_behind_the_buffer_are_watched(void **state)
{
    (void)state;
    uint8_t guard[64];
    char text[512];
    mp_wrong_t wrong = {0};
    memset(guard, MP_POISON, sizeof(guard));
    payload_check_poison(guard, sizeof(guard), &wrong);
    assert_int_equal(wrong.bytes, 0);
    guard[3] = 1;
    payload_check_poison(guard, sizeof(guard), &wrong);
    assert_int_equal(wrong.bytes, 1);
    payload_describe(&wrong, 2, text, sizeof(text));
    assert_non_null(strstr(text, "byte 3 behind the receive buffer"));
}

static void quantiles(void **state)
{
    (void)state;
    const double odd[] = {5, 1, 3}, even[] = {4, 1, 3, 2};
    double many[100];
    for (int i = 0; i < 100; i++) many[i] = 100 - i;
    assert_true(report_quantile(odd, 3, 0.5) == 3 && report_quantile(even, 4, 0.5) == 2.5);
    assert_true(report_quantile(odd, 3, 0) == 1 && report_quantile(many, 100, 0.95) == 95);
    assert_true(report_quantile(odd, 1, 0.5) == 5 && report_quantile(odd, 1, 0.95) == 5);
}

static void byte_counters(void **state)
{
    (void)state;
    static char text[] = "Inter-|   Receive                    |  Transmit\n"
                         " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs\n"
                         "    lo: 7 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n"
                         "  eth0: 100 2 0 0 0 0 0 0 200 3 0 0 0 0 0 0\n"
                         "  ib0:1000 2 0 0 0 0 0 0 4000 3 0 0 0 0 0 0\n";
    const struct {
        const char *interfaces;
        int status;
        uint64_t rx, tx;
    } cases[] = {{NULL, 0, 1100, 4200},  {"lo", 0, 7, 7},        {"lo,eth0", 0, 107, 207},
                 {"ib0", 0, 1000, 4000}, {"eth", -EINVAL, 0, 0}, {"eth0,eth1", -EINVAL, 0, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        mp_wire_t wire = {0, 0};
        FILE *file = fmemopen(text, sizeof(text) - 1, "r");
        assert_int_equal(wire_parse(file, cases[i].interfaces, &wire), cases[i].status);
        assert_int_equal(wire.rx, cases[i].rx);
        assert_int_equal(wire.tx, cases[i].tx);
        fclose(file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_checks_against_its_own_name_only),
        cmocka_unit_test(each_single_wrong_byte_is_counted),
        cmocka_unit_test(descriptions_tell_where_a_wrong_row_came_from),
        cmocka_unit_test(bytes_behind_the_buffer_are_watched),
        cmocka_unit_test(quantiles),
        cmocka_unit_test(byte_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
