/* One line on stderr, with program and rank in front: where every error of the benchmark is said, and of GPU tests. */
#ifndef MP_SAY_H
#define MP_SAY_H

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
