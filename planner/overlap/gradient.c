#include "gradient.h"

#include <string.h>

static double bytes_fitting(const hm_gradient_t *gradient, double free_ms)
{
    return free_ms > gradient->alpha_ms ? (free_ms - gradient->alpha_ms) / gradient->byte_ms : 0;
}

static double bytes_ms(const hm_gradient_t *gradient, double bytes)
{
    return bytes > 0 ? gradient->alpha_ms + bytes * gradient->byte_ms : 0;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

void gradient_best(const hm_gradient_t *gradient, double *slice)
{
    double waiting = 0;
    for (int i = 0; i < gradient->layers; i++) {
        for (int place = 0; place < 2; place++) {
            slice[2 * i + place] = smaller(waiting, bytes_fitting(gradient, gradient->free_ms[place]));
            waiting -= slice[2 * i + place];
        }
        waiting += gradient->layer_bytes[i];
    }
    slice[2 * gradient->layers] = waiting;
}

void gradient_carry(const hm_gradient_t *gradient, double *slice)
{
    double waiting = 0, most = bytes_fitting(gradient, gradient->free_ms[0] + gradient->free_ms[1]);
    for (int i = 0; i < gradient->layers; i++) {
        double taken = smaller(waiting, most);
        slice[2 * i] = smaller(taken, bytes_fitting(gradient, gradient->free_ms[0]));
        slice[2 * i + 1] = taken - slice[2 * i];
        waiting += gradient->layer_bytes[i] - taken;
    }
    slice[2 * gradient->layers] = waiting;
}

typedef struct stack {
    double *bytes;
    int count;
} stack_t;

/* Fills a place from the top of the stack. */
static void place_fill(const hm_gradient_t *gradient, double free_ms, stack_t *stack, double *slice, int *pieces)
{
    while (stack->count > 0) {
        double *top = &stack->bytes[stack->count - 1], fits = bytes_fitting(gradient, free_ms);
        double taken = smaller(*top, fits);
        if (taken <= 0) return;
        *slice += taken;
        (*pieces)++;
        *top -= taken;
        if (*top > 0) return;
        stack->count--;
        free_ms -= bytes_ms(gradient, taken);
    }
}

void gradient_stack(const hm_gradient_t *gradient, double *slice, int *pieces, double *memory)
{
    int places = gradient_places(gradient->layers);
    stack_t stack = {.bytes = memory};
    memset(slice, 0, (size_t)places * sizeof(*slice));
    memset(pieces, 0, (size_t)places * sizeof(*pieces));
    for (int i = 0; i < gradient->layers; i++) {
        for (int place = 0; place < 2; place++) {
            int at = 2 * i + place;
            place_fill(gradient, gradient->free_ms[place], &stack, &slice[at], &pieces[at]);
        }
        if (gradient->layer_bytes[i] > 0) stack.bytes[stack.count++] = gradient->layer_bytes[i];
    }
    for (int i = 0; i < stack.count; i++) slice[places - 1] += stack.bytes[i];
    pieces[places - 1] = slice[places - 1] > 0;
}
