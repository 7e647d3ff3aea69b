/* planner/policy, as the simulated ranks ask it. */
#include "rule.h"

#include "policy/policy.h"

static void init(void *state)
{
    policy_init(state, (hm_fixed_t){.depth = -1});
}

static bool expect(void *state, size_t *row_bytes)
{
    hm_intent_t intent = policy_expect(state);
    *row_bytes = intent.row_bytes;
    return intent.look;
}

static int decide(void *state, const sim_agreed_t *agreed)
{
    hm_took_t took = {agreed->timed, agreed->lead_us, agreed->transfer_us, agreed->span_us, agreed->wait_us};
    hm_outcome_t outcome = {.levels = SIM_DEPTHS,
                            .row_bytes = agreed->row_bytes,
                            .gcd = agreed->gcd,
                            .bytes = agreed->bytes,
                            .copies = agreed->copies,
                            .able = agreed->able};
    for (int d = 0; d <= SIM_DEPTHS; d++) outcome.model_ms[d] = agreed->model_ms[d];
    policy_time(state, &took);
    return policy_choose(state, &outcome);
}

const sim_rule_t rule_policy = {"policy", sizeof(hm_policy_t), init, expect, decide};
