/*
 * Who goes first when there are fewer cores than work: searches, then the index, then bulk ingest. Hints to the
 * scheduler; where the system refuses one, everything works the same, only slower for whoever waits.
 */
#ifndef ASSAY_SERVER_PRIORITY_H
#define ASSAY_SERVER_PRIORITY_H

#include <stdbool.h>

enum { PRIORITY_INTAKE = 15 };

/* The calling thread, for good: lower by `nice` steps of nice(2). */
void priority_lower(int nice);
/* The calling thread and the threads that it starts from now on: slices of a tenth of a millisecond, so that they
 * preempt whoever runs when they wake (EEVDF: Stoica and Abdel-Wahab 1995; Linux from 6.12 on, ignored before). With
 * `brief` false: the system's own length again. */
void priority_slices(bool brief);

#endif
