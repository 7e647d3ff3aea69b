/* Where gradients are reduced over data-parallel ranks during the backward pass: in slices, while links between nodes
 * are idle (FSMoE, arXiv 2501.10714, gradient partitioning).
 *
 * Layers go backward from the last. Each has two places for a slice: between its dispatches and combines, then beside
 * the compute of what lies between it and the next MoE layer. That compute leaves a gradient, which is there from the
 * next layer on. What is left at the end is reduced last, in nobody's shadow.
 *
 * Slices are arrays of 2 * layers + 1 entries in bytes: [2i] and [2i + 1] the two places of the i-th layer from the
 * end, [2 * layers] what is left. */
#ifndef HM_GRADIENT_H
#define HM_GRADIENT_H

typedef struct hm_gradient {
    int layers;
    const double *layer_bytes; /* [layers] each one's gradient, from the last layer on */
    double alpha_ms, byte_ms;  /* a slice of n > 0 bytes takes alpha_ms + n * byte_ms */
    double free_ms[2];         /* a slice at either place may take so long without delaying anything */
} hm_gradient_t;

static inline int gradient_places(int layers)
{
    return 2 * layers + 1;
}

/* As much as fits, as early as it fits. This is an optimum where all layers have one degree and the last to come, the
 * model's first, has a gradient: a slice that is longer than its place adds byte_ms for each byte beyond, as do bytes
 * that are left; that last gradient is always left and pays the start-up. So only the bytes that fit count, and since
 * bytes wait but free time does not, none can ever fit that early filling leaves over. */
void gradient_best(const hm_gradient_t *gradient, double *slice);

/* The paper's first step: each layer's free time taken as one, n_first = g(min(t(n), t_olp)), the rest carried forward.
 * Cut over two places it pays a start-up that the paper does not count. As printed, g also takes a start-up's worth of
 * bytes off what is carried; here they are kept. */
void gradient_carry(const hm_gradient_t *gradient, double *slice);

/* What the authors' program does: what does not fit is put on a stack, and later free time takes from its top. Each
 * piece taken pays a start-up of its own, so it may fit less; with equal gradients no place takes two pieces while any
 * are left over, and it fits as much as gradient_best. pieces: [2 * layers + 1] of each slice. stack: [layers]
 * scratch. */
void gradient_stack(const hm_gradient_t *gradient, double *slice, int *pieces, double *stack);

#endif
