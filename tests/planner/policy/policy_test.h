/* What the policy's tests share. */
#ifndef HM_POLICY_TEST_H
#define HM_POLICY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#endif
