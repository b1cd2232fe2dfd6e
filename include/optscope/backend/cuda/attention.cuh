// SPDX-License-Identifier: MIT
// Causal self-attention with whole rows of scores in shared memory, and its three steps apart, with the same bits.
OPTSCOPE_CUDA_SOURCE(

// One text: q (queries, hidden) of its last positions, k and v (keys, hidden) of all; z (queries, hidden). pattern
// (head, query, key) is written where it is not null.
struct attention_part {
  const scalar* q;
  const scalar* k;
  const scalar* v;
  scalar* z;
  scalar* pattern;
  index q_stride, k_stride, v_stride, z_stride;
  index queries, keys;
};

// scores (query, key), rows `score_stride` apart, of `count` queries of a head with the keys that the last of them
// sees; `position`: of the first. `scaled`: memory for the queries, their number rounded up to four.
DEVICE void score_tile(const scalar* q, index q_stride, const scalar* k, index k_stride, index head_dim, index count,
                       index position, scalar* scaled, scalar* scores, index score_stride) {
  const scalar scale = 1 / sqrt(static_cast<scalar>(head_dim));
  const index padded = (count + 3) / 4 * 4;
  for (index e = threadIdx.x; e < padded * head_dim; e += blockDim.x) {
    const index i = e / head_dim;
    scaled[e] = i < count ? q[i * q_stride + e % head_dim] * scale : 0;
  }
  __syncthreads();
  for (index key = threadIdx.x; key < position + count; key += blockDim.x) {
    const scalar* const row = k + key * k_stride;
    for (index first = 0; first < count; first += 4) {
      const scalar* const queries = scaled + first * head_dim;
      scalar sums[4] = {0, 0, 0, 0};
      for (index d = 0; d < head_dim; ++d) {
        for (index i = 0; i < 4; ++i) sums[i] = fma(queries[i * head_dim + d], row[d], sums[i]);
      }
      for (index i = 0; i < 4 && first + i < count; ++i) scores[(first + i) * score_stride + key] = sums[i];
    }
  }
  __syncthreads();
}

// Softmax of row[0, visible); zeros up to `keys`. `memory`: a scalar for each thread.
DEVICE void softmax_row(scalar* row, index visible, index keys, scalar* memory) {
  scalar largest = -infinity();
  for (index key = threadIdx.x; key < visible; key += blockDim.x) largest = row[key] > largest ? row[key] : largest;
  largest = block_combined(largest, memory, [](scalar a, scalar b) { return a > b ? a : b; });
  scalar sum = 0;
  for (index key = threadIdx.x; key < visible; key += blockDim.x) {
    row[key] = exp(row[key] - largest);
    sum += row[key];
  }
  const scalar factor = 1 / block_sum(sum, memory);
  for (index key = threadIdx.x; key < keys; key += blockDim.x) row[key] = key < visible ? row[key] * factor : 0;
  __syncthreads();
}

// z (query, head_dim) = pattern times v, for `count` queries of a head. Four of them share a thread's read of v.
DEVICE void mix_tile(const scalar* pattern, index pattern_stride, const scalar* v, index v_stride, index head_dim,
                     index count, index position, scalar* z, index z_stride) {
  for (index e = threadIdx.x; e < (count + 3) / 4 * head_dim; e += blockDim.x) {
    const index first = e / head_dim * 4;
    const index d = e % head_dim;
    const index last = smaller(first + 4, count);
    scalar sums[4] = {0, 0, 0, 0};
    for (index key = 0; key < position + last; ++key) {
      const scalar value = v[key * v_stride + d];
      for (index i = 0; i < 4; ++i) {
        const index query = first + i;
        if (query < last && key <= position + query) {
          sums[i] = fma(pattern[query * pattern_stride + key], value, sums[i]);
        }
      }
    }
    for (index i = 0; i < 4 && first + i < last; ++i) z[(first + i) * z_stride + d] = sums[i];
  }
}

// Blocks (tiles of the longest text's queries, heads, texts). Shared memory in scalars: threads, then `tile` rounded up
// to four times head_dim, then `tile` times the most keys.
KERNEL attention(const attention_part* parts, index head_dim, index tile) {
  const attention_part part = parts[blockIdx.z];
  const index first = blockIdx.x * tile;
  if (first >= part.queries) return;
  const index count = smaller(tile, part.queries - first);
  const index position = part.keys - part.queries + first;
  const index column = blockIdx.y * head_dim;
  scalar* const memory = shared_memory<scalar>();
  scalar* const scaled = memory + blockDim.x;
  scalar* const scores = scaled + (tile + 3) / 4 * 4 * head_dim;
  score_tile(part.q + first * part.q_stride + column, part.q_stride, part.k + column, part.k_stride, head_dim, count,
             position, scaled, scores, part.keys);
  for (index i = 0; i < count; ++i) softmax_row(scores + i * part.keys, position + i + 1, part.keys, memory);
  mix_tile(scores, part.keys, part.v + column, part.v_stride, head_dim, count, position,
           part.z + first * part.z_stride + column, part.z_stride);
  if (part.pattern == nullptr) return;
  scalar* const pattern = part.pattern + (blockIdx.y * part.queries + first) * part.keys;
  for (index e = threadIdx.x; e < count * part.keys; e += blockDim.x) pattern[e] = scores[e];
}

// The steps, for one text, with scores and pattern (head, query, key) in memory. Blocks (tiles of queries, heads).

// Minus infinity for later keys. Shared memory in scalars: `tile` rounded up to four times head_dim.
KERNEL attention_scores(const scalar* q, index q_stride, const scalar* k, index k_stride, index queries, index keys,
                        index head_dim, index tile, scalar* scores) {
  const index first = blockIdx.x * tile;
  const index count = smaller(tile, queries - first);
  const index position = keys - queries + first;
  const index column = blockIdx.y * head_dim;
  scalar* const rows = scores + (blockIdx.y * queries + first) * keys;
  score_tile(q + first * q_stride + column, q_stride, k + column, k_stride, head_dim, count, position,
             shared_memory<scalar>(), rows, keys);
  for (index i = 0; i < count; ++i) {
    for (index key = position + i + 1 + threadIdx.x; key < keys; key += blockDim.x) rows[i * keys + key] = -infinity();
  }
}

// Shared memory: a scalar for each thread.
KERNEL attention_softmax(scalar* scores, index queries, index keys, index tile) {
  const index first = blockIdx.x * tile;
  const index count = smaller(tile, queries - first);
  scalar* const rows = scores + (blockIdx.y * queries + first) * keys;
  for (index i = 0; i < count; ++i) {
    softmax_row(rows + i * keys, keys - queries + first + i + 1, keys, shared_memory<scalar>());
  }
}

// The patterns of heads are `head_stride` apart.
KERNEL attention_mix(const scalar* pattern, index head_stride, const scalar* v, index v_stride, index queries,
                     index keys, index head_dim, index tile, scalar* z, index z_stride) {
  const index first = blockIdx.x * tile;
  const index column = blockIdx.y * head_dim;
  mix_tile(pattern + blockIdx.y * head_stride + first * keys, keys, v + column, v_stride, head_dim,
           smaller(tile, queries - first), keys - queries + first, z + first * z_stride + column, z_stride);
}

// What an editor left for the keys after a query's own becomes `value`. Blocks (queries, heads).
KERNEL hide_later_keys(scalar* square, index queries, index keys, scalar value) {
  scalar* const row = square + (blockIdx.y * queries + blockIdx.x) * keys;
  for (index key = keys - queries + blockIdx.x + 1 + threadIdx.x; key < keys; key += blockDim.x) row[key] = value;
}

)
