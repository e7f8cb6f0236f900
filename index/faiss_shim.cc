#include "index/faiss_shim.h"

#include <cstring>
#include <exception>
#include <memory>

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/utils/distances.h>

#include "index/kernel.h"

/*
 * FAISS's own distance functions: the packaged library is compiled for any x86-64, and these are chosen by CPU. Its
 * definitions are weak in the copy that is linked (see the Makefile), so that these stand in front of them, for
 * building and searching graphs alike.
 */
namespace faiss
{

float fvec_inner_product(const float *x, const float *y, size_t d)
{
    return kernel_dot(x, y, d);
}

float fvec_L2sqr(const float *x, const float *y, size_t d)
{
    return kernel_l2sqr(x, y, d);
}

void fvec_inner_product_batch_4(const float *x, const float *y0, const float *y1, const float *y2, const float *y3,
                                const size_t d, float &dis0, float &dis1, float &dis2, float &dis3)
{
    const float *const rows[KERNEL_ROWS] = {y0, y1, y2, y3};
    float out[KERNEL_ROWS];
    kernel_dot4(x, rows, d, out);
    dis0 = out[0];
    dis1 = out[1];
    dis2 = out[2];
    dis3 = out[3];
}

void fvec_L2sqr_batch_4(const float *x, const float *y0, const float *y1, const float *y2, const float *y3,
                        const size_t d, float &dis0, float &dis1, float &dis2, float &dis3)
{
    const float *const rows[KERNEL_ROWS] = {y0, y1, y2, y3};
    float out[KERNEL_ROWS];
    kernel_l2sqr4(x, rows, d, out);
    dis0 = out[0];
    dis1 = out[1];
    dis2 = out[2];
    dis3 = out[3];
}

} // namespace faiss

namespace
{

template <typename F> int guarded(char *why, F &&body) noexcept
{
    try {
        body();
        return 0;
    } catch (const std::exception &e) {
        std::strncpy(why, e.what(), FAISS_SHIM_WHY - 1);
    } catch (...) {
        std::strncpy(why, "an unknown exception", FAISS_SHIM_WHY - 1);
    }
    why[FAISS_SHIM_WHY - 1] = '\0';
    return -1;
}

faiss::IndexHNSW *graph_of(FaissIndex *index)
{
    auto *graph = dynamic_cast<faiss::IndexHNSW *>(reinterpret_cast<faiss::Index *>(index));
    FAISS_THROW_IF_NOT_MSG(graph != nullptr, "not an HNSW index");
    return graph;
}

const faiss::IndexHNSW *graph_of(const FaissIndex *index)
{
    auto *graph = dynamic_cast<const faiss::IndexHNSW *>(reinterpret_cast<const faiss::Index *>(index));
    FAISS_THROW_IF_NOT_MSG(graph != nullptr, "not an HNSW index");
    return graph;
}

faiss::MaybeOwnedVector<uint8_t> view_of(float *x, size_t n, size_t d)
{
    return faiss::MaybeOwnedVector<uint8_t>::create_view(x, n * d * sizeof(float), nullptr);
}

/* Vectors that lie at x already: what is added is only counted. */
struct Borrowed : faiss::IndexFlat {
    size_t room;
    Borrowed(float *x, size_t n, size_t dim) : faiss::IndexFlat((faiss::idx_t)dim, faiss::METRIC_INNER_PRODUCT), room(n)
    {
        codes = view_of(x, n, dim);
    }
    void add(faiss::idx_t n, const float *) override
    {
        FAISS_THROW_IF_NOT_MSG((size_t)(ntotal + n) <= room, "more rows than there is room for");
        ntotal += n;
    }
};

struct Writer : faiss::IOWriter {
    void (*put)(void *, const void *, size_t);
    void *ctx;
    size_t operator()(const void *ptr, size_t size, size_t nitems) override
    {
        put(ctx, ptr, size * nitems);
        return nitems;
    }
};

struct Reader : faiss::IOReader {
    const char *at;
    size_t left;
    size_t operator()(void *ptr, size_t size, size_t nitems) override
    {
        size_t items = size == 0 ? 0 : std::min(nitems, left / size);
        std::memcpy(ptr, at, items * size);
        at += items * size;
        left -= items * size;
        return items;
    }
};

} // namespace

int faiss_shim_new(float *x, size_t n, size_t d, int m, int ef_construction, const FaissIndex *base, FaissIndex **out,
                   char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        auto graph = std::make_unique<faiss::IndexHNSWFlat>((int)d, m, faiss::METRIC_INNER_PRODUCT);
        auto storage = std::make_unique<Borrowed>(x, n, d);
        if (base != nullptr) {
            const faiss::IndexHNSW *from = graph_of(base);
            FAISS_THROW_IF_NOT_MSG(from->d == graph->d && (size_t)from->ntotal <= n, "the base does not fit");
            graph->hnsw = from->hnsw;
            graph->ntotal = storage->ntotal = from->ntotal;
        }
        graph->hnsw.efConstruction = ef_construction;
        delete graph->storage;
        graph->storage = storage.release();
        *out = reinterpret_cast<FaissIndex *>(static_cast<faiss::Index *>(graph.release()));
    });
}

int faiss_shim_reorder(FaissIndex *hnsw, const int64_t *order, float *x, char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        faiss::IndexHNSW *graph = graph_of(hnsw);
        auto *flat = dynamic_cast<faiss::IndexFlat *>(graph->storage);
        FAISS_THROW_IF_NOT_MSG(flat != nullptr, "unexpected storage");
        graph->hnsw.permute_entries(order);
        flat->codes = view_of(x, (size_t)graph->ntotal, (size_t)graph->d);
    });
}

int faiss_shim_view(const FaissIndex *hnsw, struct beam_graph *out, char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        const faiss::IndexHNSW *graph = graph_of(hnsw);
        const auto *flat = dynamic_cast<const faiss::IndexFlat *>(graph->storage);
        const faiss::HNSW &links = graph->hnsw;
        size_t n = (size_t)graph->ntotal;
        FAISS_THROW_IF_NOT_MSG(flat != nullptr && links.offsets.size() == n + 1 && links.levels.size() == n &&
                                   links.offsets[n] == links.neighbors.size(),
                               "unexpected graph");
        out->links = links.neighbors.data();
        out->offsets = links.offsets.data();
        out->ground = (size_t)links.nb_neighbors(0);
        out->upper = (size_t)links.nb_neighbors(1);
        out->entry = links.entry_point;
        out->max_level = links.max_level;
        out->n = n;
        out->dim = (size_t)graph->d;
        out->vectors = flat->get_xb();
    });
}

int faiss_shim_write(const FaissIndex *hnsw, void (*put)(void *ctx, const void *p, size_t n), void *ctx,
                     char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        Writer writer;
        writer.put = put;
        writer.ctx = ctx;
        faiss::write_index(graph_of(hnsw), &writer, faiss::IO_FLAG_SKIP_STORAGE);
    });
}

int faiss_shim_read(const void *bytes, size_t len, float *x, size_t n, size_t d, FaissIndex **out,
                    char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        Reader reader;
        reader.at = static_cast<const char *>(bytes);
        reader.left = len;
        std::unique_ptr<faiss::Index> index(faiss::read_index(&reader));
        auto *graph = dynamic_cast<faiss::IndexHNSW *>(index.get());
        FAISS_THROW_IF_NOT_MSG(graph != nullptr && (size_t)graph->d == d && (size_t)graph->ntotal == n &&
                                   graph->storage == nullptr && graph->hnsw.levels.size() == n,
                               "the graph does not fit the segment");
        auto flat = std::make_unique<faiss::IndexFlat>((faiss::idx_t)d, faiss::METRIC_INNER_PRODUCT);
        flat->codes = view_of(x, n, d);
        flat->ntotal = (faiss::idx_t)n;
        graph->storage = flat.release();
        graph->own_fields = true;
        *out = reinterpret_cast<FaissIndex *>(index.release());
    });
}
