#include "arms.h"

#define FIRST 2        /* asks before anything is compared, */
#define CLEAR 1.3      /* one where both that time and the model say that it takes so many times the best, */
#define HOPELESS 2.    /* none, before the race is over, where a depth takes so many times the best one by the model, */
#define WRONG 2.       /* unless plain and the best depth took so many times what that says of them, either way; */
#define FAR_OFF 8.     /* so many, which is no hiccup: the model does not count */
#define APART 2.25     /* squared: a rival is out when it is 1.5 standard errors away, */
#define APART_PLAIN 4. /* plain when it is 2: who replaces a call must be sure that it gains */
#define LITTLE .08     /* from being so much better, which is not worth finding out */
#define MARGIN .03     /* a depth must gain so much, and a rival look so much better */
#define MEDIAN_FACTOR 1.57 /* variance of a median over that of a mean: pi / 2 */
#define RIVAL_SHARE .001   /* of the time may be lost with each rival */
#define RIVAL_GAP 32       /* calls between two asks of rivals, at least */
#define RIVAL_EARLY 2      /* asks of a rival soon after a race, 256 and 512 calls later: a hiccup may have decided */
#define RIVAL_EARLY_GAP 256u
#define RIVAL_MOST 1024 /* calls between two asks of a rival, at most */

#define NEVER 1e30 /* cost of what cannot be had now */

void arms_add(hm_arms_t *arms, int depth, double ratio)
{
    ring_add(&arms->arm[depth].ratio, ratio);
    arms->seen |= (uint8_t)(1u << depth);
}

void arms_bar(hm_arms_t *arms, int depth, uint64_t until)
{
    arms->arm[depth].barred = until;
}

double arms_gain(const hm_arms_t *arms)
{
    if (!arms->sure) return -1;
    double plain = arms->arm[0].cost_ms, gain = plain - arms->arm[arms->best].cost_ms;
    return arms->best == 0 ? 0 : gain > MARGIN * plain ? gain : MARGIN * plain;
}

double arms_predict(const hm_arms_t *arms, int depth)
{
    bool known = false;
    for (int d = 0; d <= HM_MAX_LEVELS; d++) known = known || arms->arm[d].ratio.kept > 0;
    return known && arms->arm[depth].cost_ms < NEVER ? arms->arm[depth].cost_ms : 0;
}

static int ask(hm_arms_t *arms, int depth, const hm_arms_call_t *call)
{
    hm_arm_t *arm = &arms->arm[depth];
    if (arm->asked < UINT32_MAX) arm->asked++;
    arm->last = call->number;
    return depth;
}

/* Works out what each would cost and returns the cheapest. One without times is taken to err like the first that has
 * some. */
static int cost_update(hm_arms_t *arms, const hm_arms_call_t *call)
{
    double other = 1;
    int best = 0;
    for (int d = call->levels; d >= 0; d--)
        if (arms->arm[d].ratio.kept > 0) other = ring_middle(&arms->arm[d].ratio);
    for (int d = 0; d <= call->levels; d++) {
        hm_arm_t *arm = &arms->arm[d];
        double ratio = arm->ratio.kept > 0 ? ring_middle(&arm->ratio) : other;
        arm->cost_ms = ratio * call->model_ms[d] + (d > 0 ? call->lead_ms : 0);
        if (arm->barred > call->number) arm->cost_ms = NEVER;
        if (arm->cost_ms < arms->arm[best].cost_ms) best = d;
    }
    return best;
}

static int deep_modelled(const hm_arms_call_t *call)
{
    int deep = 1;
    for (int d = 2; d <= call->levels; d++)
        if (call->model_ms[d] < call->model_ms[deep]) deep = d;
    return deep;
}

/* Whether the model errs so many times otherwise for the best depth than for plain, as far as is known. */
static bool model_is_wrong(const hm_arms_t *arms, int deep, double times)
{
    const hm_ring_t *plain = &arms->arm[0].ratio, *best = &arms->arm[deep].ratio;
    if (plain->kept == 0 || best->kept == 0) return false;
    double off = ring_middle(plain) / ring_middle(best);
    return off > times || off * times < 1;
}

/* Whether a depth need not be asked in the race: by the model alone, while that may be right. */
static bool arm_is_hopeless(const hm_arms_t *arms, const hm_arms_call_t *call, int depth)
{
    int deep = deep_modelled(call);
    if (depth == 0 || (arms->seen >> depth & 1) != 0) return false;
    return call->model_ms[depth] > HOPELESS * call->model_ms[deep] && !model_is_wrong(arms, deep, WRONG);
}

/* Whether both the model and what it took so far say that an arm is far behind. */
static bool arm_is_behind(const hm_arms_t *arms, const hm_arms_call_t *call, int depth, int best)
{
    const hm_arm_t *arm = &arms->arm[depth], *first = &arms->arm[best];
    if (arm->ratio.kept == 0 || first->ratio.kept == 0 || model_is_wrong(arms, deep_modelled(call), FAR_OFF))
        return false;
    return arm->cost_ms > CLEAR * first->cost_ms && call->model_ms[depth] > CLEAR * call->model_ms[best];
}

/* The one asked least of those that were not asked often enough to be compared: the best depth by the model, plain, the
 * others. -1: none. */
static int first_next(const hm_arms_t *arms, const hm_arms_call_t *call, int best)
{
    int deep = deep_modelled(call), least = -1;
    for (int i = 0; i <= call->levels; i++) {
        int d = i == 0 ? deep : i == 1 ? 0 : i - 1 < deep ? i - 1 : i;
        const hm_arm_t *arm = &arms->arm[d];
        if (arm->asked >= FIRST || arm->cost_ms >= NEVER) continue;
        if (arm_is_hopeless(arms, call, d) || arm_is_behind(arms, call, d, best)) continue;
        if (least < 0 || arm->asked < arms->arm[least].asked) least = d;
    }
    return least;
}

/* Squared standard error of an arm's cost. */
static double error_squared(const hm_arm_t *arm)
{
    return arm->cost_ms * arm->cost_ms * MEDIAN_FACTOR * ring_variance(&arm->ratio) / arm->ratio.kept;
}

static bool rival_is_out(const hm_arms_t *arms, const hm_arms_call_t *call, int depth, int first)
{
    const hm_arm_t *rival = &arms->arm[depth], *best = &arms->arm[first];
    if (rival->cost_ms >= NEVER || arm_is_hopeless(arms, call, depth)) return true;
    if (best->ratio.kept < FIRST) return false;
    if (rival->ratio.kept < FIRST) return arm_is_behind(arms, call, depth, first);
    double behind = rival->cost_ms - (1 - LITTLE) * best->cost_ms;
    return behind * behind > (depth == 0 ? APART_PLAIN : APART) * (error_squared(rival) + error_squared(best));
}

/* Asked often enough for a race, or in vain: times that are never known must not keep it open. */
static bool arm_is_known(const hm_arm_t *arm)
{
    return arm->ratio.kept == HM_RING || arm->asked >= 2 * HM_RING;
}

/* The next one to ask in the race, -1: it is over. */
static int race_next(const hm_arms_t *arms, const hm_arms_call_t *call, int best)
{
    int least = best;
    bool open = false;
    for (int d = 0; d <= call->levels; d++) {
        const hm_arm_t *arm = &arms->arm[d];
        if (d == best || rival_is_out(arms, call, d, best)) continue;
        open = open || !arm_is_known(arm) || !arm_is_known(&arms->arm[best]);
        if (arm->asked < arms->arm[least].asked) least = d;
    }
    return open ? least : -1;
}

/* Calls from one ask of a rival to the next: few at first, then as many as what is lost with it allows. */
static double rival_gap(const hm_arms_t *arms, const hm_arm_t *rival, const hm_arms_call_t *call)
{
    double loss = rival->cost_ms - arms->arm[arms->best].cost_ms, share = RIVAL_SHARE * call->unit_ms;
    if (rival->asked == 0) return RIVAL_GAP;    /* the model may be wrong about it alone */
    if (arms->best == 0) loss += call->lead_ms; /* no look would be needed */
    double gap = share > 0 && loss < RIVAL_MOST * share ? loss / share : RIVAL_MOST;
    if (rival->again < RIVAL_EARLY && gap > RIVAL_EARLY_GAP << rival->again) gap = RIVAL_EARLY_GAP << rival->again;
    return gap > RIVAL_GAP ? gap : RIVAL_GAP;
}

/* The rival whose turn it is, -1: none. Notes when the next turn comes. */
static int rival_next(hm_arms_t *arms, const hm_arms_call_t *call)
{
    int stale = -1;
    arms->due = call->number + RIVAL_MOST;
    for (int d = 0; d <= call->levels; d++) {
        const hm_arm_t *arm = &arms->arm[d];
        if (d == arms->best || arm->cost_ms >= NEVER) continue;
        uint64_t due = arm->last + (uint64_t)rival_gap(arms, arm, call);
        if (due < arms->due) arms->due = due;
        if (due <= call->number && (stale < 0 || arm->last < arms->arm[stale].last)) stale = d;
    }
    return stale;
}

static void race_begin(hm_arms_t *arms)
{
    for (int d = 0; d <= HM_MAX_LEVELS; d++) {
        hm_arm_t *arm = &arms->arm[d];
        arm->ratio.kept = arm->ratio.next = 0;
        arm->asked = arm->again = 0;
    }
    arms->sure = false;
}

int arms_choose(hm_arms_t *arms, const hm_arms_call_t *call)
{
    int best = cost_update(arms, call), next;
    arms->tried = true;
    if (arms->sure && arms->arm[best].cost_ms < (1 - MARGIN) * arms->arm[arms->best].cost_ms) {
        race_begin(arms);
        return ask(arms, best, call);
    }
    next = first_next(arms, call, best);
    if (next >= 0) return ask(arms, next, call);
    if (!arms->sure) {
        arms->best = best;
        next = race_next(arms, call, best);
        if (next >= 0) return ask(arms, next, call);
        arms->sure = true;
        if (arms->arm[best].cost_ms > (1 - MARGIN) * arms->arm[0].cost_ms) arms->best = 0;
    }
    next = rival_next(arms, call);
    if (next < 0) return ask(arms, arms->best, call);
    arms->arm[next].again++;
    return ask(arms, next, call);
}

int arms_force(hm_arms_t *arms, int depth, const hm_arms_call_t *call)
{
    cost_update(arms, call);
    arms->tried = true;
    return ask(arms, depth < call->levels ? depth : call->levels, call);
}
