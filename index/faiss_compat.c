/*
 * What Debian 13's FAISS archive wants from run-time libraries newer than Debian 12's: the C23 forms of the string to
 * number functions (glibc 2.38) and the entry point that ends the process when an exception meets a `noexcept`
 * (libstdc++ 13). The Makefile compiles this file only where linking without it fails.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef FAISS_COMPAT_ISOC23

/* C23 adds only the prefix 0b, which FAISS never reads. */
long compat_strtol(const char *s, char **end, int base) __asm__("__isoc23_strtol");
unsigned long compat_strtoul(const char *s, char **end, int base) __asm__("__isoc23_strtoul");
long long compat_strtoll(const char *s, char **end, int base) __asm__("__isoc23_strtoll");
unsigned long long compat_strtoull(const char *s, char **end, int base) __asm__("__isoc23_strtoull");
int compat_sscanf(const char *s, const char *fmt, ...) __asm__("__isoc23_sscanf") __attribute__((format(scanf, 2, 3)));

long compat_strtol(const char *s, char **end, int base)
{
    return strtol(s, end, base);
}

unsigned long compat_strtoul(const char *s, char **end, int base)
{
    return strtoul(s, end, base);
}

long long compat_strtoll(const char *s, char **end, int base)
{
    return strtoll(s, end, base);
}

unsigned long long compat_strtoull(const char *s, char **end, int base)
{
    return strtoull(s, end, base);
}

int compat_sscanf(const char *s, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsscanf(s, fmt, args);
    va_end(args);
    return n;
}

#endif

#ifdef FAISS_COMPAT_CALL_TERMINATE

/* libstdc++'s begins the catch of the exception and calls std::terminate, whose default is abort. */
void compat_call_terminate(void *exception) __asm__("__cxa_call_terminate");

_Noreturn void compat_call_terminate(void *exception)
{
    (void)exception;
    abort();
}

#endif
