/* Functions that are compiled once for each kind of processor, and registers of sixteen floats to write them with. */
#ifndef APTSTREAM_EACH_PROCESSOR_H
#define APTSTREAM_EACH_PROCESSOR_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

enum { LANES = 16 };
typedef float lanes __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
#define load(from) (*(const lanes *)(from))
#define store(to) (*(lanes *)(to))

#endif
