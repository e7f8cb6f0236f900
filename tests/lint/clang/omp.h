/*
 * For clang, which has no omp.h unless its own OpenMP is installed, while GCC's does not parse there: the function of
 * libgomp that the sources use.
 */
#ifndef ASSAY_TESTS_OMP_H
#define ASSAY_TESTS_OMP_H

#ifdef __cplusplus
extern "C" {
#endif
void omp_set_num_threads(int n);
#ifdef __cplusplus
}
#endif

#endif
