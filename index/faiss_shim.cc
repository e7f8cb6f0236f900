#include "index/faiss_shim.h"

#include <cstring>
#include <exception>
#include <memory>
#include <vector>

#include <faiss/IndexHNSW.h>
#include <faiss/impl/DistanceComputer.h>
#include <faiss/utils/distances.h>

#include "index/code8.h"
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

/* Among thousands of equal vectors FAISS follows every tie, which makes a build a hundred times as long; so rows differ
 * by what is far below the difference between any two vectors that mean different things. Knuth's multiplicative hash.
 */
float tie(faiss::idx_t i)
{
    constexpr float UNIT = 0x1p-28F; /* 1024 of them: 4e-6 */
    return (float)((uint32_t)i * UINT32_C(2654435761) >> 22) * UNIT;
}

/* Which row each place of the graph is; an empty list: its own. */
using Places = std::vector<uint32_t>;

size_t row_of(const Places &places, faiss::idx_t i)
{
    return places.empty() ? (size_t)i : places[(size_t)i];
}

/* Distances to vectors where they lie. */
struct Distances : faiss::DistanceComputer {
    const graph_rows &over;
    const Places &places;
    const float *query = nullptr;
    Distances(const graph_rows &rows, const Places &of) : over(rows), places(of)
    {
    }
    const float *at(faiss::idx_t i) const
    {
        return over.vectors + row_of(places, i) * over.dim;
    }
    void set_query(const float *q) override
    {
        query = q;
    }
    float operator()(faiss::idx_t i) override
    {
        return kernel_dot(query, at(i), over.dim) + tie(i);
    }
    void distances_batch_4(faiss::idx_t a, faiss::idx_t b, faiss::idx_t c, faiss::idx_t d, float &dis0, float &dis1,
                           float &dis2, float &dis3) override
    {
        faiss::fvec_inner_product_batch_4(query, at(a), at(b), at(c), at(d), over.dim, dis0, dis1, dis2, dis3);
        dis0 += tie(a);
        dis1 += tie(b);
        dis2 += tie(c);
        dis3 += tie(d);
    }
    float symmetric_dis(faiss::idx_t i, faiss::idx_t j) override
    {
        return kernel_dot(at(i), at(j), over.dim) + tie(i) + tie(j);
    }
};

/* The same by 8-bit codes: a quarter of the bytes, and a build is bound by what it reads. */
struct CodeDistances : faiss::DistanceComputer {
    const graph_rows &over;
    const Places &places;
    std::vector<int8_t> query_code, row_code;
    struct code8_query query {
    }, row{};
    faiss::idx_t row_is = -1; /* the row that `row` stands for */
    CodeDistances(const graph_rows &rows, const Places &of)
        : over(rows), places(of), query_code(code8_stride(rows.dim)), row_code(code8_stride(rows.dim))
    {
    }
    const uint8_t *at(faiss::idx_t i) const
    {
        return over.codes + row_of(places, i) * query_code.size();
    }
    const code8_row *scale(faiss::idx_t i) const
    {
        return over.code_rows + row_of(places, i);
    }
    void set_query(const float *q) override
    {
        ::code8_make_query(q, over.dim, query_code.data(), &query);
    }
    float operator()(faiss::idx_t i) override
    {
        return code8_score(&query, at(i), scale(i)) + tie(i);
    }
    void distances_batch_4(faiss::idx_t a, faiss::idx_t b, faiss::idx_t c, faiss::idx_t d, float &dis0, float &dis1,
                           float &dis2, float &dis3) override
    {
        const uint8_t *const codes[CODE8_ROWS] = {at(a), at(b), at(c), at(d)};
        const code8_row *const rows[CODE8_ROWS] = {scale(a), scale(b), scale(c), scale(d)};
        float out[CODE8_ROWS];
        code8_score4(&query, codes, rows, out);
        dis0 = out[0] + tie(a);
        dis1 = out[1] + tie(b);
        dis2 = out[2] + tie(c);
        dis3 = out[3] + tie(d);
    }
    /* One candidate is compared with many: it is made a query once. */
    float symmetric_dis(faiss::idx_t i, faiss::idx_t j) override
    {
        if (row_is != j) {
            code8_make_query_of_row(at(j), scale(j), over.dim, row_code.data(), &row);
            row_is = j;
        }
        return code8_score(&row, at(i), scale(i)) + tie(i) + tie(j);
    }
};

/* Vectors that lie somewhere already, in their places: what is added is only counted. */
struct Borrowed : faiss::Index {
    graph_rows over;
    Places places;
    Borrowed(const graph_rows &rows, const int64_t *order)
        : faiss::Index((faiss::idx_t)rows.dim, faiss::METRIC_INNER_PRODUCT), over(rows)
    {
        if (order != nullptr) {
            places.resize(rows.n);
            for (size_t i = 0; i < rows.n; i++) {
                places.at((size_t)order[i]) = (uint32_t)i;
            }
        }
    }
    void add(faiss::idx_t n, const float *) override
    {
        FAISS_THROW_IF_NOT_MSG((size_t)(ntotal + n) <= over.n, "more rows than there is room for");
        ntotal += n;
    }
    void reset() override
    {
        FAISS_THROW_MSG("borrowed vectors stay");
    }
    void search(faiss::idx_t, const float *, faiss::idx_t, float *, faiss::idx_t *,
                const faiss::SearchParameters *) const override
    {
        FAISS_THROW_MSG("only graphs are searched");
    }
    faiss::DistanceComputer *get_distance_computer() const override
    {
        if (over.codes != nullptr) {
            return new CodeDistances(over, places);
        }
        return new Distances(over, places);
    }
};

/* The links of another graph, whose rows are the first; its levels follow from the room that each row has. */
void take_links(faiss::HNSW &to, const beam_graph &from)
{
    for (size_t i = 0; i < from.n; i++) {
        to.levels.push_back(1 + (int)((from.offsets[i + 1] - from.offsets[i] - from.ground) / from.upper));
        to.offsets.push_back(from.offsets[i + 1]);
    }
    to.neighbors.resize(from.offsets[from.n]);
    std::memcpy(to.neighbors.data(), from.links, from.offsets[from.n] * sizeof(*from.links));
    to.entry_point = from.entry;
    to.max_level = from.max_level;
    /* New rows draw other levels than the first ones did. */
    to.rng = faiss::RandomGenerator((int64_t)from.n);
}

} // namespace

int faiss_shim_new(const struct graph_rows *over, int m, int ef_construction, const struct beam_graph *base,
                   const int64_t *order, FaissIndex **out, char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        auto storage = std::make_unique<Borrowed>(*over, order);
        auto graph = std::make_unique<faiss::IndexHNSW>(storage.get(), m);
        faiss::HNSW &links = graph->hnsw;
        /* One upper level in m rows: room for a little more than is likely, so that nothing is copied as it grows. */
        links.neighbors.owned_data.reserve(over->n * (2 * (size_t)m + 2));
        links.levels.reserve(over->n);
        links.offsets.reserve(over->n + 1);
        if (base != nullptr) {
            FAISS_THROW_IF_NOT_MSG(base->dim <= over->dim && base->n <= over->n && base->upper == (size_t)m,
                                   "the base does not fit");
            take_links(links, *base);
            graph->ntotal = storage->ntotal = (faiss::idx_t)base->n;
        }
        links.efConstruction = ef_construction;
        storage.release();
        graph->own_fields = true;
        *out = reinterpret_cast<FaissIndex *>(static_cast<faiss::Index *>(graph.release()));
    });
}

int faiss_shim_reorder(FaissIndex *hnsw, const int64_t *order, char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] { graph_of(hnsw)->hnsw.permute_entries(order); });
}

int faiss_shim_view(const FaissIndex *hnsw, struct beam_graph *out, char why[FAISS_SHIM_WHY])
{
    return guarded(why, [&] {
        const faiss::IndexHNSW *graph = graph_of(hnsw);
        const faiss::HNSW &links = graph->hnsw;
        size_t n = (size_t)graph->ntotal;
        FAISS_THROW_IF_NOT_MSG(links.offsets.size() == n + 1 && links.levels.size() == n &&
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
    });
}
