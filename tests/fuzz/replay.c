/*
 * Replays corpora through a fuzz target without libFuzzer: each argument is a file, or a directory of files. Every
 * input is copied to a block of exactly its size, so that AddressSanitizer sees the first byte read past it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    struct buf b = {0};
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(&b, chunk, n);
    bool ok = ferror(f) == 0;
    (void)fclose(f);
    if (ok) {
        uint8_t *exact = mem_alloc(b.len);
        if (b.len)
            memcpy(exact, b.data, b.len);
        (void)LLVMFuzzerTestOneInput(exact, b.len);
        free(exact);
    }
    buf_free(&b);
    return ok;
}

static bool replay_dir(const char *path, size_t *count)
{
    DIR *dir = opendir(path);
    if (!dir) {
        (void)fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return false;
    }
    bool ok = true;
    const struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        struct buf file = {0};
        buf_printf(&file, "%s/%s", path, entry->d_name);
        ok &= replay_file(buf_cstr(&file));
        ++*count;
        buf_free(&file);
    }
    (void)closedir(dir);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = true;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
            ok &= replay_dir(argv[i], &count);
        } else {
            ok &= replay_file(argv[i]);
            count++;
        }
    }
    (void)printf("%zu inputs\n", count);
    return ok && count > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
